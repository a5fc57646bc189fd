// Puts the page together.

const THEMES = { auto: ["\u25d0", "as the system"], light: ["\u2600", "light"], dark: ["\u263e", "dark"] };
const kept = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } }, set: (value) => { try { localStorage.setItem("theme", value); } catch { /* a file page may have no storage */ } } };

const useTheme = (name) => {
  const root = document.documentElement;
  if (name === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", name);
  replace($("theme"), h("span", { "aria-hidden": "true" }, THEMES[name][0]), " ", h("span", { class: "word" }, name));
  $("theme").setAttribute("aria-label", `Colours: ${THEMES[name][1]}`);
  kept.set(name);
};

const bindTheme = () => {
  const names = Object.keys(THEMES);
  let now = kept.get() in THEMES ? kept.get() : "auto";
  useTheme(now);
  $("theme").addEventListener("click", () => { now = names[(names.indexOf(now) + 1) % names.length]; useTheme(now); });
};

const copyText = async (button, text) => {
  try { await navigator.clipboard.writeText(text); button.textContent = "copied"; } catch { button.textContent = "select and copy"; }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
};
const bindCopies = () => {
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => copyText(button, button.dataset.copy ?? $(button.dataset.from).textContent));
  }
};

const drawings = [renderLadder, renderCurves, renderPatients];
const render = () => { renderTables(); renderMatrix(); renderPanels(); renderBudget(); for (const draw of drawings) draw(); };

bindTheme();
bindCopies();
bindView(render);
render();

// Figures are drawn for the width they have.
let width = document.documentElement.clientWidth;
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    for (const draw of drawings) draw();
  }, 120);
});
