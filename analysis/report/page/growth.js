"use strict";
// Growth of one submodule or the image: points, the law chosen with its band, the study's parabola.

const growthState = { submodule: "image" };

function drawGrowth(into) {
  const { device, method, variant } = methodState;
  const wanted = { quantity: "runtime", device, method, variant, clock: methodState.clock };
  const curves = rowsOf("fit_curves", wanted);
  if (!curves.length) return;
  const names = distinct(curves.map((row) => row.submodule));
  if (!names.includes(growthState.submodule)) growthState.submodule = names.includes("image") ? "image" : names[0];
  const name = growthState.submodule;
  const curve = curves.filter((row) => row.submodule === name).sort((a, b) => a.side_px - b.side_px);
  const fit = rowsOf("fits", { ...wanted, submodule: name })[0] || {};
  const points = measuredRows({ device, method, variant, clock: methodState.clock, submodule: name });
  const colour = STUDY.colours.submodules[name] || STUDY.colours.series[0];
  const known = curve.filter((row) => row.band_low !== null);
  const traces = [];
  if (known.length) {
    const band = { type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    traces.push({ ...band, x: known.map((row) => row.side_px), y: known.map((row) => Math.max(row.band_low, 1e-6)) });
    traces.push({ ...band, x: known.map((row) => row.side_px), y: known.map((row) => row.band_high), fill: "tonexty", fillcolor: `${colour}33`, showlegend: true, name: "95 % band" });
  }
  traces.push({ type: "scatter", mode: "lines", name: "law chosen", x: curve.map((row) => row.side_px), y: curve.map((row) => row.predicted), line: { color: colour }, hovertemplate: "%{y:,.4~g} ms" });
  traces.push({ type: "scatter", mode: "lines", name: "study's parabola", x: curve.map((row) => row.side_px), y: curve.map((row) => row.study), line: { color: cssColour("--soft"), dash: "dot" }, hovertemplate: "%{y:,.4~g} ms" });
  traces.push({ type: "scatter", mode: "markers", name: "measured", x: points.map((row) => row.resolution_px), y: points.map((row) => row.mean_ms), error_y: whiskers(points, "mean_ms", "ci95_low_ms", "ci95_high_ms"), marker: { color: cssColour("--ink"), size: 8, symbol: points.map((row) => (row.verdict && row.verdict !== "steady" ? "circle-open" : "circle")) }, hovertemplate: "%{y:,.4~g} ms" });
  const last = Math.max(...points.map((row) => row.resolution_px));
  const end = Math.max(...curve.map((row) => row.side_px));
  const log = methodState.xLog ? Math.log10 : (value) => value;
  const shapes = end > last ? [{ type: "rect", xref: "x", yref: "paper", x0: methodState.xLog ? last : last, x1: end, y0: 0, y1: 1, fillcolor: cssColour("--soft"), opacity: 0.09, line: { width: 0 }, layer: "below" }] : [];
  const annotations = end > last ? [{ x: log((last + end) / 2), y: 0.98, yref: "paper", text: "extrapolated", showarrow: false, yanchor: "top" }] : [];
  const figure = plotFigure(into, {
    name: "growth", title: `Growth of ${name}: ${method}, ${variant}`,
    caption: `${CLOCKS[methodState.clock]} over the side. Shaded: extrapolated, not measured. ${growthWords(fit)} ${measuredOn(points)}`,
    traces, layout: { x: "side of the image in px", y: "runtime per image in ms", xLog: methodState.xLog, yLog: methodState.yLog, shapes, annotations },
    rows: curve, source: sourceOf("fit_curves", "fits"), wide: true,
  });
  const choose = choice("submodule", names, name, (value) => {
    growthState.submodule = value;
    drawMethodFigures();
    document.querySelector("#growth select").focus();
  });
  figure.querySelector("h3").after(choose);
}
