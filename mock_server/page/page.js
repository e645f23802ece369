/* Splits a stream of text into the data of server-sent events, as the WHATWG specification reads them. */
class EventReader {
  #rest = "";
  #data = [];

  /* The data of the events that `text` completes. Before the end, a final CR may be half of a CRLF: it waits. */
  push(text, ended = false) {
    const events = [];
    const line = ended ? /([^\r\n]*)(\r\n|\n|\r)/y : /([^\r\n]*)(\r\n|\n|\r(?!$))/y;
    const all = this.#rest + text;
    let read = 0;
    for (let found = line.exec(all); found; found = line.exec(all)) {
      read = line.lastIndex;
      this.#take(found[1], events);
    }
    this.#rest = all.slice(read);
    return events;
  }

  #take(line, events) {
    if (line === "") {
      if (this.#data.length) events.push(this.#data.join("\n"));
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    if (field === "data") this.#data.push(colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, ""));
  }
}

const form = byId("try-form");
let inFlight = null; // the AbortController of the call being made, if there is one

function milliseconds(since) {
  return `${Math.round(performance.now() - since)} ms`;
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function say(status) {
  byId("try-status").textContent = status;
}

/* The value a text stands for; undefined when it is not JSON. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function showHeaders(response) {
  const rows = JSON.parse(form.dataset.headers).filter((name) => response.headers.has(name)).map((name) => {
    const row = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((tag) => row.appendChild(document.createElement(tag)));
    term.textContent = name;
    value.textContent = response.headers.get(name);
    return row;
  });
  byId("try-headers").replaceChildren(...rows);
  byId("try-details").hidden = false;
}

function request(signal) {
  const headers = {
    Authorization: `Bearer ${byId("try-key").value.trim()}`,
    "Content-Type": "application/json",
  };
  if (byId("try-fault").value) headers["X-Mock-Fault"] = byId("try-fault").value;
  if (byId("try-force").value) headers.Prefer = `code=${byId("try-force").value}`;
  const body = JSON.stringify({
    messages: [{ role: "user", content: byId("try-message").value }],
    strategy: { mode: byId("try-mode").value },
    stream: byId("try-stream").checked,
  });
  return { method: "POST", headers, body, signal };
}

/* Shows pieces as they arrive; returns how the stream ended. */
async function showStream(response, started, signal) {
  const decoder = new TextDecoder();
  const reader = new EventReader();
  const bytes = response.body.getReader();
  const seen = { pieces: 0, first: "", done: false, unreadable: false, ending: "ended without [DONE]" };
  const take = (data) => {
    byId("try-body").append(`data: ${data}\n\n`);
    if (data === "[DONE]") {
      seen.ending = seen.unreadable ? "complete, but an event was not JSON" : "complete";
      seen.done = true;
      return;
    }
    const event = parsed(data);
    if (!event) {
      seen.ending = "an event was not JSON";
      seen.unreadable = true;
    }
    if (event?.error) seen.ending = `failed in mid-stream with ${event.error.code}`;
    if (!event?.response) return;
    seen.first ||= milliseconds(started);
    seen.pieces += 1;
    byId("try-text").append(event.response);
    say(`${response.status} ${response.statusText}: ${plural(seen.pieces, "piece")} so far`);
  };
  byId("try-answer").hidden = false;
  try {
    for (let ended = false; !ended; ) {
      const { value, done } = await bytes.read();
      signal.throwIfAborted();
      ended = done;
      reader.push(done ? decoder.decode() : decoder.decode(value, { stream: true }), done).forEach(take);
    }
  } catch (error) {
    signal.throwIfAborted();
    seen.ending = `${seen.done ? `${seen.ending}; then ` : ""}the connection broke (${error.message})`;
  }
  const first = seen.first ? `first piece after ${seen.first}, ` : "";
  return `${first}${plural(seen.pieces, "piece")}, ${seen.ending}`;
}

/* Shows a whole body; returns what it is. */
async function showPlain(response, signal) {
  const [type] = (response.headers.get("content-type") ?? "no type").split(";");
  let body = "";
  try {
    body = await response.text();
  } catch {
    signal.throwIfAborted();
    return "the connection broke before the body was whole";
  }
  signal.throwIfAborted();
  const value = parsed(body);
  byId("try-body").textContent = value === undefined ? body : JSON.stringify(value, null, 2);
  const size = plural(new TextEncoder().encode(body).length, "byte");
  if (!body) return "an empty body, where JSON was promised";
  if (type !== "application/json") return `${size} of ${type}, where JSON was promised`;
  return value === undefined ? `${size} that are not JSON, though the header says so` : size;
}

async function call(signal) {
  const started = performance.now();
  const response = await fetch(base() + form.dataset.path, request(signal));
  signal.throwIfAborted();
  showHeaders(response);
  say(`${response.status} ${response.statusText}`);
  const streamed = (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
  const summary = await (streamed ? showStream(response, started, signal) : showPlain(response, signal));
  say(`${response.status} ${response.statusText} in ${milliseconds(started)}: ${summary}`);
}

function isFile() {
  return location.protocol === "file:";
}

/* Where the mock is: for a page that it serves, that is also the test id that the page's address may begin with. */
function base() {
  if (isFile()) return byId("try-address").value.trim().replace(/\/+$/, "");
  return location.origin + location.pathname.replace(/\/docs\/?$/, "");
}

/* What is wrong with the key, if no header can carry it. */
function unsendable() {
  const [found] = byId("try-key").value.match(/[^\x20-\x7e\x80-\xff]/u) ?? [];
  if (!found) return "";
  const code = found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `Not sent: no HTTP header can carry “${found}” (U+${code}), which the API key holds. Keys are plain ASCII.`;
}

async function explain(error) {
  if (error.name === "AbortError") return "Stopped.";
  const alive = await fetch(`${base()}/openapi.json`).then((answer) => answer.ok, () => false);
  if (alive) {
    return (
      "No answer: the connection broke before one came. The mock is running, so a fault such as reset or fin has " +
      "struck; its journal, /__mock__/requests, says which."
    );
  }
  const advice = isFile()
    ? ` Is the mock running at ${base()}, and was it started with --cors?`
    : " Is the mock still running?";
  return `No answer: ${error.message}.${advice}`;
}

async function send(event) {
  event.preventDefault();
  inFlight?.abort();
  const mine = (inFlight = new AbortController());
  for (const id of ["try-text", "try-body", "try-headers"]) byId(id).replaceChildren();
  for (const id of ["try-answer", "try-details"]) byId(id).hidden = true;
  if (unsendable()) {
    inFlight = null;
    byId("try-stop").hidden = true;
    say(unsendable());
    return;
  }
  byId("try-stop").hidden = false;
  say("Waiting for the answer…");
  try {
    await call(mine.signal);
  } catch (error) {
    const said = await explain(error);
    if (inFlight === mine) say(said);
  } finally {
    if (inFlight === mine) {
      inFlight = null;
      byId("try-stop").hidden = true;
    }
  }
}

/* Marks in the contents which chapter is being read. */
function followReading() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "location");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const id of links.keys()) watcher.observe(byId(id));
}

/* Lets the examples name the mock that shows them; their words as documented are one switch away. */
function nameThisMock() {
  const { base: real, key, testKey } = byId("examples-switch").dataset;
  const walker = document.createTreeWalker(document.querySelector(".examples"), NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("pre") && (node.data.includes(real) || node.data.includes(key))) {
      texts.push([node, node.data, node.data.replaceAll(real, base()).replaceAll(key, testKey)]);
    }
  }
  const show = () => {
    for (const [node, documented, here] of texts) node.data = byId("examples-real").checked ? documented : here;
    byId("examples-say").textContent = byId("examples-real").checked
      ? `They call ${real}, and need a key of yours.`
      : "They call this mock with a test key, and run as they stand.";
  };
  byId("examples-switch").hidden = false;
  byId("examples-real").addEventListener("change", show);
  show();
}

document.querySelectorAll(".copy").forEach(offerCopy);
if (!isFile()) nameThisMock();
byId("try-elsewhere").hidden = !isFile();
byId("try-address").disabled = !isFile();
form.addEventListener("submit", send);
byId("try-stop").addEventListener("click", () => inFlight?.abort());
followReading();
