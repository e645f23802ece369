// openai's own retry core, which client.post reaches for any path.

import OpenAI from "openai";
import { API_KEY, BASE_URL, run, TIMEOUT_MS } from "./calls.mjs";

const client = new OpenAI({ apiKey: API_KEY, baseURL: `${BASE_URL}/v1`, timeout: TIMEOUT_MS });

await run(async (call) => {
  const options = { body: call.body, headers: call.ownHeaders, stream: call.stream };
  const answer = await client.post("/llm/auto", options);
  if (!call.stream) return call.answer(answer);
  for await (const event of answer) {
    call.document(event);
    if (event.done) call.event("[DONE]"); // which its stream keeps to itself
  }
});
