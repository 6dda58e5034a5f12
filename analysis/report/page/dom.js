"use strict";
// The study's tables, and small builders of elements. Text only ever becomes text: no innerHTML.

let STUDY = null;
let TABLES = {};

async function readStudy() {
  STUDY = JSON.parse(await unpacked("study"));
  TABLES = Object.fromEntries(
    Object.entries(STUDY.tables).map(([name, table]) => [
      name,
      table.rows.map((row) => Object.fromEntries(table.columns.map((column, k) => [column, row[k]]))),
    ]),
  );
}

function rowsOf(name, wanted = {}) {
  const pairs = Object.entries(wanted);
  return (TABLES[name] || []).filter((row) => pairs.every(([key, value]) => row[key] === value));
}

function distinct(values) {
  return [...new Set(values.filter((value) => value !== null && value !== undefined))];
}

// resolutions of rows, small images first
function sizesOf(rows) {
  const pixels = new Map(rows.map((row) => [row.resolution, row.pixels]));
  return distinct(rows.map((row) => row.resolution)).sort((a, b) => pixels.get(a) - pixels.get(b));
}

// what an axis over the side, or over resolutions one by one, is called
function sideLabel(rows) {
  return rows.every((row) => row.width_px === row.height_px) ? "side of the image in px" : "square root of the pixels (of a square its side) in px";
}

function sizeLabel(rows) {
  return rows.every((row) => row.width_px === row.height_px) ? "side of the image in px" : "width × height of the image in px";
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null).map((child) => child));
  return made;
}

function number(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return (value + 0).toLocaleString("en-US");
  return unsignedZero(Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumSignificantDigits: digits }));
}

// As many digits as a 95 % interval leaves: the rule of analysis/numbers.py.
function known(value, low, high, digits = 4) {
  const place = placeOf(value, low, high);
  return place === null ? number(value, digits) : atPlace(value, place);
}

// Decimal places to which a number with an interval is shown; null where it has none.
function placeOf(value, low, high) {
  const missing = [value, low, high].some((one) => one === null || one === undefined);
  if (missing || !(high > low)) return null;
  const largest = exponentOf(value), half = (high - low) / 2, last = exponentOf(half);
  const digits = half / 10 ** last < 3.55 ? 2 : 1;
  return Math.max(Math.min(digits - 1 - last, 5 - largest), -largest);
}

function exponentOf(value) {
  return value === 0 ? 0 : Number(value.toExponential().split("e")[1]);
}

function atPlace(value, place) {
  const rounded = place < 0 ? Math.round(value * 10 ** place) / 10 ** place : value;
  const shown = Math.min(Math.max(place, 0), 15);
  return unsignedZero(rounded.toLocaleString("en-US", { minimumFractionDigits: shown, maximumFractionDigits: shown }));
}

const ENDS = {
  mean_ms: ["ci95_low_ms", "ci95_high_ms"],
  ...Object.fromEntries(
    ["median", "p90", "p95", "p99", "latency", "latency_p99"].map((name) => [`${name}_ms`, [`${name}_low_ms`, `${name}_high_ms`]]),
  ),
  predicted: ["band_low", "band_high"],
};
const VALUE_OF = Object.fromEntries(
  Object.entries(ENDS).flatMap(([value, ends]) => [value, ...ends].map((column) => [column, value])),
);

// A cell of a table: numbers with an interval, and its ends, in the digits that are known.
function cell(row, column) {
  const value = VALUE_OF[column];
  if (value === undefined || typeof row[column] !== "number") return number(row[column]);
  const [low, high] = ENDS[value].map((end) => row[end]);
  const place = placeOf(row[value], low, high);
  return place === null ? number(row[column]) : atPlace(row[column], Math.max(place, -exponentOf(row[column])));
}

function unsignedZero(text) {
  return /[1-9]/.test(text) ? text : text.replace("-", "");
}

// --- controls: native elements, each with a name ---

function choice(name, values, selected, onchange, label = (value) => value) {
  const options = values.map((value) =>
    element("option", { value, selected: value === selected }, String(label(value))),
  );
  const select = element("select", { "aria-label": name, onchange: () => onchange(select.value) }, ...options);
  return element("label", {}, element("span", { class: "name" }, name), select);
}

function radios(name, values, selected, onchange) {
  const buttons = values.map((value) =>
    element(
      "label",
      {},
      element("input", {
        type: "radio", name: `radio-${name}`, value, checked: value === selected,
        onchange: () => onchange(value),
      }),
      ` ${value}`,
    ),
  );
  return element("fieldset", {}, element("legend", {}, name), ...buttons);
}

function checks(name, values, selected, onchange) {
  const boxes = values.map((value) =>
    element(
      "label",
      {},
      element("input", {
        type: "checkbox", value, checked: selected.has(value),
        onchange: (event) => {
          if (event.target.checked) selected.add(value);
          else selected.delete(value);
          onchange();
        },
      }),
      ` ${value}`,
    ),
  );
  return element("fieldset", {}, element("legend", {}, name), ...boxes);
}

function toggle(name, selected, onchange) {
  const box = element("input", {
    type: "checkbox", checked: selected, onchange: () => onchange(box.checked),
  });
  return element("label", {}, box, ` ${name}`);
}

// --- tables ---

function isNumeric(rows, column) {
  return rows.every((row) => row[column] === null || typeof row[column] === "number");
}

function isLong(rows, column) {
  return rows.some((row) => typeof row[column] === "string" && row[column].length > 60);
}

function dataTable(rows, columns, caption, { classOf = () => null, onsort = null } = {}) {
  const numeric = Object.fromEntries(columns.map((column) => [column, isNumeric(rows, column)]));
  const long = Object.fromEntries(columns.map((column) => [column, isLong(rows, column)]));
  const head = columns.map((column) =>
    element(
      "th",
      { scope: "col", class: numeric[column] ? "number" : null },
      onsort ? element("button", { type: "button", onclick: () => onsort(column) }, column) : column,
    ),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      ...columns.map((column) =>
        element(
          "td",
          { class: [numeric[column] ? "number" : "", long[column] ? "long" : "", classOf(row, column) || ""].join(" ").trim() || null },
          cell(row, column),
        ),
      ),
    ),
  );
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
}

// --- files ---

function csvField(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function toCsv(rows) {
  if (!rows.length) return "";
  const columns = distinct(rows.flatMap((row) => Object.keys(row)));
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((line) => line.map(csvField).join(",")).join("\n") + "\n";
}

function download(name, text) {
  const link = element("a", {
    download: name, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })),
  });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(link.href);
}

// Copies a text. A page opened from a file has no clipboard of its own in some browsers.
function copyButton(name, text) {
  const button = element("button", {
    type: "button", class: "copy",
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text());
      } catch {
        const area = element("textarea", { "aria-hidden": "true" });
        area.value = text();
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = name; }, 1500);
    },
  }, name);
  return button;
}
