// axios, read line by line. A broken stream is told as `aborted`, however it broke; only the request knows of a reset.

import axios from "axios";
import { run, TIMEOUT_MS } from "./calls.mjs";

await run(async (call) => {
  const { data, request } = await axios.post(call.url, call.body, {
    headers: call.headers,
    responseType: call.stream ? "stream" : "json",
    timeout: TIMEOUT_MS,
    proxy: false,
  });
  if (!call.stream) return call.answer(data);
  let cause;
  request.on("error", (error) => (cause = error));
  await call.lines(data).catch((error) => {
    error.cause ??= cause;
    throw error;
  });
});
