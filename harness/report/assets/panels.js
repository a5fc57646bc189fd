// Worst cases: the truth as shade, what a method found as lines.

const STRUCTURES = [["#56b4e9", null], ["#f0b429", "5 2"], ["#00d39a", "2 2"], ["#ff8a5c", "7 2 2 2"], ["#e39cc5", "1 2"], ["#f0e442", "4 4"]];
const structure = (i) => STRUCTURES[i % STRUCTURES.length];

const tile = (panel, outlines, shaded, caption, worst, label) => h("figure", { class: worst ? "tile worst" : "tile" },
  s("svg", { viewBox: `0 0 ${panel.size[0]} ${panel.size[1]}`, role: "img", "aria-label": label },
    s("image", { href: panel.image, width: panel.size[0], height: panel.size[1] }),
    s("g", { transform: "scale(0.5)" },
      shaded ? panel.truth.map((d, i) => s("path", { d, fill: structure(i)[0], opacity: 0.33 })) : null,
      outlines.map((d, i) => s("path", { d, fill: "none", stroke: structure(i)[0], "stroke-width": 2.4, "stroke-dasharray": structure(i)[1] })))),
  h("figcaption", {}, caption));

const panelView = (panel, methods) => {
  const where = `${panel.patient}${panel.phase ? ` ${panel.phase}` : ""}, slice ${panel.slice} of ${panel.slices}`;
  return h("div", { class: "panel" },
    h("p", {}, h("b", {}, where), h("span", { class: "hint" }, ` worst case of ${panel.worst}`)),
    h("div", { class: "tiles" },
      tile(panel, [], false, h("b", {}, "image"), false, `${where}: image`),
      tile(panel, panel.truth, false, h("b", {}, "truth"), false, `${where}: truth`),
      methods.filter(visible).map((method) => {
        const dice = `Dice ${percent(panel.methods[method].dice)} %`;
        const caption = [h("b", {}, method), h("br", {}), dice];
        return tile(panel, panel.methods[method].outlines, true, caption, method === panel.worst, `${where}: ${method}, ${dice}`);
      })));
};

const renderPanels = () => {
  if (!$("worst-body")) return;
  const { groups, classes } = DATA.panels;
  replace($("worst-body"),
    keys(classes, (_, i) => icon(26, 10, s("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: structure(i)[0], "stroke-width": 3, "stroke-dasharray": structure(i)[1] }))),
    groups.map((own) => [own, shownGroups().find((group) => slug(group) === slug(own))]).filter(([, group]) => group).map(([own, group]) => [
      h("h3", {}, titleOf(group)),
      hint(`Predictions of ${own.methods.map((one) => one.run).join("; ")}. Dice is of the whole volume, mean of all classes.`),
      own.panels.map((panel) => panelView(panel, METHODS.filter((method) => method in panel.methods))),
    ]));
};
