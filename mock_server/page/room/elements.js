/* Elements as values. Whatever is shown goes in as text, never as markup. */

export const byId = (id) => document.getElementById(id);

/* An element with a class, attributes and contents: nodes, or text. */
export function make(tag, attributes = {}, ...contents) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...contents);
  return element;
}

/* Text that may go on in a new line after an underscore, a slash or a hyphen. */
export function breakable(text) {
  return text.split(/(?<=[_/-])/).flatMap((part) => [part, make("wbr")]);
}

/* Text in which `backticks` mark code. */
export function prose(text) {
  return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function milliseconds(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} s`;
  return `${ms.toLocaleString("en", { maximumFractionDigits: ms < 10 ? 2 : ms < 100 ? 1 : 0 })} ms`;
}

/* The moment of a day, local. */
export function timeOf(unixS) {
  const moment = new Date(unixS * 1000);
  return `${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

/* How bad a status is, as a class. */
export function toneOf(status) {
  if (status === 0 || status >= 500) return "bad";
  return status >= 400 ? "warn" : "good";
}

/* A table of text or nodes, its first row the names of its columns. */
export function tableOf(caption, columns, rows) {
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, index) => make("td", { "data-label": columns[index] }, cell))),
  );
  return make(
    "table",
    {},
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, head),
    make("tbody", {}, ...body),
  );
}

let saying = 0;

/* Says something to those who do not see the page. */
export function announce(text) {
  byId("announcer").textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => byId("announcer").replaceChildren(), 3000);
}
