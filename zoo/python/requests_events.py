"""requests, read by sseclient-py."""

import requests
import sseclient
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
                for event in sseclient.SSEClient(response).events():
                    call.event(event.data)
            else:
                call.answer(response.content)
