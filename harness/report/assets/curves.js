// The anytime curve, and performance profiles.

const curvePanel = (domain) => (host, group) => {
  const lines = Map.groupBy(curvesOf(group).filter((row) => visible(row.entry)), (row) => row.entry);
  if (!lines.size) { host.append(h("p", { class: "hint" }, "No validations yet.")); return; }
  const longest = Math.max(...[...lines.keys()].map((name) => name.length));
  const wide = host.clientWidth > 420;
  const all = [...lines.values()].flat();
  const currency = all[0].budget_currency.replace("device_", "device-").replace("_", " ");
  const chart = frame(host, {
    x: [0, Math.max(...all.map((row) => row.spent), ...rowsOf(group).map((row) => row.budget_amount))], y: domain, xTitle: `${currency} of training, all stages`,
    yTitle: "validation Dice %", margins: [10, wide ? Math.min(140, 24 + 6.6 * longest) : 10, 38, 44],
    label: `Validation Dice against ${currency}, ${titleOf(group)}`,
  });
  const y = (value) => chart.y(100 * value);
  const ends = [];
  for (const [method, validations] of lines) {
    const up = validations.map((row) => [chart.x(row.spent), y(row.validation_dice_max)]);
    const down = validations.map((row) => [chart.x(row.spent), y(row.validation_dice_min)]).reverse();
    const mean = validations.map((row) => [chart.x(row.spent), y(row.validation_dice_mean)]);
    const reference = DATA.styles[method].colour === null;
    chart.svg.append(s("path", { d: `${path([...up, ...down])}z`, fill: colour(method), opacity: 0.13 }));
    chart.svg.append(s("path", { d: path(mean), fill: "none", stroke: colour(method), "stroke-width": 1.8, "stroke-dasharray": reference ? "4 3" : null }));
    const taught = validations.filter((row) => known(row.unlabelled_dice_mean)).map((row) => [chart.x(row.spent), y(row.unlabelled_dice_mean)]);
    if (taught.length) chart.svg.append(s("path", { d: path(taught), fill: "none", stroke: colour(method), "stroke-width": 1.2, "stroke-dasharray": "1 3", "stroke-linecap": "round" }));
    chart.svg.append(...mean.map(([px, py]) => mark(method, px, py, 3.2)));
    ends.push([method, ...mean.at(-1)]);
  }
  if (wide) chart.svg.append(...endLabels(chart, ends).flat());
  const stops = unique(all.map((row) => row.spent)).sort((a, b) => a - b);
  const output = readable(chart, stops, (stop) => [
    h("b", {}, `${short(stop)} ${currency}: `),
    [...lines].map(([method, validations]) => {
      const validation = validations.findLast((row) => row.spent <= stop + 1e-9);
      if (!validation) return `${method} no validation yet`;
      const taught = known(validation.unlabelled_dice_mean) ? `, on unlabelled images ${percent(validation.unlabelled_dice_mean)}` : "";
      return `${method} ${percent(validation.validation_dice_mean)} [${percent(validation.validation_dice_min)}, ${percent(validation.validation_dice_max)}]${taught}`;
    }).join("; "),
  ]);
  host.append(chart.svg, output);
};

const profilePanel = (host, group) => {
  const own = profilesOf(group).filter((row) => row.checkpoint === state.checkpoint && row.class_name === state.klass && visible(row.entry));
  const lines = Map.groupBy(own, (row) => row.entry);
  if (!lines.size) { host.append(h("p", { class: "hint" }, "No finished run yet.")); return; }
  const chart = frame(host, {
    x: [0, 100], y: [0, 100], height: 260, xTitle: `Dice % of ${state.klass === MEAN ? "a patient, mean of classes" : state.klass}`, yTitle: "% of scores above",
    label: `Performance profiles, ${titleOf(group)}`,
  });
  for (const [method, points] of lines) {
    const at = (name) => points.map((row) => [chart.x(100 * row.tau), chart.y(100 * row[name])]);
    if (known(points[0].low)) chart.svg.append(s("path", { d: `${path([...at("high"), ...at("low").reverse()])}z`, fill: colour(method), opacity: 0.1 }));
    const reference = DATA.styles[method].colour === null;
    chart.svg.append(s("path", { d: path(at("share")), fill: "none", stroke: colour(method), "stroke-width": 1.8, "stroke-dasharray": reference ? "4 3" : null }));
    const middle = points.find((row) => row.share <= 0.5) ?? points.at(-1);
    chart.svg.append(mark(method, chart.x(100 * middle.tau), chart.y(100 * middle.share), 4));
  }
  const output = readable(chart, unique(own.map((row) => row.tau)).map((tau) => 100 * tau), (stop) => [
    h("b", {}, `Dice above ${short(stop)} %: `),
    [...lines].map(([method, points]) => {
      // Level stretches come as their two ends.
      return `${method} ${percent(points.findLast((one) => 100 * one.tau <= stop + 1e-6).share)} % of scores`;
    }).join("; "),
  ]);
  host.append(chart.svg, output);
};

const renderCurves = () => {
  const there = shownGroups().flatMap(curvesOf).filter((row) => visible(row.entry));
  const domain = padded(extent(there.flatMap((row) => [row.validation_dice_min, row.validation_dice_max, row.unlabelled_dice_mean]).filter(known).map((value) => 100 * value)), 0.04, 0, 100);
  drawGroups($("curves-body"), curvePanel(domain));
  $("profiles").hidden = !PROFILES.length;
  if (PROFILES.length) drawGroups($("profiles-body"), profilePanel);
};
