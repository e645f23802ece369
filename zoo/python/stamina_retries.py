"""httpx behind stamina, told which errors may be tried again, as its documentation shows."""

import httpx
import stamina
from calls import TIMEOUT_S, Call, calls


def may_pass(error: Exception) -> bool:
    """Whether another try may do better."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    return isinstance(error, httpx.TransportError)


@stamina.retry(on=may_pass)
def make(client: httpx.Client, call: Call) -> None:
    """Make one call, a stream to its end."""
    with client.stream("POST", call.url, headers=call.headers, json=call.body) as response:
        response.raise_for_status()
        call.read(response)


with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
    for call in calls():
        with call:
            make(client, call)
