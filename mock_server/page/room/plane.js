/* Speaks with the control plane. The admin token stays in this tab, and travels in its header alone. */

const TOKEN = "mock-admin-token";
const operations = JSON.parse(document.body.dataset.operations);
const [, before, ownTest] = location.pathname.match(/^(.*?)(?:\/__test__\/([^/]+))?\/__mock__(?:\/.*)?$/);

/* Where the mock is, without a test id. */
export const base = location.origin + before;

/* Whom the page is about: the test id, or "" for everybody. `changed` is called with every other one. */
export const about = { test: decoded(ownTest ?? ""), changed: [] };

/* The test id of an address; "" where it is none that a header can carry. */
function decoded(text) {
  try {
    const test = decodeURIComponent(text);
    return new RegExp(document.getElementById("test").pattern).test(test) ? test : "";
  } catch {
    return "";
  }
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return Boolean(sessionStorage.getItem(TOKEN));
}

/* A refusal of the control plane, in its own words. */
export class Refused extends Error {
  constructor(status, said) {
    super(said);
    this.status = status;
  }
}

/* No answer came, or none of the mock's. */
export class Unreachable extends Error {}

function filled(template, values) {
  const piece = (name) => (values[name] ? values[name].split("/").map(encodeURIComponent).join("/") : `{${name}}`);
  return template.replace(/\{(\w+)\}/g, (_, name) => piece(name));
}

/* One request: its method, URL, header lines but for the token's, and body. */
export function requestOf(method, template, { path = {}, query = {}, body, test = about.test } = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (test) headers["X-Mock-Test"] = test;
  const url = base + filled(template, path) + (search && `?${search}`);
  return { method, url, headers, body: body === undefined ? undefined : JSON.stringify(body) };
}

export function requestNamed(name, options) {
  return requestOf(...operations[name], options);
}

/* What a request is answered with. Throws Refused or Unreachable. */
export async function send({ method, url, headers, body }) {
  const token = sessionStorage.getItem(TOKEN);
  const all = token ? { ...headers, "X-Mock-Admin-Token": token } : headers;
  let answer;
  let said;
  try {
    answer = await fetch(url, { method, headers: all, body, cache: "no-store", credentials: "omit" });
    said = await answer.json();
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (!answer.ok) throw new Refused(answer.status, said.error?.message ?? `status ${answer.status}`);
  return said;
}

export function ask(name, options) {
  return send(requestNamed(name, options));
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/* The line for a shell that sends the request. */
export function curlOf({ method, url, headers, body }, { token = hasToken() } = {}) {
  const lines = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  if (token) lines.push('-H "X-Mock-Admin-Token: $MOCK_ADMIN_TOKEN"');
  if (body !== undefined) lines.push(`-d ${quoted(body)}`);
  const plain = method === "GET" || (method === "POST" && body !== undefined);
  return [`curl ${plain ? "" : `-X ${method} `}${quoted(url)}`, ...lines].join(" \\\n  ");
}
