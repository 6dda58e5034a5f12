"""A diff of profiles as text for the terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import Any

import pyarrow as pa

from adscale.tables import text_table

from ..arrow import arrow_table
from ..json_output import document_text
from ..numbers import known, percent
from ..profiles.paths import path_names
from ..profiles.text import printable, shortened
from .profile_diff import NOT_REPEATED, SCHEMA, Diff, only_in
from .profile_gate import Gate, Judged
from .profile_sides import Side, fingerprint_changes
from .verdict import ERROR_RATE

MOST_ROWS = 50
"""Of a figure for people, unless they ask for all."""

_NAMED = 5
_LEFT = frozenset({"range", "kernel", "presence", "verdict", "reason"})

Row = dict[str, Any]


def diff_text(diff: Diff, rows: Sequence[Row], gate: Gate | None, most: int | None) -> str:
    """All of a diff that is printed: the first figure; others are in the other outputs.

    Args:
        diff: of two sides.
        rows: of `analysis.comparison.profile_diff.diff_rows`.
        gate: what conditions found; None: there are none.
        most: rows that are shown; None: all.
    """
    figure = diff.figures[0]
    own = [row for row in rows if row["figure"] == figure]
    lines = [*_side_lines(diff.a), *_side_lines(diff.b), *_fingerprint_lines(diff), ""]
    if own:
        of = "" if diff.per == "process" else f" per {diff.per}"
        lines.append(f"{figure}{of}, of B against A, those that moved most first:")
        shown = own if most is None else own[:most]
        lines.append(indent(rows_table(diff, shown), "  "))
        if len(own) > len(shown):
            lines.append(
                f"… and {len(own) - len(shown):,} more moved less: --all prints every row."
            )
    lines += ["", *_summary(diff, rows)]
    if gate is not None:
        lines += ["", *gate_lines(gate)]
    return "\n".join(lines)


def rows_table(diff: Diff, rows: Sequence[Row]) -> str:
    """Rows of one figure as aligned lines."""
    with_kernel = bool(rows) and "kernel" in rows[0]
    head = ["range", *(["kernel"] if with_kernel else []), "A", "B", "change", "%"]
    head += ["per call %", "per image %"]
    head += ["verdict", "B / A, 95 %"] if diff.repeated else []
    return text_table(head, [_cells(diff, row, with_kernel) for row in rows], _LEFT)


def _cells(diff: Diff, row: Row, with_kernel: bool) -> list[str]:
    suffix = "" if diff.per == "process" else f"_per_{diff.per}"
    name = shortened(printable(row["path"]))
    mark = {"appeared": "+ ", "vanished": "- "}.get(row["presence"], "")
    cells = [f"{mark}{name}", *([shortened(printable(row["kernel"]))] if with_kernel else [])]
    cells += [_number(row[f"{side}{suffix}"]) for side in ("a", "b", "change")]
    cells += [_share(row[f"change{per}_share"]) for per in ("", "_per_call", "_per_image")]
    if diff.repeated:
        ends = row["ratio_ci95_low"], row["ratio_ci95_high"]
        interval = "" if None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}"
        cells += [str(row["verdict"] or ""), interval]
    return cells


def _number(value: float | None) -> str:
    return "–" if value is None else known(value)


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value, 1, signed=True)


def _side_lines(side: Side) -> Iterator[str]:
    for one in side.profiles:
        gpu = one.fingerprint.get("gpu", "GPU not recorded")
        yield f"{side.name}: {one.path} (nsys {one.fingerprint.get('nsys', 'unknown')}, {gpu})"


def _fingerprint_lines(diff: Diff) -> Iterator[str]:
    found = fingerprint_changes(diff.a, diff.b)
    if found:
        yield "Different between A and B besides:"
        yield from (f"  {one['entry']}: {one['a']} -> {one['b']}" for one in found)


def _summary(diff: Diff, rows: Sequence[Row]) -> Iterator[str]:
    what = "kernels of ranges" if diff.keys and len(diff.keys[0]) > 1 else "ranges"
    if not rows:
        yield f"Nothing is different: {len(diff.keys):,} {what} are equal in A and B."
    else:
        yield f"{diff.equal:,} of {len(diff.keys):,} {what} are equal in A and B."
    for presence, words in (("appeared", "in B only"), ("vanished", "in A only")):
        names = [" : ".join(key) for key in only_in(diff, presence)]
        if names:
            more = "" if len(names) <= _NAMED else f" and {len(names) - _NAMED:,} more"
            named = ", ".join(shortened(printable(name)) for name in names[:_NAMED])
            yield f"{len(names):,} {what} {words}: {named}{more}."
    others = list(dict.fromkeys(row["figure"] for row in rows))[1:]
    if others:
        yield f"Other figures changed, too: {', '.join(others)} (--figure NAME, --json, -o)."
    if diff.repeated:
        yield (
            f"Verdicts rest on {len(diff.a.profiles)} and {len(diff.b.profiles)} processes, each "
            "profile one. Of those that are not same or unclear at most "
            f"{ERROR_RATE * 100:g} % are expected to be false. Whether the machine was steady is "
            "not in a profile, and not judged."
        )
    else:
        yield (
            f"No verdict: {NOT_REPEATED}, so how much equal processes differ is unknown "
            "(--a A1 A2 … --b B1 B2 …)."
        )


def gate_lines(gate: Gate) -> Iterator[str]:
    """What the conditions found, in lines."""
    a, b = gate.processes
    basis = f"{a} process{'es' if a > 1 else ''} of A and {b} of B"
    way = "95 % intervals over" if gate.is_confident else "changes as measured, from"
    for condition in gate.conditions:
        own = [one for one in gate.found if one.condition == condition]
        for outcome in ("fails", "unclear"):
            for one in own:
                if one.outcome == outcome:
                    yield _judged_line(one)
    fails = sum(one.outcome == "fails" for one in gate.found)
    unclear = len(gate.found) - fails
    named = " or ".join(gate.conditions)
    told = f"{fails} of {gate.rows:,} rows fail"
    if unclear:
        may = "which may pass" if gate.unclear_passes else "which is no pass"
        told += f", {unclear} are unclear, {may}"
    word = "passes" if gate.passes else "FAILS"
    yield f"Gate {word}: fail if {named}: {told}. It rests on {way} {basis}."


def _judged_line(one: Judged) -> str:
    values = f"{_number(one.a)} -> {_number(one.b)}"
    moved = f"{_number(one.change)}, {_share(one.change_share)}"
    why = f": {one.reason}" if one.reason else ""
    name = shortened(printable(" : ".join(one.key)))
    return f"{one.outcome}: {name}: {values} ({moved}) by {one.condition}{why}"


def diff_json(diff: Diff, rows: Sequence[Row], question: object, gate: Gate | None) -> str:
    """A diff as a JSON document; a `path` is a list of names."""
    parts = {
        "question": json.dumps(question),
        "per": json.dumps(diff.per),
        "a": json.dumps(_profiles(diff.a)),
        "b": json.dumps(_profiles(diff.b)),
        "different_besides": json.dumps(fingerprint_changes(diff.a, diff.b)),
        "processes_repeated": json.dumps(diff.repeated),
        "equal": str(diff.equal),
        "rows": _json_rows(rows),
        "gate": json.dumps(None if gate is None else _gate(gate)),
    }
    return document_text("diff", parts)


def _json_rows(rows: Sequence[Row]) -> str:
    lines = [
        json.dumps({**row, "path": path_names(row["path"])}, separators=(",", ":")) for row in rows
    ]
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def _profiles(side: Side) -> list[dict[str, Any]]:
    return [
        {
            "file": str(one.path),
            "fingerprint": one.fingerprint,
            "warnings": one.warnings,
            "images": [path_names(path) for path in one.image_paths],
        }
        for one in side.profiles
    ]


def _gate(gate: Gate) -> dict[str, Any]:
    rows = [{**one._asdict(), "key": None, "path": path_names(one.key[0])} for one in gate.found]
    for row, one in zip(rows, gate.found, strict=True):
        del row["key"]
        if len(one.key) > 1:
            row["kernel"] = one.key[1]
        names = ("a", "b", "change", "change_share")
        row["unknown"] = {name: "a side has none" for name in names if row[name] is None}
    return {
        "passes": gate.passes,
        "conditions": list(gate.conditions),
        "judged_rows": gate.rows,
        "a_processes": gate.processes[0],
        "b_processes": gate.processes[1],
        "by_intervals": gate.is_confident,
        "unclear_passes": gate.unclear_passes,
        "rows": rows,
    }


def diff_table(rows: Sequence[Row]) -> pa.Table:
    """The rows as a table, without the reasons of what is null."""
    names = [name for name in SCHEMA if name != "kernel" or (rows and "kernel" in rows[0])]
    columns = {name: [row[name] for row in rows] for name in names}
    return arrow_table(columns, {name: SCHEMA[name] for name in names})
