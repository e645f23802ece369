"""anthropic's own retry core, which `client.post` reaches for any path; its streams drop events that have no name."""

from anthropic import Anthropic, Stream
from calls import API_KEY, BASE_URL, TIMEOUT_S, calls

with Anthropic(auth_token=API_KEY, base_url=f"{BASE_URL}/v1", timeout=TIMEOUT_S) as client:
    for call in calls():
        with call:
            options = {"headers": call.own_headers}
            if not call.stream:
                call.plain(client.post("/llm/auto", cast_to=object, body=call.body, options=options))
                continue
            stream = client.post(
                "/llm/auto", cast_to=object, body=call.body, options=options, stream=True, stream_cls=Stream[object]
            )
            for event in Stream.raw_events(stream.response):
                if event.data:
                    call.event(event.data)
