"use strict";
// The table of runs, and the table of tables.

const RUNS_FIRST = [
  "device", "method", "variant", "resolution", "process", "pass", "status", "verdict", "evidence",
  "measured_images", "stop_reason", "hardware", "collector",
];
const runsState = { text: "", verdict: "all", column: null, falling: false, full: false };

function drawRuns() {
  const rows = TABLES.runs || [];
  const verdicts = ["all", ...distinct(rows.map((row) => row.verdict))];
  const filter = element("input", {
    type: "search", value: runsState.text, oninput: (event) => {
      runsState.text = event.target.value;
      showRuns();
    },
  });
  document.getElementById("runs-controls").replaceChildren(
    element("label", {}, element("span", { class: "name" }, "contains"), filter),
    choice("verdict", verdicts, runsState.verdict, (value) => {
      runsState.verdict = value;
      showRuns();
    }),
    toggle("all columns", runsState.full, (value) => {
      runsState.full = value;
      showRuns();
    }),
    element("button", { type: "button", onclick: () => download("runs.csv", toCsv(chosenRuns())) }, "CSV"),
  );
  showRuns();
}

function chosenRuns() {
  const text = runsState.text.toLowerCase();
  const rows = (TABLES.runs || []).filter(
    (row) =>
      (runsState.verdict === "all" || row.verdict === runsState.verdict) &&
      (!text || Object.values(row).some((value) => value !== null && String(value).toLowerCase().includes(text))),
  );
  const { column, falling } = runsState;
  if (column === null) return rows;
  const sign = falling ? -1 : 1;
  const key = column === "resolution" ? "pixels" : column; // not by its letters
  return [...rows].sort((a, b) => {
    if (a[key] === b[key]) return 0;
    if (a[key] === null) return 1;
    if (b[key] === null) return -1;
    return a[key] < b[key] ? -sign : sign;
  });
}

function showRuns() {
  const rows = chosenRuns();
  const all = STUDY.tables.runs ? STUDY.tables.runs.columns : [];
  const columns = runsState.full ? all : RUNS_FIRST.filter((column) => all.includes(column));
  const table = dataTable(rows, columns, `${rows.length} of ${(TABLES.runs || []).length} rows: a run, process and pass each. Choose a column's name to sort by it.`, {
    classOf: (row, column) => (column === "verdict" && row.verdict && row.verdict !== "steady" ? "uncertain" : null),
    onsort: (column) => {
      runsState.falling = runsState.column === column && !runsState.falling;
      runsState.column = column;
      showRuns();
    },
  });
  document.getElementById("runs-content").replaceChildren(
    element("div", { class: "scroll tall", tabindex: "0" }, table),
    element("p", { class: "source" }, sourceOf("runs")),
  );
}

function drawSources() {
  const rows = Object.entries(STUDY.tables).map(([name, table]) => ({
    table: name, rows: table.rows.length, file: table.file, "made by": table.command,
  }));
  document.getElementById("sources-content").append(
    element("div", { class: "scroll", tabindex: "0" }, dataTable(rows, ["table", "rows", "file", "made by"], "Tables in this page")),
  );
}
