// What waits where, and why: the headline, the reasons, the table of destinations.

import { load } from "./charts.js";
import { ago, draw, el } from "./dom.js";

const $ = (id) => document.getElementById(id);
/** Reasons that are told at the top. */
const REASONS = 4;

const many = (number, one, more) => `${number.toLocaleString()} ${number === 1 ? one : more}`;
const stuck = (one) => Boolean(one.suspended || one.dead_until);
const loadOf = (one) => one.waiting + one.active + one.held;

/** One sentence that says whether to get up. */
function headline(glance) {
  const { queue, destinations } = glance, { defer_all: deferred } = glance.switches;
  const bad = destinations.filter((one) => stuck(one) && loadOf(one)), failing = destinations.filter((one) => !stuck(one) && one.reason && one.waiting);
  const count = (list) => list.reduce((sum, one) => sum + one.waiting + one.held, 0);
  if (!glance.ready) return ["bad", `No mail is taken: ${glance.trouble}`];
  if (deferred) return ["warn", "Nothing is delivered: an operator switched on “defer all”. Mail is taken and waits."];
  if (bad.length) return ["bad", `${many(count(bad), "message waits", "messages wait")} for ${many(bad.length, "destination that is", "destinations that are")} stuck.`];
  if (failing.length) return ["warn", `Nothing is stuck; ${many(count(failing), "message waits", "messages wait")} for another try.`];
  if (queue.held) return ["warn", `${many(queue.held, "message is", "messages are")} held by an operator; everything else moves.`];
  if (queue.waiting + queue.active) return ["good", "Mail is on its way. Nothing is stuck."];
  return ["good", "All is delivered. The queue is empty."];
}

/** Destinations that say the same, but for names of servers and numbers, have one reason. */
function reasons(destinations) {
  const found = new Map();
  for (const one of destinations) {
    if (!one.waiting && !one.held) continue;
    const text = one.suspended ? "Suspended by an operator" : one.reason;
    if (!text) continue;
    const key = text.replace(/\S*\[[^\]\s]*\](:\d+)?/g, "…").replace(/\d{3,}/g, "…");
    const group = found.get(key) || { text, waiting: 0, list: [], oldest: one.oldest };
    group.waiting += one.waiting + one.held;
    group.list.push(one);
    if (one.oldest && (!group.oldest || one.oldest < group.oldest)) group.oldest = one.oldest;
    found.set(key, group);
  }
  return [...found.values()].sort((a, b) => b.waiting - a.waiting).slice(0, REASONS);
}

export function showHeadline(glance, choose) {
  const [kind, text] = headline(glance);
  if ($("now-title").textContent !== text) $("now-title").textContent = text;
  $("now").className = `wide now ${kind}`;
  const groups = reasons(glance.destinations);
  $("now-list").hidden = !groups.length;
  draw($("now-list"), groups.map(({ text, waiting, list }) => [text, waiting, list.map((one) => one.destination)]), () => {
    const box = document.createDocumentFragment();
    for (const group of groups) {
      const names = group.list.slice(0, 3).map((one) => el("button", { type: "button", className: "link", onclick: () => choose({ destination: one.destination }) }, one.destination));
      const rest = group.list.length - names.length;
      const where = el("span", { className: "where" }, ...names.flatMap((name, n) => n ? [", ", name] : [name]), rest > 0 ? ` and ${rest.toLocaleString()} more` : "");
      box.append(el("li", {}, el("b", {}, group.waiting.toLocaleString()), el("span", { className: "why" }, group.text), where));
    }
    return box;
  });
}

const rows = new Map();

/** Rows stay where the focus may be; only what changed in them is drawn again. `does` are the page's orders. */
export function showDestinations(destinations, does) {
  const body = $("destinations").tBodies[0], seen = new Set(), most = Math.max(...destinations.map(loadOf), 1);
  const sorted = [...destinations].sort((a, b) => Number(stuck(b)) - Number(stuck(a)));
  sorted.forEach((one, at) => {
    const key = `${one.service || one.protocol} ${one.destination}`;
    seen.add(key);
    let row = rows.get(key);
    if (!row) rows.set(key, row = destinationRow(one, does));
    row.update(one, most);
    if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] || null);
  });
  for (const [key, row] of rows) {
    if (!seen.has(key)) { row.element.remove(); rows.delete(key); }
  }
}

function destinationRow(first, { act, choose, suspend }) {
  let one = first;
  const name = el("button", { type: "button", className: "link", onclick: () => choose({ destination: one.destination }) }, first.destination);
  const tag = el("span"), why = el("div", { className: "why" }), since = el("div", { className: "sub" }), picture = el("td", { className: "load" });
  const numbers = ["Waiting", "Active", "Held"].map((label) => el("td", { className: "num", "data-label": label.toLowerCase() }));
  const service = first.service && first.service !== first.protocol ? el("span", { className: "tag" }, `by ${first.service}`) : "";
  const order = (action) => () => act(action, { destination: one.destination }, `for ${one.destination}`);
  const close = el("button", { type: "button", className: "small", onclick: () => suspend(one) });
  const orders = el("td", {}, el("span", { className: "orders" },
    el("button", { type: "button", className: "small", "aria-label": `Retry ${first.destination}`, onclick: order("retry") }, "Retry"),
    el("button", { type: "button", className: "small", "aria-label": `Hold ${first.destination}`, onclick: order("hold") }, "Hold"),
    close));
  const element = el("tr", { "data-destination": first.destination }, el("td", {}, name, service, tag, why, since), picture, ...numbers, orders);
  const update = (now, most) => {
    one = now;
    const next = now.dead_until && Date.parse(now.dead_until) > Date.now() ? `, next try ${ago(now.dead_until)}` : "";
    const told = now.suspended ? ["suspended", "tag warn"] : now.dead_until ? [`unreachable${next}`, "tag bad"] : ["", ""];
    [tag.textContent, tag.className] = told;
    why.textContent = now.reason || "";
    since.textContent = now.oldest ? `oldest came ${ago(now.oldest)}` : "";
    draw(picture, [now.ages, most], () => load(now.ages, most));
    [now.waiting, now.active, now.held].forEach((number, n) => {
      numbers[n].textContent = number.toLocaleString();
      numbers[n].classList.toggle("zero", !number);
    });
    close.textContent = now.suspended ? "Resume" : "Suspend";
    close.setAttribute("aria-label", `${close.textContent} ${now.destination}`);
  };
  return { element, update };
}
