// A message's story, or an explanation, as a timeline.

import { ago, el } from "./dom.js";

const GOOD = /^(delivered|verdict verified|mail)/;
const BAD = /^(deferred|bounced|expired|failed|refused)/;

function took(micros) {
  if (micros === undefined || micros === null) return "";
  return micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toFixed(1)} ms` : `${(micros / 1e6).toFixed(1)} s`;
}

function item(label, lines, note, kind) {
  return el("li", { className: kind }, el("span", { className: "label" }, label), el("span", { className: "took" }, note || ""), ...lines.map((line) => el("p", {}, line)));
}

/** What became of a recipient. */
function result(one) {
  const said = [one.status, one.reason].filter(Boolean).join(" ");
  // A reason often quotes the server; its words are not said twice.
  const reply = one.reply && !said.includes(one.reply) ? `the server said: ${one.reply}` : "";
  const lines = [one.recipient, said, reply].filter(Boolean);
  return item(one.outcome, lines, "", one.outcome === "delivered" ? "good" : "bad");
}

function attempt(one) {
  const list = el("ol", { className: "story" });
  if (one.route) list.append(item("route", [`${one.route.protocol} to ${one.route.nexthop}${one.route.source ? `, from ${one.route.source}` : ""}`]));
  for (const step of one.steps || []) {
    const text = Array.isArray(step.text) ? step.text : [String(step.text || "")];
    const kind = GOOD.test(step.step) || text.some((line) => GOOD.test(line)) ? "good" : BAD.test(step.step) ? "bad" : "";
    list.append(item(step.step, text, took(step.took_us), kind));
  }
  for (const call of one.calls || []) list.append(item("connection", [call]));
  for (const each of one.results || []) list.append(result(each));
  return list;
}

/** What the ledger has: an attempt, or an end without one. */
function entry(one) {
  if (one.attempt) {
    const head = `Attempt ${one.attempt.attempt}, ${ago(one.attempt.started)}`;
    return [el("h3", {}, head), attempt(one.attempt), letter(one.letter)];
  }
  const { settled } = one;
  const lines = [settled.recipients.join(", "), `${settled.status} ${settled.reason}`];
  return [el("ol", { className: "story" }, item(`${settled.outcome}, ${ago(one.time)}`, lines, "", settled.outcome === "deferred" ? "" : "bad"))];
}

function letter(text) {
  return text ? el("details", {}, el("summary", {}, "For the other side's postmaster"), el("pre", { tabIndex: 0 }, text)) : "";
}

function verdict(text, ok) {
  return el("p", { className: `verdict ${ok ? "good" : "bad"}` }, text);
}

/** A message's story (with entries), or an explanation. */
export function story(told) {
  const box = el("div");
  if (told.entries) {
    if (!told.entries.length) box.append(el("p", { className: "sub" }, "Nothing yet."));
    for (const one of told.entries) box.append(...entry(one).filter(Boolean));
    return box;
  }
  const said = told.conclusion || {};
  box.append(verdict(said.verdict || (told.ok ? "Mail could be sent." : "Mail would not go just now."), told.ok));
  if (told.reason) box.append(el("p", {}, told.reason));
  if (told.steps) box.append(attempt(told));
  for (const text of [said.demanded, said.if_it_fails]) if (text) box.append(el("p", { className: "sub" }, text));
  box.append(letter(said.letter));
  return box;
}
