// Pictures, as SVG elements. Nothing here takes a text as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const AGES = ["under 1 min", "1–10 min", "10–60 min", "1–6 h", "6–24 h", "1–5 days", "over 5 days"];
const SEALS = [["verified", "verified"], ["trusted", "trusted"], ["untrusted", "encrypted, not checked"], ["none", "in clear"]];
const FAILS = [["deferred", "deferred"], ["bounced", "bounced"]];
/** Width in seconds, and columns of so many seconds. */
export const SPANS = { "1 h": [3600, 300], "6 h": [21600, 300], "24 h": [86400, 900] };

/** An element of SVG. */
function shape(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function title(text) {
  return shape("title", {}, document.createTextNode(text));
}

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

function percent(part, whole) {
  const share = (100 * part) / whole;
  return share > 0 && share < 1 ? "<1 %" : share > 99 && share < 100 ? ">99 %" : `${Math.round(share)} %`;
}

/** A list of coloured names with their numbers. */
function legend(entries) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const [kind, name, number, more] of entries) {
    const item = document.createElement("li");
    item.className = `c-${kind}`;
    const count = document.createElement("b");
    count.textContent = number.toLocaleString();
    item.append(`${name} `, count);
    if (more) item.append(` ${more}`);
    list.append(item);
  }
  return list;
}

/** One bar, split; `parts` are kind, name and number. */
function bar(parts, nothing, height = 26) {
  const total = sum(parts.map(([, , count]) => count));
  const picture = shape("svg", { viewBox: `0 0 600 ${height}`, preserveAspectRatio: "none", role: "img", class: "bar" });
  picture.style.height = `${height}px`;
  picture.append(title(total ? parts.map(([, name, count]) => `${name}: ${count}`).join(", ") : nothing));
  if (!total) picture.append(shape("rect", { class: "empty", x: 0, y: 0, width: 600, height }));
  let x = 0;
  for (const [kind, name, count] of parts) {
    if (!count) continue;
    const width = (600 * count) / total;
    picture.append(shape("rect", { class: `c-${kind}`, x, y: 0, width: Math.max(width - 1.5, 1.5), height }, title(`${name}: ${count}`)));
    x += width;
  }
  return picture;
}

/** How old what waits is. */
export function ages(counts) {
  const parts = counts.map((count, n) => [`a${n}`, AGES[n], count]);
  const box = document.createDocumentFragment();
  box.append(bar(parts, "nothing waits"), legend(parts.filter(([, , count]) => count)));
  return box;
}

/** A destination's part of the queue: as long as it has messages beside the fullest one, and split by age. */
export function load(counts, most) {
  const total = sum(counts), picture = shape("svg", { class: "load", viewBox: "0 0 160 14", preserveAspectRatio: "none", role: "img" });
  picture.append(title(counts.map((count, n) => `${AGES[n]}: ${count}`).join(", ")));
  picture.append(shape("rect", { class: "empty", x: 0, y: 5, width: 160, height: 4 }));
  // Whoever has anything is seen.
  const length = total ? Math.max(4, (160 * total) / Math.max(most, 1)) : 0;
  let x = 0;
  counts.forEach((count, n) => {
    if (!count) return;
    const width = (length * count) / total;
    picture.append(shape("rect", { class: `c-a${n}`, x, y: 0, width, height: 14 }));
    x += width;
  });
  return picture;
}

/** The shortest span that everything is in. */
export function fittingSpan(buckets, now) {
  const counted = buckets.filter((bucket) => [...SEALS, ...FAILS].some(([kind]) => bucket[kind]));
  const age = counted.length ? now - Math.min(...counted.map((bucket) => bucket.at)) : 0;
  return Object.keys(SPANS).find((name) => age < SPANS[name][0] - 300) || "24 h";
}

/** How mail left: what was delivered stands on the line, by its seal; what was not hangs below it. */
export function posture(buckets, now, span) {
  const [width, step] = SPANS[span], columns = width / step, end = Math.floor(now / step) + 1;
  const kinds = [...SEALS, ...FAILS], counts = Array.from({ length: columns }, () => kinds.map(() => 0)), totals = kinds.map(() => 0);
  for (const bucket of buckets) {
    const at = Math.floor(bucket.at / step) - (end - columns);
    if (at < 0 || at >= columns) continue;
    kinds.forEach(([kind], n) => { counts[at][n] += bucket[kind]; totals[n] += bucket[kind]; });
  }
  const left = sum(totals.slice(0, SEALS.length));
  const box = document.createDocumentFragment();
  if (!sum(totals)) {
    const none = document.createElement("p");
    none.className = "none";
    none.textContent = "Nothing has left in this time. What leaves is counted here by how it was sealed.";
    box.append(none);
    return box;
  }
  box.append(bar(SEALS.map(([kind, name], n) => [kind, name, totals[n]]), "nothing left in this time", 14));
  box.append(legend(SEALS.map(([kind, name], n) => [kind, name, totals[n], left ? percent(totals[n], left) : ""])));
  box.append(columnsOf(counts, totals, [end * step, step, width]));
  box.append(legend(FAILS.map(([kind, name], n) => [kind, name, totals[SEALS.length + n]])));
  return box;
}

function columnsOf(counts, totals, [end, step, span]) {
  const WIDTH = 720, UP = 110, DOWN = 34, kinds = [...SEALS, ...FAILS], width = WIDTH / counts.length;
  const above = (column) => sum(column.slice(0, SEALS.length)), below = (column) => sum(column.slice(SEALS.length));
  const most = Math.max(...counts.map(above), 1), worst = Math.max(...counts.map(below), 1);
  const picture = shape("svg", { viewBox: `0 -14 ${WIDTH} ${UP + DOWN + 34}`, role: "img", class: "posture" });
  picture.append(title(kinds.map(([, name], n) => `${name}: ${totals[n]}`).join(", ")));
  for (const part of [0.5, 1]) {
    const y = UP * (1 - part);
    picture.append(shape("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
    if (part * most >= 1) picture.append(shape("text", { x: 2, y: y - 4 }, Math.round(most * part).toLocaleString()));
  }
  counts.forEach((column, at) => {
    const time = clock(end - (counts.length - at) * step), group = shape("g", {});
    const stack = (from, kinds, y, scale, down) => kinds.forEach(([kind], n) => {
      const count = column[from + n];
      if (!count) return;
      const height = Math.max(count * scale, 1.5);
      if (!down) y -= height;
      group.append(shape("rect", { class: `c-${kind}`, x: at * width + 0.5, y, width: Math.max(width - 1, 1), height }));
      if (down) y += height;
    });
    stack(0, SEALS, UP, UP / most, false);
    stack(SEALS.length, FAILS, UP + 1, DOWN / worst, true);
    if (!group.children.length) return;
    const told = kinds.map(([, name], n) => column[n] ? `${name} ${column[n].toLocaleString()}` : "").filter(Boolean).join(", ");
    group.prepend(title(`${time}: ${told}`));
    picture.append(group);
  });
  picture.append(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: UP + 0.5, y2: UP + 0.5 }));
  for (const part of [1, 0.75, 0.5, 0.25]) picture.append(shape("text", { x: WIDTH * (1 - part), y: UP + DOWN + 16 }, clock(end - span * part)));
  picture.append(shape("text", { x: WIDTH, y: UP + DOWN + 16, "text-anchor": "end" }, "now"));
  return picture;
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}
