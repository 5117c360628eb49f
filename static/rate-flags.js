// Safety flags: one key opens the form at the turn or words pointed at, then a letter for the
// problem, a number for the severity, and Enter, or the number that answers the last question.
(() => {
  "use strict";
  const rate = window.rate;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const texts = document.getElementById("rate-texts").dataset;
  const panel = () => $("#flag-panel");
  const form = () => $("#flag-form");
  let places = []; // the words or turns this flag is about
  let back = null; // where the keyboard was before

  const chosen = (name) => form().elements[name]?.value ?? "";
  const labelOf = (input) => input.closest("label");

  // -- the form --------------------------------------------------------------------------------
  function begin() {
    if (!form()) return;
    $$(".categories kbd", form()).forEach((key, i) => { key.textContent = String.fromCharCode(65 + i); });
    for (const group of $$(".severities, .question", form())) {
      $$("kbd", group).forEach((key, i) => { key.textContent = i + 1; });
    }
    ask();
  }
  // A question that depends on other answers appears when they are given.
  function ask() {
    const given = new Map(new FormData(form()).entries());
    for (const group of $$("[data-ask-if]", form())) {
      group.hidden = group.disabled = !rate.holds(group.dataset.askIf, (name) => [given.get(name)]);
    }
    const category = $("[name=category]:checked", form());
    $("#category-help").textContent = category ? labelOf(category).title : "";
  }
  const questions = () => $$(".question:not([hidden])", form());
  const lacking = () => questions().find((group) => group.hasAttribute("data-required") && !$(":checked", group) && !$("textarea", group)?.value);
  const complete = () => chosen("category") && chosen("severity") && !lacking();

  function open(flag) {
    if (!panel()) return;
    back = document.activeElement;
    places = flag ? [] : rate.marks.pointed();
    form().reset();
    form().elements.uid.value = flag?.uid ?? rate.outbox.uuid();
    for (const [name, value] of Object.entries(flag?.facts ?? {})) {
      const field = form().elements[name];
      if (field) field.value = value ?? "";
    }
    if (places.length) {
      const { turn, start, end } = places[0];
      Object.entries({ turn, start, end }).forEach(([name, value]) => { form().elements[name].value = value ?? ""; });
    }
    quote();
    ask();
    panel().open = true;
    ($("[name=category]:checked", form()) ?? $("[name=category]", form())).focus({ preventScroll: true });
    panel().scrollIntoView({ block: "start" });
  }
  function close() {
    panel().open = false;
    places = [];
    if (back?.isConnected) back.focus({ preventScroll: true });
    if (rate.current) rate.current.scrollIntoView({ block: "nearest" });
  }
  function quote() {
    const { turn, start, end } = form().elements;
    const said = $(`#turn-${turn.value || 0} > .said`)?.textContent ?? "";
    const points = start.value ? [...said].slice(Number(start.value), Number(end.value)) : [];
    $("#flag-quote").textContent = points.length ? `“${points.slice(0, 200).join("")}${points.length > 200 ? "…" : ""}”` : "";
  }

  function key(event) {
    if (!panel()?.open || !form().contains(event.target)) return false;
    if (event.key === "Enter" && event.target.type === "radio") {
      save();
      return true;
    }
    const letter = event.key.length === 1 ? event.key.toLowerCase() : "";
    const category = $$("[name=category]", form())[letter.charCodeAt(0) - 97];
    if (category) {
      category.click();
      category.focus();
      return true;
    }
    if (!/^[1-9]$/.test(letter)) return false;
    const group = chosen("severity") ? questions().find((one) => one === lacking()) : $(".severities", form());
    const input = $$("input", group ?? $(".severities", form()))[letter - 1];
    if (!input) return false;
    input.click();
    input.focus();
    (lacking() ?? $("button", form())).scrollIntoView({ block: "nearest" });
    if (group?.classList.contains("question") && complete()) save();
    return true;
  }

  // -- flags raised ------------------------------------------------------------------------------
  function save() {
    if (!complete()) {
      rate.tell(texts.flagLacks);
      const group = !chosen("category") ? $(".categories", form()) : !chosen("severity") ? $(".severities", form()) : lacking();
      $("input, textarea", group)?.focus();
      return;
    }
    const value = (name) => (form().elements[name].value === "" ? null : Number(form().elements[name].value));
    const details = {};
    for (const group of questions()) {
      const field = $(":checked, textarea", group);
      if (field?.value) details[field.name] = field.value;
    }
    const flag = { uid: chosen("uid"), category: chosen("category"), severity: chosen("severity"), details,
      note: chosen("note").trim(), turn: value("turn"), start: value("start"), end: value("end") };
    rate.outbox.add(rate.uid(), `flag-${flag.uid}`, { kind: "flag", ...flag });
    show(flag, true);
    // Words in further turns are marks of this flag.
    for (const place of places.slice(1)) {
      const uid = rate.outbox.uuid();
      rate.marks.put({ uid, ...markOf(flag, place) });
      rate.outbox.add(rate.uid(), null, { kind: "evidence", uid, flag: flag.uid, ...place });
    }
    getSelection().removeAllRanges();
    rate.say(texts.flagged);
    close();
  }
  const category = (flag) => $(`[name=category][value="${CSS.escape(flag.category)}"]`, form());
  const nameOf = (flag) => $("span", labelOf(category(flag))).textContent;
  const markOf = (flag, place) => ({ owner: `flag-${flag.uid}`, label: texts.flag.replace("{category}", nameOf(flag)), flag: true, ...place });

  function show(flag, unsent = false) {
    const box = document.getElementById(`flag-${flag.uid}`) ?? $("#flag-template").content.firstElementChild.cloneNode(true);
    const set = (name, text) => { for (const part of $$(`[data-f="${name}"]`, box)) part.textContent = text; };
    const severity = $(`[name=severity][value="${CSS.escape(flag.severity)}"]`, form());
    const name = nameOf(flag);
    const { uid, ...rest } = flag;
    box.id = `flag-${uid}`;
    Object.assign(box.dataset, { flag: uid, facts: JSON.stringify({ ...rest, ...flag.details }) });
    set("category", name);
    set("name", ` ${name}`);
    set("severity", $("strong", labelOf(severity)).textContent.toLowerCase());
    set("note", flag.note);
    set("turn", texts.turn.replace("{n}", flag.turn));
    $('[data-f="turn"]', box).href = `#turn-${flag.turn}`;
    $('[data-f="at"]', box).hidden = flag.turn === null;
    box.dataset.notify = labelOf(severity).hasAttribute("data-notify") ? "1" : "";
    $('[data-f="notified"]', box).hidden = unsent || !box.dataset.notify;
    if (!box.isConnected) $("#flag-list").append(box);
    if (flag.turn === null) rate.marks.take(uid);
    else rate.marks.put({ uid, ...markOf(flag, { turn: flag.turn, start: flag.start, end: flag.end }) });
    count();
  }
  // The server has it: severe ones are with the coordinators now.
  function stored(uid) {
    const box = document.getElementById(`flag-${uid}`);
    if (box?.dataset.notify) $('[data-f="notified"]', box).hidden = false;
  }
  function drop(uid) {
    document.getElementById(`flag-${uid}`)?.remove();
    rate.marks.take(uid);
    for (const mark of rate.marks.of(`flag-${uid}`)) rate.marks.take(mark.uid);
    count();
  }
  function count() {
    $("#flag-count").textContent = $$("#flag-list > .flag").length;
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id === "flag-form") {
      event.preventDefault();
      save();
    } else if (event.target.matches(".unflag")) {
      event.preventDefault();
      const { flag } = event.target.closest(".flag").dataset;
      drop(flag);
      rate.outbox.add(rate.uid(), `flag-${flag}`, { kind: "unflag", uid: flag });
      rate.say(texts.unflagged);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.form?.id !== "flag-form") return;
    if (event.target.name === "turn") {
      form().elements.start.value = form().elements.end.value = "";
      quote();
    }
    ask();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-close-flag]")) close();
    const change = event.target.closest?.("[data-change-flag]");
    if (change) {
      const { flag: uid, facts } = change.closest(".flag").dataset;
      open({ uid, facts: JSON.parse(facts) });
    }
    if (event.target.closest?.("#flag-panel > summary") && !panel().open) {
      event.preventDefault();
      open();
    }
  });

  rate.flags = { begin, open, close, key, show, stored, drop, shown: () => $$("#flag-list > .flag").map((one) => one.dataset.flag) };
})();
