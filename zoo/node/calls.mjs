// What the Node.js clients share: the calls they are asked to make, how events are read, and the line told of each.
// How they are called and what they print is said in ../python/calls.py.

const PROMPT = "讲一个大海的故事";
export const TIMEOUT_MS = 30_000;

class Call {
  #asked;
  #pieces = [];
  #complete = false;

  constructor(asked) {
    const [kind, ...fault] = asked.split(":");
    if (kind !== "plain" && kind !== "stream") {
      console.error(`a call is plain or stream, with :FAULT behind it or nothing, not '${asked}'`);
      process.exit(1);
    }
    const { LLM_BASE_URL = "http://127.0.0.1:8080", LLM_API_KEY = "sk-test-unlimited", LLM_TEST_ID } = process.env;
    this.#asked = asked;
    this.stream = kind === "stream";
    this.url = `${LLM_BASE_URL.replace(/\/+$/, "")}/v1/llm/auto`;
    this.headers = { Authorization: `Bearer ${LLM_API_KEY}`, "Content-Type": "application/json" };
    if (fault.length) this.headers["X-Mock-Fault"] = fault.join(":");
    if (LLM_TEST_ID) this.headers["X-Mock-Test"] = LLM_TEST_ID;
    this.body = { messages: [{ role: "user", content: PROMPT }], stream: this.stream };
  }

  /** Take the data of one event. */
  event(data) {
    if (data === "[DONE]") {
      this.#complete = true;
      return;
    }
    const text = JSON.parse(data).response;
    if (text) this.#pieces.push(text);
  }

  /** Read a stream of bytes, and take every line for an event, as many do. */
  async lines(stream) {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of stream) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) this.event(line.slice("data: ".length));
    }
  }

  /** Take a plain answer. */
  answer(document) {
    this.#pieces.push(document.response);
    this.#complete = true;
  }

  tell(error) {
    const told = { call: this.#asked, pieces: this.#pieces, complete: this.#complete, error };
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
}

/** What the program catches, and what is at the root of it where that reads otherwise. */
function names(error) {
  if (!error) return [];
  let root = error;
  while (root.cause) root = root.cause;
  return [...new Set([nameOf(error), nameOf(root)])];
}

function nameOf({ name, code, message }) {
  if (name === "SyntaxError") return name;
  return code && message.includes(code) ? message : `${code ?? name}: ${message}`;
}

/** Make the calls that the command line asks for. */
export async function run(make) {
  const asked = process.argv.slice(2);
  for (const call of (asked.length ? asked : ["plain"]).map((one) => new Call(one))) {
    const error = await make(call).then(() => null, (caught) => caught);
    call.tell(names(error));
  }
}
