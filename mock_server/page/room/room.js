/* The control room: looks at the mock again and again, as long as somebody looks at the page. */

import { about, hasToken, Refused, setToken, Unreachable } from "./plane.js";
import { byId } from "./elements.js";
import { listRequests, poll } from "./journal.js";
import { introduce, look } from "./load.js";
import { openById, openRequest, setScale, watchOpened } from "./opened.js";
import { judge, watchVerdict } from "./judged.js";
import { refreshAll, steerBy } from "./steer.js";
import { showClock, showState, watchState } from "./state.js";

const EVERY_MS = 500;
const SHARE = 10; // it waits so many times as long as a round took: a busy mock is asked less often
const MOST_MS = 10_000;
const LOOK_EVERY = 2; // rounds
const STATE_EVERY = 4;

const fresh = { verdict: true, coverage: true }; // whether there is something to judge that was not
const tabs = [...document.querySelectorAll("[role=tab]")];

let known = false; // the mock was asked who it is
let timer = 0;
let rounds = 0;
let rate = 0;
let failures = 0;
let going = false;

function say(text, tone) {
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  byId("state").className = tone;
}

function anew() {
  Object.assign(fresh, { verdict: true, coverage: true });
}

/* The mock was reset, or is another one. */
function renewed() {
  anew();
  known = false;
}

const chosen = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true").id.slice("tab-".length);

async function round() {
  rounds += 1;
  if (!known) {
    setScale((await introduce()).time_scale);
    known = true;
  }
  if (rounds % LOOK_EVERY === 1) {
    rate = await look();
    await showClock();
  }
  if (await poll()) anew();
  const tab = chosen();
  if (tab in fresh) await judge(tab, fresh, rate);
  if (tab === "steer" && rounds % STATE_EVERY === 1) await showState();
}

/* One round, then the next; never two at once. */
async function go() {
  if (going) return;
  going = true;
  clearTimeout(timer);
  const began = performance.now();
  const well = await attempt(round);
  failures = well ? 0 : failures + 1;
  if (well) say("Live", "live");
  going = false;
  const took = performance.now() - began;
  const wait = well ? Math.max(EVERY_MS, SHARE * took) : EVERY_MS * 2 ** failures;
  if (!document.hidden && byId("token-form").hidden) timer = setTimeout(go, Math.min(wait, MOST_MS));
}

/* Does what may fail, and says why it did; true when all went well. */
async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (error.status === 401) wantToken();
    else if (error instanceof Refused) say(error.message, "bad");
    else if (error instanceof Unreachable) say("The mock does not answer; trying again…", "bad");
    else say(`This page failed: ${error.message}`, "bad");
    return false;
  }
}

/* Does what steers. What the mock refuses of it is said where it was asked. */
function act(action) {
  return attempt(async () => {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) throw error;
    }
  });
}

function wantToken() {
  if (!byId("token-form").hidden) return;
  byId("token-form").hidden = false;
  byId("token-said").textContent = hasToken() ? "The mock does not take this token." : "";
  byId("token").value = "";
  byId("token").focus();
  say("Waits for the admin token.", "warn");
}

function enter(event) {
  event.preventDefault();
  setToken(byId("token").value);
  byId("token").value = "";
  byId("token-form").hidden = true;
  refreshAll();
  rounds = 0;
  go();
}

/* Shows a panel; its tab is the one that Tab reaches, arrows lead to the others. */
function select(tab) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.tabIndex = selected ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !selected;
  }
  rounds = 0;
  go();
}

function walk(event) {
  const at = tabs.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  select(tab);
  tab.focus();
}

function showTest(event) {
  event.preventDefault();
  about.test = byId("test").value;
  anew();
  for (const changed of about.changed) changed();
  rounds = 0;
  go();
}

function showOpened() {
  if (chosen() !== "request") select(byId("tab-request"));
  const { top } = byId("panels").getBoundingClientRect();
  if (top > innerHeight * 0.8 || top < 0) byId("panels").scrollIntoView();
}

function begin() {
  byId("test").value = about.test;
  for (const tab of tabs) tab.addEventListener("click", () => select(tab));
  byId("tab-request").parentElement.addEventListener("keydown", walk);
  byId("test-form").addEventListener("submit", showTest);
  byId("token-form").addEventListener("submit", enter);
  document.addEventListener("visibilitychange", () => document.hidden || go());
  const steered = () => {
    anew();
    rounds = 0;
    go();
  };
  steerBy(act, steered);
  watchState(act, steered);
  watchOpened(showOpened);
  watchVerdict(fresh, openById, attempt);
  listRequests((entry) => attempt(() => openRequest(entry)), renewed, attempt);
  for (const button of document.querySelectorAll(".copy")) offerCopy(button);
  go();
}

begin();
