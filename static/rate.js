// The rating page. Without this file the same form is saved by its buttons.
// An answer is sent by htmx when it is given; what could not be sent waits here and goes out in
// order, each under its own key, so that the server stores it once however often it arrives.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const workspace = () => $("#workspace");
  const items = () => $$(".item:not([hidden])");
  let waiting = new Map(); // element id -> {key, fields}; in the order they were given
  let undo = [];
  let current = null;
  let turn = 0;
  let timer = 0;
  let delay = 1000;

  // -- what the bar says ---------------------------------------------------------------------
  function state(name, text) {
    const bar = $("#save-state");
    if (!bar) return;
    bar.dataset.state = name;
    if (bar.textContent !== text) bar.textContent = text;
  }
  const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  const settled = () => state("saved", `Saved ${clock()}`);
  const kept = (why) => state("kept", `${waiting.size === 1 ? "One answer is" : `${waiting.size} answers are`} kept on this page. ${why}`);

  // -- answers -------------------------------------------------------------------------------
  const inputs = (item) => $$(".value", item);
  function valueOf(item) {
    const first = inputs(item)[0];
    if (first?.tagName === "TEXTAREA") return first.value;
    return inputs(item).filter((one) => one.checked).map((one) => one.value).sort().join("|");
  }
  function show(item, value) {
    const parts = value.split("|");
    for (const input of inputs(item)) {
      if (input.tagName === "TEXTAREA") input.value = value;
      else input.checked = parts.includes(input.value);
    }
  }
  function send(item, fields) {
    const before = waiting.get(item.id);
    waiting.delete(item.id);
    waiting.set(item.id, { key: crypto.randomUUID(), fields: { ...before?.fields, ...fields } });
    state("saving", "Saving");
    htmx.trigger(item, "answer");
  }
  function give(item, value) {
    undo.push({ id: item.id, value: item.dataset.value });
    item.dataset.value = value;
    send(item, { value });
  }

  document.addEventListener("htmx:configRequest", (event) => {
    const item = event.target;
    if (!item.classList?.contains("item")) return;
    const entry = waiting.get(item.id);
    event.detail.headers["X-SQPsych-Save"] = "1";
    event.detail.parameters = {
      instrument: item.dataset.form,
      item: item.dataset.item,
      base: item.dataset.revision,
      key: entry?.key ?? "",
      ...entry?.fields,
    };
    item.dataset.sent = entry?.key ?? "";
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const item = event.target;
    // Its answer went out with an earlier request in the queue: nothing is left to send.
    if (item.classList?.contains("item") && !waiting.has(item.id)) event.preventDefault();
  });
  addEventListener("answer-saved", (event) => {
    const { id, revision } = event.detail;
    const item = document.getElementById(id);
    if (!item) return;
    item.dataset.revision = revision;
    if (waiting.get(id)?.key === item.dataset.sent) waiting.delete(id);
    delay = 1000;
    if (waiting.size === 0) settled();
    else resend(0);
  }, true);
  addEventListener("answer-refused", (event) => {
    const { id, code, revision, stored } = event.detail;
    const item = document.getElementById(id);
    if (!item) return;
    if (code === "stale") Object.assign(item.dataset, { newer: revision, stored });
    else waiting.delete(id);
    state("needs", code === "stale" ? "One answer needs you" : "One answer was not accepted");
    item.scrollIntoView({ block: "nearest" });
  }, true);

  function resend(after = delay) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const id of [...waiting.keys()]) {
        const item = document.getElementById(id);
        if (item && !item.dataset.newer) { htmx.trigger(item, "answer"); break; }
      }
    }, after);
  }
  function failed(event) {
    if (!event.target.classList?.contains("item")) return;
    const status = event.detail.xhr?.status ?? 0;
    if (status === 404) return state("needs", "This dialogue is no longer in your queue.");
    if (status === 401) kept("Sign in again in another window, then go on here.");
    else kept(status ? "The server does not answer; trying again." : "No connection; trying again.");
    delay = Math.min(delay * 2, 15000);
    resend();
  }
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, failed);
  }
  addEventListener("online", () => resend(0));
  addEventListener("beforeunload", (event) => { if (waiting.size) event.preventDefault(); });

  document.addEventListener("change", (event) => {
    const item = event.target.closest?.(".item");
    if (!item) return;
    if (event.target.classList.contains("comment-text")) send(item, { comment: event.target.value });
    else if (event.target.classList.contains("value")) give(item, valueOf(item));
  });
  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("[data-keep], [data-take]");
    if (!at) return;
    const item = document.getElementById(at.dataset.keep ?? at.dataset.take);
    item.dataset.revision = item.dataset.newer;
    delete item.dataset.newer;
    $(".item-problem", item).replaceChildren();
    if (at.dataset.keep) send(item, {});
    else {
      waiting.delete(item.id);
      show(item, item.dataset.stored);
      item.dataset.value = item.dataset.stored;
      settled();
    }
  });

  // -- current item and turn -------------------------------------------------------------------
  // Opening one item closes another: what the rater looks at stays where it is on the screen.
  function choose(item, { focus = true } = {}) {
    const before = item?.getBoundingClientRect().top ?? 0;
    current?.classList.remove("current");
    current = item ?? null;
    if (!current) return;
    current.classList.add("current");
    const moved = current.getBoundingClientRect().top - before;
    const pane = $("#form-pane");
    if (pane.scrollHeight > pane.clientHeight) pane.scrollTop += moved;
    else scrollBy(0, moved);
    const into = inputs(current).find((one) => one.checked) ?? inputs(current)[0];
    if (focus && into) into.focus({ preventScroll: true });
    current.scrollIntoView({ block: "nearest" });
  }
  function step(by) {
    const all = items();
    const at = all.indexOf(current);
    choose(all[Math.max(0, Math.min(all.length - 1, at + by))]);
  }
  function forward() {
    const all = items();
    const next = all.slice(all.indexOf(current) + 1)[0];
    if (next) choose(next);
    else $("#submit")?.focus();
  }
  function goTurn(number) {
    const element = document.getElementById(`turn-${number}`);
    if (!element) return;
    $(".turn.current")?.classList.remove("current");
    element.classList.add("current");
    element.scrollIntoView({ block: "nearest" });
    turn = number;
    const field = $("#flag-turn");
    if (field) field.value = number;
  }
  // While the button is down nothing may move, or the click would land beside its target.
  let pressed = false;
  let after = null;
  document.addEventListener("pointerdown", () => { pressed = true; after = null; }, true);
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => setTimeout(() => {
      pressed = false;
      if (after && after !== current) choose(after, { focus: false });
      after = null;
    }), true);
  }
  document.addEventListener("focusin", (event) => {
    const item = event.target.closest?.(".item");
    if (!item || item === current) return;
    if (pressed) after = item;
    else choose(item, { focus: false });
  });
  document.addEventListener("click", (event) => {
    const element = event.target.closest?.("li.turn");
    if (element && !event.target.closest("a")) goTurn(Number(element.dataset.turn));
  });

  // -- keys ----------------------------------------------------------------------------------
  const keysOn = () => !document.cookie.includes("keys=off");
  document.addEventListener("change", (event) => {
    if (event.target.id === "keys-on") {
      document.cookie = `keys=${event.target.checked ? "on" : "off"}; path=/; max-age=31536000; samesite=lax`;
    }
  });
  const writing = (at) => at.closest?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])");
  function answerKey(key) {
    const wanted = { s: "not_sure", x: "na", y: "yes", n: "no" }[key] ?? key;
    const input = current && inputs(current).find((one) => one.value === wanted && one.type === "radio");
    if (!input || input.disabled || current.disabled) return false;
    if (!input.checked) {
      input.checked = true;
      give(current, wanted);
    }
    forward();
    return true;
  }
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    ".": () => goTurn(turn + 1),
    ",": () => goTurn(Math.max(1, turn - 1)),
    c: () => {
      const box = current && $("details.comment", current);
      if (!box) return;
      box.open = true;
      $("textarea", box).focus();
    },
    f: () => {
      const panel = $("#flag-panel");
      if (!panel) return;
      panel.open = true;
      if (turn) $("#flag-turn").value = turn;
      $("#flag-category").focus();
      panel.scrollIntoView({ block: "nearest" });
    },
    u: () => {
      const last = undo.pop();
      const item = last && document.getElementById(last.id);
      if (!item) return;
      show(item, last.value);
      item.dataset.value = last.value;
      send(item, { value: last.value });
      choose(item);
    },
    "?": () => {
      $("#keys-on").checked = keysOn();
      $("#keys").showModal();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (!workspace() || event.isComposing || $("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      document.activeElement?.blur();
      $("#submit")?.click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && writing(event.target)) {
      choose(event.target.closest(".item") ?? current);
      return;
    }
    if (writing(event.target) || !keysOn()) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : "";
    if (!key) return;
    if (answerKey(key)) event.preventDefault();
    else if (acts[key]) {
      event.preventDefault();
      acts[key]();
    }
  });

  // A question of the flag form that depends on other answers appears when they are given.
  function askFlagQuestions() {
    for (const question of $$("[data-ask-if]")) {
      const given = new FormData(question.closest("form"));
      const { all, conditions } = JSON.parse(question.dataset.askIf);
      const met = conditions.map(([item, values]) => values.includes(given.get(item)));
      const asked = all ? met.every(Boolean) : met.some(Boolean);
      question.hidden = question.disabled = !asked;
    }
  }
  document.addEventListener("change", (event) => {
    if (event.target.closest?.(".flag-form")) askFlagQuestions();
  });

  // -- a new dialogue ------------------------------------------------------------------------
  let known = null;
  function begin() {
    if (workspace() === known) return;
    known = workspace();
    waiting = new Map();
    undo = [];
    turn = 0;
    current = null;
    askFlagQuestions();
    if (!workspace() || $("#problems")) return;
    // Where the dialogue stands above the form, one reads first.
    const beside = matchMedia("(width >= 56rem)").matches;
    const next = items().find((item) => !valueOf(item)) ?? items()[0];
    if (beside) choose(next);
    else scrollTo(0, 0);
  }
  document.addEventListener("htmx:afterSettle", begin);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "rating") state("saving", "Submitting");
  });
  document.addEventListener("DOMContentLoaded", begin);
  if (document.readyState !== "loading") begin();
})();
