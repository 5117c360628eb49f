// The current item and turn, and the keys. Keys never act in a text field or with Ctrl, Alt or
// Meta, can be switched off, and leave arrows, Tab and Space to the browser.
(() => {
  "use strict";
  const rate = window.rate;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  rate.current = null;
  rate.turn = 0;
  const items = () => $$(".item:not([hidden])");
  const inputs = (item) => $$(".value", item);
  const answered = (item) => Boolean(item.dataset.value);

  // -- current item and turn ---------------------------------------------------------------------
  // Opening one item closes another: what the rater looks at stays where it is on the screen.
  function choose(item, { focus = true } = {}) {
    if (!item || item.hidden) return;
    const before = item.getBoundingClientRect().top;
    rate.current?.classList.remove("current");
    rate.current = item;
    item.classList.add("current");
    const pane = item.closest(".pane");
    const moved = item.getBoundingClientRect().top - before;
    if (pane.scrollHeight > pane.clientHeight) pane.scrollTop += moved;
    if (item.dataset.turn) goTurn(Number(item.dataset.turn));
    const into = inputs(item).find((one) => one.checked) ?? inputs(item)[0];
    if (focus && into) into.focus({ preventScroll: true });
    if (!document.querySelector(".workspace.reading")) item.scrollIntoView({ block: "nearest" });
    rate.marks.own();
    rate.marks.hint();
  }
  function step(by) {
    const all = items();
    choose(all[Math.max(0, Math.min(all.length - 1, all.indexOf(rate.current) + by))]);
  }
  // To the next item without an answer, from the top again for those passed over, then to the end.
  function forward() {
    const all = items();
    const rest = all.slice(all.indexOf(rate.current) + 1);
    const next = rest.find((one) => !answered(one)) ?? all.find((one) => !answered(one) && "required" in one.dataset);
    if (next && next !== rate.current) choose(next);
    else $("#submit")?.focus({ preventScroll: true });
  }
  function goTurn(number) {
    const element = document.getElementById(`turn-${number}`);
    if (!element) return;
    $(".turn.current")?.classList.remove("current");
    element.classList.add("current");
    element.scrollIntoView({ block: "nearest" });
    rate.turn = number;
    rate.marks.hint();
  }

  // While the button is down nothing may move, or the click would land beside its target.
  let pressed = false;
  let after = null;
  document.addEventListener("pointerdown", (event) => {
    pressed = true;
    after = null;
    // A press on the evidence button must not take the selection away.
    if (event.target.closest?.("[data-act=e]")) event.preventDefault();
  }, true);
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest?.("[data-act=e]")) event.preventDefault();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => setTimeout(() => {
      pressed = false;
      if (after && after !== rate.current) choose(after, { focus: false });
      after = null;
    }), true);
  }
  document.addEventListener("focusin", (event) => {
    const item = event.target.closest?.(".item");
    if (!item || item === rate.current) return;
    if (pressed) after = item;
    else choose(item, { focus: false });
  });
  document.addEventListener("click", (event) => {
    const element = event.target.closest?.("li.turn");
    if (element && !event.target.closest("a, .item, mark")) goTurn(Number(element.dataset.turn));
  });

  // On a narrow screen the current item stays in sight, below, while the dialogue is read.
  const narrow = matchMedia("(width < 56rem) and (height >= 30rem)");
  let watch = null;
  function begin() {
    rate.current = null;
    rate.turn = 0;
    watch?.disconnect();
    watch = new IntersectionObserver(([seen]) => {
      $("#workspace")?.classList.toggle("reading", narrow.matches && !seen.isIntersecting && seen.boundingClientRect.top > 0);
    });
    watch.observe($("#form-pane"));
  }

  // -- keys ----------------------------------------------------------------------------------
  const keysOn = () => !document.cookie.split("; ").includes("keys=off");
  document.addEventListener("change", (event) => {
    if (event.target.id === "keys-on") {
      document.cookie = `keys=${event.target.checked ? "on" : "off"}; path=/; max-age=31536000; samesite=lax`;
    }
  });
  const writing = (at) => at.closest?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])");
  function pick(input) {
    input.checked = input.type === "radio" || !input.checked;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  const words = { s: "not_sure", x: "na", y: "yes", n: "no" };
  function answerKey(key) {
    const item = rate.current;
    if (!item || item.disabled) return false;
    const all = inputs(item);
    if (words[key]) {
      const input = all.find((one) => one.value === words[key]);
      if (!input) return false;
      pick(input);
      if (input.checked) forward();
      return true;
    }
    if (!/^\d$/.test(key) || all[0]?.tagName === "TEXTAREA") return false;
    if (!item.classList.contains("scale") || all.some((one) => one.value.startsWith("-"))) {
      const input = all[key - 1];
      if (!input) return false;
      pick(input);
      if (input.type === "radio") forward();
      return true;
    }
    // Points that begin with this digit: with several, the same key again takes the next one.
    const fits = all.filter((one) => /^\d/.test(one.value) && one.value.startsWith(key));
    if (!fits.length) return false;
    const at = fits.findIndex((one) => one.checked);
    const input = fits[(at + 1) % fits.length];
    if (!input.checked) pick(input);
    input.focus({ preventScroll: true });
    if (fits.length === 1) forward();
    return true;
  }
  function openBox(selector) {
    const box = rate.current && $(selector, rate.current);
    if (!box) return null;
    box.open = true;
    return box;
  }
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    ".": () => goTurn(rate.turn + 1),
    ",": () => goTurn(Math.max(1, rate.turn - 1)),
    c: () => $("textarea", openBox("details.comment") ?? document.createElement("p"))?.focus(),
    w: () => $("#comment").focus(),
    e: () => rate.marks.attach(rate.current),
    m: () => rate.marks.showNext(),
    f: () => rate.flags.open(),
    g: () => {
      const open = !$("details.more", rate.current ?? undefined)?.open;
      for (const box of $$("details.more")) box.open = open;
    },
    u: () => rate.step("undo"),
    r: () => rate.step("redo"),
    "?": () => {
      $("#keys-on").checked = keysOn();
      $("#keys").showModal();
    },
  };
  const readOnly = new Set(["j", "k", ".", ",", "m", "g", "?"]);

  function escape(event) {
    if ($("#flag-panel")?.open && $("#flag-panel").contains(event.target)) rate.flags.close();
    else if (event.target.matches("textarea.value")) {
      const item = event.target.closest(".item");
      item.tabIndex = -1;
      item.focus({ preventScroll: true });
    } else if (writing(event.target)) choose(event.target.closest(".item") ?? rate.current);
  }
  document.addEventListener("keydown", (event) => {
    if (!$("#workspace") || event.isComposing || $("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      rate.submit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return escape(event);
    if (writing(event.target)) return;
    // Enter on an answer would send the whole form.
    if (event.key === "Enter" && event.target.closest?.(".item .choices")) {
      event.preventDefault();
      forward();
      return;
    }
    if (!keysOn()) return;
    if (rate.flags.key(event)) return event.preventDefault();
    const key = event.key.length === 1 ? event.key.toLowerCase() : "";
    if (!key || $("#flag-form")?.contains(event.target)) return;
    const closed = "readOnly" in $("#workspace").dataset;
    if (!closed && answerKey(key)) event.preventDefault();
    else if (acts[key] && (!closed || readOnly.has(key))) {
      event.preventDefault();
      acts[key]();
    }
  });
  document.addEventListener("click", (event) => {
    const act = event.target.closest?.("[data-act]");
    if (act) acts[act.dataset.act]();
  });

  Object.assign(rate, { items, inputs, choose, forward, goTurn, begunKeys: begin });
})();
