// What is shown: one state for all sections, and the frames as rows.

const ROWS = unpack(DATA.rows);
const CLASSES = unpack(DATA.classes);
const PAIRS = unpack(DATA.pairs);
const CURVES = unpack(DATA.curves);
const PROFILES = unpack(DATA.profiles);
const MEAN = "mean";
const unique = (values) => [...new Set(values)];

const RUNGS = unique(DATA.groups.map((group) => group.rung).filter(known));

// rung: of a ladder; null for all.
const state = { rung: RUNGS.at(-1) ?? null, labelled: "all", checkpoint: "last", metric: "dice", klass: MEAN, hidden: new Set(), sort: { key: "place", up: true } };

const CHECKPOINTS = unique(ROWS.map((row) => row.checkpoint));
const METRICS_THERE = Object.keys(METRICS).filter((metric) => ROWS.some((row) => known(row[metric])));
const CLASS_NAMES = unique(CLASSES.map((row) => row.class_name));
const METHODS = unique([...ROWS.filter((row) => row.block === "ranked"), ...ROWS].map((row) => row.entry));

const indexed = (rows) => {
  const groups = Map.groupBy(rows, slug);
  return (group) => groups.get(slug(group)) ?? [];
};
const rowsOf = indexed(ROWS), classesOf = indexed(CLASSES), pairsOf = indexed(PAIRS), curvesOf = indexed(CURVES), profilesOf = indexed(PROFILES);

const visible = (method) => !state.hidden.has(method);
const groupsOfRung = () => DATA.groups.filter((group) => state.rung === null || group.rung === state.rung);
const shownGroups = () => groupsOfRung().filter((group) => state.labelled === "all" || slug(group) === state.labelled);
const titleOf = (group) => (group.conditions ? `${group.title} (table ${group.table}: ${group.conditions})` : group.title);

// The table rows of a group under the chosen checkpoint rule, in the order of the leaderboard.
const tableOf = (group) => rowsOf(group).filter((row) => row.checkpoint === state.checkpoint && visible(row.entry));

// Mean, bounds and spread of a metric for a row, of all classes or of the chosen one.
const valueOf = (row, metric) => {
  if (state.klass !== MEAN) return classesOf(row).find((one) => one.entry === row.entry && one.checkpoint === row.checkpoint && one.metric === metric && one.class_name === state.klass) ?? {};
  const rest = ["low", "high", "std", "subsets_low", "subsets_high"].map((name) => [name, row[`${metric}_${name}`]]);
  return { mean: row[metric], ...Object.fromEntries(rest) };
};

// A figure for each; all stand in their places before the first is drawn, so that each knows its width.
const drawFigures = (body, figures, draw) => {
  const hosts = figures.map(([title, item, attributes]) => [h("figure", attributes, h("figcaption", {}, title)), item]);
  replace(body, hosts.map(([host]) => host));
  for (const [host, item] of hosts) draw(host, item);
};
const drawGroups = (body, draw) => drawFigures(body, shownGroups().map((group) => [titleOf(group), group, { "data-group": slug(group) }]), draw);

const options = (select, pairs, chosen) => replace(select, pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));

const listCounts = () => options($("view-labelled"), [["all", "all counts"], ...groupsOfRung().map((group) => [slug(group), titleOf(group)])], state.labelled);

// A button per rung of a ladder; the labelled count stays chosen where the rung has it.
const bindRungs = (render) => {
  if (!RUNGS.length) return;
  const choose = (rung) => {
    const count = DATA.groups.find((group) => slug(group) === state.labelled)?.labelled;
    state.rung = rung;
    const same = groupsOfRung().find((group) => group.labelled === count);
    state.labelled = same ? slug(same) : "all";
    listCounts();
    show();
    render();
  };
  const buttons = [...RUNGS, null].map((rung) => [rung, h("button", { type: "button", class: "tab", onclick: () => choose(rung) }, rung === null ? "all rungs" : count(rung))]);
  const show = () => { for (const [rung, button] of buttons) button.setAttribute("aria-pressed", String(rung === state.rung)); };
  replace($("view-rung"), h("span", {}, "Reference steps"), buttons.map(([, button]) => button));
  show();
};

const bindView = (render) => {
  bindRungs(render);
  listCounts();
  options($("view-checkpoint"), CHECKPOINTS.map((name) => [name, name === "last" ? "last (primary)" : name]), "last");
  options($("view-metric"), METRICS_THERE.map((name) => [name, METRICS[name].title]), "dice");
  options($("view-class"), [[MEAN, "mean of all"], ...CLASS_NAMES.map((name) => [name, name])], MEAN);
  const on = (id, name) => $(id).addEventListener("change", (event) => { state[name] = event.target.value; render(); });
  on("view-labelled", "labelled"); on("view-checkpoint", "checkpoint"); on("view-metric", "metric"); on("view-class", "klass");
  replace($("legend"), METHODS.map((method) => h("button", {
    type: "button", class: "chip", "aria-pressed": "true",
    onclick: (event) => {
      const hide = !state.hidden.has(method);
      state.hidden[hide ? "add" : "delete"](method);
      event.currentTarget.setAttribute("aria-pressed", String(!hide));
      render();
    },
  }, swatch(method), method)));
};
