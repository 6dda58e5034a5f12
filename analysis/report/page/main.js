"use strict";
// Draws the page, and again when its colours change.

function drawAll() {
  drawDecision();
  drawMethod();
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(dark));
  button.textContent = dark ? "Light" : "Dark";
}

document.getElementById("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme !== "dark");
  drawMethodFigures();
});

const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
setTheme(wantsDark.matches);
wantsDark.addEventListener("change", (event) => {
  setTheme(event.matches);
  drawMethodFigures();
});

// paper is white, and narrower than the screen
let themeOnScreen = null;
window.addEventListener("beforeprint", () => {
  themeOnScreen = document.documentElement.dataset.theme;
  if (themeOnScreen === "dark") {
    setTheme(false);
    drawMethodFigures();
  }
  if (!window.Plotly) return;
  drawAllPlots();
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.relayout(plot, { width: 640, height: 340 }));
});
window.addEventListener("afterprint", () => {
  if (themeOnScreen === "dark") setTheme(true);
  drawMethodFigures();
});

async function start() {
  if (!window.DecompressionStream) {
    const words = "This page needs a browser of 2023 or later (Chrome 80, Firefox 113, Safari 16.4). The same figures are files in results/figures, the tables in results/tables.";
    document.getElementById("decision-content").replaceChildren(element("p", { class: "warning" }, words));
    return;
  }
  await readStudy();
  readAddress();
  drawAll();
  drawRuns();
  drawSources();
  document.documentElement.dataset.shown = "true";
  await readPlotly();
  document.documentElement.dataset.ready = "true";
}

start();
