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
  // The next dialogue is fetched and built ahead. Submitting shows it at once; should the server
  // not take the rating after all, the dialogue before it comes back as it was.
  let next = null; // {after, uid, part, title, url}
  let sending = false;
  const asked = { "X-Requested-With": "fetch", "HX-Request": "true" };
  function built(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const { title } = page;
    const part = document.adoptNode(page.getElementById("workspace"));
    part.querySelector("title")?.remove();
    return { part, uid: part.dataset.uid, title };
  }
  async function ahead() {
    const uid = rate.uid();
    if (rate.readOnly() || next?.after === uid || rate.items().filter(rate.isOpen).length > rate.items().length / 2) return;
    next = { after: uid };
    const reply = await fetch(`${texts.root}${uid}/next/`, { headers: asked }).catch(() => null);
    if (reply?.status !== 200 || next.after !== uid) return;
    next = { after: uid, url: reply.headers.get("HX-Push-Url"), ...built(await reply.text()) };
  }
  function show({ part, title, url }) {
    $("#workspace").replaceWith(part);
    document.title = title;
    if (url && url !== location.pathname) history.pushState(null, "", url);
    rate.begin();
    if (document.activeElement !== document.body) return;
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  }
  // What this page knows of it: every answer and passage that is asked for is there.
  const complete = () => rate.items().every((item) => !rate.isOpen(item) && !item.classList.contains("lacking")
    && !("passage" in item.dataset && item.dataset.value && !rate.marks.of(item.id).length));
  rate.submit = () => {
    const field = document.activeElement;
    if (rate.textField(field)) rate.giveText(field);
    if (rate.readOnly() || sending || !$("#submit")) return;
    rate.outbox.whenEmpty((clear) => (clear ? submit() : $("[data-settle]")?.focus()));
  };
  async function submit() {
    const before = { part: $("#workspace"), uid: rate.uid(), title: document.title, url: location.pathname };
    const shown = next?.after === before.uid && next.part && complete() ? next : null;
    const headers = shown ? { ...asked, "X-Prefetched": shown.uid } : asked;
    const form = $("#rating");
    sending = true;
    rate.bar("saving", texts.submitting);
    const send = () => {
      const body = new FormData();
      body.set("action", "submit");
      body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
      return fetch(form.getAttribute("action"), { method: "POST", headers, body, signal: AbortSignal.timeout(20_000) }).catch(() => null);
    };
    let coming = send();
    if (shown) {
      tellTime();
      show(shown);
    }
    let reply = await coming;
    if (reply?.status === 403 && (await rate.outbox.renew(before.uid)) === 200) {
      form.elements.csrfmiddlewaretoken.value = rate.outbox.token();
      reply = await send();
    }
    sending = false;
    const here = rate.uid() === (shown ?? before).uid; // not gone on by hand meanwhile
    const elsewhere = reply?.headers.get("HX-Redirect");
    if (elsewhere) return location.assign(elsewhere);
    if (reply?.status === 204 && reply.headers.get("X-Next") === shown?.uid) return;
    const told = [200, 409, 422].includes(reply?.status) && built(await reply.text());
    if (shown && here && reply?.status !== 200) {
      next = shown;
      show(before);
    }
    if (told) {
      if (!shown && reply.ok) tellTime();
      return show({ ...told, url: reply.headers.get("HX-Push-Url") });
    }
    const why = { 401: texts.signIn, 404: texts.gone }[reply?.status] ?? texts.unsubmitted;
    rate.bar("kept", why);
    rate.say(why);
  }
  // Everything that waits goes first, so that nothing is missing when the server looks.
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "rating") return;
    event.preventDefault();
    rate.submit();
  }, true);
  addEventListener("popstate", () => {
    if (rate.uid() && !location.pathname.includes(rate.uid())) location.reload();
  });

  function begin() {
    time = { visit: rate.outbox.uuid(), at: Date.now(), told: Date.now(), seen: true, active: 0, paused: 0 };
  }
  // A minute has passed since the server last heard of it: together with the next answer.
  function keepTime() {
    if (Date.now() - time.told > 60_000) tellTime();
  }

  Object.assign(rate, { built: () => Boolean(next?.part), submitting: () => sending, catchUp, ahead, keepTime, begunTime: begin });
})();
