// ky as it comes.

import ky from "ky";
import { run, TIMEOUT_MS } from "./calls.mjs";

await run(async (call) => {
  const response = await ky.post(call.url, { headers: call.headers, json: call.body, timeout: TIMEOUT_MS });
  if (!call.stream) return call.answer(await response.json());
  await call.lines(response.body);
});
