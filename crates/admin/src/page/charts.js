// Pictures, as SVG elements. Nothing here takes a text as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const AGES = ["under 1 min", "1–10 min", "10–60 min", "1–6 h", "6–24 h", "1–5 days", "over 5 days"];
export const SEALS = [
  ["verified", "verified"], ["trusted", "trusted"], ["untrusted", "encrypted, not checked"], ["none", "in clear"],
  ["deferred", "deferred"], ["bounced", "bounced"],
];

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

/** A list of coloured names with their numbers. */
function legend(entries) {
  const list = document.createElement("ul");
  list.className = "legend";
  for (const [kind, name, number] of entries) {
    const item = document.createElement("li");
    item.className = `c-${kind}`;
    const count = document.createElement("b");
    count.textContent = number.toLocaleString();
    item.append(`${name} `, count);
    list.append(item);
  }
  return list;
}

/** One bar, split by age. */
export function ages(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const picture = shape("svg", { viewBox: "0 0 600 26", preserveAspectRatio: "none", role: "img", height: 26 });
  picture.style.height = "26px";
  picture.append(title(total ? counts.map((count, n) => `${AGES[n]}: ${count}`).join(", ") : "nothing waits"));
  picture.append(shape("rect", { class: "c-a0", x: 0, y: 0, width: 600, height: 26, rx: 6, opacity: total ? 0 : 0.5 }));
  let x = 0;
  counts.forEach((count, n) => {
    if (!count) return;
    const width = (600 * count) / total;
    picture.append(shape("rect", { class: `c-a${n}`, x, y: 0, width: Math.max(width - 1.5, 1), height: 26, rx: 3 }));
    x += width;
  });
  const box = document.createDocumentFragment();
  box.append(picture, legend(counts.map((count, n) => [`a${n}`, AGES[n], count]).filter(([, , count]) => count)));
  return box;
}

/** Seven little bars. */
export function spark(counts) {
  const most = Math.max(...counts, 1);
  const picture = shape("svg", { class: "spark", viewBox: "0 0 84 22", role: "img" });
  picture.append(title(counts.map((count, n) => `${AGES[n]}: ${count}`).join(", ")));
  counts.forEach((count, n) => {
    // A single message must be seen beside a thousand.
    const height = count ? 3 + (17 * Math.log1p(count)) / Math.log1p(most) : 1;
    picture.append(shape("rect", { class: `c-a${n}`, x: n * 12 + 1, y: 21 - height, width: 10, height, rx: 1.5 }));
  });
  return picture;
}

/** Stacked columns over the last day, quarter of an hour by quarter of an hour. */
export function posture(buckets, now) {
  const WIDTH = 720, HEIGHT = 150, STEP = 900, COLUMNS = 96;
  const end = Math.floor(now / STEP) + 1, columns = Array.from({ length: COLUMNS }, () => SEALS.map(() => 0));
  const totals = SEALS.map(() => 0);
  for (const bucket of buckets) {
    const at = Math.floor(bucket.at / STEP) - (end - COLUMNS);
    if (at < 0 || at >= COLUMNS) continue;
    SEALS.forEach(([kind], n) => { columns[at][n] += bucket[kind]; totals[n] += bucket[kind]; });
  }
  const most = Math.max(...columns.map((column) => column.reduce((sum, count) => sum + count, 0)), 1);
  const picture = shape("svg", { viewBox: `0 -8 ${WIDTH} ${HEIGHT + 26}`, role: "img" });
  picture.append(title(SEALS.map(([, name], n) => `${name}: ${totals[n]}`).join(", ")));
  for (const part of [0, 0.5, 1]) {
    const y = HEIGHT * (1 - part);
    picture.append(shape("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
    if (part) picture.append(shape("text", { x: 2, y: y - 3 }, Math.round(most * part).toLocaleString()));
  }
  const width = WIDTH / COLUMNS;
  columns.forEach((column, at) => {
    let y = HEIGHT;
    column.forEach((count, n) => {
      if (!count) return;
      const height = Math.max((HEIGHT * count) / most, 0.75);
      y -= height;
      picture.append(shape("rect", { class: `c-${SEALS[n][0]}`, x: at * width + 0.5, y, width: width - 1, height }));
    });
  });
  for (const hours of [24, 18, 12, 6]) {
    const x = WIDTH - (hours * 3600 / STEP) * width;
    const time = new Date((end * STEP - hours * 3600) * 1000);
    const label = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    picture.append(shape("text", { x, y: HEIGHT + 14 }, label));
  }
  picture.append(shape("text", { x: WIDTH, y: HEIGHT + 14, "text-anchor": "end" }, "now"));
  const box = document.createDocumentFragment();
  box.append(picture, legend(SEALS.map(([kind, name], n) => [kind, name, totals[n]])));
  return box;
}
