// How a Node.js client is tried against the mock: node examples/client.mjs http://127.0.0.1:8080
// It reads a stream and notices every way in which one can end badly.

const base = process.argv[2] ?? "http://127.0.0.1:8080";

export async function readStream(fault) {
  const response = await fetch(`${base}/v1/llm/auto`, {
    method: "POST",
    headers: {
      Authorization: "Bearer sk-test-unlimited",
      "Content-Type": "application/json",
      ...(fault ? { "X-Mock-Fault": fault } : {}),
    },
    body: JSON.stringify({ messages: [{ role: "user", content: "写一个产品介绍" }], stream: true, max_tokens: 20 }),
  });
  if (!response.ok) throw new Error(`refused with ${response.status}`);
  let text = "";
  let rest = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + bytes).replaceAll("\r\n", "\n").split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n").filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trim()).join("\n");
      if (!data) continue;
      if (data === "[DONE]") return text;
      const document = JSON.parse(data);
      if (document.success === false) throw new Error(`failed midway: ${document.error.code}`);
      text += document.response;
    }
  }
  throw new Error("the stream ended without [DONE]");
}

for (const fault of [null, "framing=bytewise", "framing=multiline", "eof;after=3", "error_event", "garbage_event", "reset;after=2"]) {
  try {
    console.log(`${fault ?? "no fault"}: ${await readStream(fault)}`);
  } catch (error) {
    console.log(`${fault}: noticed: ${error.message}`);
  }
}
