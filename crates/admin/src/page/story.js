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
  const lines = [one.recipient, [one.status, one.reason].filter(Boolean).join(" "), one.reply].filter(Boolean);
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

/** All of it. */
export function story(told) {
  const box = el("div");
  if (told.verdict) box.append(el("p", { className: `verdict ${told.ok === false ? "bad" : told.ok ? "good" : ""}` }, told.verdict));
  else if (told.ok !== undefined) box.append(el("p", { className: `verdict ${told.ok ? "good" : "bad"}` }, told.ok ? "Mail could be sent." : "Mail would not go just now."));
  if (told.reason) box.append(el("p", {}, told.reason));
  for (const one of told.attempts || []) {
    const head = [one.attempt ? `Attempt ${one.attempt}` : "", one.started ? ago(one.started) : ""].filter(Boolean).join(", ");
    if (head) box.append(el("h3", {}, head));
    box.append(attempt(one));
  }
  if (told.steps) box.append(attempt(told));
  if (told.postmaster) box.append(el("h3", {}, "For the other side's postmaster"), el("pre", { tabIndex: 0 }, told.postmaster));
  return box;
}
