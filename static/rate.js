// The rating page. Without scripts the same form is saved by its buttons. Here every answer is
// shown at once and given to the outbox; what the server answers is put where it belongs.
(() => {
  "use strict";
  const rate = window.rate;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const texts = document.getElementById("rate-texts").dataset;
  const workspace = () => $("#workspace");
  const readOnly = () => "readOnly" in workspace().dataset;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_all, name) => values[name]);
  const some = (name, n) => fill(texts[n === 1 ? `${name}One` : `${name}Many`], { n });
  rate.uid = () => workspace()?.dataset.uid;
  rate.say = (text) => dispatchEvent(new CustomEvent("say", { detail: text }));

  // -- what the bar says ---------------------------------------------------------------------
  let needs = ""; // what the rater must look at before all is well
  rate.keptText = (n) => some(rate.outbox.kept() ? "kept" : "page", n);
  function bar(name, text, link) {
    const place = $("#save-state");
    if (!place || (place.dataset.state === name && place.textContent === text + (link ? ` ${link}` : ""))) return;
    place.dataset.state = name;
    place.replaceChildren(text);
    if (!link) return;
    const anchor = document.createElement("a");
    Object.assign(anchor, { href: texts.login, target: "_blank", textContent: link });
    place.append(" ", anchor);
  }
  const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  let saved = false;
  rate.state = () => {
    const n = rate.outbox.unsent();
    const trouble = rate.outbox.trouble();
    if (n && trouble === "sign_in") bar("kept", `${rate.keptText(n)} ${texts.signIn}`, texts.signInLink);
    else if (n && trouble) bar("kept", `${rate.keptText(n)} ${trouble}`);
    else if (n) bar("saving", texts.saving);
    else if (needs) bar("needs", needs);
    else if (saved) bar("saved", fill(texts.saved, { time: clock() }));
  };

  // For eye and ear, until the next thing happens; what is seen elsewhere is only said.
  rate.tell = (text) => {
    rate.say(text);
    bar("note", text);
  };

  // -- answers -------------------------------------------------------------------------------
  function valueOf(item) {
    const all = rate.inputs(item);
    if (all[0]?.tagName === "TEXTAREA") return all[0].value;
    return all.filter((one) => one.checked).map((one) => one.value).sort().join("|");
  }
  function show(item, value) {
    const parts = value.split("|");
    for (const input of rate.inputs(item)) {
      if (input.tagName === "TEXTAREA") input.value = value;
      else input.checked = parts.includes(input.value);
    }
    item.dataset.value = value;
  }
  const itemOf = (told) => document.getElementById(`${told.instrument}-${told.item}${told.turn ? `-t${told.turn}` : ""}`);
  rate.targetOf = (told) => `${told.instrument}-${told.item}${told.turn ? `-t${told.turn}` : ""}`;
  function give(item, fields) {
    const { form: instrument, item: key, turn } = item.dataset;
    const conflict = rate.outbox.held(rate.uid(), item.id);
    if (conflict) settle(item, conflict);
    problem(item);
    rate.keepTime();
    $("#undo").disabled = false;
    rate.outbox.add(rate.uid(), item.id, { kind: "answer", instrument, item: key, turn: turn ? Number(turn) : null,
      ...fields, base: Number(item.dataset.revision) });
  }
  function giveValue(item, input) {
    if (input?.type === "checkbox" && input.checked) {
      // What stands alone clears the others, and any other clears it.
      for (const other of rate.inputs(item)) {
        if (other !== input && ("alone" in input.dataset || "alone" in other.dataset)) other.checked = false;
      }
    }
    const value = valueOf(item);
    if (value === item.dataset.value) return;
    item.dataset.value = value;
    stand();
    give(item, { value });
  }
  let writing = 0;
  function giveText(field) {
    clearTimeout(writing);
    const item = field.closest(".item");
    if (field.id === "comment") {
      if (field.value === field.dataset.sent) return;
      field.dataset.sent = field.value;
      rate.outbox.add(rate.uid(), "comment", { kind: "comment", text: field.value, base: Number(workspace().dataset.commentRevision) });
    } else if (field.classList.contains("comment-text") && field.value !== field.dataset.sent) {
      field.dataset.sent = field.value;
      give(item, { comment: field.value });
    } else if (field.classList.contains("value")) giveValue(item);
  }
  const textField = (at) => at.matches?.("#comment, .comment-text, textarea.value");
  document.addEventListener("focusin", (event) => {
    if (textField(event.target)) event.target.dataset.sent ??= event.target.value;
  });
  document.addEventListener("input", (event) => {
    if (!textField(event.target)) return;
    clearTimeout(writing);
    writing = setTimeout(giveText, 1500, event.target);
  });
  document.addEventListener("change", (event) => {
    if (textField(event.target)) giveText(event.target);
    else if (event.target.matches?.(".item input.value")) giveValue(event.target.closest(".item"), event.target);
  });

  // -- what is asked and what is open ------------------------------------------------------------
  rate.holds = (rule, chosen) => {
    const { all, conditions } = JSON.parse(rule);
    const met = conditions.map(([name, values]) => chosen(name).some((value) => values.includes(value)));
    return all ? met.every(Boolean) : met.some(Boolean);
  };
  // An item appears and goes with the answers before it; an answer to a hidden one counts for none.
  function ask() {
    const given = new Map();
    for (const item of $$(".item")) {
      const { form, item: key, turn, showIf, value } = item.dataset;
      const look = (name) => given.get(`${form} ${name} ${turn}`) ?? given.get(`${form} ${name} undefined`) ?? [];
      if (showIf) item.hidden = !rate.holds(showIf, look);
      if (!item.hidden) given.set(`${form} ${key} ${turn}`, value.split("|"));
    }
  }
  const isOpen = (item) => "required" in item.dataset && !item.dataset.value.trim();
  function stand() {
    ask();
    for (const section of $$("#rating > .rate-section")) {
      const count = $(".count", section);
      const asked = $$(".item:not([hidden])", section);
      if (count) count.textContent = fill(texts.of, { done: asked.filter((one) => one.dataset.value).length, all: asked.length });
    }
    const open = rate.items().filter(isOpen).length;
    const place = $("#open-count");
    if (place) place.textContent = open ? some("open", open) : texts.openNone;
    return open;
  }
  function problem(item, ...content) {
    $(".item-problem", item).replaceChildren(...content);
    item.classList.toggle("lacking", content.length > 0);
    const told = !content.length && $(`#problems a[href="#${CSS.escape(item.id)}"]`);
    if (!told) return;
    told.parentElement.remove();
    const left = $$("#problems li").length;
    if (left) $("#problems h3").textContent = some("missing", left);
    else $("#problems").remove();
  }
  function sentence(text) {
    const paragraph = document.createElement("p");
    paragraph.setAttribute("role", "alert");
    paragraph.textContent = text;
    return paragraph;
  }
  // A passage was marked or taken away: what was told missing may be there now.
  rate.lacks = (item) => { if (rate.marks.of(item.id).length) problem(item); };

  // -- what the server answers -------------------------------------------------------------------
  rate.done = (entry, result) => {
    const { op } = entry;
    if (entry.uid !== rate.uid() || op.kind === "time") return;
    saved = true;
    if (op.kind === "comment") workspace().dataset.commentRevision = result.revision;
    if (op.kind === "flag") rate.flags.stored(op.uid);
    if (!result.item) return;
    const item = itemOf(result);
    if (!item) return;
    item.dataset.revision = result.revision;
    const steps = op.kind !== "answer";
    if (steps || !rate.outbox.waiting(entry.uid, item.id)) adopt(item, result);
    if (steps) {
      rate.choose(item);
      rate.say(fill(texts.undone, { item: $("legend", item).textContent.trim() }));
    }
  };
  // Shows what is stored, except where the rater is writing.
  function adopt(item, told) {
    const box = $(".comment-text", item);
    if (told.value !== item.dataset.value && document.activeElement !== $("textarea.value", item)) show(item, told.value);
    if (box && document.activeElement !== box && box.value !== told.comment) {
      box.value = box.dataset.sent = told.comment;
      if (told.comment) box.closest("details").open = true;
    }
    stand();
  }
  rate.reply = (uid, told) => {
    if (uid !== rate.uid()) return;
    steps(told);
    for (const one of told.subtotals ?? []) {
      const place = document.getElementById(`total-${one.instrument}-${one.key}`);
      const round = (value) => Number(value.toPrecision(6));
      const text = one.value === null ? "–" : fill(texts.of, { done: round(one.value), all: round(one.maximum) });
      if (place) place.textContent = one.band ? `${text}, ${one.band}` : text;
    }
    rate.ahead();
  };
  function steps(told) {
    if (!$("#undo")) return;
    $("#undo").disabled = !told.can_undo;
    $("#redo").hidden = !told.can_redo;
  }
  rate.refused = (entry, result) => {
    const { op } = entry;
    if (op.kind === "undo" || op.kind === "redo") return rate.tell(texts.nothingUndo);
    if (op.kind === "time") return;
    if (entry.uid !== rate.uid()) return rate.tell(texts.elsewhere);
    const item = op.kind === "answer" && itemOf(op);
    const text = result.sentence ?? texts.refused;
    if (item) problem(item, sentence(text));
    else rate.tell(text);
    if (op.kind === "evidence") rate.marks.take(op.uid);
    needs = texts.refused;
    rate.state();
  };
  // Changed elsewhere in the meantime: both are shown, and the rater says which one counts.
  rate.conflict = (entry, result) => {
    if (entry.uid !== rate.uid()) return;
    entry.stored = { ...result.stored, revision: result.revision };
    const item = entry.target === "comment" ? null : itemOf(entry.op);
    const word = (value) => wording(item, value) || texts.empty;
    const field = entry.op.value === undefined ? "comment" : "value";
    const stored = item ? result.stored[field] : result.stored.comment;
    const given = item ? entry.op[field] : entry.op.text;
    const both = sentence(`${result.sentence ?? ""} ${fill(texts.both, { stored: word(stored), given: word(given) })}`);
    const buttons = ["keep", "take"].map((name) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "btn small", textContent: texts[name] });
      button.dataset.settle = name;
      button.dataset.target = entry.target;
      return button;
    });
    if (item) problem(item, both, ...buttons);
    else $("#comment-problem").replaceChildren(both, ...buttons);
    needs = texts.stale;
    item?.scrollIntoView({ block: "nearest" });
    rate.state();
  };
  function wording(item, value) {
    if (!item || !value) return value;
    const label = (one) => rate.inputs(item).find((input) => input.value === one)?.nextElementSibling?.textContent;
    return rate.inputs(item)[0]?.type ? value.split("|").map((one) => label(one) ?? one).join(", ") : value;
  }
  function settle(item, entry) {
    const { stored } = entry;
    rate.outbox.forget(entry);
    if (item) {
      item.dataset.revision = stored.revision;
      problem(item);
    } else {
      workspace().dataset.commentRevision = stored.revision;
      $("#comment-problem").replaceChildren();
    }
    needs = "";
  }
  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("[data-settle]");
    const entry = at && rate.outbox.held(rate.uid(), at.dataset.target);
    if (!entry) return;
    const item = entry.target === "comment" ? null : itemOf(entry.op);
    const { stored, op } = entry;
    settle(item, entry);
    if (at.dataset.settle === "keep") {
      rate.outbox.add(rate.uid(), entry.target, { ...op, base: stored.revision });
    } else if (item) adopt(item, stored);
    else $("#comment").value = $("#comment").dataset.sent = stored.comment;
    if (item) rate.choose(item);
    saved = true;
    rate.state();
  });
  rate.over = (uid, text) => {
    if (uid !== rate.uid()) return rate.tell(texts.elsewhere);
    needs = text;
    rate.say(text);
    rate.state();
  };
  rate.step = (kind) => {
    if (kind === "undo" && $("#undo")?.disabled && !rate.outbox.unsent()) return rate.tell(texts.nothingUndo);
    rate.outbox.add(rate.uid(), null, { kind });
  };

  // -- looks -----------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".reading")) return;
    event.preventDefault();
    const button = event.submitter;
    workspace().dataset[button.name] = button.value;
    for (const one of button.parentElement.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === button));
    fetch(event.target.action, { method: "POST", body: new FormData(event.target, button), redirect: "manual" }).catch(() => {});
  });
  document.addEventListener("click", (event) => { if (event.target.closest?.("[data-print]")) print(); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#problems a");
    const item = link && document.getElementById(link.hash.slice(1));
    if (!item) return;
    event.preventDefault();
    rate.choose(item);
  });

  // -- a new dialogue ------------------------------------------------------------------------
  let known = null;
  function begin() {
    if (!workspace() || workspace() === known) return;
    const fresh = known === null;
    known = workspace();
    needs = "";
    saved = false;
    rate.begunTime();
    rate.begunKeys();
    rate.marks.begin();
    rate.flags.begin();
    steps({ can_undo: "canUndo" in known.dataset, can_redo: "canRedo" in known.dataset });
    const open = stand();
    if (readOnly()) return;
    // Where the dialogue stands above the form, one reads first.
    const beside = matchMedia("(width >= 56rem)").matches;
    const lacking = $(".item.lacking");
    const first = lacking ?? rate.items().find((item) => !item.dataset.value) ?? rate.items()[0];
    rate.choose(first, { focus: beside || Boolean(lacking) });
    if (!beside && !lacking) scrollTo(0, 0);
    if (!fresh) {
      rate.say($("#place").textContent);
      rate.catchUp();
    }
    if (!open) rate.ahead();
  }
  // What an earlier page could not send is shown as given, and goes out from here.
  function resume(entries) {
    for (const { uid, op } of entries) {
      if (uid !== rate.uid()) continue;
      const item = op.kind === "answer" && itemOf(op);
      if (item) {
        adopt(item, { value: op.value ?? item.dataset.value, comment: op.comment ?? $(".comment-text", item)?.value ?? "" });
      } else if (op.kind === "comment") $("#comment").value = op.text;
      else if (op.kind === "flag") rate.flags.show(op, true);
      else if (op.kind === "unflag") rate.flags.drop(op.uid);
      else if (op.kind === "unmark") rate.marks.take(op.uid);
      else if (op.kind === "evidence" && !op.flag) {
        const owner = itemOf(op) ?? itemOf({ ...op, turn: null });
        if (owner) rate.marks.put({ uid: op.uid, owner: owner.id, flag: false, turn: op.turn, start: op.start, end: op.end,
          label: fill(texts.evidence, { item: owner.dataset.tag }) });
      }
    }
    rate.state();
  }
  Object.assign(rate, { begin, readOnly, itemOf, adopt, fill, steps, bar, isOpen, giveText, textField });
  begin();
  rate.outbox.start().then(resume);
})();
