// The page. What comes from mail is put into the document as text, never as HTML.

import { SPANS, ages, fittingSpan, posture } from "./charts.js";
import { showDestinations, showHeadline } from "./destinations.js";
import { ago, draw, el, size, when } from "./dom.js";
import { story } from "./story.js";

const $ = (id) => document.getElementById(id);
const PAGE = 50;
let token = sessionStorage.getItem("token");
let next = null, filter = {}, failures = 0, selection = {}, extended = false, heard = null, span = null;

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function call(path, body) {
  const headers = { "X-Waxseal": "page" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { headers, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    options.method = "POST";
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 401) login(token ? "This is not the token." : "");
  throw new Refused(response.status, answer.detail || `refused with ${response.status}`);
}

// --- coming in -----------------------------------------------------------------------------------------------------

function login(error) {
  token = null;
  sessionStorage.removeItem("token");
  $("login").hidden = false;
  $("desk").hidden = true;
  $("leave").hidden = true;
  $("login-error").textContent = error;
  $("token").value = "";
  $("token").focus();
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  try {
    await call("/api/v1/switches");
  } catch (error) {
    if (error.status !== 401) $("login-error").textContent = error.message;
    return;
  }
  sessionStorage.setItem("token", token);
  $("token").value = "";
  $("login").hidden = true;
  $("desk").hidden = false;
  refresh();
  drawPosture();
  list();
});
$("leave").addEventListener("click", () => login(""));

// --- the queue at a glance -----------------------------------------------------------------------------------------

function showGlance(glance) {
  const { queue } = glance;
  $("hostname").textContent = glance.hostname;
  document.title = `${queue.waiting ? `(${queue.waiting}) ` : ""}${glance.hostname} – Waxseal`;
  pill(glance.ready ? "takes mail" : glance.trouble, glance.ready ? "good" : "bad");
  $("leave").hidden = !token;
  const on = [glance.switches.defer_all && "nothing is delivered: defer-all", glance.switches.soft_bounce && "soft bounces"].filter(Boolean);
  $("switches").hidden = !on.length;
  $("switches").textContent = on.join(", ");
  for (const [id, number] of [["waiting", queue.waiting], ["active", queue.active], ["held", queue.held], ["stuck", queue.stuck]]) {
    $(`n-${id}`).textContent = number.toLocaleString();
  }
  $("n-stuck").className = queue.stuck ? "bad" : "";
  $("oldest").textContent = queue.oldest ? ` – the oldest came ${ago(queue.oldest)}` : "";
  draw($("ages"), queue.ages, () => ages(queue.ages));
  $("dest-count").textContent = queue.destinations > glance.destinations.length ? `the fullest ${glance.destinations.length} of ${queue.destinations.toLocaleString()}` : "";
  $("dest-none").hidden = glance.destinations.length > 0;
  $("destinations").hidden = glance.destinations.length === 0;
  showHeadline(glance, choose);
  showDestinations(glance.destinations, { act, choose, suspend });
  $("about").textContent = `Waxseal ${glance.version}, up since ${new Date(glance.since).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
}

function pill(text, kind) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = `pill ${kind}`;
}

async function refresh() {
  try {
    showGlance(await call("/api/v1/overview"));
    failures = 0;
    heard = new Date();
    $("stale").hidden = true;
  } catch (error) {
    failures += 1;
    if (error.status === 401) return;
    pill(error.status ? error.message : "no answer", "bad");
    $("stale").hidden = false;
    $("stale").textContent = heard ? `The queue manager has not answered since ${heard.toLocaleTimeString()}. What stands below was true then.`
      : "The queue manager does not answer. It is asked again and again.";
  }
}

let buckets = [];

async function drawPosture() {
  try {
    ({ buckets } = await call("/api/v1/posture"));
    showPosture();
  } catch { /* The next round tries again; the pill tells. */ }
}

function showPosture() {
  const now = Date.now() / 1000, shown = span || fittingSpan(buckets, now);
  for (const button of $("spans").children) button.setAttribute("aria-pressed", String(button.textContent === shown));
  draw($("posture"), [buckets, shown, Math.floor(now / SPANS[shown][1])], () => posture(buckets, now, shown));
}

$("spans").append(...Object.keys(SPANS).map((name) => el("button", { type: "button", className: "small", onclick: () => { span = name; showPosture(); } }, name)));

// --- messages ------------------------------------------------------------------------------------------------------

const STATES = { active: "in delivery", waiting: "waiting", held: "held" };

function choose(wanted) {
  const [key, text] = Object.entries(wanted)[0];
  $("filter-key").value = key;
  $("filter-text").value = text;
  $("filter-state").value = "";
  list();
  $("list-title").scrollIntoView({ block: "start" });
}

function messageRow(row) {
  const open = el("button", { type: "button", className: "link", "data-id": row.queue_id, onclick: () => show(row.queue_id) }, row.queue_id);
  const more = row.recipient_count - row.recipients.length;
  const to = row.recipients.join(", ") + (more > 0 ? ` and ${more.toLocaleString()} more` : "");
  const attempts = row.attempts ? `${row.attempts} ${row.attempts === 1 ? "attempt" : "attempts"}` : "not tried yet";
  // What was never tried has no time for it: it is due.
  const next = row.state !== "waiting" ? [] : Date.parse(row.next_attempt) > Date.now() ? [", next ", when(row.next_attempt)] : [", due"];
  return el("tr", {},
    el("td", {}, open, el("div", { className: "sub" }, when(row.arrived), `, ${size(row.size)}`)),
    el("td", {}, el("div", {}, row.sender || "(notification)"), el("div", { className: "sub" }, `to ${to}`)),
    el("td", {}, STATES[row.state], el("div", { className: "sub" }, attempts, ...next)),
    el("td", {}, row.reason || el("span", { className: "sub" }, "nothing yet")));
}

async function list(more = false) {
  if (!more) {
    filter = {};
    const text = $("filter-text").value.trim();
    if (text) filter[$("filter-key").value] = text;
    if ($("filter-state").value) filter.state = $("filter-state").value;
    next = null;
    selection = { ...filter };
    if (selection.id) { selection.ids = [selection.id]; delete selection.id; }
  }
  const query = new URLSearchParams({ ...filter, limit: PAGE });
  if (next) query.set("after", next);
  try {
    const page = await call(`/api/v1/queue?${query}`);
    extended = more;
    showList(page, more);
  } catch (error) {
    if (error.status !== 401) toast(error.message);
  }
}

function showList(page, more) {
  const body = $("messages").tBodies[0];
  // Times in it are relative: it is drawn again each minute, too.
  const mark = JSON.stringify([page, Math.floor(Date.now() / 60000)]);
  next = page.next;
  $("more").hidden = !next;
  if (!more && body.dataset.mark === mark) return;
  body.dataset.mark = more ? "" : mark;
  const focused = document.activeElement?.dataset?.id;
  if (!more) body.replaceChildren();
  body.append(...page.messages.map(messageRow));
  if (focused) body.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const none = body.children.length === 0;
  $("list-none").hidden = !none;
  $("list-none").textContent = Object.keys(filter).length ? "No message matches." : "No message waits. What comes in and cannot leave at once is listed here.";
  $("messages").hidden = none;
}

/** The list as it is now, unless somebody reads on in it, or works with it. */
async function relist() {
  if (extended || document.querySelector("dialog[open]") || document.hasFocus() && $("messages").matches(":active")) return;
  const asked = JSON.stringify(filter), query = new URLSearchParams({ ...filter, limit: PAGE });
  try {
    const page = await call(`/api/v1/queue?${query}`);
    if (asked === JSON.stringify(filter) && !extended) showList(page, false);
  } catch { /* The pill tells. */ }
}

$("filter").addEventListener("submit", (event) => { event.preventDefault(); list(); });
$("more").addEventListener("click", () => list(true));
for (const button of document.querySelectorAll("#filter [data-order]")) {
  button.addEventListener("click", () => act(button.dataset.order, selection, Object.keys(selection).length ? "that match" : "in the queue"));
}

let shown = null;

async function show(id) {
  shown = id;
  $("message-title").textContent = `Message ${id}`;
  $("message-body").replaceChildren(el("p", { className: "sub" }, "One moment…"));
  delete $("message-body").dataset.mark;
  if (!$("message").open) $("message").showModal();
  await tell(id);
}

/** Tells what is known of a message; again and again while its dialog is open. */
async function tell(id) {
  const [message, told] = await Promise.allSettled([call(`/api/v1/messages/${id}`), call(`/api/v1/messages/${id}/explain`)]);
  if (shown !== id || !$("message").open) return;
  draw($("message-body"), [message, told].map((one) => one.value || one.reason.message), () => telling(message, told));
}

function telling(message, told) {
  const parts = [];
  if (message.status === "fulfilled") parts.push(facts(message.value), buttons(message.value));
  else parts.push(el("p", { className: "sub" }, message.reason.message));
  parts.push(el("h3", {}, "What happened"));
  parts.push(told.status === "fulfilled" ? story(told.value) : el("p", { className: "sub" }, told.reason.message));
  if (message.status === "fulfilled") parts.push(el("h3", {}, "Header"), el("pre", { tabIndex: 0 }, message.value.header.replaceAll("\r\n", "\n")));
  const box = document.createDocumentFragment();
  box.append(...parts);
  return box;
}

function facts(message) {
  const list = el("dl", { className: "facts" });
  const fact = (name, ...value) => list.append(el("dt", {}, name), el("dd", {}, ...value));
  fact("from", message.sender || "(notification)");
  fact("came", when(message.arrived), ` from ${message.client}, ${size(message.size)}`);
  if (message.message_id) fact("Message-ID", message.message_id);
  for (const one of message.recipients.slice(0, 50)) {
    fact("to", one.recipient, el("span", { className: "tag" }, message.held && one.state === "pending" ? "held" : one.state),
      el("div", { className: "sub" }, one.destination ? `by ${one.destination}; ` : "", `${one.attempts} ${one.attempts === 1 ? "attempt" : "attempts"}`, one.next_attempt ? ", next " : "", one.next_attempt ? when(one.next_attempt) : ""),
      one.reason ? el("div", { className: one.state === "delivered" ? "sub" : "why" }, one.reason) : "");
  }
  if (message.recipients.length > 50) fact("", `and ${message.recipients.length - 50} more`);
  return list;
}

function buttons(message) {
  const id = message.queue_id;
  const order = (action, name) => el("button", { type: "button", onclick: async () => { if (await act(action, { ids: [id] }, id)) tell(id); } }, name);
  return el("p", { className: "orders" }, order("retry", "Retry now"), message.held ? order("release", "Release") : order("hold", "Hold"), order("bounce", "Bounce"), order("remove", "Remove"));
}

$("message").querySelector(".close").addEventListener("click", () => $("message").close());

// --- orders --------------------------------------------------------------------------------------------------------

const WORDS = {
  retry: ["Retry now", "They are tried again at once.", "tried again"],
  hold: ["Hold", "Nothing is tried until they are released.", "held"],
  release: ["Release", "They may go again.", "released"],
  bounce: ["Bounce", "They are given up, and their senders are told.", "bounced"],
  remove: ["Remove", "They are taken out of the queue, and nobody is told. There is no way back.", "removed"],
};

function confirm(title, text, yes) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  const dialog = $("confirm");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** First counts, then asks, then does. */
async function act(action, select, which) {
  const [name, meaning, past] = WORDS[action];
  const order = { action, select, all: Object.keys(select).length === 0 };
  try {
    const count = (await call("/api/v1/actions", { ...order, dry_run: true })).messages;
    if (!count) { toast(`There is no message that could be ${past}.`); return false; }
    const many = `${count.toLocaleString()} ${count === 1 ? "message" : "messages"}`;
    if (!await confirm(`${name}: ${many} ${which}?`, meaning, name)) return false;
    const done = await call("/api/v1/actions", order);
    const number = done.messages.toLocaleString();
    toast(`${number} ${done.messages === 1 ? "message" : "messages"} ${past}.${done.refused ? ` Too late for ${done.refused}.` : ""}`);
    refresh();
    list();
    return true;
  } catch (error) {
    if (error.status !== 401) toast(error.message);
    return false;
  }
}

async function suspend(one) {
  const name = one.suspended ? "Resume" : "Suspend";
  const meaning = one.suspended ? "Its mail may go again." : "Nothing is delivered to it until it is resumed. Mail for it is taken and waits.";
  if (!await confirm(`${name} ${one.destination}?`, meaning, name)) return;
  try {
    await call(`/api/v1/destinations/${name.toLowerCase()}`, { destination: one.destination });
    toast(`${one.destination} is ${one.suspended ? "open again" : "suspended"}.`);
    refresh();
  } catch (error) {
    if (error.status !== 401) toast(error.message);
  }
}

$("reload").addEventListener("click", async () => {
  if (!await confirm("Reload?", "Tables, certificates and trust stores are read anew. What is broken keeps its last good version.", "Reload")) return;
  try {
    const { notices } = await call("/api/v1/reload", {});
    toast(notices.length ? notices.join("; ") : "Read anew; nothing is wrong.");
  } catch (error) {
    if (error.status !== 401) toast(error.message);
  }
});

let toasting = 0;
function toast(text) {
  clearTimeout(toasting);
  // A dialog that is open covers everything else.
  (document.querySelector("dialog[open]") || document.body).append($("toast"));
  $("toast").textContent = text;
  $("toast").hidden = false;
  toasting = setTimeout(() => { $("toast").hidden = true; }, 6000);
}

// --- explain -------------------------------------------------------------------------------------------------------

$("explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter || $("explain").querySelector("button");
  button.disabled = true;
  $("explained").replaceChildren(el("p", { className: "sub" }, "Asking…"));
  try {
    const told = await call("/api/v1/explain", { target: $("target").value.trim(), connect: $("connect").checked });
    $("explained").replaceChildren(story(told));
  } catch (error) {
    $("explained").replaceChildren(el("p", { className: "error" }, error.message));
  }
  button.disabled = false;
});

// --- keys, and the clock -------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
  const place = { "/": "filter-text", e: "target" }[event.key];
  if (place) { event.preventDefault(); $(place).focus(); }
  const step = { j: 1, k: -1 }[event.key];
  if (step) walk(step);
});

/** To the next message of the list, or to the one before. */
function walk(step) {
  const links = [...document.querySelectorAll("#messages button[data-id]")];
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
}

let beats = 0;

async function beat() {
  if (document.visibilityState === "visible" && $("login").hidden) {
    await refresh();
    // A filter that reads many envelopes is not asked for again and again.
    const cheap = Object.keys(filter).every((key) => ["destination", "state", "id"].includes(key));
    beats += 1;
    if (beats % 5 === 0 && cheap && !failures) await relist();
    if ($("message").open && !$("confirm").open) await tell(shown);
  }
  // A server that does not answer is asked less and less often.
  setTimeout(beat, Math.min(2000 * 2 ** failures, 30000));
}
setInterval(() => { if (document.visibilityState === "visible" && $("login").hidden) drawPosture(); }, 30000);
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") failures = 0; });

beat();
drawPosture();
list();
