// A message's story, or an explanation, as a timeline.

import { ago, el, size, when } from "./dom.js";

const GOOD = /^(delivered|verdict (verified|trusted)|mail)/;
const BAD = /^(deferred|bounced|expired|failed|refused|dns failed|missing)/;
/** Lines that begin so are what the operator looks for. */
const WEIGHTY = /^(verdict |in clear|[45]\.\d+\.\d+ )/;

function took(micros) {
  if (micros === undefined || micros === null) return "";
  return micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toFixed(1)} ms` : `${(micros / 1e6).toFixed(1)} s`;
}

function item(label, lines, note, kind) {
  const line = (text) => el("p", { className: typeof text === "string" && WEIGHTY.test(text) ? "weighty" : "" }, text);
  return el("li", { className: kind || "" }, el("span", { className: "label" }, label), el("span", { className: "took" }, note || ""), ...lines.map(line));
}

/** What became of a recipient, what that means, and what can be done. */
function result(one) {
  const said = [one.status, one.reason].filter(Boolean).join(" ");
  // A reason often quotes the server; its words are not said twice.
  const reply = one.reply && !said.includes(one.reply) ? `the server said: ${one.reply}` : "";
  const good = one.outcome === "delivered", element = item(one.outcome, [one.recipient, said, reply].filter(Boolean), "", good ? "good" : "bad");
  if (!good && one.verdict) element.append(el("p", { className: "meaning" }, sentence(one.verdict)));
  if (!good && one.remedy) element.append(el("p", { className: "remedy" }, one.remedy));
  return element;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function attempt(one) {
  const list = el("ol", { className: "story" });
  if (one.route) list.append(item("route", [`${one.route.service || one.route.protocol} to ${one.route.nexthop}${one.route.source ? `, from ${one.route.source}` : ""}`]));
  for (const step of one.steps || []) {
    const text = Array.isArray(step.text) ? step.text : [String(step.text || "")];
    const kind = BAD.test(step.step) || text.some((line) => /^[45]\.\d/.test(line)) ? "bad" : GOOD.test(step.step) || text.some((line) => GOOD.test(line)) ? "good" : "";
    list.append(item(step.step, text, took(step.took_us), kind));
  }
  for (const call of one.calls || []) list.append(item("connection", [call]));
  for (const each of one.results || []) list.append(result(each));
  return list;
}

/** What an attempt came to, in a line. */
function outcome(one) {
  const results = one.results || [], worst = results.find((each) => each.outcome !== "delivered") || results[0];
  return worst ? [worst.outcome, worst.outcome === "delivered" ? "" : `${worst.status} ${worst.reason}`].filter(Boolean).join(": ") : "";
}

/** What the ledger has: an attempt, or an end without one. Of several attempts only the last is told at length. */
function entry(one, last) {
  if (one.attempt) {
    const head = `Attempt ${one.attempt.attempt}, ${ago(one.attempt.started)}`;
    const told = [attempt(one.attempt), letter(one.letter)];
    if (last) return [el("h3", {}, head), ...told];
    return [el("details", { className: "earlier" }, el("summary", {}, `${head} – ${outcome(one.attempt)}`), ...told)];
  }
  const { settled } = one;
  const lines = [settled.recipients.join(", "), `${settled.status} ${settled.reason}`, settled.remedy].filter(Boolean);
  return [el("ol", { className: "story" }, item(`${settled.outcome}, ${ago(one.time)}`, lines, "", settled.outcome === "deferred" ? "" : "bad"))];
}

function letter(text) {
  if (!text) return "";
  const copy = el("button", { type: "button", className: "small", onclick: () => navigator.clipboard?.writeText(text).then(() => { copy.textContent = "Copied"; }) }, "Copy");
  return el("details", {}, el("summary", {}, "A letter for the other side's postmaster"), el("pre", { tabIndex: 0 }, text), copy);
}

function verdict(text, ok) {
  return el("p", { className: `verdict ${ok ? "good" : "bad"}` }, sentence(text));
}

/** A message's story (with entries), or an explanation. */
export function story(told) {
  const box = el("div");
  if (told.entries) {
    const [first] = told.entries;
    if (!first) box.append(el("p", { className: "sub" }, "Nothing has been tried yet."));
    else if (first.arrived) box.append(el("ol", { className: "story" }, item("taken", [`from ${first.client || "a client"}, ${size(first.size)}`], ago(first.arrived), "good")));
    const attempts = told.entries.filter((one) => one.attempt), newest = attempts.at(-1);
    for (const one of told.entries) box.append(...entry(one, one === newest).filter(Boolean));
    const next = newest === told.entries.at(-1) && newest?.next_attempt;
    if (told.waiting && next && Date.parse(next) > Date.now()) box.append(el("ol", { className: "story" }, item("next try", [when(next)])));
    return box;
  }
  const said = told.conclusion || {};
  const calls = (told.calls || []).length > 0;
  box.append(verdict(said.verdict || (told.ok ? calls ? "Nothing stands in the way so far; no server was called." : "Mail could be sent." : "Mail would not go just now."), told.ok));
  if (told.reason) box.append(el("p", {}, told.reason));
  if (told.steps) box.append(attempt(told));
  const facts = el("dl", { className: "facts" });
  for (const [name, text] of [["demanded", said.demanded], ["if that fails", said.if_it_fails]]) if (text) facts.append(el("dt", {}, name), el("dd", {}, text));
  if (facts.children.length) box.append(facts);
  box.append(letter(said.letter));
  return box;
}
