"use strict";
// Which method fits which camera on which GPU: a matrix of GPUs and sensors for each method.

const VERDICTS = {
  fits: { sign: "✓", words: "fits" },
  uncertain: { sign: "?", words: "uncertain" },
  does_not_fit: { sign: "✗", words: "does not fit" },
  refused: { sign: "–", words: "size refused" },
};
// In the place of a variant: of each method the one that takes the least time of those that do.
const FASTEST = "the fastest that fits";
const DECISION_DEFAULTS = { method: "all", variant: null, verdict: "all", cycle: "", deviation: "" };
const decisionState = { ...DECISION_DEFAULTS };

function drawDecision() {
  const all = TABLES.feasibility || [];
  const into = document.getElementById("decision-content");
  if (!all.length) {
    const words = "No feasibility table was made: name GPUs and sensors in the configuration.";
    into.replaceChildren(element("p", { class: "none" }, words));
    return;
  }
  const state = decisionState;
  const named = distinct(all.map((row) => row.variant));
  const variants = named.length > 1 ? [...named, FASTEST] : named;
  if (!variants.includes(state.variant)) state.variant = variants.includes("reference-fp32") ? "reference-fp32" : variants[0];
  const methods = ["all", ...distinct(all.map((row) => row.method))];
  if (!methods.includes(state.method)) state.method = "all";
  if (!(state.verdict in VERDICTS)) state.verdict = "all";
  const set = (key) => (value) => {
    state[key] = value;
    writeAddress();
    showDecision();
  };
  const asked = (key) => element("input", {
    type: "number", min: "0", step: "any", value: state[key], placeholder: key === "cycle" ? "none" : "any",
    oninput: (event) => set(key)(event.target.value),
  });
  document.getElementById("decision-controls").replaceChildren(
    choice("method", methods, state.method, set("method")),
    choice("variant", variants, state.variant, set("variant")),
    choice("show", ["all", ...Object.keys(VERDICTS)], state.verdict, set("verdict"), (key) => (VERDICTS[key] || { words: "all" }).words),
    element("label", {}, element("span", { class: "name" }, "cycle time in ms"), asked("cycle")),
    ...(named.length > 1 ? [element("label", {}, element("span", { class: "name" }, "of the fastest, deviation at most"), asked("deviation"))] : []),
    element("button", { type: "button", onclick: () => download("feasibility.csv", toCsv(decisionRows())) }, "CSV"),
  );
  showDecision();
}

function decisionRows() {
  const { method, variant } = decisionState;
  const all = (TABLES.feasibility || []).filter((row) => method === "all" || row.method === method);
  return variant === FASTEST ? fastestRows(all) : all.filter((row) => row.variant === variant);
}

// As `analysis feasible` chooses the cheapest: what fits and keeps the cycle for certain goes before
// what may, then the least time of an image decides.
function fastestRows(all) {
  const groups = new Map();
  for (const row of all) {
    const key = `${row.method}\n${row.gpu}\n${row.sensor}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const most = decisionState.deviation === "" ? Infinity : Number(decisionState.deviation);
  const ranks = Object.keys(VERDICTS);
  const judged = (row) => ({ row, rank: ranks.indexOf(cellVerdict(row).verdict), time: row.latency_ms === null ? Infinity : row.latency_ms / row.batch });
  const before = (a, b) => a.rank - b.rank || (a.time === b.time ? 0 : a.time - b.time);
  return [...groups.values()].flatMap((rows) => rows.filter((row) => most === Infinity || (deviationOf(row)?.largest ?? Infinity) <= most).map(judged).sort(before).slice(0, 1).map((one) => one.row));
}

// How far a variant is off, at most, at the resolutions where it was compared; null: not known.
function deviationOf({ device, method, variant }) {
  if (variant === "reference-fp32") return { largest: 0, words: "others are compared with it" };
  const rows = rowsOf("implementations", { device, method, variant, role: "image" });
  const told = rows.flatMap((row) => [row.map_deviation_max, row.score_deviation_max]).filter((value) => value !== null);
  if (!told.length) return null;
  const largest = Math.max(...told);
  const over = rows.some((row) => row.exceeds_bound) ? ", more than its bound" : "";
  const pruned = variant.includes("pruned") ? ", and with weights that were not trained again" : "";
  return { largest, words: `largest deviation ${number(largest, 2)} at ${sizesOf(rows).join(", ")} px${over}${pruned}` };
}

function latency(row) {
  return known(row.latency_ms, row.latency_low_ms, row.latency_high_ms, 3);
}

function p99(row) {
  return known(row.latency_p99_ms, row.latency_p99_low_ms, row.latency_p99_high_ms, 3);
}

function p99End(row) {
  return cell(row, "latency_p99_high_ms");
}

// The verdict on memory, made worse by a cycle time that is not kept: as `analysis feasible` does.
function cellVerdict(row) {
  const cycle = Number(decisionState.cycle) * row.batch; // a batch has the cycles of all its images
  const cycles = row.batch > 1 ? `${row.batch} cycles of its images` : "cycle";
  if (!cycle || row.verdict === "does_not_fit") return { verdict: row.verdict, why: row.reason };
  if (row.latency_p99_ms === null) {
    if (row.latency_ms === null) return { verdict: "uncertain", why: `${row.reason}; latency: ${row.latency_problem ?? "not known"}` };
    if ((row.latency_low_ms ?? row.latency_ms) > cycle) return { verdict: "does_not_fit", why: `the mean ${latency(row)} ms is longer than the ${cycles}` };
    return { verdict: "uncertain", why: `${row.reason}; latency: too few images for a p99` };
  }
  if (row.latency_p99_ms > cycle) return { verdict: "does_not_fit", why: `p99 ${p99(row)} ms is longer than the ${cycles}` };
  const high = row.latency_p99_high_ms;
  if (high === null || high > cycle) return { verdict: "uncertain", why: `p99 ${p99(row)} ms, its upper end ${high === null ? "is not known" : `is ${p99End(row)} ms`}` };
  return { verdict: row.verdict, why: `${row.reason}; p99 at most ${p99End(row)} ms` };
}

// The choices stand in the address, so that a link or a reload shows the same.
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(decisionState)) {
    if (asked.has(key)) decisionState[key] = asked.get(key);
  }
}

function writeAddress() {
  const chosen = Object.entries(decisionState).filter(([key, value]) => value !== "" && value !== DECISION_DEFAULTS[key] && value !== null);
  const hash = new URLSearchParams(chosen).toString();
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // some browsers refuse it for a file: the page works without
  }
}

function showDecision() {
  const rows = decisionRows();
  const parts = distinct(rows.map((row) => row.method)).flatMap((method) => decisionMatrix(rows.filter((row) => row.method === method)));
  const legend = Object.values(VERDICTS).map(({ sign, words }) => `${sign} ${words}`).join(", ");
  document.getElementById("decision-content").replaceChildren(
    element(
      "p",
      {},
      `${legend}. Memory is counted, with a range for what CUDA and the allocator take besides; latency is from the decoded image to its result, without a profiler, mean, and only on GPUs that were measured. Each sensor is judged with its width and height; where a method does not run at them, the image is padded to the next at which it runs.`,
    ),
    ...parts,
    element("p", { class: "source" }, sourceOf("feasibility")),
  );
}

function decisionMatrix(rows) {
  const sensors = distinct(rows.map((row) => row.sensor));
  const gpus = distinct(rows.map((row) => row.gpu));
  const at = new Map(rows.map((row) => [`${row.gpu}\n${row.sensor}`, row]));
  const sizes = new Map(rows.map((row) => [row.sensor, `${number(row.megapixels, 3)} MP, ${row.sensor_resolution}`]));
  const reason = element("p", { class: "reason", role: "status" }, "Choose a field for its reason.");
  const tell = (sentence) => {
    reason.textContent = sentence;
  };
  const head = sensors.map((sensor) =>
    element("th", { scope: "col" }, sensor, element("small", {}, sizes.get(sensor))),
  );
  const body = gpus.map((gpu) =>
    element("tr", {}, element("th", { scope: "row" }, gpu), ...sensors.map((sensor) => decisionCell(at.get(`${gpu}\n${sensor}`), tell))),
  );
  const table = element(
    "table",
    { class: "matrix" },
    element("caption", {}, `${rows[0].method}, ${decisionState.variant}`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "GPU"), ...head)),
    element("tbody", {}, ...body),
  );
  return [element("div", { class: "scroll", tabindex: "0" }, table), reason, ...tilePlans(rows[0].method, rows[0].variant)];
}

// Where an image is cut: into which tiles, how much of it is computed twice, and how long that takes.
function tilePlans(method, variant) {
  const rows = (TABLES.tiles || []).filter((row) => row.method === method && row.variant === variant && row.tiles > 1);
  if (!rows.length) return [];
  const head = ["GPU", "sensor", "tiles", "shared", "computed twice", "counted", "verdict", "time per image"];
  const time = (row) =>
    row.time_ms === null ? "not measured" : `${known(row.time_ms, row.time_low_ms, row.time_high_ms, 3)} ms, ${row.time_basis}, without stitching`;
  const cells = (row) => [
    row.sensor,
    `${row.tiles} of ${row.tile} px (${row.plan})`,
    `${row.overlap_px} px`,
    `${Math.round(100 * row.overlap_share)} %`,
    `${number(row.counted_bytes / 2 ** 30, 3)} GiB`,
    VERDICTS[row.verdict].words,
    time(row),
  ];
  const body = rows.map((row) =>
    element("tr", {}, element("th", { scope: "row" }, row.gpu), ...cells(row).map((words) => element("td", {}, words))),
  );
  const table = element(
    "table",
    {},
    element("caption", {}, `${method}, ${variant}: the best plan of tiles`),
    element("thead", {}, element("tr", {}, ...head.map((words) => element("th", { scope: "col" }, words)))),
    element("tbody", {}, ...body),
  );
  const summary = element("summary", {}, `Tiles of ${method}: where the best plan cuts the image`);
  return [element("details", {}, summary, element("div", { class: "scroll", tabindex: "0" }, table), element("p", { class: "source" }, sourceOf("tiles")))];
}

// The reason stands in the cell's button for screen readers, and beneath the matrix once chosen.
function decisionCell(row, tell) {
  if (!row) return element("td", {}, "");
  const { verdict, why } = cellVerdict(row);
  if (decisionState.verdict !== "all" && decisionState.verdict !== verdict) return element("td", {}, "");
  const { sign, words } = VERDICTS[verdict];
  const basis = row.latency_basis === null || row.latency_basis === "measured" ? "" : `, ${row.latency_basis}`;
  const speed = row.latency_ms === null ? null : `${latency(row)} ms${row.batch > 1 ? ` per batch of ${row.batch}` : ""}${basis}`;
  const isChosen = decisionState.variant === FASTEST && row.latency_ms !== null;
  const off = isChosen ? `; ${deviationOf(row)?.words ?? "its deviation is not known"}` : "";
  const sentence = `${row.method}, ${isChosen ? `${row.variant}, ` : ""}${row.sensor} (${row.sensor_resolution} px) on ${row.gpu}: ${words}, ${why}${speed ? `; latency ${speed}${row.latency_p99_ms === null ? "" : `, p99 ${p99(row)} ms`}` : ""}${off}`;
  const button = element(
    "button",
    { type: "button", title: why, "aria-label": sentence, onclick: () => tell(sentence), onfocus: () => tell(sentence) },
    `${sign} ${words}`,
    isChosen ? element("small", {}, row.variant) : null,
    speed ? element("small", {}, speed) : null,
  );
  return element("td", { class: verdict }, button);
}
