// Dice against the rungs of a ladder, and from which of them on a method pays.

const LEADS = DATA.ladder ? unpack(DATA.ladder.leads) : [];

// The leads of a picture's entries over their nearest baseline: entry -> rung -> lead.
const leadsOf = (picture) => {
  const own = LEADS.filter((lead) => lead.ladder === picture.ladder && lead.labelled === picture.labelled && lead.checkpoint === state.checkpoint && visible(lead.entry));
  const nearest = (leads) => leads.reduce((kept, lead) => (known(lead.difference) && !(known(kept.difference) && kept.difference <= lead.difference) ? lead : kept));
  const byRung = (leads) => new Map([...Map.groupBy(leads, (lead) => lead.rung)].map(([rung, those]) => [rung, nearest(those)]));
  return new Map([...Map.groupBy(own, (lead) => lead.entry)].map(([entry, leads]) => [entry, byRung(leads)]));
};

const ladderPicture = (host, picture, leads) => {
  const there = picture.tables.flatMap((table) => rowsOf({ table, labelled: picture.labelled }));
  const rows = there.filter((row) => row.checkpoint === state.checkpoint && visible(row.entry) && known(row.dice));
  const lines = byMethod(host, rows, "No finished run yet.");
  if (!lines) return;
  const chart = frame(host, {
    x: [picture.rungs[0] / 1.15, picture.rungs.at(-1) * 1.15], stops: picture.rungs, y: percentDomain(rows.flatMap((row) => [row.dice, row.dice_low, row.dice_high])), height: 340,
    xTitle: "reference steps, all stages", yTitle: "test Dice %", margins: namedMargins(host, [...lines.keys()]),
    label: `Test Dice against reference steps, ${picture.title}`,
  });
  const baseline = (method) => picture.baselines.includes(method);
  const drawn = [...lines].toSorted(([a], [b]) => baseline(b) - baseline(a));
  const labels = [];
  drawn.forEach(([method, points], i) => {
    // Intervals of one rung stand side by side.
    const aside = baseline(method) ? 0 : 4 * (i - (drawn.length - 1) / 2);
    const at = (name) => points.map((row) => [chart.x(row.rung) + aside, chart.y(100 * (row[name] ?? row.dice))]);
    const mean = at("dice");
    if (baseline(method)) {
      band(chart, method, at("dice_high"), at("dice_low"), 0.16);
    } else {
      const [low, high] = [at("dice_low"), at("dice_high")];
      mean.forEach(([x], j) => chart.svg.append(s("line", { class: "interval", x1: x, x2: x, y1: low[j][1], y2: high[j][1], stroke: colour(method), "stroke-width": 2, opacity: 0.45 })));
    }
    line(chart, method, mean);
    chart.svg.append(...mean.map(([x, y]) => mark(method, x, y, 3.6)));
    const pays = [...(leads.get(method)?.values() ?? [])][0]?.break_even;
    const place = points.findIndex((row) => row.rung === pays);
    if (place >= 0) chart.svg.append(s("circle", { class: "break-even", cx: mean[place][0], cy: mean[place][1], r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 1.6 }, s("title", {}, `${method}: break-even at ${count(pays)} reference steps`)));
    labels.push([method, ...mean.at(-1)]);
  });
  if (isWide(host)) chart.svg.append(...endLabels(chart, labels).flat());
  const output = readable(chart, picture.rungs, (rung) => [
    h("b", {}, `${count(rung)} reference steps: `),
    drawn.map(([method, points]) => [method, points.find((row) => row.rung === rung)]).filter(([, row]) => row)
      .map(([method, row]) => `${method} ${percent(row.dice)} ${bounds("dice", row.dice_low, row.dice_high)}`).join("; "),
  ]);
  host.append(chart.svg, output);
};

const leadTable = (picture, leads) => {
  if (!leads.size) return hint(picture.baselines.length ? "No entry beside the labelled-only baselines." : "No labelled-only baseline to be ahead of.");
  const rungs = unique([...leads.values()].flatMap((own) => [...own.keys()]));
  const title = `Break-even against ${picture.baselines.join(" and ")}, ${picture.title}`;
  const cell = (lead) => h("td", {}, h("span", { class: "value" }, signed("dice", lead.difference), lead.ahead ? " \u25b2" : ""), sub(bounds("dice", lead.simultaneous_low, lead.simultaneous_high)));
  return scrollable(title, h("table", { class: "leads" }, h("caption", {}, title),
    h("thead", {}, h("tr", {}, headings(["method", "break-even"], { class: "words" }), headings(rungs.map((rung) => `${count(rung)} steps`)))),
    h("tbody", {}, [...leads].map(([method, own]) => {
      const { break_even: pays, verdict } = own.get(rungs[0]);
      return h("tr", { "data-method": method }, h("th", { scope: "row", class: "words" }, named(method)), h("td", { class: "words" }, known(pays) ? count(pays) : verdict), rungs.map((rung) => cell(own.get(rung))));
    }))));
};

const renderLadder = () => {
  if (!DATA.ladder) return;
  const pictures = DATA.ladder.pictures;
  const several = unique(pictures.map((one) => one.ladder)).length > 1;
  const figures = pictures.map((picture) => [several ? `${picture.title}, ladder ${picture.ladder}` : picture.title, picture]);
  drawFigures($("ladder-body"), figures, (host, picture) => {
    const leads = leadsOf(picture);
    ladderPicture(host, picture, leads);
    host.append(leadTable(picture, leads));
  });
};
