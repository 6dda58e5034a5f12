"use strict";
// Frames around Plotly: theme, caption, source, export, and the data as a table for those who
// cannot see or hover.

// Plotly reads <b>, <a href> and the like in labels; names of the user's are only text.
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function baseLayout({ x, y, xLog = false, yLog = false, barmode = null, shapes = [], annotations = [], hovermode = "x unified" }) {
  const axis = (title, log) => ({
    rangemode: "nonnegative",
    title: { text: plain(title), standoff: 8 }, type: log ? "log" : "linear", gridcolor: cssColour("--grid"),
    linecolor: cssColour("--soft"), zeroline: false, automargin: true,
    ...(log ? { dtick: 1, minor: { ticks: "outside" } } : {}),
  });
  return {
    paper_bgcolor: cssColour("--paper"), plot_bgcolor: cssColour("--paper"),
    font: { color: cssColour("--ink"), size: 12 },
    margin: { l: 56, r: 12, t: 8, b: 48 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hovermode, hoverlabel: { namelength: -1 },
    // bars stand beside each other, one per resolution; everything else is drawn to scale
    xaxis: barmode ? { ...axis(x, false), type: "category" } : axis(x, xLog),
    yaxis: axis(y, yLog),
    ...(barmode ? { barmode } : {}), shapes, annotations,
  };
}

function plotFigure(into, { name, title, caption, traces, layout, rows, source, wide = false }) {
  const heading = element("h3", { id: `${name}-title` }, title);
  const plot = element("div", { class: "plot", role: "img", "aria-label": `${title}. ${caption}` });
  const columns = distinct(rows.flatMap((row) => Object.keys(row)));
  const details = element("details", {}, element("summary", {}, "The data as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("table")) {
      details.append(element("div", { class: "scroll tall", tabindex: "0" }, dataTable(rows, columns, title)));
    }
  });
  const file = name.replaceAll(/[^A-Za-z0-9._+-]+/g, "_");
  const tools = element(
    "div",
    { class: "tools" },
    element("button", { type: "button", onclick: () => download(`${file}.csv`, toCsv(rows)) }, "CSV"),
    element(
      "button",
      {
        type: "button",
        onclick: () => Plotly.downloadImage(plot, { format: "png", filename: file, width: 1000, height: 600, scale: 2 }),
      },
      "PNG",
    ),
  );
  const figure = element(
    "figure",
    { id: name, class: wide ? "wide" : null, "aria-labelledby": `${name}-title` },
    heading,
    traces.length ? plot : element("p", { class: "none" }, "Nothing measured to draw here."),
    element("figcaption", {}, caption),
    tools,
    details,
    element("p", { class: "source" }, source),
  );
  into.append(figure);
  if (traces.length) {
    plot.draw = () => Plotly.newPlot(plot, traces, baseLayout(layout), { responsive: true, displaylogo: false, displayModeBar: false });
    if (window.Plotly) seen.observe(plot);
  }
  return figure;
}

// A plot is drawn when it comes near the window: a study has many, and few are looked at.
function drawPlot(plot) {
  seen.unobserve(plot);
  const { draw } = plot;
  delete plot.draw;
  if (draw) draw();
}

const seen = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawPlot(entry.target)),
  { rootMargin: "400px" },
);

// The library is longer than all else, so that it is read when the first view stands.
async function readPlotly() {
  await unpackScript("plotly");
  document.querySelectorAll(".plot").forEach((plot) => {
    if (plot.draw) seen.observe(plot);
  });
}

function drawAllPlots() {
  document.querySelectorAll(".plot").forEach(drawPlot);
}

// The tables that a figure is drawn from, with a button that copies the command which makes
// them again in the folder of the study, and measures nothing.
function sourceOf(...tables) {
  const there = tables.filter((name) => STUDY.tables[name]).map((name) => STUDY.tables[name]);
  const words = there.map(({ file, command }) => `From ${file}, made by: ${command}`).join(". ");
  const commands = `snakemake --force ${there.map(({ file }) => file).join(" ")}`;
  return element("span", {}, `${words} `, there.length ? copyButton("Copy command", () => commands) : "");
}

// A mean under the pointer, in the digits that are known.
function meanHover(rows) {
  return {
    text: rows.map((row) => known(row.mean_ms, row.ci95_low_ms, row.ci95_high_ms)), hovertemplate: "%{text} ms",
  };
}

function whiskers(rows, value, low, high) {
  return {
    type: "data", symmetric: false, thickness: 1,
    array: rows.map((row) => (row[high] === null ? 0 : row[high] - row[value])),
    arrayminus: rows.map((row) => (row[low] === null ? 0 : row[value] - row[low])),
  };
}
