/* One request along time: when what was planned, and when it came about, in wall milliseconds from its arrival. */

import { make, milliseconds } from "./elements.js";

/* What happened, in order: names, from when to when, and how it looks. */
function moments(entry, scale) {
  const since = (simulated) => Math.max(0, (simulated - entry.at_s) * scale * 1e3);
  const attempts = entry.attempts.map((step) => ({
    name: `${step.provider}/${step.model}`,
    said: step.result,
    from: since(step.started),
    to: since(step.ended),
    tone: step.result === "ok" ? "good" : "bad",
  }));
  const planned = entry.planned_ms > 0;
  const marks = [
    ["first piece", "planned", planned && entry.stream ? entry.first_ms : null, "planned"],
    ["last byte", "planned", planned ? entry.planned_ms : null, "planned"],
    ["head of the answer", "handed over", entry.first_byte_ms, "done"],
    ["the client", entry.left_in ? `left in ${entry.left_in}` : "left", entry.left_ms, "bad"],
    ["over", entry.ending, entry.took_ms, entry.ending === "complete" ? "done" : "bad"],
  ];
  const points = marks.filter(([, , at]) => at !== null).map(([name, said, at, tone]) => ({ name, said, from: at, to: at, tone }));
  return [...attempts, ...points].sort((a, b) => a.from - b.from || a.to - b.to);
}

/* The timeline as a list with a bar for what lasts and a mark for what does not; `scale` is wall per simulated time. */
export function timelineOf(entry, scale) {
  const all = moments(entry, scale);
  const end = Math.max(...all.map((each) => each.to), 0.001);
  const lines = all.map(({ name, said, from, to, tone }) => {
    const bar = make("span", { class: `bar ${tone}` });
    bar.style.left = `${(100 * from) / end}%`;
    bar.style.width = `${(100 * (to - from)) / end}%`;
    const when = to > from ? `${milliseconds(from)} – ${milliseconds(to)}` : milliseconds(from);
    return make(
      "li",
      {},
      make("span", { class: "what" }, name, " ", make("em", {}, said)),
      make("span", { class: "when" }, when),
      make("span", { class: "track", "aria-hidden": "true" }, bar),
    );
  });
  return make("ol", { class: "moments" }, ...lines);
}
