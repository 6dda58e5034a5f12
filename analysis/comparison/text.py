"""A comparison as text for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import Any

import pandas as pd

from adscale.tables import text_table
from adscale.variant import NoVariantError, Variant

from ..json_output import document_text, told_rows_text
from ..numbers import known, known_interval
from .sides import LABELS, Difference, Side
from .verdict import ERROR_RATE

WORST_FIRST = ("slower", "unclear", "same", "faster")
"""Order of the verdicts."""

_HEAD = ("verdict", "B / A", "95 % interval", "A ms", "B ms", "px", "part", "clock", "reason")
_LEFT = frozenset({"verdict", "95 % interval", "part", "clock", "reason"})


def comparison_text(
    table: pd.DataFrame,
    a: Side,
    b: Side,
    differences: Sequence[Difference] | None,
    all_clocks: bool,
) -> str:
    """All of a comparison that is printed.

    Args:
        table: `comparison.csv`.
        a: of `analysis.comparison.sides.pair_sides`.
        b: the same.
        differences: between their fingerprints; None: not known.
        all_clocks: print every clock; else the main one of the device and latency.
    """
    shown = table
    if not all_clocks:
        shown = table[table["is_main_clock"].fillna(False) | (table["clock"] == "latency")]
    lines = [f"A: {a.folder}", f"B: {b.folder}", "", *_difference_lines(differences)]
    lines += _batch_lines(shown)
    names = [f"{side}_{label}" for label in LABELS for side in "ab"]
    for _, rows in shown.groupby(names, sort=False):
        lines += ["", _title(rows), *_rows_lines(rows)]
    lines += ["", *_summary(table, len(table) - len(shown))]
    return "\n".join(lines)


def _difference_lines(differences: Sequence[Difference] | None) -> Iterator[str]:
    if differences is None:
        yield "What else is different is not known: runs.csv has no run of A and B that meet."
        return
    if not differences:
        yield "The runs of A and B have the same fingerprint (hardware, versions, settings)."
        return
    yield "Different between A and B besides their times:"
    for each in differences:
        some = "" if each.runs == each.of else f" ({each.runs} of {each.of} runs and passes)"
        yield f"  {each.column}: {each.a} -> {each.b}{some}"


def _batch_lines(table: pd.DataFrame) -> Iterator[str]:
    """What a latency is of, where A and B take other numbers of images at once."""
    rows = table[table["clock"] == "latency"]
    pairs = zip(rows["a_variant"], rows["b_variant"], strict=True)
    for of_a, of_b in sorted({(_batch(in_a), _batch(in_b)) for in_a, in_b in pairs}):
        if of_a != of_b:
            yield (
                f"By the clock latency a time is of all images of a batch: of {of_a} in A, of "
                f"{of_b} in B; the other clocks are per image."
            )


def _batch(variant: str) -> int:
    try:
        return Variant.of(variant).batch
    except NoVariantError:
        return 1


def _title(rows: pd.DataFrame) -> str:
    """`M, reference-fp32, device old on GPU X -> device new on GPU Y`."""
    first = rows.iloc[0]
    names = {
        "method": (first["a_method"], first["b_method"]),
        "variant": (first["a_variant"], first["b_variant"]),
        "device": tuple(f"{first[f'{s}_device']} ({first[f'{s}_hardware']})" for s in "ab"),
    }
    return ", ".join(
        f"{label} {of_a}" if of_a == of_b else f"{label} {of_a} -> {of_b}"
        for label, (of_a, of_b) in names.items()
    )


def _rows_lines(rows: pd.DataFrame) -> Iterator[str]:
    ranked = rows.assign(
        rank=rows["verdict"].map({name: number for number, name in enumerate(WORST_FIRST)})
    ).sort_values(["rank", "ratio"], ascending=[True, False], kind="stable", na_position="last")
    cells = [_cells(row) for _, row in ranked.iterrows()]
    yield indent(text_table(_HEAD, cells, _LEFT), "  ")


def _cells(row: pd.Series) -> tuple[str, ...]:
    ratio = shown_low = shown_high = ""
    if pd.notna(row["ratio"]):
        ends = row["ratio_ci95_low"], row["ratio_ci95_high"]
        ratio, shown_low, shown_high = known_interval(row["ratio"], *ends)
    compared = [row[f"{side}_{row['statistic']}_ms"] for side in "ab"]
    return (
        str(row["verdict"]),
        ratio,
        f"{shown_low} to {shown_high}" if shown_low else "",
        *("" if pd.isna(value) else known(value) for value in compared),
        str(row["resolution"]),
        str(row["submodule"]),
        str(row["clock"]),
        str(row["reason"]),
    )


def _statistics(table: pd.DataFrame) -> str:
    """Say which comparisons are of medians and which of means."""
    means = int(table["statistic"].eq("mean").sum())
    if not means:
        return "medians of the images"
    why = "where a median has no interval"
    return f"medians of the images, in {means} of {len(table)} comparisons means, {why}"


def _summary(table: pd.DataFrame, not_shown: int) -> Iterator[str]:
    counts = table["verdict"].value_counts()
    told = ", ".join(f"{counts.get(name, 0)} {name}" for name in WORST_FIRST)
    yield f"{len(table)} comparisons: {told}."
    family, margin = int(table["p_value"].notna().sum()), table["margin"].iloc[0] * 100
    yield (
        f"same: within ±{margin:g} %. faster, slower: of these at most {ERROR_RATE * 100:g} % are "
        f"expected to be false, over {family} comparisons (Benjamini and Hochberg)."
    )
    yield f"Compared: {_statistics(table)}."
    if table[["a_processes", "b_processes"]].min().min() < 2:
        yield (
            "Some runs have one process: how processes differ among themselves is not in those "
            "intervals (processes: 3, or 5 where 5 % matter)."
        )
    if not_shown:
        yield f"{not_shown} comparisons by other clocks are in the table (-o) and not printed."


def comparison_json(
    table: pd.DataFrame, a: Side, b: Side, differences: Sequence[Difference] | None
) -> str:
    """A comparison as a JSON document.

    Args:
        table: `comparison.csv`.
        a: of `analysis.comparison.sides.pair_sides`.
        b: the same.
        differences: between their fingerprints; None: not known.
    """
    besides = None if differences is None else [one._asdict() for one in differences]
    parts = {
        "a": json.dumps(str(a.folder)),
        "b": json.dumps(str(b.folder)),
        "different_besides": json.dumps(besides),
        "rows": told_rows_text(table.to_dict("records"), _why_null),  # type: ignore[arg-type]
    }
    if besides is None:
        why = {"different_besides": "runs.csv has no run of A and B that meet"}
        parts["unknown"] = json.dumps(why)
    return document_text("compare", parts)


def _why_null(row: Mapping[str, Any], name: str) -> str:
    """Why a column of a comparison is null."""
    if name == "beyond_margin":
        return "the verdict is neither faster nor slower"
    if name.endswith("_run_verdict"):
        return "the run was not judged"
    if name[:2] in ("a_", "b_"):
        status = row[f"{name[0]}_status"]
        return "not measured" if pd.isna(status) else f"the status of the run is {status}"
    if name == "degrees_of_freedom" and not pd.isna(row["ratio_ci95_low"]):
        return "no time scatters"
    return str(row["reason"])
