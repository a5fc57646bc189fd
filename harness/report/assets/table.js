// The leaderboard: one table per labelled count, sortable, with intervals as bars.

const BAR = { width: 190, height: 26 };

const rankText = (low, high) => (known(low) ? (known(high) && high !== low ? `${low}\u2013${high}` : String(low)) : "");
// Where the ranks and counts of a row stand: they are of all classes, or of the chosen one.
const countsOf = (row) => (state.klass === MEAN ? row : valueOf(row, "dice"));

// The mean as a mark, its interval as a thick line, that over labelled subsets as a thin one.
const intervalBar = (row, domain, value) => {
  const x = linear(domain, [6, BAR.width - 6]);
  const y = BAR.height / 2;
  const metric = state.metric;
  const label = `${row.entry}: ${number(metric, value.mean)} ${bounds(metric, value.low, value.high)}`;
  const svg = s("svg", { width: BAR.width, height: BAR.height, role: "img", "aria-label": label });
  for (const tick of ticks(...domain, 4)) svg.append(s("line", { class: "gridline", x1: x(tick), x2: x(tick), y1: 0, y2: BAR.height }));
  if (!known(value.mean)) return svg;
  const inside = (at) => Math.min(Math.max(x(at), 2), BAR.width - 2);
  const span = (low, high, width, opacity) => known(low) && known(high) && svg.append(s("line", { x1: inside(low), x2: inside(high), y1: y, y2: y, stroke: colour(row.entry), "stroke-width": width, opacity }));
  span(value.subsets_low, value.subsets_high, 1, 0.8);
  span(value.low, value.high, 4, 0.55);
  svg.append(mark(row.entry, inside(value.mean), y, 4.6));
  return svg;
};

const barDomain = () => {
  const values = shownGroups().flatMap(tableOf).map((row) => valueOf(row, state.metric));
  const [low, high] = extent(values.flatMap((value) => [value.mean, value.low, value.high]));
  return METRICS[state.metric].higher ? padded([low, high], 0.04) : [0, high * 1.04 || 1];
};

const scaleHead = (domain) => {
  const x = linear(domain, [6, BAR.width - 6]);
  return icon(BAR.width, 14, ticks(...domain, 4).map((tick) => s("text", { x: x(tick), y: 11, "text-anchor": "middle" }, short(tick * METRICS[state.metric].factor))));
};

const runsCell = (row) => [
  `${row.n_ok}/${row.n_runs}`,
  row.n_failed ? sub(`${row.n_failed} failed`, "bad") : null,
  row.n_unfit ? sub(`${row.n_unfit} unfit`, "bad") : null,
  row.n_missing ? sub(`${row.n_missing} to run`) : null,
  row.n_elsewhere ? sub(`${row.n_elsewhere} elsewhere`) : null,
];
const budgetShare = (row) => {
  // Reference steps are spent by definition: the steps that they buy were resolved before.
  if (row.budget_currency === "reference_steps") return "";
  const spent = row.budget_currency === "steps" ? [row.steps_min, row.steps_max] : [row.device_seconds_min, row.device_seconds_max];
  if (!known(spent[0])) return "";
  return `${unique(spent.map((one) => ((100 * one) / row.budget_amount).toFixed(1))).join("\u2013")} %`;
};

// The columns: title, the value to sort by, the cell. Columns without any value are left out.
const tableColumns = (rows, domain) => {
  const metric = state.metric;
  const value = (row) => valueOf(row, metric);
  const dice = metric === "dice" && state.klass === MEAN;
  const other = METRICS_THERE.filter((name) => name !== metric);
  const columns = [
    { key: "place", title: "rank", by: (row) => (state.klass === MEAN ? row.place : countsOf(row).rank ?? row.place), cell: (row) => {
      const ranks = countsOf(row);
      return h("span", { class: ranks.rank !== ranks.rank_worst ? "place shared" : "place" }, rankText(ranks.rank ?? row.place, ranks.rank_worst ?? row.place));
    } },
    { key: "entry", title: "method", words: true, header: true, by: (row) => row.entry, cell: (row) => [
      named(row.entry), row.engine_declared ? h("span", { class: "sub", title: row.engine_declared }, "own settings") : null,
    ] },
    { key: metric, title: METRICS[metric].title, by: (row) => value(row).mean, cell: (row) => [
      h("span", { class: "value" }, number(metric, value(row).mean)), sub(bounds(metric, value(row).low, value(row).high), "interval"),
    ] },
    { key: "bar", title: "", plain: true, head: scaleHead(domain), cell: (row) => intervalBar(row, domain, value(row)) },
    { key: "std", title: "SD over\nruns", by: (row) => value(row).std, cell: (row) => number(metric, value(row).std) },
    { key: "subsets", title: "over\nsubsets", plain: true, there: (row) => known(value(row).subsets_low), cell: (row) => bounds(metric, value(row).subsets_low, value(row).subsets_high) },
    ...(dice ? [
      { key: "dice_imputed", title: "failures\nas 0", by: (row) => row.dice_imputed, there: (row) => row.n_failed > 0, cell: (row) => percent(row.dice_imputed) },
    ] : []),
    ...other.map((name) => ({ key: name, title: METRICS[name].title.replace(" ", "\n"), by: (row) => valueOf(row, name).mean, cell: (row) => number(name, valueOf(row, name).mean) })),
    { key: "missed", title: "missed", by: (row) => countsOf(row).n_missed, cell: (row) => (known(countsOf(row).n_missed) ? [count(countsOf(row).n_missed), sub(`of ${count(countsOf(row).n_structures)}`)] : "") },
    { key: "runs", title: "runs", by: (row) => row.n_ok / row.n_runs, cell: runsCell },
    { key: "steps", title: "steps", by: (row) => row.steps_mean, cell: (row) => [count(row.steps_mean), known(row.steps_min) && row.steps_min !== row.steps_max ? sub(`${count(row.steps_min)}\u2013${count(row.steps_max)}`) : null] },
    { key: "seconds", title: "device-s", by: (row) => row.device_seconds_mean, cell: (row) => [seconds(row.device_seconds_mean), sub(budgetShare(row))] },
    { key: "parameters", title: "params\nM", by: (row) => row.parameters_predictor, cell: (row) => (known(row.parameters_predictor) ? (row.parameters_predictor / 1e6).toFixed(2) : "n/a") },
  ];
  return columns.filter((column) => (column.there ? rows.some(column.there) : !column.by || column.words || rows.some((row) => known(column.by(row)))));
};

const sorted = (rows, columns) => {
  const column = columns.find((one) => one.key === state.sort.key && one.by);
  if (!column) return rows;
  const sign = state.sort.up ? 1 : -1;
  const order = (a, b) => {
    const [left, right] = [column.by(a), column.by(b)];
    if (left === right) return 0;
    if (left === null || left === undefined) return 1;
    if (right === null || right === undefined) return -1;
    return sign * (typeof left === "string" ? left.localeCompare(right) : left - right);
  };
  return rows.toSorted(order);
};

const headCell = (column) => {
  const active = state.sort.key === column.key;
  if (column.plain) return h("th", { scope: "col", class: column.head ? "bar" : null }, column.head ?? column.title);
  return h("th", { scope: "col", class: column.words ? "words" : null, "aria-sort": active ? (state.sort.up ? "ascending" : "descending") : "none", "data-key": column.key },
    h("button", { type: "button", onclick: (event) => {
      const table = event.currentTarget.closest("table").id;
      state.sort = { key: column.key, up: active ? !state.sort.up : ["place", "entry"].includes(column.key) || !METRICS[column.key]?.higher };
      renderTables();
      document.querySelector(`#${table} th[data-key="${column.key}"] button`)?.focus({ preventScroll: true });
    } }, column.title));
};

const bodyRow = (columns) => (row) => h("tr", { "data-method": row.entry },
  columns.map((column) => h(column.header ? "th" : "td", { scope: column.header ? "row" : null, class: column.words ? "words" : column.key === "bar" ? "bar" : null }, column.cell(row))));

const failedList = (group) => {
  const failed = DATA.failed.filter((one) => one.table === group.table).flatMap((one) => unpack(one.runs))
    .filter((one) => visible(one.entry) && (one.labelled === group.labelled || one.labelled === null));
  if (!failed.length) return null;
  return h("details", { open: failed.length <= 8 }, h("summary", {}, `${failed.length} failed or unfit run${failed.length === 1 ? "" : "s"}`),
    h("ul", { class: "failures" }, failed.map((one) => h("li", {}, `${one.entry}, subset ${one.subset}, seed ${one.seed}: ${one.failure_kind ?? one.status} (${one.failure_reason})`))));
};

const renderTables = () => {
  const domain = barDomain();
  $("results-hint").textContent = `Test metrics of the ${state.checkpoint} checkpoint${state.klass === MEAN ? ", mean of all classes" : `, class ${state.klass}`}. `
    + "A shared rank (1\u20133) holds all places that the data allow. In brackets and thick bars: 95 % over patients, for the seeds and subsets that ran; thin: over labelled subsets, from three on. SD over runs: of a run's mean over patients.";
  replace($("results-body"), shownGroups().map((group) => {
    const rows = tableOf(group);
    const columns = tableColumns(rows, domain);
    const [ranked, references] = ["ranked", "reference"].map((block) => sorted(rows.filter((row) => row.block === block), columns));
    return [
      scrollable(titleOf(group), h("table", { class: "results", id: `table-${slug(group)}` },
        h("caption", {}, titleOf(group)),
        h("thead", {}, h("tr", {}, columns.map(headCell))),
        h("tbody", {}, ranked.map(bodyRow(columns))),
        references.length ? h("tbody", { class: "references" }, h("tr", { class: "group" }, h("th", { colspan: columns.length, scope: "rowgroup" }, "References, not ranked")), references.map(bodyRow(columns))) : null)),
      failedList(group),
    ];
  }));
};
