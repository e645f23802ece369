// got, read line by line.

import got from "got";
import { run, TIMEOUT_MS } from "./calls.mjs";

await run(async (call) => {
  const options = { headers: call.headers, json: call.body, timeout: { request: TIMEOUT_MS } };
  if (!call.stream) return call.answer(await got.post(call.url, options).json());
  await call.lines(got.stream.post(call.url, options));
});
