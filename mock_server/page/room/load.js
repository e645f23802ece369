/* How well the mock itself keeps up: the latest numbers, and the last minute of some as a line. */

import { ask } from "./plane.js";
import { byId, milliseconds } from "./elements.js";
import { finished } from "./journal.js";

const KEPT = 60;
const SVG = "http://www.w3.org/2000/svg";
const history = {}; // by tile, at most KEPT numbers
let before = null; // uptime and how many requests there were, of the last look

const value = (name) => document.querySelector(`#load [data-value="${name}"]`);

function say(name, text, tone = "") {
  value(name).textContent = text;
  value(name).className = tone;
}

function draw(name, number) {
  const numbers = (history[name] = [...(history[name] ?? []), number].slice(-KEPT));
  const most = Math.max(...numbers, Number.EPSILON);
  const points = numbers.map((each, index) => `${KEPT - numbers.length + index},${19 - (18 * each) / most}`).join(" ");
  const place = document.querySelector(`#load [data-spark="${name}"]`);
  let line = place.querySelector("polyline");
  if (!line) {
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", `0 0 ${KEPT - 1} 20`);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("aria-hidden", "true");
    line = picture.appendChild(document.createElementNS(SVG, "polyline"));
    place.append(picture);
  }
  line.setAttribute("points", points);
}

/* Looks; how many requests a second there were since the last look. */
export async function look() {
  const load = await ask("show_load", { test: "" });
  const passed = before ? load.uptime_s - before.uptime_s : 0;
  const rate = passed > 0 ? Math.max(0, finished.total - before.requests) / passed : 0;
  before = { uptime_s: load.uptime_s, requests: finished.total };
  say("rate", rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 }));
  draw("rate", rate);
  say("in_flight", load.in_flight.toLocaleString("en"));
  for (const name of ["loop_lag", "lateness"]) {
    const { p99_ms: p99 } = load[name];
    say(name, p99 === null ? "–" : milliseconds(p99));
    draw(name, p99 ?? 0);
  }
  say("saturated", load.saturated ? "yes" : "no", load.saturated ? "bad" : "good");
  say("dropped_journal_entries", load.dropped_journal_entries.toLocaleString("en"));
  return rate;
}

/* The world that is simulated. */
export async function introduce() {
  const health = await ask("show_health", { test: "" });
  const parts = { world: health.world, seed: health.seed, time_scale: health.time_scale, version: health.version };
  byId("world").textContent = Object.entries(parts).map(([name, each]) => `${name} ${each}`).join(" · ");
  return health;
}
