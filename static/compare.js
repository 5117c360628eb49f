// Comparing two dialogues. Without this file the same form is saved by its buttons.
// Every change posts the whole small form, so what could not be sent is made good by the next try.
(() => {
  "use strict";
  const $ = (selector) => document.querySelector(selector);
  let timer = 0;
  let unsaved = false;

  function state(kind, text) {
    const bar = $("#pair-state");
    if (!bar) return;
    bar.className = `state ${kind}`;
    bar.textContent = text;
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!event.target.closest?.("#judgment")) return;
    clearTimeout(timer);
    unsaved = true;
    state("", $("#pair").dataset.saving);
  });
  // A login that has ended is told here; without this the whole page would go to the login page.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.closest?.("#judgment")) event.detail.headers["X-SQPsych-Save"] = "1";
  });
  // A saved change brings only the new revision and the words: the form stays as it is.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (xhr.status === 200) unsaved = false;
    if (target?.id === "judgment" && xhr.status === 200) event.detail.swapOverride = "none";
    // What is wrong is told in the form, also when the whole pair was to be replaced.
    if ([409, 422].includes(xhr.status)) {
      event.detail.target = $("#judgment");
      event.detail.shouldSwap = true;
    }
  });
  function failed(event) {
    if (!event.target.closest?.("#judgment")) return;
    const status = event.detail.xhr?.status ?? 0;
    if ([409, 422].includes(status)) return;
    const words = $("#pair").dataset;
    state("unsaved", status === 401 ? words.signedOut : words.unsaved);
    timer = setTimeout(() => htmx.trigger("#judgment", "change"), 3000);
  }
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) document.addEventListener(name, failed);
  addEventListener("online", () => unsaved && htmx.trigger("#judgment", "change"));
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  const writing = (at) => at.closest?.("textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    if (!$("#judgment") || event.isComposing || $("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      $("#submit-pair")?.click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
    if (document.cookie.includes("keys=off")) return;
    const side = { 1: "left", 2: "right", 0: "tie" }[event.key];
    const input = side && $(`#judgment input[value=${side}]`);
    if (input && !input.matches(":disabled")) {
      event.preventDefault();
      input.focus();
      if (!input.checked) input.click();
    } else if (event.key === "c") {
      event.preventDefault();
      $("#judgment details").open = true;
      $("#pair-comment").focus();
    } else if (event.key === "?") {
      event.preventDefault();
      $("#pair-keys").showModal();
    }
  });
})();
