/* One request, opened: what became of it, its timeline, its route and its entry in the journal. */

import { ask } from "./plane.js";
import { breakable, byId, make, milliseconds, plural, tableOf, timeOf, toneOf } from "./elements.js";
import { timelineOf } from "./timeline.js";

let scale = 1; // wall seconds per simulated second
let shown = null; // the entry that is open
let afterwards = () => {};

export function setScale(timeScale) {
  scale = timeScale;
}

/* Shows a request; what was noted of it since it was listed is asked for. */
export async function openRequest(entry) {
  show(entry);
  const { entries } = await ask("list_requests", { query: { request_id: entry.request_id }, test: "" });
  const latest = entries.find((each) => each.arrived_unix_s === entry.arrived_unix_s);
  if (latest && shown === entry) show(latest);
  await showRoute(entry.request_id);
}

/* Shows the latest request of an id, as evidence names it. */
export async function openById(requestId) {
  const { entries } = await ask("list_requests", { query: { request_id: requestId, limit: 1 }, test: "" });
  if (entries.length) await openRequest(entries[0]);
  else gone(requestId);
}

function gone(requestId) {
  shown = null;
  byId("opened").hidden = true;
  byId("unopened").hidden = false;
  byId("unopened").textContent = `The journal no longer holds ${requestId}.`;
  afterwards();
}

function show(entry) {
  shown = entry;
  byId("unopened").hidden = true;
  byId("opened").hidden = false;
  byId("opened-status").textContent = entry.status || "none";
  byId("opened-status").className = `badge ${toneOf(entry.status)}`;
  byId("opened-id").textContent = entry.request_id;
  byId("opened-said").textContent = summary(entry);
  const fault = byId("opened-fault");
  fault.hidden = !entry.fault;
  fault.className = entry.struck ? "fault struck" : "fault";
  fault.textContent = `${entry.fault} ${entry.struck ? "struck" : "was to strike, and did not"}`;
  byId("timeline").replaceChildren(timelineOf(entry, scale));
  showEntry(entry);
  byId("attest_outcome-request_id").value = entry.request_id;
  byId("form-attest_outcome").dispatchEvent(new Event("input"));
  afterwards();
}

function summary(entry) {
  const who = entry.model ? `answered by ${entry.provider}/${entry.model}` : "answered by nobody";
  const how = `${entry.code || entry.ending} after ${milliseconds(entry.took_ms)}`;
  const again = entry.retry_after_s === null ? "" : `; Retry-After ${entry.retry_after_s} s`;
  return `${entry.method} ${entry.path} at ${timeOf(entry.arrived_unix_s)}: ${how}, ${who}${again}.`;
}

function showEntry(entry) {
  for (const place of document.querySelectorAll("#entry dd[data-field]")) {
    const value = entry[place.dataset.field];
    const nothing = value === null || value === "" || (Array.isArray(value) && !value.length);
    place.textContent = nothing ? "" : textOf(value);
    place.parentElement.hidden = nothing;
  }
  byId("entry-json").textContent = JSON.stringify(entry, null, 2);
}

function textOf(value) {
  if (typeof value === "number") return String(Number(value.toFixed(3)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

async function showRoute(requestId) {
  byId("route").replaceChildren();
  let route;
  try {
    route = await ask("show_route", { path: { request_id: requestId }, test: "" });
  } catch (error) {
    if (error.status !== 404) throw error;
    byId("route").replaceChildren(make("p", { class: "hint" }, error.message));
    return;
  }
  if (shown?.request_id !== requestId) return;
  byId("route").replaceChildren(...routeOf(route));
}

function routeOf(route) {
  if (!route.mode) return [make("p", { class: "hint" }, "It was refused before any provider was asked.")];
  const attempts = route.attempts.map((each) => [
    String(each.rank || "–"),
    make("span", {}, ...breakable(`${each.provider}/${each.model}`)),
    each.result,
    make("span", { class: "whole" }, milliseconds(each.ms)),
    each.why,
  ]);
  const parts = [
    make("p", {}, "mode ", make("code", {}, route.mode), ", task ", make("code", {}, route.task), `: ${plural(route.attempts.length, "attempt")}.`),
    tableOf("Attempts", ["rank", "provider/model", "result", "ms", "why"], attempts),
  ];
  if (route.passed_over.length) parts.push(make("p", {}, `Passed over, their breaker open: ${route.passed_over.join(", ")}.`));
  const ranking = make("ol", {}, ...route.ranking.map((name) => make("li", {}, make("code", {}, name))));
  parts.push(make("details", {}, make("summary", {}, `ranking of ${route.ranking.length}`), ranking));
  return parts;
}

/* Begins; `then` is called whenever one was opened. */
export function watchOpened(then) {
  afterwards = then;
  byId("attest_outcome-request_id").readOnly = true;
  byId("form-attest_outcome").addEventListener("answered", ({ detail }) => {
    if (shown?.request_id === detail.request_id) show({ ...shown, attested: detail.outcome });
  });
}
