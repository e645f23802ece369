/* The verdict on the client and the coverage of its tests, asked for as long as they are looked at. */

import { about, ask } from "./plane.js";
import { breakable, byId, make, plural, prose, tableOf, timeOf } from "./elements.js";

const MOST_TESTS = 50;
const LEAST_MS = 2_000;
const SHARE = 30; // it waits so many times as long as an answer took: judging costs the mock little
const MOST_RATE = 300; // more requests a second than this make it wait until it is told to

const tones = { PASS: "good", WARN: "warn", FAIL: "bad", NOT_EXERCISED: "idle" };
const due = { verdict: 0, coverage: 0 };
const asks = { verdict: askVerdict, coverage: askCoverage };
let openById = () => {};

/* Asks for `what`, if something new has come and it is time; `rate` is how many requests a second there are. */
export async function judge(what, fresh, rate) {
  const stale = fresh[what];
  if (!stale || performance.now() < due[what]) return;
  if (rate > MOST_RATE) {
    say(what, `Waits, not to slow down the mock at ${Math.round(rate).toLocaleString("en")} requests/s.`);
    return;
  }
  await ask_(what, fresh);
}

async function ask_(what, fresh) {
  const began = performance.now();
  fresh[what] = false;
  await asks[what]();
  const took = performance.now() - began;
  due[what] = performance.now() + Math.max(LEAST_MS, SHARE * took);
  say(what, `As of ${timeOf(Date.now() / 1000)}, ${about.test ? `of test ${about.test}` : "of all calls"}.`);
}

function say(what, text) {
  document.querySelector(`[data-asked="${what}"]`).textContent = text;
}

function badge(place, result) {
  place.textContent = result;
  place.className = `badge ${tones[result]}`;
}

async function askVerdict() {
  const verdict = await ask("show_verdict", { query: { test: about.test }, test: "" });
  badge(byId("verdict-result"), verdict.result);
  byId("verdict-counted").textContent = `${plural(verdict.calls, "call")}, ${plural(verdict.tries, "request")}`;
  const notes = [verdict.unfit, ...verdict.notes].filter(Boolean);
  byId("verdict-notes").replaceChildren(...notes.map((note) => make("p", { class: "note" }, ...prose(note))));
  const worstFirst = byId("rules").dataset.worstFirst.split(" ");
  const ordered = verdict.rules.toSorted((a, b) => worstFirst.indexOf(a.result) - worstFirst.indexOf(b.result));
  ordered.forEach(showRule);
  showTests(verdict.tests);
}

function showRule(rule, place) {
  const item = document.querySelector(`#rules [data-rule="${rule.rule}"]`);
  if (byId("rules").children[place] !== item) byId("rules").insertBefore(item, byId("rules").children[place]);
  badge(item.querySelector(".badge"), rule.result);
  item.querySelector(".said").textContent = rule.said;
  const evidence = rule.evidence.map((each) => {
    const ids = each.request_ids.map((id) => make("button", { type: "button", class: "link", onclick: () => openById(id) }, id));
    const where = each.test ? ` in ${each.test}` : "";
    return make("li", {}, `${timeOf(each.at_unix_s)}${where}: ${each.said} `, ...ids.flatMap((id) => [id, " "]));
  });
  const more = rule.evidence_count - rule.evidence.length;
  item.querySelector(".found").replaceChildren(
    ...(rule.advice ? [make("p", { class: "advice" }, ...prose(rule.advice))] : []),
    ...(evidence.length ? [make("ul", {}, ...evidence)] : []),
    ...(more > 0 ? [make("p", { class: "hint" }, `and ${more.toLocaleString("en")} more`)] : []),
  );
}

function showTests(tests) {
  const named = tests.filter((each) => each.test);
  if (!named.length) return byId("verdict-tests").replaceChildren();
  const rows = named.slice(0, MOST_TESTS).map((each) => {
    const result = make("span", {});
    badge(result, each.result);
    return [each.test, result, String(each.calls), String(each.tries)];
  });
  const more = named.length - rows.length;
  byId("verdict-tests").replaceChildren(
    make("h3", {}, "By test id"),
    tableOf("Verdict by test id", ["test", "result", "calls", "requests"], rows),
    ...(more > 0 ? [make("p", { class: "hint" }, `and ${more.toLocaleString("en")} more tests`)] : []),
  );
}

async function askCoverage() {
  const coverage = await ask("show_coverage", { query: { test: about.test }, test: "" });
  byId("coverage-percent").textContent = `${coverage.percent} %`;
  byId("coverage-counted").textContent =
    `${coverage.met} of ${coverage.total} cells, met by ${plural(coverage.requests, "request")}`;
  byId("coverage-bar").max = coverage.total;
  byId("coverage-bar").value = coverage.met;
  const squares = coverage.cells.map(({ cell, count }) =>
    make("span", { class: count ? "met" : "", title: wordsOf(cell).filter(Boolean).join(" ") }));
  byId("coverage-map").replaceChildren(...squares);
  const ordered = coverage.cells.toSorted((a, b) => (a.count > 0) - (b.count > 0));
  byId("coverage-cells").querySelector("tbody").replaceChildren(...ordered.map(cellRow));
}

const wordsOf = (cell) => [cell.status || "none", cell.code, cell.mode, cell.stage, cell.ending, cell.turn].map(String);

function cellRow({ cell, count, request_id: requestId }) {
  const words = wordsOf(cell).filter(Boolean).flatMap((word) => [make("span", { class: "word" }, ...breakable(word)), " "]);
  const first = () => make("button", { type: "button", class: "link", onclick: () => openById(requestId) }, requestId);
  const met = make("span", { class: count ? "good" : "bad" }, count ? count.toLocaleString("en") : "never");
  const last = count ? first() : make("code", {}, cell.how);
  return make("tr", {}, make("td", {}, ...words), make("td", { class: "whole" }, met), make("td", {}, last));
}

/* Begins; `open` opens a request that is named as evidence, `run` does what may fail. */
export function watchVerdict(fresh, open, run) {
  openById = (id) => run(() => open(id));
  for (const button of document.querySelectorAll("[data-ask]")) {
    button.addEventListener("click", () => run(() => ask_(button.dataset.ask, fresh)));
  }
}
