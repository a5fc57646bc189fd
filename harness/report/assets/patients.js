// One row per patient, one mark per method, sorted by the difference of two.

const chosenPair = {};

const patientsOf = (group) => {
  const table = DATA.patients.find((one) => one.table === group.table && one.checkpoint === state.checkpoint);
  if (!table) return null;
  const methods = tableOf(group).filter((row) => row.n_ok > 0);
  const values = new Map(methods.map((row) => [row.entry, table.cells[`${row.entry}@${row.trained_on}`]]).filter((one) => one[1]));
  return { names: table.patients, values };
};

const patientPanel = (host, group) => {
  const results = patientsOf(group);
  if (!results || !results.values.size) { host.append(hint("No test results yet.")); return; }
  const methods = [...results.values.keys()];
  const key = slug(group);
  const [a, b] = (chosenPair[key] ??= [methods[0], methods[1] ?? methods[0]]).map((name, i) => (results.values.has(name) ? name : methods[Math.min(i, methods.length - 1)]));
  const select = (index, chosen) => h("select", { "aria-label": index ? "Second method" : "First method", onchange: (event) => { chosenPair[key] = index ? [a, event.target.value] : [event.target.value, b]; renderPatients(); } },
    methods.map((method) => h("option", { value: method, selected: method === chosen }, method)));
  host.append(h("div", { class: "controls" }, h("label", {}, "difference", select(0, a), "\u2212", select(1, b))));

  const difference = (i) => (results.values.get(a)[i] ?? NaN) - (results.values.get(b)[i] ?? NaN);
  const order = results.names.map((_, i) => i).sort((i, j) => difference(j) - difference(i) || i - j);
  const step = order.length > 60 ? 14 : 21;
  const longest = Math.max(...results.names.map((name) => name.length));
  const left = 12 + 6.4 * longest;
  const height = 46 + step * order.length;
  const [lowest] = extent([...results.values.values()].flat());
  const chart = frame(host, {
    x: [10 * Math.floor(10 * lowest), 100], y: [0, 1], height, xTitle: "test Dice %", yTitle: "", margins: [8, 50, 38, left],
    label: `Test Dice of each patient, ${titleOf(group)}, sorted by ${a} minus ${b}`, bare: true,
  });
  const output = readout();
  order.forEach((i, position) => {
    const y = 8 + step * (position + 0.5);
    const say = () => { replace(output, h("b", {}, `${results.names[i]}: `), methods.map((method) => `${method} ${percent(results.values.get(method)[i])}`).join("; ")); };
    const row = s("g", { class: "patient", "data-patient": results.names[i], onpointerenter: say, onpointerdown: say },
      s("rect", { x: 0, y: y - step / 2, width: chart.width, height: step, fill: "transparent" }),
      s("line", { class: "gridline", x1: left, x2: chart.width - 50, y1: y, y2: y }),
      s("text", { class: "ink", x: left - 6, y: y + 4, "text-anchor": "end" }, results.names[i]));
    const [va, vb] = [results.values.get(a)[i], results.values.get(b)[i]];
    if (known(va) && known(vb) && a !== b) {
      row.append(s("line", { x1: chart.x(100 * va), x2: chart.x(100 * vb), y1: y, y2: y, stroke: colour(va >= vb ? a : b), "stroke-width": 5, opacity: 0.35 }));
      row.append(s("text", { class: "ink", x: chart.width - 2, y: y + 4, "text-anchor": "end" }, signed("dice", va - vb)));
    }
    for (const method of methods.toReversed()) {
      const dice = results.values.get(method)[i];
      if (known(dice)) row.append(mark(method, chart.x(100 * dice), y, method === a || method === b ? 4.6 : 3.4));
    }
    chart.svg.append(row);
  });
  host.append(chart.svg, output);
};

const renderPatients = () => drawGroups($("patients-body"), patientPanel);
