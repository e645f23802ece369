/* What is steered, as it is now: the clock, faults, incidents, accounts and providers. */

import { about, ask, curlOf, requestNamed } from "./plane.js";
import { byId, make, milliseconds, tableOf } from "./elements.js";
import { sendShown } from "./steer.js";

const MOST = 100;
let run = () => {};
let done = () => {};

const percent = (share) => `${(100 * share).toLocaleString("en", { maximumFractionDigits: 1 })} %`;

/* Shows in a chapter what there is now, if it is other than what is shown. */
function put(chapter, ...content) {
  const place = byId(`now-${chapter}`);
  const fresh = make("div", {}, ...content);
  if (place.firstChild && !place.contains(document.activeElement) && !place.firstChild.isEqualNode(fresh)) place.replaceChildren(fresh);
  else if (!place.firstChild) place.append(fresh);
}

export async function showClock() {
  const clock = await ask("show_clock");
  const how = clock.auto ? "auto" : clock.frozen ? "frozen" : "runs";
  const now = `${clock.now.toLocaleString("en", { maximumFractionDigits: 1 })} s, ${how}`;
  document.querySelector('[data-value="clock"]').textContent = now;
  document.querySelector('[data-value="clock"]').className = clock.frozen || clock.auto ? "warn" : "";
}

async function showFaults() {
  const { faults } = await ask("list_faults");
  if (!faults.length) return put("faults", make("p", { class: "hint" }, "No fault is queued, and the world has none."));
  const rows = faults.slice(0, MOST).map(({ source, rule, seen, struck, spent }) => [
    source,
    make("code", {}, JSON.stringify(rule)),
    `${struck} of ${seen}`,
    spent ? "spent" : "",
  ]);
  put("faults", tableOf("Faults", ["source", "rule", "struck of seen", "spent"], rows), ...more(faults));
}

function more(all) {
  return all.length > MOST ? [make("p", { class: "hint" }, `and ${all.length - MOST} more`)] : [];
}

async function showIncidents() {
  const { incidents } = await ask("list_incidents");
  if (!incidents.length) return put("incidents", make("p", { class: "hint" }, "No incident was started, and the world has none."));
  const rows = incidents.slice(0, MOST).map(({ id, incident, strength, left_s: left }) => [
    id === null ? "world" : String(id),
    `${incident.kind} of ${incident.match}`,
    percent(strength),
    left === null ? "" : `${Math.ceil(left)} s`,
    id === null ? "" : healer(id),
  ]);
  put("incidents", tableOf("Incidents", ["id", "incident", "strength", "left_s", "heal"], rows), ...more(incidents));
}

/* A button that ends an incident, and the line that does the same. */
function healer(id) {
  const request = requestNamed("end_incident", { path: { number: String(id) } });
  const button = make("button", { type: "button", class: "plain", title: curlOf(request), "aria-label": `Heal incident ${id}` }, "Heal");
  button.addEventListener("click", () => run(async () => {
    await sendShown(request, byId("form-end_incidents").querySelector("output"));
    byId("form-end_incidents").querySelector("button").focus();
    done();
  }));
  return make("span", {}, button, make("code", { class: "line" }, curlOf(request)));
}

async function showAccounts() {
  const ledger = await ask("show_ledger");
  const rows = ledger.accounts.slice(0, MOST).map((row) => [
    row.key,
    row.test,
    row.plan,
    row.balance === null ? "unlimited" : row.balance.toLocaleString("en"),
    row.reserved.toLocaleString("en"),
    row.charged.toLocaleString("en"),
    row.balanced ? "" : "not balanced",
  ]);
  if (!rows.length) return put("accounts", make("p", { class: "hint" }, "No account was used yet."));
  put("accounts", tableOf("Accounts", ["key", "test", "plan", "balance", "reserved", "charged", "balanced"], rows), ...more(ledger.accounts));
}

async function showProviders() {
  const { providers } = await ask("list_providers");
  suggest("known-providers", providers.map((each) => each.provider));
  suggest("known-models", providers.flatMap((each) => [each.provider, ...each.models.map((model) => model.name)]));
  const rows = providers.map(({ provider, healthy, breaker, models }) => {
    const changed = models.filter((model) => model.changed).map((model) => model.name);
    const incident = models.find((model) => model.incident)?.incident ?? "";
    const slowest = Math.max(...models.map((model) => model.ttft_ms));
    return [
      provider,
      make("span", { class: healthy ? "good" : "bad" }, healthy ? "healthy" : "ill"),
      breaker,
      incident,
      `up to ${milliseconds(slowest)}`,
      changed.join(", "),
    ];
  });
  put("providers", tableOf("Providers", ["provider", "healthy", "breaker", "incident", "ttft_ms", "changed"], rows));
}

function suggest(list, names) {
  if (byId(list).children.length === names.length) return;
  byId(list).replaceChildren(...names.map((name) => make("option", { value: name })));
}

/* Looks at all that is steered. */
export async function showState() {
  for (const each of [showFaults, showIncidents, showAccounts, showProviders]) await each();
}

/* Begins; `doing` does what may fail, and `then` is called after what changes something. */
export function watchState(doing, then) {
  run = doing;
  done = then;
  about.changed.push(() => document.querySelectorAll(".now").forEach((place) => place.replaceChildren()));
}
