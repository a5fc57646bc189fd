// Elements, formats and the data.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
};
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const replace = (node, ...children) => node.replaceChildren(...children.flat(Infinity).filter(Boolean));

const hint = (text) => h("p", { class: "hint" }, text);
const sub = (text, kind = "") => h("span", { class: `sub ${kind}`.trim() }, text);
const icon = (width, height, ...children) => s("svg", { width, height, "aria-hidden": "true" }, children);
const keys = (names, symbol) => h("p", { class: "keys" }, names.map((name, i) => h("span", {}, symbol(name, i), name)));
const readout = () => h("output", { class: "readout", "aria-live": "polite" }, "\u00a0");
const scrollable = (label, table) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
const headings = (names, attributes) => names.map((name) => h("th", { scope: "col", ...attributes }, name));

// A frame that came as columns, as a list of rows.
const unpack = (columns) => {
  const names = Object.keys(columns);
  const lists = names.map((name) => {
    const column = columns[name];
    return Array.isArray(column) ? column : column.at.map((index) => column.of[index]);
  });
  const length = lists.length ? lists[0].length : 0;
  return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name, j) => [name, lists[j][i]])));
};

const known = (value) => typeof value === "number";
const share = (title) => ({ title, factor: 100, digits: 1, higher: true, step: "points" });
const distance = (title, step) => ({ title, factor: 1, digits: 2, higher: false, step });
const METRICS = {
  dice: share("Dice %"), jaccard: share("Jaccard %"), nsd_voxel: share("NSD % voxel"), nsd_mm: share("NSD % mm"),
  hd95_voxel: distance("HD95 voxel", "voxels"), asd_voxel: distance("ASD voxel", "voxels"),
  hd95_mm: distance("HD95 mm", "mm"), asd_mm: distance("ASD mm", "mm"),
};
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = (value) => (known(value) ? grouped.format(value) : "n/a");
const minus = (text) => text.replace("-", "\u2212");
const number = (metric, value) => (known(value) ? minus((METRICS[metric].factor * value).toFixed(METRICS[metric].digits)) : "n/a");
const signed = (metric, value) => (known(value) ? (value > 0 ? "+" : "") + number(metric, value) : "n/a");
const bounds = (metric, low, high) => (known(low) || known(high) ? `[${number(metric, low)}, ${number(metric, high)}]` : "");
const percent = (value) => number("dice", value);
const seconds = (value) => (known(value) ? (value >= 1000 ? count(value) : value.toFixed(1)) : "n/a");
const slug = (group) => `${group.table}-${group.labelled ?? "all"}`;

// Marks: a colour and a shape for each method, a hollow grey circle for references.
const isReference = (method) => (DATA.styles[method]?.colour ?? null) === null;
const colour = (method) => (isReference(method) ? "var(--ref)" : `var(--c${DATA.styles[method].colour})`);
const SHAPES = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (x, y, r) => `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  (x, y, r) => `M${x} ${y - 1.2 * r}L${x + 1.15 * r} ${y + 0.85 * r}H${x - 1.15 * r}z`,
  (x, y, r) => `M${x} ${y - 1.3 * r}L${x + 1.3 * r} ${y}L${x} ${y + 1.3 * r}L${x - 1.3 * r} ${y}z`,
  (x, y, r) => `M${x} ${y + 1.2 * r}L${x + 1.15 * r} ${y - 0.85 * r}H${x - 1.15 * r}z`,
  (x, y, r) => `M${x - r} ${y - 0.4 * r}h${0.6 * r}v${-0.6 * r}h${0.8 * r}v${0.6 * r}h${0.6 * r}v${0.8 * r}h${-0.6 * r}v${0.6 * r}h${-0.8 * r}v${-0.6 * r}h${-0.6 * r}z`,
];
const mark = (method, x, y, r = 4) => {
  const shape = DATA.styles[method]?.shape ?? null;
  const path = SHAPES[shape ?? 0](x, y, r);
  return s("path", shape === null
    ? { d: path, class: "hollow", stroke: colour(method), "stroke-width": 1.6 }
    : { d: path, fill: colour(method), stroke: "var(--paper)", "stroke-width": 0.7 });
};
const swatch = (method) => icon(14, 14, mark(method, 7, 7, 4.4));
const named = (method) => h("span", { class: "name" }, swatch(method), method);
