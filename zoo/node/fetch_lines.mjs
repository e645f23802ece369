// Node's fetch, read line by line.

import { run, TIMEOUT_MS } from "./calls.mjs";

await run(async (call) => {
  const response = await fetch(call.url, {
    method: "POST",
    headers: call.headers,
    body: JSON.stringify(call.body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!call.stream) return call.answer(await response.json());
  await call.lines(response.body);
});
