// What the Node.js clients share: the calls they are asked to make, how events are read, and the line told of each.
// How they are called and what they print is said in ../python/calls.py.

const PROMPT = "讲一个大海的故事";
const { env } = process;
export const BASE_URL = (env.LLM_BASE_URL ?? "http://127.0.0.1:8080").replace(/\/+$/, "");
export const API_KEY = env.LLM_API_KEY ?? "sk-test-unlimited";
export const TIMEOUT_MS = 1000 * (env.LLM_TIMEOUT_S ?? 30);

class Call {
  #asked;
  #pieces = [];
  #complete = false;

  constructor(asked) {
    const [call, ...fault] = asked.split(":");
    const [kind, name] = call.split("@");
    if (!["plain", "stream", "slow"].includes(kind)) {
      console.error(`a call is plain, stream or slow, with @NAME and :FAULT behind it or not, not '${asked}'`);
      process.exit(1);
    }
    this.#asked = asked;
    this.stream = kind !== "plain";
    this.url = `${BASE_URL}/v1/llm/auto`;
    this.ownHeaders = {};
    if (fault.length) this.ownHeaders["X-Mock-Fault"] = fault.join(":");
    if (env.LLM_TEST_ID) this.ownHeaders["X-Mock-Test"] = env.LLM_TEST_ID;
    this.headers = { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json", ...this.ownHeaders };
    this.body = { messages: [{ role: "user", content: name ? `${PROMPT} ${name}` : PROMPT }], stream: this.stream };
    if (kind === "slow") Object.assign(this.body, { strategy: { models: ["slow"] }, max_tokens: 16 });
  }

  /** Take the data of one event. */
  event(data) {
    if (data === "[DONE]") {
      this.#complete = true;
      return;
    }
    this.document(JSON.parse(data));
  }

  /** Take the document of one event of a stream. */
  document(event) {
    if (event.error) throw new Error(event.error.message);
    if (event.response) this.#pieces.push(event.response);
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
