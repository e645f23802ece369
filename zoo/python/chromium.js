// Runs in a page: makes one call, reads a stream line by line, and says what came and how it ended.

const [url, headers, body, told] = arguments;
const found = { pieces: [], complete: false, error: null };

function take(line) {
  if (line === "data: [DONE]") {
    found.complete = true;
  } else if (line.startsWith("data: ")) {
    const text = JSON.parse(line.slice("data: ".length)).response;
    if (text) found.pieces.push(text);
  }
}

async function make() {
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!body.stream) {
    found.pieces.push((await response.json()).response);
    found.complete = true;
    return;
  }
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    lines.forEach(take);
  }
}

make()
  .catch((error) => {
    found.error = error.name === "TypeError" ? `${error.name}: ${error.message}` : error.name;
  })
  .then(() => told(found));
