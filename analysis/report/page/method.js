"use strict";
// One method in detail: shares of runtime and memory, implementations, growth, latency, kernels.

const CLOCKS = {
  host: "CPU host time", busy: "GPU busy time", span: "GPU span", kernel_sum: "GPU kernel sum",
};
const MEMORY = {
  peak_bytes: "largest sum of live tensors (counted)",
  activations_bytes: "activations, paper's equation 3 (counted)",
  total_bytes: "parameters, buffers and activations, paper's equation 1 (counted)",
};
const PARTS = ["load", "prepare", "copy_to_device", "image", "copy_to_host"];
const MIB = 2 ** 20;

const methodState = {
  device: null, method: null, variant: null, clock: null, shown: "absolute",
  memory: "peak_bytes", xLog: false, yLog: false, submodules: new Set(), known: "",
};

function measuredRows(wanted) {
  return rowsOf("runtime", wanted).filter((row) => row.status === "ok");
}

function settleMethodState() {
  const state = methodState;
  const pick = (key, values, preferred = null) => {
    if (!values.includes(state[key])) state[key] = values.includes(preferred) ? preferred : (values[0] ?? null);
    return values;
  };
  const devices = pick("device", distinct((TABLES.runtime || []).map((row) => row.device)));
  const ofDevice = rowsOf("runtime", { device: state.device });
  const methods = pick("method", distinct(ofDevice.map((row) => row.method)));
  const ofMethod = ofDevice.filter((row) => row.method === state.method);
  const variants = pick("variant", distinct(ofMethod.map((row) => row.variant)), "reference-fp32");
  const present = distinct(ofMethod.map((row) => row.clock));
  const clocks = pick("clock", ["busy", "host", "span", "kernel_sum"].filter((clock) => present.includes(clock)));
  const submodules = distinct(ofMethod.filter((row) => row.role === "submodule").map((row) => row.submodule));
  const known = `${state.device}/${state.method}`;
  if (state.known !== known) {
    state.known = known;
    state.submodules = new Set(submodules);
  }
  return { devices, methods, variants, clocks, submodules };
}

function drawMethod() {
  const state = methodState;
  const choices = settleMethodState();
  const controls = document.getElementById("method-controls");
  const set = (key) => (value) => {
    state[key] = value;
    drawMethod();
    // the controls are new ones: stay where one was
    const again = controls.querySelector(`[data-key="${key}"] select, [data-key="${key}"] input:checked, [data-key="${key}"] input`);
    if (again) again.focus();
  };
  const keyed = (key, control) => {
    control.dataset.key = key;
    return control;
  };
  controls.replaceChildren(
    ...(choices.devices.length > 1 ? [keyed("device", choice("device", choices.devices, state.device, set("device")))] : []),
    keyed("method", choice("method", choices.methods, state.method, set("method"))),
    keyed("variant", choice("variant", choices.variants, state.variant, set("variant"))),
    keyed("clock", choice("clock", choices.clocks, state.clock, set("clock"), (clock) => CLOCKS[clock])),
    keyed("memory", choice("memory", Object.keys(MEMORY), state.memory, set("memory"), (key) => MEMORY[key])),
    keyed("shown", radios("shown as", ["absolute", "share"], state.shown, set("shown"))),
    keyed("xLog", toggle("logarithmic side", state.xLog, set("xLog"))),
    keyed("yLog", toggle("logarithmic value", state.yLog, set("yLog"))),
    checks("submodules", choices.submodules, state.submodules, drawMethodFigures),
  );
  drawMethodFigures();
}

function drawMethodFigures() {
  const into = document.getElementById("method-content");
  into.replaceChildren();
  if (methodState.method === null) {
    into.append(element("p", { class: "none" }, "No run was measured."));
    return;
  }
  drawRuntimeShares(into);
  drawMemoryShares(into);
  drawImplementations(into);
  drawPareto(into);
  drawGrowth(into);
  drawLatency(into);
  drawLaunchBound(into);
  drawKernels(into);
}

function who() {
  const { device, method, variant } = methodState;
  return { device, method, variant };
}

function measuredOn(rows) {
  if (!rows.length) return "Nothing was measured.";
  const images = rows.map((row) => row.images);
  const few = Math.min(...images), most = Math.max(...images);
  const n = few === most ? `n = ${few}` : `n = ${few} to ${most}`;
  const disturbed = distinct(rows.filter((row) => row.verdict && row.verdict !== "steady").map((row) => `${row.resolution} px (${row.verdict})`));
  const marks = disturbed.length ? ` Not steady: ${disturbed.slice(0, 4).join(", ")}${disturbed.length > 4 ? ` and ${disturbed.length - 4} more` : ""}.` : "";
  return `Measured on ${rows[0].hardware} (device “${rows[0].device}”), collector ${rows[0].collector} ${rows[0].collector_version}, ${batchesOf(rows)}, ${n} images per point.${marks}`;
}

// of times: what a batch of several images means for them; of counts: the batch alone
function batchesOf(rows) {
  const found = distinct(rows.map((row) => row.batch)).sort((a, b) => a - b);
  const clocks = found.some((batch) => batch > 1) ? distinct(rows.map((row) => row.clock ?? "")) : [];
  const per = clocks.some((clock) => clock && clock !== "latency") ? ", times per image" : clocks.includes("latency") ? ", times of whole batches, which count as one image" : "";
  return `batch ${found.join(" / ")}${per}`;
}

function stackTraces(rows, value, submodules, scale) {
  const sides = sizesOf(rows);
  const at = (name, side) => {
    const found = rows.find((row) => row.submodule === name && row.resolution === side);
    return found && found[value] !== null ? found[value] * scale : null;
  };
  const total = sides.map((side) => submodules.reduce((sum, name) => sum + (at(name, side) ?? 0), 0));
  const share = methodState.shown === "share";
  return submodules.map((name) => ({
    type: "bar", name: plain(name), x: sides,
    y: sides.map((side, k) => {
      const here = at(name, side);
      return here === null ? null : share ? (100 * here) / (total[k] || 1) : here;
    }),
    marker: { color: STUDY.colours.submodules[name] },
    hovertemplate: share ? "%{y:.1f} %" : "%{y:,.4~g}",
  }));
}

function drawRuntimeShares(into) {
  const rows = measuredRows({ ...who(), clock: methodState.clock, role: "submodule" }).filter((row) => methodState.submodules.has(row.submodule));
  const names = distinct(rows.map((row) => row.submodule));
  const share = methodState.shown === "share";
  plotFigure(into, {
    name: "runtime-submodules", title: `Runtime by submodule: ${methodState.method}, ${methodState.variant}`,
    caption: `${CLOCKS[methodState.clock]} per image, mean. ${measuredOn(rows)}`,
    traces: stackTraces(rows, "mean_ms", names, 1),
    layout: { x: sizeLabel(rows), y: share ? "share in %" : "runtime per image in ms", yLog: methodState.yLog && !share, barmode: share || !methodState.yLog ? "stack" : "group" },
    rows, source: sourceOf("runtime"),
  });
}

function drawMemoryShares(into) {
  const { method, variant } = who();
  const key = methodState.memory;
  const measuredSides = distinct(rowsOf("runtime", who()).map((row) => row.resolution));
  const all = rowsOf("memory", { method, variant }).filter((row) => methodState.submodules.has(row.submodule));
  const rows = all.filter((row) => measuredSides.includes(row.resolution));
  const peak = key === "peak_bytes"; // peaks of submodules are reached one after another: no sum
  const share = methodState.shown === "share" && !peak;
  plotFigure(into, {
    name: "memory-submodules", title: `Memory by submodule: ${method}, ${variant}`,
    caption: `Counted, not measured: ${MEMORY[key]}, ${batchesOf(rows)}, ${variant.includes("fp32") ? "32-bit floats" : "in the numbers of the variant"}, at the resolutions that were measured.${peak ? " The peaks are reached one after another and are not summed." : ""}`,
    traces: peak ? stackTracesAbsolute(rows, key, 1 / MIB) : stackTraces(rows, key, distinct(rows.map((row) => row.submodule)), 1 / MIB),
    layout: { x: sizeLabel(rows), y: share ? "share in %" : "memory in MiB", yLog: methodState.yLog && !share, barmode: peak || (methodState.yLog && !share) ? "group" : "stack" },
    rows: all, source: sourceOf("memory"),
  });
}

function stackTracesAbsolute(rows, value, scale) {
  const kept = methodState.shown;
  methodState.shown = "absolute";
  const traces = stackTraces(rows, value, distinct(rows.map((row) => row.submodule)), scale);
  methodState.shown = kept;
  return traces;
}

function drawImplementations(into) {
  const { device, method } = who();
  const rows = measuredRows({ device, method, clock: methodState.clock, role: "image" });
  const variants = distinct(rows.map((row) => row.variant));
  const traces = variants.map((variant, k) => {
    const of = rows.filter((row) => row.variant === variant);
    return {
      type: "scatter", mode: "lines+markers", name: plain(variant), x: of.map((row) => row.side_px),
      y: of.map((row) => row.mean_ms), error_y: whiskers(of, "mean_ms", "ci95_low_ms", "ci95_high_ms"),
      line: { color: STUDY.colours.series[k % STUDY.colours.series.length], dash: k % 2 ? "dash" : "solid" },
      marker: { symbol: of.map((row) => (row.verdict && row.verdict !== "steady" ? "circle-open" : "circle")), size: 8 },
      ...meanHover(of),
    };
  });
  plotFigure(into, {
    name: "variants", title: `Variants: ${method}`,
    caption: `${CLOCKS[methodState.clock]} of the whole image, mean with 95 % confidence interval; open points: not steady. ${measuredOn(rows)}`,
    traces, layout: { x: sideLabel(rows), y: "runtime per image in ms", xLog: methodState.xLog, yLog: methodState.yLog },
    rows, source: sourceOf("runtime"),
  });
}

// Latency of the variants over their deviation, at all resolutions.
function drawPareto(into) {
  const { device, method } = who();
  const off = new Map(rowsOf("implementations", { device, method, role: "image" }).map((row) => [`${row.variant} ${row.resolution}`, row]));
  const timed = measuredRows({ device, method, clock: "latency", role: "end_to_end" }).filter((row) => !/-b\d+/.test(row.variant));
  const rows = timed.flatMap((row) => {
    const found = off.get(`${row.variant} ${row.resolution}`);
    const deviation = row.variant === "reference-fp32" ? 0 : (found?.map_deviation_max ?? null);
    return deviation === null ? [] : [{ ...row, map_deviation_max: deviation, exceeds_bound: found?.exceeds_bound ?? null }];
  });
  const isPlain = (name) => /^[a-z0-9_]+-(fp32|tf32)(-b\d+)?$/.test(name);
  if (rows.every((row) => isPlain(row.variant))) return; // other implementations have the same results
  const sizes = sizesOf(rows);
  const colours = STUDY.colours.series;
  const variants = distinct(rows.map((row) => row.variant));
  const symbols = ["circle", "square", "diamond", "triangle-up", "x", "star"];
  const traces = variants.map((variant, k) => {
    const of = rows.filter((row) => row.variant === variant);
    return {
      type: "scatter", mode: "lines+markers", name: plain(variant), x: of.map((row) => Math.max(row.map_deviation_max, 1e-8)), y: of.map((row) => row.mean_ms),
      line: { width: 1, dash: "dot", color: colours[k % colours.length] },
      marker: { size: of.map((row) => 7 + 4 * sizes.indexOf(row.resolution)), symbol: symbols[Math.floor(k / colours.length) % symbols.length], line: { width: of.map((row) => (row.exceeds_bound ? 2 : 0)), color: cssColour("--ink") } },
      text: of.map((row) => `${plain(variant)}, ${row.resolution} px: ${known(row.mean_ms, row.ci95_low_ms, row.ci95_high_ms)} ms, deviation ${number(row.map_deviation_max, 2)}`),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
  plotFigure(into, {
    name: "pareto", title: `Latency against deviation: ${method}`,
    caption: `Mean latency without a profiler over the largest deviation of the map from reference-fp32 (of its largest value; 1e-8 stands for less). Larger points: larger images. Framed: above its bound. ${variants.some((name) => name.includes("pruned")) ? "Pruned networks were not trained again. " : ""}${measuredOn(rows)}`,
    traces, layout: { x: "largest deviation of the map", y: "latency in ms", xLog: true, yLog: true, hovermode: "closest" },
    rows, source: sourceOf("implementations", "runtime"), wide: true,
  });
}

function drawLatency(into) {
  const rows = measuredRows({ ...who(), clock: "latency" });
  const parts = rows.filter((row) => PARTS.includes(row.submodule) && row.submodule !== "load");
  const names = PARTS.filter((name) => parts.some((row) => row.submodule === name));
  const whole = rows.filter((row) => row.role === "end_to_end");
  const kept = methodState.shown;
  methodState.shown = "absolute";
  const traces = stackTraces(parts, "mean_ms", names, 1);
  methodState.shown = kept;
  names.forEach((name, k) => {
    traces[k].marker.color = STUDY.colours.series[k];
    traces[k].name = name === "image" ? "inference" : name.replaceAll("_", " ");
  });
  if (whole.length) {
    traces.push({
      type: "scatter", mode: "markers", name: "end to end, p99", x: whole.map((row) => row.resolution),
      y: whole.map((row) => row.p99_ms), marker: { symbol: "line-ew-open", size: 18, line: { width: 2 }, color: cssColour("--ink") },
      text: whole.map((row) => known(row.p99_ms, row.p99_low_ms, row.p99_high_ms)), hovertemplate: "%{text} ms",
    });
  }
  plotFigure(into, {
    name: "latency", title: `Latency without a profiler: ${methodState.method}, ${methodState.variant}`,
    caption: `Wall clock, in a pass of its own without any profiler; bars: means of the parts, dash: 99th percentile from the decoded image to its result. This decides cycle times. ${measuredOn(whole)}`,
    traces: rows.length ? traces : [], layout: { x: sizeLabel(rows), y: "latency in ms", yLog: methodState.yLog, barmode: methodState.yLog ? "group" : "stack" },
    rows, source: sourceOf("runtime"),
  });
}

function drawLaunchBound(into) {
  const rows = measuredRows({ ...who(), clock: "busy", role: "submodule" }).filter((row) => row.launch_bound_share !== null && methodState.submodules.has(row.submodule));
  if (!rows.length) return; // a CPU launches nothing
  const traces = distinct(rows.map((row) => row.submodule)).map((name) => {
    const of = rows.filter((row) => row.submodule === name);
    return {
      type: "scatter", mode: "lines+markers", name: plain(name), x: of.map((row) => row.side_px), y: of.map((row) => 100 * row.launch_bound_share),
      line: { color: STUDY.colours.submodules[name] }, hovertemplate: "%{y:.1f} %",
    };
  });
  plotFigure(into, {
    name: "launch-bound", title: `Launch-bound share: ${methodState.method}, ${methodState.variant}`,
    caption: `1 − busy / span of each submodule's kernels: the part of its time on the GPU in which no kernel of it ran. ${measuredOn(rows)}`,
    traces, layout: { x: sideLabel(rows), y: "launch-bound share in %", xLog: methodState.xLog },
    rows, source: sourceOf("runtime"),
  });
}

function drawKernels(into) {
  const all = rowsOf("kernels", who());
  if (!all.length) return;
  const sides = sizesOf(all);
  const figure = element("figure", { id: "kernels", class: "wide" }, element("h3", {}, `Kernels: ${methodState.method}, ${methodState.variant}`));
  const holder = element("div", { class: "scroll tall", tabindex: "0" });
  const columns = Object.keys(all[0]).filter((column) => !["device", "device_type", "hardware", "method", "variant", "pixels", "role"].includes(column));
  const show = (side) => {
    const rows = all.filter((row) => row.resolution === side && methodState.submodules.has(row.submodule)).slice(0, 60);
    holder.replaceChildren(dataTable(rows, columns, `At ${side} px, by time; the first ${rows.length}`));
  };
  figure.append(choice("resolution in px", sides, sides.at(-1), show), holder, element("p", { class: "source" }, sourceOf("kernels")));
  show(sides.at(-1));
  into.append(figure);
}
