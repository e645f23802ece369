// axios behind axios-retry.

import axios from "axios";
import axiosRetry from "axios-retry";
import { run, TIMEOUT_MS } from "./calls.mjs";

axiosRetry(axios);

await run(async (call) => {
  const { data } = await axios.post(call.url, call.body, {
    headers: call.headers,
    timeout: TIMEOUT_MS,
    responseType: call.stream ? "stream" : "json",
    transitional: { silentJSONParsing: false },
  });
  if (!call.stream) return call.answer(data);
  await call.lines(data);
});
