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
  drawAllPlots();
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.relayout(plot, { width: 640, height: 340 }));
});
window.addEventListener("afterprint", () => {
  if (themeOnScreen === "dark") setTheme(true);
  drawMethodFigures();
});

drawAll();
drawRuns();
drawSources();
document.documentElement.dataset.ready = "true";
