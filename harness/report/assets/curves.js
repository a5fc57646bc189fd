// The anytime curve, and performance profiles.

const curvePanel = (domain) => (host, group) => {
  const all = curvesOf(group).filter((row) => visible(row.entry));
  const lines = byMethod(host, all, "No validations yet.");
  if (!lines) return;
  const currency = all[0].budget_currency.replace("device_", "device-").replace("_", " ");
  const chart = frame(host, {
    x: [0, Math.max(...all.map((row) => row.spent), ...rowsOf(group).map((row) => row.budget_amount))], y: domain, xTitle: `${currency} of training, all stages`,
    yTitle: "validation Dice %", margins: namedMargins(host, [...lines.keys()]),
    label: `Validation Dice against ${currency}, ${titleOf(group)}`,
  });
  const ends = [];
  for (const [method, validations] of lines) {
    const at = (name) => validations.filter((row) => known(row[name])).map((row) => [chart.x(row.spent), chart.y(100 * row[name])]);
    const mean = at("validation_dice_mean");
    band(chart, method, at("validation_dice_max"), at("validation_dice_min"), 0.13);
    line(chart, method, mean);
    const taught = at("unlabelled_dice_mean");
    if (taught.length) line(chart, method, taught, { "stroke-width": 1.2, "stroke-dasharray": "1 3", "stroke-linecap": "round" });
    chart.svg.append(...mean.map(([px, py]) => mark(method, px, py, 3.2)));
    ends.push([method, ...mean.at(-1)]);
  }
  if (isWide(host)) chart.svg.append(...endLabels(chart, ends).flat());
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
  const lines = byMethod(host, own, "No finished run yet.");
  if (!lines) return;
  const chart = frame(host, {
    x: [0, 100], y: [0, 100], height: 260, xTitle: `Dice % of ${state.klass === MEAN ? "a patient, mean of classes" : state.klass}`, yTitle: "% of scores above",
    label: `Performance profiles, ${titleOf(group)}`,
  });
  for (const [method, points] of lines) {
    const at = (name) => points.map((row) => [chart.x(100 * row.tau), chart.y(100 * row[name])]);
    if (known(points[0].low)) band(chart, method, at("high"), at("low"), 0.1);
    line(chart, method, at("share"));
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
  const domain = percentDomain(there.flatMap((row) => [row.validation_dice_min, row.validation_dice_max, row.unlabelled_dice_mean]));
  drawGroups($("curves-body"), curvePanel(domain));
  $("profiles").hidden = !PROFILES.length;
  if (PROFILES.length) drawGroups($("profiles-body"), profilePanel);
};
