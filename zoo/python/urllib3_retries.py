"""requests with urllib3's `Retry` for some statuses, as most recipes have it."""

import requests
from calls import TIMEOUT_S, calls
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

with requests.Session() as session:
    session.trust_env = False
    session.mount(
        "http://", HTTPAdapter(max_retries=Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502)))
    )
    for call in calls():
        with (
            call,
            session.post(
                call.url, headers=call.headers, json=call.body, stream=call.stream, timeout=TIMEOUT_S
            ) as response,
        ):
            response.raise_for_status()
            if call.stream:
                for line in response.iter_lines():
                    call.line(line.decode())
            else:
                call.answer(response.content)
