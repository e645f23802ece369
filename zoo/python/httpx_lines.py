"""httpx, read line by line."""

import httpx
from calls import TIMEOUT_S, calls

with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
    for call in calls():
        with call, client.stream("POST", call.url, headers=call.headers, json=call.body) as response:
            call.read(response)
