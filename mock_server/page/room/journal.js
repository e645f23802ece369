/* The list of requests: asked for from where the last answer ended, so that a poll looks only at what is new. */

import { about, ask, base, curlOf } from "./plane.js";
import { announce, breakable, byId, make, milliseconds, plural, timeOf, toneOf } from "./elements.js";

const rows = byId("rows");
const { most, asked } = rows.closest("table").dataset;
const filters = byId("filters");
const columns = [...document.querySelectorAll("#list th")].map((each) => each.dataset.field);
const entries = new WeakMap(); // of each row
const seenTests = new Set();

/* How many requests there were, of everybody, as of the latest answer. */
export const finished = { total: 0 };

let cursor = null; // `last` of the latest answer; null: everything is asked for anew
let epoch = ""; // of the latest answer
let wanted = {}; // what is filtered by
let round = 0; // answers to an earlier round are late
let paused = false;
let open = () => {};
let then = () => {};

const cells = {
  arrived_unix_s: (entry) => opener(entry),
  status: (entry) => make("span", { class: `badge ${toneOf(entry.status)}` }, entry.status || "none"),
  ending: (entry) => ending(entry),
  model: (entry) => (entry.model ? make("span", {}, ...breakable(`${entry.provider}/${entry.model}`)) : ""),
  took_ms: (entry) => milliseconds(entry.took_ms),
};

function opener(entry) {
  const label = `Open ${entry.request_id}, ${entry.status || "no answer"}`;
  return make("button", { type: "button", class: "open", tabindex: "-1", "aria-label": label }, timeOf(entry.arrived_unix_s));
}

/* How it ended: the code of an error, else the ending; and the fault, if there was one. */
function ending(entry) {
  const words = make("span", {}, ...breakable(entry.code || entry.ending));
  if (!entry.fault) return words;
  const fault = make("span", { class: entry.struck ? "fault struck" : "fault" }, ...breakable(entry.fault));
  if (!entry.struck) fault.title = "did not strike";
  return make("span", {}, words, " ", fault);
}

function rowOf(entry) {
  const made = columns.map((name) => {
    const content = cells[name]?.(entry) ?? entry[name];
    return make("td", { "data-field": name }, content);
  });
  const row = make("tr", {}, ...made);
  entries.set(row, entry);
  return row;
}

function gap(count) {
  const cell = make("td", { colspan: columns.length }, `${plural(count, "more request")} in between, too many to list`);
  return make("tr", { class: "gap" }, cell);
}

/* Asks for what has finished since; true when there was something. */
export async function poll() {
  if (paused) {
    const { totals } = await ask("list_requests", { query: { limit: 0, since: cursor ?? 0 }, test: "" });
    count(totals);
    return false;
  }
  const mine = round;
  const query = { ...wanted, test: about.test, limit: asked, since: cursor ?? 0 };
  const answer = await ask("list_requests", { query, test: "" });
  if (mine !== round || paused) return false;
  const [before, renewed] = [cursor, epoch !== "" && answer.epoch !== epoch];
  epoch = answer.epoch;
  if (renewed) {
    announce("The mock was reset or started anew.");
    startOver();
    then();
    return poll();
  }
  cursor = answer.last;
  show(answer, before === null);
  return cursor !== before;
}

function show(answer, anew) {
  const fresh = answer.entries.map(rowOf);
  const unseen = answer.matching - fresh.length;
  if (anew) rows.replaceChildren();
  else if (unseen > 0) fresh.push(gap(unseen));
  const top = byId("list").scrollTop;
  rows.prepend(...fresh);
  if (top === 0) byId("list").scrollTop = 0;
  while (rows.children.length > Number(most)) rows.lastChild.remove();
  if (!rows.querySelector('.open[tabindex="0"]')) rows.querySelector(".open")?.setAttribute("tabindex", "0");
  count(answer.totals);
  suggest(answer.entries);
  const filtered = Object.keys(wanted).length > 0 || about.test !== "";
  byId("nothing").hidden = rows.children.length > 0;
  byId("list").hidden = rows.children.length === 0;
  byId("nothing-title").textContent = filtered ? "No request matches yet." : "No request has come yet.";
}

function count(totals) {
  finished.total = totals.requests;
  const statuses = Object.entries(totals.by_status).sort(([a], [b]) => a - b);
  const parts = statuses.map(([status, times]) =>
    make("span", { class: "tally" }, make("b", { class: toneOf(Number(status)) }, status === "0" ? "none" : status),
      ` ${times.toLocaleString("en")}`));
  byId("counted").replaceChildren(plural(totals.requests, "request"), ...parts);
}

/* Remembers the test ids that were seen, the latest hundred. */
function suggest(listed) {
  const before = seenTests.size;
  for (const { test } of listed) if (test && seenTests.size < 100) seenTests.add(test);
  if (seenTests.size === before) return;
  byId("known-tests").replaceChildren(...[...seenTests].map((test) => make("option", { value: test })));
}

/* Forgets what is listed, and asks for everything that matches. */
function startOver() {
  round += 1;
  cursor = null;
  rows.replaceChildren();
}

async function filter() {
  const before = wanted;
  wanted = {};
  for (const field of filters.elements) if (field.name && field.value) wanted[field.name] = field.value;
  byId("filter-said").textContent = "";
  startOver();
  try {
    await poll();
  } catch (error) {
    byId("filter-said").textContent = error.message;
    if (error.status !== 400) throw error;
    wanted = before;
    startOver();
    await poll();
  }
}

function pause() {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  announce(paused ? "The list stands still." : "The list goes on.");
}

function choose(row) {
  rows.querySelector("[aria-current]")?.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  tabbable(row.querySelector(".open"));
  open(entries.get(row));
}

/* Of all rows one is reached by Tab; arrows lead to the others. */
function tabbable(button) {
  for (const other of rows.querySelectorAll('.open[tabindex="0"]')) other.setAttribute("tabindex", "-1");
  button.setAttribute("tabindex", "0");
}

function walk(event) {
  const all = [...rows.querySelectorAll(".open")];
  const at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (at < 0 || to === undefined || !all[to]) return;
  event.preventDefault();
  tabbable(all[to]);
  all[to].focus();
}

/* Begins to list. `opened` is called with the entry that is chosen, `renewed` where the journal begins anew; `run` does
   what may fail. */
export function listRequests(opened, renewed, run) {
  open = opened;
  then = renewed;
  rows.addEventListener("click", ({ target }) => {
    const row = target.closest("tr");
    if (entries.has(row)) choose(row);
  });
  rows.addEventListener("keydown", walk);
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    run(filter);
  });
  filters.addEventListener("reset", () => setTimeout(run, 0, filter));
  byId("pause").addEventListener("click", pause);
  about.changed.push(() => {
    startOver();
    firstCall();
  });
  firstCall();
}

/* What to do while nothing has come. */
function firstCall() {
  const { method, path, key, body } = byId("nothing").dataset;
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  if (about.test) headers["X-Mock-Test"] = about.test;
  byId("base-url").textContent = base;
  const line = curlOf({ method, url: base + path, headers, body }, { token: false });
  byId("nothing").querySelector("code:not(#base-url)").textContent = line;
}
