// Paired differences: a matrix per labelled count, readable without colour.

const READINGS = { better: ["\u25b2", "significantly better"], worse: ["\u25bc", "significantly worse"], insignificant: ["\u2248", "not significant"], unknown: ["?", "undetermined"] };

// The difference row - column, whichever way round it is on record.
const pairOf = (pairs, row, column) => {
  const straight = pairs.get(`${row}|${column}`);
  if (straight) return straight;
  const back = pairs.get(`${column}|${row}`);
  if (!back) return null;
  const turn = (value) => (known(value) ? -value : null);
  return {
    ...back, entry_a: row, entry_b: column, difference: turn(back.difference),
    difference_low: turn(back.difference_high), difference_high: turn(back.difference_low),
    simultaneous_low: turn(back.simultaneous_high), simultaneous_high: turn(back.simultaneous_low),
    probability_of_improvement: known(back.probability_of_improvement) ? 1 - back.probability_of_improvement : null,
  };
};

const readingOf = (pair) => {
  if (!pair || pair.verdict === "undetermined") return "unknown";
  if (pair.verdict === "not significant") return "insignificant";
  return pair.difference > 0 === METRICS[pair.metric].higher ? "better" : "worse";
};

const describePair = (pair) => {
  const metric = pair.metric;
  const parts = [
    `${pair.entry_a} \u2212 ${pair.entry_b}: ${signed(metric, pair.difference)} ${METRICS[metric].step}`,
    known(pair.simultaneous_low) ? `${bounds(metric, pair.simultaneous_low, pair.simultaneous_high)} for all pairs at once` : null,
    known(pair.difference_low) ? `${bounds(metric, pair.difference_low, pair.difference_high)} for this pair alone` : null,
    known(pair.p_holm) ? `p = ${pair.p_holm < 0.001 ? "< 0.001" : pair.p_holm.toFixed(3)} after Holm` : null,
    known(pair.probability_of_improvement) ? `better on ${(100 * pair.probability_of_improvement).toFixed(0)} % of patients` : null,
    `n = ${pair.n_patients}`, READINGS[readingOf(pair)][1],
  ];
  return parts.filter(Boolean).join("; ").replace("p = <", "p <");
};

const matrixCell = (pairs, largest, output) => (row, column) => {
  if (row === column) return h("td", { class: "self" }, "\u00b7");
  const pair = pairOf(pairs, row, column);
  const reading = readingOf(pair);
  if (!pair) return h("td", { class: "unknown", "aria-label": `${row} \u2212 ${column}: no value` }, "\u2013");
  const tint = reading === "better" ? "good" : reading === "worse" ? "bad" : null;
  const share = Math.round(14 + (26 * Math.abs(pair.difference)) / (largest || 1));
  const say = () => { output.textContent = describePair(pair); };
  return h("td", {
    class: reading, tabindex: -1, "aria-label": describePair(pair), onpointerenter: say, onfocus: say, onclick: say,
    style: tint ? `background: color-mix(in srgb, var(--${tint}-tint) ${share}%, var(--paper))` : null,
  }, signed(pair.metric, pair.difference), h("b", { "aria-hidden": "true" }, READINGS[reading][0]));
};

// Arrow keys move between cells; one cell at a time is reachable with Tab.
const walkable = (table) => {
  const cells = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")]);
  const first = cells.flat().find((cell) => cell.tabIndex === -1 && !cell.classList.contains("self"));
  if (first) first.tabIndex = 0;
  table.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const at = cells.findIndex((row) => row.includes(event.target));
    if (!move || at < 0) return;
    event.preventDefault();
    let [i, j] = [at + move[0], cells[at].indexOf(event.target) + move[1]];
    if (cells[i]?.[j]?.classList.contains("self")) [i, j] = [i + move[0], j + move[1]];
    const next = cells[i]?.[j];
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
};

const renderMatrix = () => {
  // Class by class only Dice is on record.
  const metric = state.klass === MEAN ? state.metric : "dice";
  replace($("pairs-body"), shownGroups().map((group) => {
    const own = pairsOf(group).filter((pair) => pair.checkpoint === state.checkpoint && pair.metric === metric && pair.class_name === state.klass);
    const pairs = new Map(own.map((pair) => [`${pair.entry_a}|${pair.entry_b}`, pair]));
    const methods = tableOf(group).map((row) => row.entry).filter((method) => own.some((pair) => pair.entry_a === method || pair.entry_b === method));
    const title = h("figcaption", {}, `${titleOf(group)}: ${METRICS[metric].title}${state.klass === MEAN ? "" : ` of ${state.klass}`}`);
    if (methods.length < 2) return h("figure", {}, title, hint("No two methods with numbers to compare."));
    const output = readout();
    const largest = Math.max(...own.map((pair) => Math.abs(pair.difference ?? 0)));
    const cell = matrixCell(pairs, largest, output);
    const table = h("table", { class: "matrix", "data-group": slug(group) },
      h("thead", {}, h("tr", {}, h("td", { class: "self" }), methods.map((method) => h("th", { scope: "col" }, h("span", {}, method))))),
      h("tbody", {}, methods.map((row) => h("tr", {}, h("th", { scope: "row" }, named(row)), methods.map((column) => cell(row, column))))));
    walkable(table);
    return h("figure", {}, title, h("div", { class: "scroll" }, table), output);
  }));
};
