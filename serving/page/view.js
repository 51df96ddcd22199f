// How images, scales and shares look.

const SVG = "http://www.w3.org/2000/svg";
const NEGATIVE = [33, 102, 172], POSITIVE = [202, 44, 60];

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function picture([height, width], label) {
  const canvas = el("canvas", { width, height, class: "pixels" });
  if (label) fill(canvas, { role: "img", "aria-label": label }, []);
  else canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

export function drawImage(canvas, image) {
  paint(canvas, image, (value) => [255 * value, 255 * value, 255 * value]);
}

// White where nothing changed; blue where a pixel got darker, red where it got brighter.
export function drawChange(canvas, change, eps) {
  paint(canvas, change, (value) => diverging(eps > 0 ? value / eps : 0));
}

function diverging(share) {
  const end = share < 0 ? NEGATIVE : POSITIVE, far = Math.min(1, Math.abs(share));
  return end.map((part) => 247 + far * (part - 247));
}

function paint(canvas, values, colour) {
  const context = canvas.getContext("2d"), data = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, place) => {
    const [red, green, blue] = colour(value);
    data.data.set([red, green, blue, 255], 4 * place);
  });
  context.putImageData(data, 0, 0);
}

// The colours of `drawChange` with their numbers.
export function colourScale(eps, label) {
  const canvas = picture([1, 64]);
  canvas.className = "ramp";
  drawChange(canvas, Float32Array.from({ length: 64 }, (_, place) => (place / 63) * 2 - 1), 1);
  const ends = el("div", { class: "row spread" }, el("span", {}, `−${eps}`), el("span", {}, "0"), el("span", {}, `+${eps}`));
  return el("div", { class: "scale" }, canvas, ends, el("span", { class: "note" }, label));
}

// The detector's score from 0 to the largest there is, on a square-root scale, since thresholds are small.
export function scoreScale({ scores, threshold, largest, thresholdLabel, label }) {
  const width = 300, left = 8, right = 292;
  const place = (score) => left + (right - left) * Math.sqrt(Math.min(1, score / largest));
  const drawn = svg("svg", { viewBox: `0 0 ${width} 66`, class: "score", role: "img", "aria-label": label });
  drawn.append(
    svg("rect", { x: left, y: 22, width: place(threshold) - left, height: 10, class: "fine" }),
    svg("rect", { x: place(threshold), y: 22, width: right - place(threshold), height: 10, class: "alarm" }),
    svg("line", { x1: place(threshold), x2: place(threshold), y1: 17, y2: 37, class: "limit" }),
  );
  for (const tick of [0, largest / 4, largest].filter((each) => Math.abs(place(each) - place(threshold)) > 30 || !each)) {
    drawn.append(svg("text", { x: place(tick), y: 60, "text-anchor": tick ? (tick === largest ? "end" : "middle") : "start" }, short(tick)));
  }
  drawn.append(svg("text", { x: place(threshold), y: 60, "text-anchor": "middle" }, thresholdLabel));
  for (const { score, kind } of scores) {
    const shape = kind === "attacked" ? `M${place(score)} 33 l-6 12 h12 z` : `M${place(score)} 21 l-6 -12 h12 z`;
    drawn.append(svg("path", { d: shape, class: `mark ${kind}` }));
  }
  return drawn;
}

const short = (value) => String(Number(value.toPrecision(3)));

// A share as a bar; the number beside it is the text, so the bar itself is hidden from screen readers.
export function bar(share, kind) {
  const inner = el("div", { class: `bar ${kind}` });
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return el("div", { class: "track", "aria-hidden": "true" }, inner);
}

// Two bars about a middle: what a number's change down and up does to the answer.
export function moveBar(value, largest, kind) {
  const inner = el("div", { class: `bar ${kind} ${value < 0 ? "left" : "right"}` });
  inner.style.width = `${largest > 0 ? 50 * Math.min(1, Math.abs(value) / largest) : 0}%`;
  return el("div", { class: "track middle", "aria-hidden": "true" }, inner);
}

export function segments(name, options, chosen, onChange) {
  return options.map(({ value, text, disabled, title }) =>
    el("label", { class: disabled ? "off" : null, title },
      el("input", { type: "radio", name, value, checked: value === chosen, disabled, onchange: () => onChange(value) }),
      el("span", {}, text)));
}
