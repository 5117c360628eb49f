// Small helps that every page shares. Each page works without this file.
(() => {
  "use strict";
  const root = document.documentElement;
  let clearTimer = 0;

  // One sentence for the eye and the screen reader. Also by the HX-Trigger header {"say": "Saved"}.
  function say(text) {
    const live = document.getElementById("live");
    if (!live || !text || live.textContent === text) return;
    live.textContent = text;
    clearTimeout(clearTimer);
    clearTimer = setTimeout(() => { live.textContent = ""; }, 8000);
  }
  addEventListener("say", (event) => say(event.detail?.value ?? event.detail), true);

  // The server keeps the choice in a cookie; the page only changes its looks at once.
  function setTheme(button) {
    const theme = button.value;
    const body = new FormData(button.form, button);
    fetch(button.form.action, { method: "POST", body, redirect: "manual" }).catch(() => {
      say("The appearance could not be kept: no answer from the server.");
    });
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    for (const other of document.querySelectorAll("button[name=theme]")) {
      other.setAttribute("aria-pressed", String(other.value === theme));
    }
  }

  document.addEventListener("click", (event) => {
    const at = event.target instanceof Element ? event.target : null;
    const theme = at?.closest("button[name=theme]");
    const opener = at?.closest("[data-dialog]");
    const dialog = opener && document.getElementById(opener.dataset.dialog);
    if (theme) {
      event.preventDefault();
      setTheme(theme);
    } else if (dialog?.showModal) {
      event.preventDefault();
      dialog.showModal();
    } else if (at?.closest("[data-close]")) {
      at.closest("dialog")?.close();
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(at)) menu.open = false;
    }
  });

  // What the rating page could not send yet waits in this browser; signing out leaves nothing there.
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-sign-out]");
    if (!form) return;
    const kept = Object.keys(localStorage).filter((name) => name.startsWith("sqpsych-outbox:"));
    const text = kept.length === 1 ? form.dataset.unsentOne : form.dataset.unsentMany.replace("{n}", kept.length);
    if (kept.length && !confirm(text)) event.preventDefault();
    else for (const name of kept) localStorage.removeItem(name);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // After a swap the keyboard stays where it was: on the error summary, the same element, or the new part.
  let held = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    held = event.detail.target?.contains(document.activeElement) ?? false;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const part = event.detail.elt;
    const wanted = part?.querySelector?.("[autofocus]");
    if (wanted) {
      wanted.focus();
    } else if (held && document.activeElement === document.body && part?.focus) {
      if (!part.hasAttribute("tabindex")) part.tabIndex = -1;
      part.focus({ preventScroll: true });
    }
    held = false;
  });

  // A request that failed is told in words, unless the page says it does so itself.
  const own = (event) => event.target instanceof Element && event.target.closest("[data-own-errors]");
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (!own(event)) say("No answer from the server. Check the connection and try again.");
    });
  }
  const sentences = {
    403: "You may not do this with your account.",
    404: "This is no longer here. Reload the page.",
    429: "Too many requests. Wait a minute and try again.",
  };
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr?.status;
    if (!own(event)) say(sentences[status] ?? `The server could not do this (error ${status}). Try again.`);
  });
})();
