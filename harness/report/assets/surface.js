// The search: validation Dice over two dimensions, and over each alone.

const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
const MOST_STEPS = 12;
const shade = (share) => {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const i = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return CIVIDIS[i].map((low, k) => Math.round(low + (at - i) * (CIVIDIS[i + 1][k] - low)));
};
const rgb = (parts) => `rgb(${parts.join(" ")})`;
const inkOn = (parts) => ((0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]) > 120 ? "#111" : "#fff");

const titleOfDimension = (dimension) => words(dimension.name) + (dimension.with.length ? ` (and ${dimension.with.map(words).join(", ")} alike)` : "");
const levelsOf = (dimension) => {
  const levels = unique(dimension.values.filter((value) => value !== null));
  return dimension.kind === "choice" ? levels : levels.sort((a, b) => a - b);
};

// Position of a value along an axis in [0, 1]: steps for words and few numbers, a scale otherwise.
const axisOf = (dimension) => {
  const levels = levelsOf(dimension);
  const steps = dimension.kind === "choice" || (levels.length <= MOST_STEPS && levels.length < 0.75 * dimension.values.length);
  if (steps) return { levels, steps, at: (value) => (levels.indexOf(value) + 0.5) / levels.length };
  const domain = extent(levels);
  const scale = (dimension.kind === "log" ? logarithmic : linear)(domain, [0.04, 0.96]);
  return { levels: dimension.kind === "log" ? unique([domain[0], Math.sqrt(domain[0] * domain[1]), domain[1]]) : ticks(...domain, 4), steps, at: scale };
};
const levelText = (value) => (known(value) ? short(value) : String(value));

const scored = (surface) => surface.trials.map((trial, i) => ({ ...trial, i }));
// The first point is the suite's own configuration, but in a grid, which has no default.
const isDefault = (trial) => trial.point === 0 && !DATA.grid;
const trialText = (surface, trial) => `point ${trial.point}${isDefault(trial) ? " (default)" : ""}, study ${trial.study}: `
  + `${known(trial.score) ? `${percent(trial.score)} % validation Dice${trial.status === "ok" ? "" : `, ${trial.status}`}` : trial.status}${trial.chosen ? ", chosen" : ""}; `
  + surface.dimensions.map((dimension) => `${words(dimension.name)} ${dimension.values[trial.i] === null ? "\u2013" : levelText(dimension.values[trial.i])}`).join(", ");

const trialMark = (trial, x, y, fillColour, ink = "var(--ink)") => {
  const parts = [];
  if (trial.status === "ended_early" && known(trial.score)) parts.push(s("circle", { cx: x, cy: y, r: 5, fill: "none", stroke: ink, "stroke-width": 1.2, "stroke-dasharray": "2 1.5" }));
  else if (trial.status !== "ok" || !known(trial.score)) parts.push(s("path", { d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8`, stroke: "var(--failed)", "stroke-width": 2 }));
  else parts.push(s("circle", { cx: x, cy: y, r: 5, fill: fillColour, stroke: ink, "stroke-width": 1.2 }));
  if (trial.chosen) parts.push(s("circle", { cx: x, cy: y, r: 8.5, fill: "none", stroke: ink, "stroke-width": 2 }));
  if (isDefault(trial)) parts.push(s("rect", { x: x - 8, y: y - 8, width: 16, height: 16, fill: "none", stroke: ink, "stroke-width": 1.2, "stroke-dasharray": "2 2" }));
  return parts;
};

const surfaceChart = (host, surface, [i, j], output) => {
  const [dx, dy] = [surface.dimensions[i], surface.dimensions[j]];
  const [ax, ay] = [axisOf(dx), axisOf(dy)];
  const width = Math.max(280, host.clientWidth || 600);
  const left = Math.min(0.46 * width, 14 + 6.2 * Math.max(...ay.levels.map((value) => levelText(value).length)));
  const height = ay.steps ? Math.max(180, 72 + 42 * ay.levels.length) : 340;
  const [right, bottom, top] = [14, 46, 24];
  const x = (share) => left + share * (width - left - right);
  const y = (share) => height - bottom - share * (height - bottom - top);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Validation Dice of ${surface.entry} over ${dx.name} and ${dy.name}` });
  const trials = scored(surface).filter((trial) => dx.values[trial.i] !== null && dy.values[trial.i] !== null)
    .map((trial) => ({ ...trial, px: ax.at(dx.values[trial.i]), py: ay.at(dy.values[trial.i]) }));
  const fine = trials.filter((trial) => trial.status === "ok" && known(trial.score));
  const [low, high] = extent(fine.map((trial) => trial.score));
  const share = (score) => (score - low) / (high - low || 1);
  if (ax.steps && ay.steps) {
    for (const [cell, inside] of Map.groupBy(fine, (trial) => `${trial.px}|${trial.py}`)) {
      const [px, py] = cell.split("|").map(Number);
      const mean = inside.reduce((sum, trial) => sum + trial.score, 0) / inside.length;
      const [w, hgt] = [(width - left - right) / ax.levels.length, (height - bottom - top) / ay.levels.length];
      const tone = shade(share(mean));
      svg.append(s("rect", { class: "cell", x: x(px) - w / 2 + 1, y: y(py) - hgt / 2 + 1, width: w - 2, height: hgt - 2, rx: 3, fill: rgb(tone) }));
      svg.append(s("text", { x: x(px), y: y(py) - 7, "text-anchor": "middle", style: `fill: ${inkOn(tone)}; font-weight: 600` }, percent(mean) + (inside.length > 1 ? ` (${inside.length})` : "")));
    }
  } else if (fine.length > 2) {
    const [nx, ny] = [36, 24];
    const ground = s("g", { opacity: 0.55, "shape-rendering": "crispEdges" });
    svg.append(ground);
    for (let u = 0; u < nx; u += 1) for (let v = 0; v < ny; v += 1) {
      const [cx, cy] = [(u + 0.5) / nx, (v + 0.5) / ny];
      const weights = fine.map((trial) => 1 / ((trial.px - cx) ** 2 + (trial.py - cy) ** 2 + 1e-3));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const value = fine.reduce((sum, trial, k) => sum + weights[k] * trial.score, 0) / total;
      ground.append(s("rect", { x: x(u / nx), y: y((v + 1) / ny), width: (width - left - right) / nx + 0.6, height: (height - bottom - top) / ny + 0.6, fill: rgb(shade(share(value))) }));
    }
  }
  for (const value of ax.levels) svg.append(s("text", { x: x(ax.at(value)), y: height - bottom + 16, "text-anchor": "middle" }, levelText(value)));
  for (const value of ay.levels) svg.append(s("text", { class: "ink", x: left - 6, y: y(ay.at(value)) + 4, "text-anchor": "end" }, levelText(value)));
  svg.append(s("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, `${titleOfDimension(dx)} \u2192`));
  svg.append(s("text", { x: 0, y: 12 }, `\u2191 ${titleOfDimension(dy)}`));
  const stacks = new Map();
  for (const trial of trials) {
    const key = `${trial.px}|${trial.py}`;
    const nth = stacks.get(key) ?? 0;
    stacks.set(key, nth + 1);
    const say = () => { output.textContent = trialText(surface, trial); };
    const tone = known(trial.score) ? shade(share(trial.score)) : null;
    const grid = ax.steps && ay.steps;
    svg.append(s("g", { class: "trial", tabindex: 0, role: "img", "aria-label": trialText(surface, trial), onpointerenter: say, onpointerdown: say, onfocus: say },
      trialMark(trial, x(trial.px) + (grid ? 13 * nth : 0), y(trial.py) + (grid ? 9 : 0), tone ? rgb(tone) : "none", grid && tone ? inkOn(tone) : "var(--ink)")));
  }
  return svg;
};

const dimensionChart = (surface, index, output) => {
  const dimension = surface.dimensions[index];
  const axis = axisOf(dimension);
  const host = h("figure", {}, h("figcaption", {}, titleOfDimension(dimension)));
  const [width, height, left, right, bottom, top] = [250, 150, 34, 8, 34, 6];
  const trials = scored(surface).filter((trial) => dimension.values[trial.i] !== null);
  const domain = padded(extent(trials.filter((trial) => known(trial.score)).map((trial) => 100 * trial.score)), 0.08);
  const y = linear(domain, [height - bottom, top]);
  const x = (share) => left + share * (width - left - right);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Validation Dice against ${dimension.name}` });
  for (const tick of ticks(...domain, 4)) svg.append(s("line", { class: "gridline", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), s("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  axis.levels.forEach((value, i) => {
    const text = axis.levels.length > 6 && i % 2 ? "" : dimension.kind === "choice" && axis.levels.length > 3 ? String(i + 1) : levelText(value);
    svg.append(s("text", { x: x(axis.at(value)), y: height - bottom + 15, "text-anchor": "middle" }, text));
  });
  for (const trial of trials) {
    const say = () => { output.textContent = trialText(surface, trial); };
    const place = known(trial.score) ? y(100 * trial.score) : height - bottom;
    svg.append(s("g", { onpointerenter: say, onpointerdown: say }, trialMark(trial, x(axis.at(dimension.values[trial.i])), place, colour(surface.entry))));
  }
  host.append(svg);
  if (dimension.kind === "choice" && axis.levels.length > 3) host.append(h("p", { class: "hint" }, axis.levels.map((value, i) => `${i + 1} ${levelText(value)}`).join("; ")));
  return host;
};

// What the shades mean.
const scaleKey = (surface) => {
  const [low, high] = extent(surface.trials.map((trial) => trial.score));
  const steps = Array.from({ length: 30 }, (_, i) => s("rect", { x: 3 * i, width: 3.4, height: 10, fill: rgb(shade(i / 29)) }));
  return h("span", {}, percent(low), s("svg", { width: 90, height: 10, "aria-hidden": "true" }, steps), `${percent(high)} % validation Dice`);
};

const surfaceView = (surface) => {
  const host = h("div", { class: "surface", "data-method": surface.entry }, h("h3", {}, named(surface.entry)));
  $("search-body").append(host);
  const ok = surface.trials.filter((trial) => trial.status === "ok");
  host.append(h("p", { class: "hint" }, `${surface.trials.length} trials, ${ok.length} ok; ${seconds(surface.trials.reduce((sum, trial) => sum + trial.seconds, 0))} device-seconds.`));
  const output = h("output", { class: "readout", "aria-live": "polite" }, "\u00a0");
  if (!surface.dimensions.length) { host.append(h("p", { class: "hint" }, "No dimension was varied.")); return; }
  if (surface.axes.length > 1) {
    const drawing = h("div", {});
    const draw = () => replace(drawing, surfaceChart(drawing, surface, surface.axes, output));
    const pick = (which, text) => h("label", {}, text, h("select", { onchange: (event) => { surface.axes[which] = Number(event.target.value); draw(); } },
      surface.dimensions.map((dimension, i) => h("option", { value: i, selected: i === surface.axes[which] }, words(dimension.name)))));
    host.append(h("div", { class: "controls" }, pick(0, "across"), pick(1, "up")), drawing);
    draw();
  }
  host.append(output, h("p", { class: "keys" }, h("span", {}, "\u25ef ring: chosen"), DATA.grid ? null : h("span", {}, "\u25a2 dashed square: the default configuration"), h("span", {}, "\u2715 no score"),
    surface.trials.some((trial) => trial.status === "ended_early") ? h("span", {}, "dotted circle: ended early, not shaded") : null, scaleKey(surface)));
  host.append(h("div", { class: "slices" }, surface.dimensions.map((_, i) => dimensionChart(surface, i, output))));
};

const renderSearch = () => {
  if (!DATA.search.length) return;
  replace($("search-body"));
  for (const surface of DATA.search) if (visible(surface.entry)) surfaceView(surface);
};
