"use strict";

const byId = (id) => document.getElementById(id);

/* Copies, also where the clipboard is out of reach, as on plain http from another machine. */
async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

function offerCopy(button) {
  const source = button.closest("figure, .curl").querySelector("code");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const copied = await copyText(source);
    button.textContent = copied ? "Copied" : "Select it";
    byId("announcer").textContent = copied ? "Copied to the clipboard" : "Could not copy; the code is selected";
    setTimeout(() => {
      button.textContent = "Copy";
      byId("announcer").textContent = "";
    }, 2000);
  });
}

