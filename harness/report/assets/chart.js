// What every figure is drawn with: ticks, scales, axes, and a readout that pointer and arrow keys move.

const ticks = (low, high, wanted = 5) => {
  const span = high - low || 1;
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + 1e-9 * span; value += step) values.push(Number(value.toPrecision(10)));
  return values;
};
const extent = (values) => {
  const there = values.filter(known);
  return there.length ? [Math.min(...there), Math.max(...there)] : [0, 1];
};
const padded = ([low, high], share = 0.05, floor = -Infinity, ceiling = Infinity) => {
  const pad = (high - low || Math.abs(high) || 1) * share;
  return [Math.max(floor, low - pad), Math.min(ceiling, high + pad)];
};
const percentDomain = (fractions) => padded(extent(fractions.filter(known).map((value) => 100 * value)), 0.04, 0, 100);
const linear = ([low, high], [from, to]) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
const logarithmic = ([low, high], range) => {
  const inner = linear([Math.log(low), Math.log(high)], range);
  return (value) => inner(Math.log(value));
};
const short = (value) => minus(String(Number(value.toPrecision(3))));

// An empty chart of a container's width. Options: height, x and y domains, their titles, margins, label; bare: no y axis;
// stops: the only values on x, which is then logarithmic.
const frame = (container, options) => {
  const width = Math.max(260, container.clientWidth || 600);
  const { height = 300, label } = options;
  const [top, right, bottom, left] = options.margins ?? [10, 12, 38, 44];
  const x = (options.stops ? logarithmic : linear)(options.x, [left, width - right]);
  const y = linear(options.y, [height - bottom, top]);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  for (const value of options.bare ? [] : ticks(...options.y)) {
    svg.append(s("line", { class: "gridline", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    svg.append(s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const value of options.stops ?? ticks(...options.x, width < 420 ? 4 : 7)) {
    svg.append(s("line", { class: "axis", x1: x(value), x2: x(value), y1: height - bottom, y2: height - bottom + 4 }));
    svg.append(s("text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" }, short(value)));
  }
  svg.append(s("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  svg.append(s("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, options.xTitle));
  const middle = top + (height - bottom - top) / 2;
  svg.append(s("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, options.yTitle));
  return { svg, x, y, width, height, top, right, bottom, left };
};

// A method's line in pixels: dashed for a reference; and the band between two.
const line = (chart, method, points, attributes) => chart.svg.append(s("path", { d: path(points), fill: "none", stroke: colour(method), "stroke-width": 1.8, "stroke-dasharray": isReference(method) ? "4 3" : null, ...attributes }));
const band = (chart, method, high, low, opacity) => chart.svg.append(s("path", { class: "band", d: `${path([...high, ...low.toReversed()])}z`, fill: colour(method), opacity }));

// The lines of methods by name, or a word in their place.
const byMethod = (host, rows, otherwise) => {
  if (!rows.length) host.append(hint(otherwise));
  return rows.length ? Map.groupBy(rows, (row) => row.entry) : null;
};

// Margins that leave room for names at the ends of lines, where the chart is wide enough for them.
const isWide = (host) => host.clientWidth > 420;
const namedMargins = (host, names) => [10, isWide(host) ? Math.min(140, 24 + 6.6 * Math.max(...names.map((name) => name.length))) : 10, 38, 44];

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// Names at the ends of lines, pushed apart; ends: [method, x, y].
const endLabels = (chart, ends) => {
  const sorted = ends.toSorted((a, b) => a[2] - b[2]);
  const gap = 13;
  const heights = sorted.map((end) => end[2]);
  for (let i = 1; i < heights.length; i += 1) heights[i] = Math.max(heights[i], heights[i - 1] + gap);
  const over = heights.length ? heights.at(-1) - (chart.height - chart.bottom) : 0;
  if (over > 0) {
    heights[heights.length - 1] -= over;
    for (let i = heights.length - 2; i >= 0; i -= 1) heights[i] = Math.min(heights[i], heights[i + 1] - gap);
  }
  const edge = chart.width - chart.right;
  return sorted.map(([method, x, y], i) => [
    s("path", { d: path([[x + 5, y], [edge + 4, heights[i]]]), stroke: colour(method), "stroke-width": 0.8, fill: "none", opacity: 0.6 }),
    mark(method, edge + 10, heights[i], 3.2),
    s("text", { class: "ink", x: edge + 17, y: heights[i] + 4 }, method),
  ]);
};

// Lets the pointer, a finger or the arrow keys choose among `stops` (x in data runs, ascending).
const readable = (chart, stops, describe) => {
  const { svg, x, top, bottom, height } = chart;
  const pointer = s("line", { class: "axis", y1: top, y2: height - bottom, visibility: "hidden", "stroke-dasharray": "3 3" });
  const output = readout();
  let at = stops.length - 1;
  const choose = (index) => {
    if (!stops.length) return;
    at = Math.min(Math.max(index, 0), stops.length - 1);
    fill(pointer, { x1: x(stops[at]), x2: x(stops[at]) }, []);
    pointer.setAttribute("visibility", "visible");
    replace(output, describe(stops[at]));
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const here = ((event.clientX - box.left) / box.width) * chart.width;
    choose(stops.reduce((best, stop, i) => (Math.abs(x(stop) - here) < Math.abs(x(stops[best]) - here) ? i : best), 0));
  };
  svg.append(pointer);
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); choose(at + step); }
  });
  svg.addEventListener("focus", () => choose(at));
  return output;
};
