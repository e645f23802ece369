"""openai's own retry core, which `client.post` reaches for any path."""

from calls import API_KEY, BASE_URL, TIMEOUT_S, calls
from openai import OpenAI, Stream

with OpenAI(api_key=API_KEY, base_url=f"{BASE_URL}/v1", timeout=TIMEOUT_S) as client:
    for call in calls():
        with call:
            options = {"headers": call.own_headers}
            if not call.stream:
                call.plain(client.post("/llm/auto", cast_to=object, body=call.body, options=options))
                continue
            for event in client.post(
                "/llm/auto", cast_to=object, body=call.body, options=options, stream=True, stream_cls=Stream[object]
            ):
                call.document(event)
                if event["done"]:
                    call.event("[DONE]")  # which its stream keeps to itself
