// Elements, figures as text, and colours: what all parts of the page are made of. Whatever comes from the profile becomes a text node
// or an attribute, never markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const UNKNOWN = "–";
/** What stands for a number that is none: "inf", "-inf" and "nan" say which. */
const noNumber = (value) => (["inf", "-inf", "nan"].includes(value) ? value : UNKNOWN);
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Three digits that count, as 1.23, 12.3, 123, 1230. */
function figure(value) {
  if (!known(value)) return noNumber(value);
  const size = Math.abs(value);
  return value.toFixed(size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4);
}
function duration(us) {
  if (!known(us)) return noNumber(us);
  const size = Math.abs(us);
  if (size >= 1e6) return `${figure(us / 1e6)} s`;
  if (size >= 1e3) return `${figure(us / 1e3)} ms`;
  return size >= 1 || size === 0 ? `${figure(us)} µs` : `${figure(us * 1e3)} ns`;
}
const percent = (share) => (known(share) ? `${(100 * share).toFixed(1)} %` : noNumber(share));
const times = (ratio) => (known(ratio) ? `${ratio.toFixed(2)}×` : noNumber(ratio));
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const isProduct = (task) => task.kernel === "matmul";
const headNumbers = ({ head, heads }) => (heads > 1 ? `${head}–${head + heads - 1}` : `${head}`);
const headName = (task) => (isProduct(task) ? "product" : `head${task.heads > 1 ? "s" : ""} ${headNumbers(task)}`);
const rate = (task) => task.flops / (task.end_us - task.start_us) / 1e3;

function range(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

/** Ticks at 1, 2 or 5 times a power of ten, about `count` of them. */
function niceTicks(begin, end, count) {
  const rough = (end - begin) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(begin / step - 1e-9); i * step <= end + step * 1e-9; i++) ticks.push(i * step);
  return { step, ticks };
}

const themeColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Paul Tol's "light" scheme: told apart with any kind of colour blindness, and black text can be read on all of it. A second, third and
// fourth turn through it adds stripes, dots and the other stripes; heads beyond 32 share their looks, which the labels tell apart.
const HEAD_COLORS = ["#77aadd", "#ee8866", "#44bb99", "#eedd88", "#ffaabb", "#99ddff", "#bbcc33", "#c9a0dc"];
const PRODUCT_COLOR = "#bfc5cc";
const fills = new Map();

/** What fills the slices of the index-th head: a colour, or a pattern where there is room to see one. */
function headFill(context, index, plain = false) {
  if (index < 0) return PRODUCT_COLOR;
  const color = HEAD_COLORS[index % HEAD_COLORS.length];
  const texture = Math.floor(index / HEAD_COLORS.length) % 4;
  if (plain || texture === 0) return color;
  const key = `${color} ${texture}`;
  if (!fills.has(key)) {
    const tile = element("canvas", { width: 8, height: 8 });
    const brush = tile.getContext("2d");
    brush.fillStyle = color;
    brush.fillRect(0, 0, 8, 8);
    brush.fillStyle = brush.strokeStyle = "rgb(0 0 0 / 0.38)";
    brush.lineWidth = 1.6;
    if (texture === 2) brush.fillRect(2, 2, 3, 3);
    const [from, to] = texture === 1 ? [9, -1] : [-1, 9];
    for (const shift of texture === 2 ? [] : [-8, 0, 8]) {
      brush.beginPath();
      brush.moveTo(-1 + shift, from);
      brush.lineTo(9 + shift, to);
      brush.stroke();
    }
    fills.set(key, context.createPattern(tile, "repeat"));
  }
  return fills.get(key);
}

const tooltip = {
  show(title, rows, x, y) {
    const box = document.getElementById("tooltip");
    box.replaceChildren(element("strong", {}, title), element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
    box.hidden = false;
    // Beside the pointer, on the side where there is room.
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(4, x + 14 + width > innerWidth ? x - 14 - width : x + 14)}px`;
    box.style.top = `${Math.max(4, y + 14 + height > innerHeight ? y - 14 - height : y + 14)}px`;
  },
  hide() {
    document.getElementById("tooltip").hidden = true;
  },
};

/** A canvas as wide as its place and `height` high; draw(context, width) is called when its width or the colours change. */
function drawing(height, label, draw, attributes = {}) {
  const canvas = element("canvas", { role: "img", "aria-label": label, ...attributes }, label);
  canvas.style.height = `${height}px`;
  const redraw = () => {
    const width = canvas.clientWidth;
    if (!width) return;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    draw(context, width);
  };
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return { canvas, redraw };
}
