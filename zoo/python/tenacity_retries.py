"""httpx behind tenacity's bare `@retry`."""

import httpx
from calls import TIMEOUT_S, Call, calls
from tenacity import retry


@retry
def make(client: httpx.Client, call: Call) -> None:
    """Make one call, a stream to its end."""
    with client.stream("POST", call.url, headers=call.headers, json=call.body) as response:
        response.raise_for_status()
        call.read(response)


with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
    for call in calls():
        with call:
            make(client, call)
