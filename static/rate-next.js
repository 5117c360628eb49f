// Beyond the form itself: what another window has stored, the time spent, submitting, and the next
// dialogue, which is fetched ahead.
(() => {
  "use strict";
  const rate = window.rate;
  const $ = (selector, root = document) => root.querySelector(selector);
  const texts = document.getElementById("rate-texts").dataset;

  // -- another window or device ------------------------------------------------------------------
  let looked = Date.now();
  async function catchUp() {
    const uid = rate.uid();
    if (!uid || rate.readOnly()) return;
    rate.outbox.now();
    looked = Date.now();
    const reply = await fetch(`${texts.root}${uid}/state/`, { headers: { "X-Requested-With": "fetch" } }).catch(() => null);
    if (!reply?.ok || uid !== rate.uid()) return;
    const told = await reply.json();
    rate.outbox.useToken(told.token);
    if (told.state === "submitted" || told.state === "returned") {
      if (!rate.outbox.waiting(uid)) location.reload();
      return;
    }
    for (const one of told.answers) {
      const item = rate.itemOf(one);
      if (!item || rate.outbox.waiting(uid, item.id) || Number(item.dataset.revision) >= one.revision) continue;
      item.dataset.revision = one.revision;
      rate.adopt(item, one);
    }
    const box = $("#comment");
    if (!rate.outbox.waiting(uid, "comment") && document.activeElement !== box) {
      $("#workspace").dataset.commentRevision = told.comment.revision;
      box.value = box.dataset.sent = told.comment.text;
    }
    if (!rate.outbox.unsent()) catchUpMarks(told);
    rate.steps(told);
  }
  function catchUpMarks(told) {
    const flags = new Set(told.flags.map((one) => one.uid));
    for (const uid of rate.flags.shown()) if (!flags.has(uid)) rate.flags.drop(uid);
    for (const flag of told.flags) {
      rate.flags.show(flag);
      rate.flags.stored(flag.uid);
    }
    const known = new Set(told.evidence.map((one) => one.uid));
    for (const mark of rate.marks.all()) if (!mark.flag && !known.has(mark.uid)) rate.marks.take(mark.uid);
    for (const one of told.evidence) {
      if (one.flag) continue;
      const item = rate.itemOf(one) ?? rate.itemOf({ ...one, turn: null });
      if (item) rate.marks.put({ uid: one.uid, owner: item.id, flag: false, turn: one.turn, start: one.start, end: one.end,
        label: rate.fill(texts.evidence, { item: item.dataset.tag }) });
    }
  }
  function back() {
    if (document.visibilityState === "visible" && Date.now() - looked > 2000) catchUp();
  }
  addEventListener("focus", back);
  document.addEventListener("visibilitychange", back);

  // -- time: what passes while the page is in sight and in use, and the pauses --------------------
  const IDLE = 120_000;
  let time = null;
  function tick() {
    if (!time) return;
    const now = Date.now();
    const gap = now - time.at;
    time[time.seen && gap <= IDLE ? "active" : "paused"] += gap;
    time.at = now;
    time.seen = document.visibilityState === "visible";
  }
  function tellTime() {
    if (!time || rate.readOnly()) return;
    tick();
    time.told = time.at;
    const seconds = (ms) => Math.round(ms / 1000);
    rate.outbox.add(rate.uid(), "time", { kind: "time", visit: time.visit, active: seconds(time.active), paused: seconds(time.paused) });
  }
  for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "touchmove"]) {
    document.addEventListener(name, () => { if (time && Date.now() - time.at > 1000) tick(); }, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") tellTime();
    else tick();
  });

  // -- submit, and the next dialogue ---------------------------------------------------------------
  let next = null; // {after, uid, html}: fetched ahead
  async function ahead() {
    const uid = rate.uid();
    if (rate.readOnly() || next?.after === uid || rate.items().filter(rate.isOpen).length > rate.items().length / 2) return;
    next = { after: uid };
    const reply = await fetch(`${texts.root}${uid}/next/`, { headers: { "X-Requested-With": "fetch", "HX-Request": "true" } }).catch(() => null);
    if (reply?.status !== 200 || next.after !== uid) return;
    const html = await reply.text();
    const found = /data-uid="([0-9a-f-]{36})"/.exec(html);
    if (found) next = { after: uid, uid: found[1], html };
  }
  let ready = false;
  rate.submit = () => {
    const field = document.activeElement;
    if (rate.textField(field)) rate.giveText(field);
    if (rate.readOnly() || !$("#submit")) return;
    rate.outbox.whenEmpty((clear) => {
      if (!clear) return $("[data-settle]")?.focus();
      ready = true;
      $("#rating").requestSubmit($("#submit"));
      ready = false;
    });
  };
  // Everything that waits goes first, so that nothing is missing when the server looks.
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "rating" || ready) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    rate.submit();
  }, true);
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id !== "rating") return;
    // All answers are stored already. The button stands outside the form, where htmx misses it.
    for (const name of [...event.detail.formData.keys()]) event.detail.formData.delete(name);
    event.detail.formData.set("action", "submit");
    if (next?.uid && next.after === rate.uid()) event.detail.headers["X-Prefetched"] = next.uid;
    rate.bar("saving", texts.submitting);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id === "workspace" && event.detail.xhr.status < 300) tellTime();
    const uid = event.detail.xhr.getResponseHeader("X-Next");
    if (event.detail.xhr.status !== 204 || !uid || uid !== next?.uid) return;
    event.detail.shouldSwap = true;
    event.detail.serverResponse = next.html;
  });
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      if (event.target.id !== "rating") return;
      rate.bar("kept", event.detail.xhr?.status === 401 ? texts.signIn : texts.noAnswer);
      rate.say(texts.noAnswer);
    });
  }

  function begin() {
    time = { visit: rate.outbox.uuid(), at: Date.now(), told: Date.now(), seen: true, active: 0, paused: 0 };
  }
  // A minute has passed since the server last heard of it: together with the next answer.
  function keepTime() {
    if (Date.now() - time.told > 60_000) tellTime();
  }

  Object.assign(rate, { catchUp, ahead, keepTime, begunTime: begin });
})();
