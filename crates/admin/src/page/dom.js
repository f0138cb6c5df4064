// Elements, times and sizes.

/** An element with properties, `on...` handlers and children. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const ahead = seconds < 0, size = Math.abs(seconds);
  const [unit, number] = size < 90 ? ["s", size] : size < 5400 ? ["min", size / 60] : size < 129600 ? ["h", size / 3600] : ["days", size / 86400];
  return ahead ? `in ${Math.round(number)} ${unit}` : `${Math.round(number)} ${unit} ago`;
}

export function when(time) {
  return el("time", { dateTime: time, title: new Date(time).toLocaleString() }, ago(time));
}

export function size(octets) {
  return octets < 1024 ? `${octets} B` : octets < 1048576 ? `${(octets / 1024).toFixed(1)} kB` : `${(octets / 1048576).toFixed(1)} MB`;
}

/** Puts `make()` into `place` when what it is made of has changed; whether it did. */
export function draw(place, from, make) {
  const mark = JSON.stringify(from);
  if (place.dataset.mark === mark) return false;
  place.dataset.mark = mark;
  place.replaceChildren(make());
  return true;
}
