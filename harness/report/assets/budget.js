// Where the seconds went: one bar per method, each figure beside it.

const PATTERNS = { useful: "var(--useful)", search: "var(--search)", failed: "var(--failed)", lost: "var(--lost)" };
const PHASE_SHADES = ["var(--c0)", "var(--c5)", "var(--c2)", "var(--c4)", "var(--c3)", "var(--c1)", "var(--ref)", "var(--strong)", "var(--line)"];

const stacked = (parts, total, label) => {
  const width = 260;
  const svg = s("svg", { width, height: 16, role: "img", "aria-label": label });
  let at = 0;
  for (const [name, value, paint] of parts) {
    const wide = total ? (width * value) / total : 0;
    if (wide > 0) svg.append(s("rect", { x: at, y: 1, width: Math.max(wide - 0.6, 0.4), height: 14, fill: paint }, s("title", {}, `${name}: ${seconds(value)} s`)));
    at += wide;
  }
  return svg;
};

const secondsTable = (title, methods, names, valuesOf, paint, extra) => {
  const spent = (method, name) => valuesOf(method)[name] ?? 0;
  const totals = new Map(methods.map((method) => [method, names.reduce((sum, name) => sum + spent(method, name), 0)]));
  const largest = Math.max(...totals.values());
  return [
    scrollable(title, h("table", { class: "budget" }, h("caption", {}, title),
      h("thead", {}, h("tr", {}, headings(["method"], { class: "words" }), h("td", {}), headings([...names, "sum", ...extra.map(([name]) => name)]))),
      h("tbody", {}, methods.map((method) => h("tr", { "data-method": method }, h("th", { scope: "row", class: "words" }, named(method)),
        h("td", { class: "words" }, stacked(names.map((name, i) => [name, spent(method, name), paint(name, i)]), largest, `${method}: ${names.map((name) => `${name} ${seconds(spent(method, name))} s`).join(", ")}`)),
        names.map((name) => h("td", {}, seconds(spent(method, name)))), h("td", { class: "value" }, seconds(totals.get(method))), extra.map(([, value]) => h("td", {}, value(method)))))))),
    keys(names, (name, i) => icon(12, 12, s("rect", { width: 12, height: 12, rx: 2, fill: paint(name, i) }))),
  ];
};

const PART_SHADES = { useful: "var(--useful)", lost: "var(--lost)", evaluation: "var(--c5)", checkpoint: "var(--c2)", "start-up": "var(--search)", idle: "var(--line)", unexplained: "var(--failed)" };

const allocationTables = () => ["GPU", "CPU"].map((currency) => {
  if (!DATA.allocations) return null;
  const rows = new Map(DATA.allocations.rows.filter((row) => row.currency === currency && METHODS.includes(row.entry) && visible(row.entry)).map((row) => [row.entry, row]));
  if (!rows.size) return null;
  const share = (name) => (method) => `${(100 * rows.get(method)[name]).toFixed(1)} %`;
  return secondsTable(`${currency}-seconds that Slurm allocated, finals and trials`, [...rows.keys()], DATA.allocations.parts, (method) => rows.get(method).seconds, (name) => PART_SHADES[name],
    [["attempts", (method) => rows.get(method).attempts], ["ledger", share("ledger")], ["in steps", share("training")]]);
});

const renderBudget = () => replace($("budget-body"), DATA.budgets.map((one) => {
  const methods = METHODS.filter((method) => method in one.methods && visible(method));
  if (!methods.length) return null;
  const device = (method) => one.methods[method].device;
  const searched = methods.some((method) => device(method).trials > 0);
  const names = ["useful", "search", "failed", "lost"].filter((name) => name !== "search" || searched);
  const title = DATA.budgets.length > 1 ? `, table ${one.table}` : "";
  return [
    secondsTable(`Device-seconds, all runs${title}`, methods, names, device, (name) => PATTERNS[name],
      [["runs", (method) => device(method).runs], ...(searched ? [["trials", (method) => device(method).trials]] : [])]),
    secondsTable(`Wall seconds of the finals by phase${title}`, methods, one.phases, (method) => one.methods[method].wall, (_, i) => PHASE_SHADES[i % PHASE_SHADES.length], []),
  ];
}), allocationTables());
