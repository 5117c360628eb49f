// Marks in the dialogue: passages and turns attached to items and flags. Offsets count Unicode
// code points of the turn's text, as the server does; a browser counts UTF-16 units.
(() => {
  "use strict";
  const rate = window.rate;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const texts = document.getElementById("rate-texts").dataset;
  const said = (turn) => $(`#turn-${turn} > .said`);
  let marks = new Map(); // uid -> {uid, owner, label, turn, start, end, flag}

  function length(text) {
    let points = 0;
    for (let i = 0; i < text.length; points++) i += text.codePointAt(i) > 0xffff ? 2 : 1;
    return points;
  }
  function unit(text, point) {
    let at = 0;
    for (; point > 0 && at < text.length; point--) at += text.codePointAt(at) > 0xffff ? 2 : 1;
    return at;
  }
  const number = (text) => (text === undefined || text === "" ? null : Number(text));

  // -- drawing -------------------------------------------------------------------------------
  // The same pieces as the server draws: cut at every border, each under all marks over it.
  function pieces(text, spans) {
    const cuts = spans.map((one) => ({ uid: one.uid, from: unit(text, one.start), to: unit(text, one.end) }));
    const borders = [...new Set([0, text.length, ...cuts.flatMap((one) => [one.from, one.to])])].sort((a, b) => a - b);
    return borders.slice(1).map((to, i) => {
      const from = borders[i];
      return { text: text.slice(from, to), over: cuts.filter((one) => one.from <= from && to <= one.to).map((one) => one.uid) };
    });
  }
  function draw(turn) {
    const place = said(turn);
    if (!place) return;
    const here = [...marks.values()].filter((one) => one.turn === turn);
    const parts = pieces(place.textContent, here.filter((one) => one.start !== null)).map((piece) => {
      if (!piece.over.length) return piece.text;
      const element = document.createElement("mark");
      element.dataset.marks = piece.over.join(" ");
      element.classList.toggle("flagged", piece.over.some((uid) => marks.get(uid).flag));
      element.textContent = piece.text;
      return element;
    });
    place.replaceChildren(...parts);
    place.parentElement.classList.toggle("marked", here.some((one) => one.start === null));
    $(`#marks-${turn}`).replaceChildren(...here.flatMap((one) => [chip(one), " "]).slice(0, -1));
    own();
  }
  function chip(mark) {
    const element = document.createElement("a");
    element.className = mark.flag ? "pill danger" : "pill";
    element.href = `#${mark.owner}`;
    element.dataset.mark = mark.uid;
    if (mark.start !== null) Object.assign(element.dataset, { start: mark.start, end: mark.end });
    element.textContent = mark.label;
    return element;
  }
  function list(owner) {
    const place = document.getElementById(`evidence-${owner}`);
    place?.replaceChildren(...of(owner).map((mark) => {
      const entry = document.createElement("li");
      const link = document.createElement("a");
      Object.assign(link, { href: `#turn-${mark.turn}`, textContent: texts.turn.replace("{n}", mark.turn) });
      link.dataset.mark = mark.uid;
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: "×" });
      button.setAttribute("aria-label", texts.unmark.replace("{n}", mark.turn));
      button.dataset.unmark = mark.uid;
      entry.append(link, button);
      return entry;
    }));
  }
  // The current item's passages stand out among all.
  function own() {
    const mine = new Set(of(rate.current?.id).map((one) => one.uid));
    for (const element of $$(".said mark")) {
      element.classList.toggle("own", element.dataset.marks.split(" ").some((uid) => mine.has(uid)));
    }
  }

  // -- what there is ---------------------------------------------------------------------------
  const of = (owner) => [...marks.values()].filter((one) => one.owner === owner);
  function begin() {
    marks = new Map();
    for (const link of $$(".marks a[data-mark]")) {
      const turn = Number(link.closest(".turn").dataset.turn);
      const { mark: uid, start, end } = link.dataset;
      marks.set(uid, { uid, owner: link.hash.slice(1), label: link.textContent, turn,
        start: number(start), end: number(end), flag: link.classList.contains("danger") });
    }
    own();
  }
  function put(mark) {
    const before = marks.get(mark.uid);
    marks.set(mark.uid, mark);
    if (before && before.turn !== mark.turn) draw(before.turn);
    draw(mark.turn);
    list(mark.owner);
  }
  function take(uid) {
    const mark = marks.get(uid);
    if (!mark) return;
    marks.delete(uid);
    draw(mark.turn);
    list(mark.owner);
  }

  // -- where the rater points --------------------------------------------------------------------
  function offset(place, node, at) {
    const range = document.createRange();
    range.setStart(place, 0);
    range.setEnd(node, at);
    return length(range.toString());
  }
  // The selected words, turn by turn; empty when nothing of the dialogue is selected.
  function selected() {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return [];
    const range = selection.getRangeAt(0);
    return $$(".said").filter((place) => range.intersectsNode(place)).map((place) => ({
      turn: Number(place.parentElement.dataset.turn),
      start: place.contains(range.startContainer) ? offset(place, range.startContainer, range.startOffset) : 0,
      end: place.contains(range.endContainer) ? offset(place, range.endContainer, range.endOffset) : length(place.textContent),
    })).filter((one) => one.start < one.end);
  }
  function pointed() {
    const words = selected();
    if (words.length) return words;
    return rate.turn ? [{ turn: rate.turn, start: null, end: null }] : [];
  }
  // An item asked at a turn takes words of that turn, or the turn.
  function pointedFor(item) {
    const turn = Number(item?.dataset.turn);
    if (!turn) return pointed();
    const words = selected().filter((one) => one.turn === turn);
    return words.length ? words : [{ turn, start: null, end: null }];
  }
  const same = (a, b) => a.turn === b.turn && a.start === b.start && a.end === b.end;

  // Attaches what is pointed at to the item, or takes it away where it is attached already.
  function attach(item) {
    const places = pointedFor(item);
    if (!places.length || !item || item.disabled) return rate.tell(texts.addsNone);
    for (const place of places) {
      const known = of(item.id).find((one) => same(one, place));
      if (known) detach(known.uid);
      else {
        const mark = { uid: rate.outbox.uuid(), owner: item.id, flag: false, ...place,
          label: texts.evidence.replace("{item}", item.dataset.tag) };
        put(mark);
        const { form: instrument, item: key } = item.dataset;
        rate.outbox.add(rate.uid(), null, { kind: "evidence", uid: mark.uid, instrument, item: key, ...place });
        rate.say(texts.marked.replace("{n}", place.turn));
      }
    }
    getSelection().removeAllRanges();
    rate.lacks(item);
    hint();
  }
  function detach(uid) {
    const item = document.getElementById(marks.get(uid)?.owner);
    take(uid);
    rate.outbox.add(rate.uid(), null, { kind: "unmark", uid });
    rate.say(texts.unmarked);
    if (item?.classList.contains("item")) rate.lacks(item);
    hint();
  }
  // What E would do now stands on its button.
  function hint() {
    const place = rate.current && $(".adds", rate.current);
    if (!place) return;
    const [first] = pointedFor(rate.current);
    const known = first && of(rate.current.id).some((one) => same(one, first));
    const turn = (known ? texts.takesTurn : texts.addsTurn).replace("{n}", first?.turn);
    const text = !first ? texts.addsNone : first.start !== null && !known ? texts.addsWords : turn;
    if (place.textContent !== text) place.textContent = text;
  }
  document.addEventListener("selectionchange", hint);

  // -- from a mark to its item and back ------------------------------------------------------------
  function lead(uid) {
    const owner = document.getElementById(marks.get(uid)?.owner);
    if (owner?.classList.contains("item")) rate.choose(owner);
    else owner?.focus();
    owner?.scrollIntoView({ block: "nearest" });
  }
  function showMark(uid) {
    const mark = marks.get(uid);
    if (!mark) return;
    rate.goTurn(mark.turn);
    const element = $$(`#turn-${mark.turn} mark`).find((one) => one.dataset.marks.split(" ").includes(uid));
    element?.scrollIntoView({ block: "nearest" });
  }
  let shown = 0;
  function showNext() {
    const mine = of(rate.current?.id);
    if (mine.length) showMark(mine[shown++ % mine.length].uid);
  }
  document.addEventListener("click", (event) => {
    const at = event.target;
    const gone = at.closest?.("[data-unmark]");
    const link = at.closest?.("a[data-mark]");
    const mark = at.closest?.(".said mark");
    if (gone) detach(gone.dataset.unmark);
    else if (link) {
      event.preventDefault();
      if (link.closest(".turn")) lead(link.dataset.mark);
      else showMark(link.dataset.mark);
    } else if (mark && getSelection().isCollapsed) {
      // Several marks over each other: each click leads to the next one's item.
      const over = mark.dataset.marks.split(" ");
      const now = over.findIndex((uid) => marks.get(uid)?.owner === rate.current?.id);
      lead(over[(now + 1) % over.length]);
    }
  });

  rate.marks = { begin, put, take, of, attach, selected, pointed, hint, own, showNext, length, all: () => [...marks.values()] };
})();
