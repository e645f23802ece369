// anthropic's own retry core, which client.post reaches for any path; its streams drop events that have no name.

import Anthropic from "@anthropic-ai/sdk";
import { API_KEY, BASE_URL, run, TIMEOUT_MS } from "./calls.mjs";

const client = new Anthropic({ apiKey: null, authToken: API_KEY, baseURL: `${BASE_URL}/v1`, timeout: TIMEOUT_MS });

await run(async (call) => {
  const made = client.post("/llm/auto", { body: call.body, headers: call.ownHeaders, stream: call.stream });
  if (!call.stream) return call.answer(await made);
  await call.lines((await made.asResponse()).body);
});
