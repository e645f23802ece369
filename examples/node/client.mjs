// A small client of the gateway, as an application would have it; client.test.mjs is how its team tests it.

const AGAIN = new Set([429, 500, 502]);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class GatewayError extends Error {
  constructor(code, options) {
    super(code, options);
    this.code = code;
  }
}

export class Client {
  constructor(baseUrl, apiKey, { tries = 3 } = {}) {
    this.url = `${baseUrl}/llm/auto`;
    this.headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
    this.tries = tries;
  }

  // The whole answer; tries again what may succeed, and waits as it is told.
  async ask(text) {
    let wait = 0.1;
    for (let left = this.tries - 1; ; left--) {
      let response;
      try {
        response = await this.#post({ messages: [{ role: "user", content: text }] });
      } catch (error) {
        if (left === 0) throw new GatewayError("CONNECTION", { cause: error });
      }
      if (response?.ok) return (await response.json()).response;
      if (response && (left === 0 || !AGAIN.has(response.status))) {
        throw new GatewayError((await response.json()).error.code);
      }
      wait = Number(response?.headers.get("retry-after") ?? wait);
      await response?.body?.cancel();
      await pause(wait);
      wait *= 2;
    }
  }

  // The whole of a stream; a part of it is never taken for the whole.
  async stream(text) {
    const response = await this.#post({ messages: [{ role: "user", content: text }], stream: true });
    if (!response.ok) throw new GatewayError((await response.json()).error.code);
    let whole = "";
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return whole;
      const event = JSON.parse(data);
      if (event.error) throw new GatewayError(event.error.code);
      whole += event.response;
    }
    throw new GatewayError("BROKEN_STREAM");
  }

  #post(body) {
    return fetch(this.url, {
      method: "POST",
      headers: this.headers,
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
  }
}

async function* events(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length > 0) yield lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
    }
  }
}
