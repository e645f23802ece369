// Node's fetch, read by eventsource-parser.

import { EventSourceParserStream } from "eventsource-parser/stream";
import { run, TIMEOUT_MS } from "./calls.mjs";

await run(async (call) => {
  const response = await fetch(call.url, {
    method: "POST",
    headers: call.headers,
    body: JSON.stringify(call.body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!call.stream) return call.answer(await response.json());
  const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const event of events) call.event(event.data);
});
