// What the rater does on its way to the server: in order, one request at a time, each change under
// a key of its own, so that the server carries it out once however often it arrives. What waits is
// also kept in the browser, encrypted with a key that only a page of the signed-in rater has, and
// goes out from the next page if this one is closed or killed.
(() => {
  "use strict";
  const rate = (window.rate = {});
  const PREFIX = "sqpsych-outbox:";
  const MOST = 40;
  const FULL = 150_000; // characters of one request
  const texts = document.getElementById("rate-texts").dataset;
  const wait = { first: 1000, longest: 15_000 };
  let queue = []; // {slot, uid, target, op, sent, held}; in the order they were given
  let cipher = null;
  let token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  let busy = false;
  let delay = wait.first;
  let timer = 0;
  let count = 0;
  let trouble = ""; // why nothing goes out at the moment
  let renewed = false; // the token was fetched anew, and not yet proved
  let emptied = null;

  // A UUID; crypto.randomUUID exists on https and localhost only.
  function uuid() {
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  // -- kept in the browser ---------------------------------------------------------------------
  const binary = (bytes) => Array.from(bytes, (b) => String.fromCharCode(b)).join("");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  async function keep(entry) {
    if (!cipher || entry.op.kind === "time") return;
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const { uid, target, op } = entry;
    const plain = new TextEncoder().encode(JSON.stringify({ uid, target, op }));
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, cipher, plain));
    if (!queue.includes(entry)) return;
    try {
      localStorage.setItem(entry.slot, btoa(binary(iv) + binary(sealed)));
    } catch {
      cipher = null; // no room, or not allowed here: then only this page keeps it
    }
  }
  function forget(entry) {
    queue = queue.filter((one) => one !== entry);
    try { localStorage.removeItem(entry.slot); } catch { /* nothing was kept */ }
  }
  async function read(slot) {
    try {
      const data = bytes(localStorage.getItem(slot));
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: data.slice(0, 12) }, cipher, data.slice(12));
      return { slot, sent: true, ...JSON.parse(new TextDecoder().decode(plain)) };
    } catch {
      return null;
    }
  }

  // Takes over what earlier pages could not send; the server knows what it has seen before.
  async function start() {
    if (!crypto.subtle || !texts.key) return [];
    try {
      cipher = await crypto.subtle.importKey("raw", bytes(texts.key), "AES-GCM", false, ["encrypt", "decrypt"]);
      const mine = Object.keys(localStorage).filter((slot) => slot.startsWith(`${PREFIX}${texts.tag}:`));
      const left = (await Promise.all(mine.sort().map(read))).filter(Boolean);
      const known = new Set(queue.map((one) => one.slot));
      const taken = left.filter((one) => !known.has(one.slot));
      queue.forEach(keep);
      queue = [...taken, ...queue];
      pump();
      return taken;
    } catch {
      cipher = null;
      return [];
    }
  }

  // -- giving ----------------------------------------------------------------------------------
  // A change to the same thing that has not left yet takes the place of the one before.
  function add(uid, target, op) {
    const last = queue.at(-1);
    if (target && last?.target === target && last.uid === uid && !last.sent && !last.held) {
      op = { ...last.op, ...op, base: last.op.base };
      forget(last);
    }
    const at = `${Date.now()}`.padStart(15, "0") + `${count++}`.padStart(6, "0");
    const entry = { slot: `${PREFIX}${texts.tag}:${at}`, uid, target, op: { ...op, key: uuid() } };
    queue.push(entry);
    keep(entry);
    rate.state();
    queueMicrotask(pump); // what is given together goes together
    return entry;
  }
  const waiting = (uid, target) => queue.some((one) => one.uid === uid && (!target || one.target === target));
  const held = (uid, target) => queue.find((one) => one.held && one.uid === uid && one.target === target);

  // -- sending ---------------------------------------------------------------------------------
  // One request takes changes of one dialogue, and never two to the same answer: the second must
  // name the revision that the first has made. What undo changes is known when its answer is here.
  function batch() {
    const first = queue.find((one) => !one.held);
    const taken = [];
    const seen = new Set(queue.filter((one) => one.held).map((one) => one.uid + one.target));
    let size = 0;
    for (const one of queue) {
      if (one.uid !== first?.uid || one.held) continue;
      const steps = one.op.kind === "undo" || one.op.kind === "redo";
      size += JSON.stringify(one.op).length;
      const full = taken.length >= MOST || (taken.length && size > FULL);
      if (full || (one.target && seen.has(one.uid + one.target)) || (steps && taken.length)) break;
      if (one.target) seen.add(one.uid + one.target);
      taken.push(one);
      if (steps) break;
    }
    return taken;
  }
  function send(taken, last) {
    const path = `${texts.root}${taken[0].uid}/save/`;
    return fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token, "X-Requested-With": "fetch" },
      body: JSON.stringify({ ops: taken.map((one) => one.op) }),
      keepalive: last,
      signal: last ? undefined : AbortSignal.timeout(20_000),
    });
  }
  async function pump(last) {
    clearTimeout(timer);
    if (busy) return;
    const taken = batch();
    if (!taken.length) return settled();
    busy = true;
    for (const one of taken) one.sent = true;
    let again = 0;
    try {
      const reply = await send(taken, last);
      again = await heard(reply, taken);
    } catch {
      again = failed(navigator.onLine === false ? texts.offline : texts.noAnswer);
    }
    busy = false;
    if (again) timer = setTimeout(pump, again);
    else pump();
  }
  async function heard(reply, taken) {
    const json = (reply.headers.get("Content-Type") ?? "").includes("json");
    const told = json ? await reply.json() : null;
    if (reply.status === 200 && told) {
      const was = trouble;
      trouble = "";
      renewed = false;
      delay = wait.first;
      for (const result of told.results) answered(taken, result);
      rate.reply(taken[0].uid, told);
      if (was && !queue.some((one) => !one.held)) rate.say(texts.again);
      return 0;
    }
    if (reply.status === 401) return failed("sign_in");
    if (reply.status === 403) {
      const status = renewed ? 403 : await renew(taken[0].uid);
      renewed = status === 200;
      return renewed ? 1 : failed(status === 401 ? "sign_in" : texts.noAnswer);
    }
    if (reply.status === 404) return over(taken[0].uid, texts.gone);
    if (reply.status === 409 && told) return over(taken[0].uid, told.sentence);
    if ([400, 413, 422].includes(reply.status)) {
      // Not one of the server's sentences: let each stand for itself, so that one cannot stop all.
      for (const one of taken) answered(taken, { key: one.op.key, status: reply.status, sentence: told?.sentence });
      return 0;
    }
    return failed(texts.noAnswer);
  }
  function answered(taken, result) {
    const entry = taken.find((one) => one.op.key === result.key);
    if (!entry) return;
    if (result.status === 409) {
      entry.held = true;
      rate.conflict(entry, result);
      return;
    }
    forget(entry);
    if (result.status === 200) {
      if (result.revision !== undefined) {
        const target = entry.target ?? rate.targetOf(result);
        for (const one of queue) if (one.uid === entry.uid && one.target === target) one.op.base = result.revision;
      }
      rate.done(entry, result);
    } else rate.refused(entry, result);
  }
  // The dialogue takes nothing any more. What waits for it stays until the rater has seen why.
  function over(uid, sentence) {
    const theirs = queue.filter((one) => one.uid === uid);
    // The clock is nothing that the rater would look at; held, it would keep the next submission back.
    for (const one of theirs) if (uid === rate.uid() && one.op.kind !== "time") one.held = true; else forget(one);
    rate.over(uid, sentence);
    return 0;
  }
  function failed(why) {
    if (trouble !== why) rate.say(why === "sign_in" ? texts.signIn : `${rate.keptText(unsent())} ${why}`);
    trouble = why;
    const now = delay;
    delay = Math.min(delay * 2, wait.longest);
    rate.state();
    return now + Math.random() * now * 0.2;
  }
  // A login renewed in another window has another token.
  async function renew(uid) {
    const reply = await fetch(`${texts.root}${uid}/state/`, { headers: { "X-Requested-With": "fetch" } });
    if (!reply.ok) return reply.status;
    useToken((await reply.json()).token);
    return 200;
  }
  function useToken(fresh) {
    token = fresh;
    document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": fresh }));
    for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.value = fresh;
  }
  // What the rater gave; the clock does not count.
  const unsent = () => queue.filter((one) => !one.held && one.op.kind !== "time").length;
  function settled() {
    rate.state();
    if (emptied && !unsent()) {
      const then = emptied;
      emptied = null;
      then(!queue.some((one) => one.uid === rate.uid()));
    }
  }
  // Calls back once nothing is on its way: with false when something needs the rater first.
  function whenEmpty(then) {
    emptied = then;
    setTimeout(now); // a form cannot be sent from inside its own submit event
  }
  function now() {
    delay = wait.first;
    pump();
  }
  addEventListener("online", now);
  addEventListener("pagehide", () => { if (!busy) pump(true); });
  addEventListener("beforeunload", (event) => { if (unsent() && !cipher) event.preventDefault(); });

  rate.outbox = { start, add, waiting, held, forget, whenEmpty, now, unsent, uuid, useToken, renew, token: () => token,
    kept: () => Boolean(cipher), trouble: () => trouble, busy: () => busy };
})();
