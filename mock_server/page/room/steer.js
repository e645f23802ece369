/* The forms that steer: each makes a request of what is filled in, shows it as a curl line, and sends it. */

import { about, curlOf, requestOf, send } from "./plane.js";
import { announce, byId } from "./elements.js";

const TWICE_MS = 5_000;

/* The directive that the parts of a fieldset make, or "" where none is chosen. */
function directiveOf(fieldset) {
  const parts = [...fieldset.querySelectorAll("[data-directive]")].filter((part) => part.value !== "");
  return parts.map(({ value, dataset: { directive } }) => (directive ? `${directive}=${value}` : value)).join(";");
}

/* Of one kind of fault only some stages and options make sense. */
function narrow(fieldset) {
  const [kind, stage, , lasts] = fieldset.querySelectorAll("[data-directive]");
  const chosen = kind.selectedOptions[0];
  const stages = chosen.dataset.stages?.split(" ");
  for (const option of stage.options) option.disabled = Boolean(stages && option.value && !stages.includes(option.value));
  if (stage.selectedOptions[0].disabled) stage.value = "";
  lasts.disabled = Boolean(stages && !("for" in chosen.dataset));
  if (lasts.disabled) lasts.value = "";
  fieldset.querySelector(".hint").textContent = chosen.dataset.meaning ?? "";
}

function valueOf(field) {
  switch (field.dataset.kind) {
    case "integer":
    case "number":
      return Number(field.value);
    case "switch":
      return field.value === "true";
    case "lines":
      return Object.fromEntries(field.value.split("\n").filter((line) => line.trim()).map((line) => {
        const colon = line.indexOf(":");
        return colon < 0 ? [line.trim(), ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
      }));
    default:
      return field.value;
  }
}

/* Puts a value where its dotted name says. */
function put(whole, name, value) {
  const [last, ...groups] = name.split(".").reverse();
  const place = groups.reverse().reduce((inner, group) => (inner[group] ??= {}), whole);
  place[last] = value;
}

/* The request that a form stands for, as it is filled in now. */
export function requestOfForm(form) {
  const { method, path: template, fixed } = form.dataset;
  const path = {};
  const body = fixed ? JSON.parse(fixed) : {};
  for (const field of form.querySelectorAll("[name]")) {
    if (field.value === "") continue;
    if (field.dataset.part === "path") path[field.name] = field.value;
    else put(body, field.name, valueOf(field));
  }
  for (const box of form.querySelectorAll("[data-null]:checked")) put(body, box.dataset.null, null);
  for (const fieldset of form.querySelectorAll(".directive")) {
    const directive = directiveOf(fieldset);
    if (directive) put(body, fieldset.dataset.name, directive);
  }
  return requestOf(method, template, { path, body: method === "GET" || method === "DELETE" ? undefined : body });
}

function refresh(form) {
  form.querySelectorAll(".directive").forEach(narrow);
  for (const box of form.querySelectorAll("[data-null]")) form.elements[box.dataset.null].disabled = box.checked;
  form.querySelector(".curl code").textContent = curlOf(requestOfForm(form));
  calm(form);
}

export const refreshAll = () => document.querySelectorAll("form.operation").forEach(refresh);

function calm(form) {
  const button = form.querySelector("[type=submit]");
  button.textContent = form.getAttribute("aria-label");
  delete form.dataset.sure;
}

/* Whether what cannot be undone was asked for twice. */
function isSure(form) {
  if (!("twice" in form.dataset) || "sure" in form.dataset) return true;
  form.dataset.sure = "";
  const what = about.test ? `test ${about.test}` : "everything";
  form.querySelector("[type=submit]").textContent = `Press again to forget ${what}`;
  announce(`Press again to forget ${what}`);
  setTimeout(() => calm(form), TWICE_MS);
  return false;
}

/* Sends what a form or a button stands for, and says in `output` what was answered. */
export async function sendShown(request, output) {
  output.className = "";
  output.textContent = "…";
  try {
    const said = await send(request);
    output.textContent = JSON.stringify(said, null, 1).replaceAll(/\n\s*/g, " ");
    return said;
  } catch (error) {
    output.className = "refused";
    output.textContent = error.message;
    throw error;
  }
}

/* Begins; `run` does what may fail, and `done` is called after each request that was answered. */
export function steerBy(run, done) {
  for (const form of document.querySelectorAll("form.operation")) {
    form.addEventListener("input", () => refresh(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!isSure(form)) return;
      const request = requestOfForm(form);
      calm(form);
      run(async () => {
        const detail = await sendShown(request, form.querySelector("output"));
        form.dispatchEvent(new CustomEvent("answered", { detail }));
        done();
      });
    });
  }
  about.changed.push(refreshAll);
  refreshAll();
}
