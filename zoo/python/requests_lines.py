"""requests, read line by line."""

import requests
from calls import TIMEOUT_S, calls

with requests.Session() as session:
    session.trust_env = False
    for call in calls():
        with (
            call,
            session.post(
                call.url, headers=call.headers, json=call.body, stream=call.stream, timeout=TIMEOUT_S
            ) as response,
        ):
            if call.stream:
                for line in response.iter_lines():
                    call.line(line.decode())
            else:
                call.answer(response.content)
