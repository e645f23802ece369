// Node's fetch behind p-retry, told which errors may be tried again.

import pRetry, { AbortError } from "p-retry";
import { run, TIMEOUT_MS } from "./calls.mjs";

async function make(call) {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error("no answer in time")), TIMEOUT_MS);
  const response = await fetch(call.url, {
    method: "POST",
    headers: call.headers,
    body: JSON.stringify(call.body),
    signal: silence.signal,
  }).finally(() => clearTimeout(timer)); // a stream may take longer
  if (!response.ok) {
    const error = new Error(response.status);
    throw response.status === 429 || response.status >= 500 ? error : new AbortError(error);
  }
  if (!call.stream) return call.answer(await response.json());
  await call.lines(response.body);
}

await run((call) => pRetry(() => make(call)));
