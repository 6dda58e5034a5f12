"use strict";
// Growth of one submodule or the image: points, the law chosen with its band, the paper's parabola.

function growthWords(fit) {
  if (!fit.method) return "";
  const words = [];
  if (fit.formula) words.push(`Law chosen: ${fit.formula} (${fit.coefficients}), because: ${fit.why_chosen}.`);
  else words.push("Line: sum of what was fitted, or the paper's parabola where no law could be chosen.");
  if (fit.back_test_one_out !== null) words.push(`Back-test: the largest resolution, left out, is missed by ${unsignedZero((100 * fit.back_test_one_out).toFixed(1))} %.`);
  if (fit.interval_refused) words.push(`No band: ${fit.interval_refused}.`);
  if (fit.refused) words.push(`At ${number(fit.extrapolate_to_px)} px refused: ${fit.refused}.`);
  if (fit.problems) words.push(`Note: ${fit.problems}.`);
  if (!fit.refused) words.push(`${number(fit.extrapolate_to_px)} px are ${number(fit.extrapolation_factor_pixels, 3)} times the pixels of the largest measured resolution.`);
  return words.join(" ");
}

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
  traces.push({ type: "scatter", mode: "lines", name: "paper's parabola", x: curve.map((row) => row.side_px), y: curve.map((row) => row.study_predicted), line: { color: cssColour("--soft"), dash: "dot" }, hovertemplate: "%{y:,.4~g} ms" });
  traces.push({ type: "scatter", mode: "markers", name: "measured", x: points.map((row) => row.side_px), y: points.map((row) => row.mean_ms), error_y: whiskers(points, "mean_ms", "ci95_low_ms", "ci95_high_ms"), marker: { color: cssColour("--ink"), size: 8, symbol: points.map((row) => (row.verdict && row.verdict !== "steady" ? "circle-open" : "circle")) }, ...meanHover(points) });
  const last = Math.max(...points.map((row) => row.side_px));
  const end = Math.max(...curve.map((row) => row.side_px));
  const log = methodState.xLog ? Math.log10 : (value) => value;
  const shapes = end > last ? [{ type: "rect", xref: "x", yref: "paper", x0: last, x1: end, y0: 0, y1: 1, fillcolor: cssColour("--soft"), opacity: 0.09, line: { width: 0 }, layer: "below" }] : [];
  const annotations = end > last ? [{ x: log((last + end) / 2), y: 0.98, yref: "paper", text: "extrapolated", showarrow: false, yanchor: "top" }] : [];
  const figure = plotFigure(into, {
    name: "growth", title: `Growth of ${name}: ${method}, ${variant}`,
    caption: `${CLOCKS[methodState.clock]} over the side. Shaded: extrapolated, not measured. ${growthWords(fit)} ${measuredOn(points)}`,
    traces, layout: { x: sideLabel(points), y: "runtime per image in ms", xLog: methodState.xLog, yLog: methodState.yLog, shapes, annotations },
    rows: curve, source: sourceOf("fit_curves", "fits"), wide: true,
  });
  const choose = choice("submodule", names, name, (value) => {
    growthState.submodule = value;
    drawMethodFigures();
    document.querySelector("#growth select").focus();
  });
  figure.querySelector("h3").after(choose);
}
