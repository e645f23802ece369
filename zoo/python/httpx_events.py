"""httpx, read by httpx-sse."""

import httpx
import httpx_sse
from calls import TIMEOUT_S, calls

with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
    for call in calls():
        with call, httpx_sse.connect_sse(client, "POST", call.url, headers=call.headers, json=call.body) as source:
            if call.stream:
                for event in source.iter_sse():
                    call.event(event.data)
            else:
                call.answer(source.response.read())
