"""A diff of profiles as an HTML page of one file, without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..html import STYLE
from ..numbers import known, percent
from ..profiles.text import printable, shortened
from .profile_diff import NOT_REPEATED, Diff, only_in
from .profile_gate import Gate
from .profile_sides import Side, fingerprint_changes
from .profile_text import gate_lines

MOST_ROWS = 500
"""Rows of a figure on the page; CSV and JSON have all."""

FEW_ROWS = 10
"""Of a gate, that are shown at once; more are behind a line."""

Row = dict[str, Any]

_STYLE = """
.bar { display: block; height: 0.5rem; min-width: 1px; }
.more { background: #d55e00; } .less { background: #0072b2; }
.fails { color: #d55e00; font-weight: bold; }
"""


def diff_page(diff: Diff, rows: Sequence[Row], gate: Gate | None) -> str:
    """The page.

    Args:
        diff: of two sides.
        rows: of `analysis.comparison.profile_diff.diff_rows`.
        gate: what conditions found; None: there are none.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Diff of profiles</title><style>{STYLE}{_STYLE}</style></head><body>",
            "<h1>Diff of profiles</h1>",
            *_head(diff),
            *(_gate(gate) if gate is not None else ()),
            *_tables(diff, rows),
            "</body></html>\n",
        ]
    )


def _head(diff: Diff) -> Iterator[str]:
    yield "<ul>"
    for side in (diff.a, diff.b):
        yield from (f"<li>{text}</li>" for text in _files(side))
    yield "</ul>"
    found = fingerprint_changes(diff.a, diff.b)
    if found:
        yield "<h2>Different besides</h2>"
        yield '<table><tr><th class="name">what<th class="name">A<th class="name">B</tr>'
        for one in found:
            cells = "".join(f'<td class="name">{escape(one[name])}' for name in ("entry", "a", "b"))
            yield f"<tr>{cells}</tr>"
        yield "</table>"
    if diff.repeated:
        yield (
            f"<p>Verdicts rest on {len(diff.a.profiles)} and {len(diff.b.profiles)} processes. "
            "Whether the machine was steady is not in a profile, and not judged.</p>"
        )
    else:
        yield f"<p>No verdict: {NOT_REPEATED}, so how much equal processes differ is unknown.</p>"


def _files(side: Side) -> Iterator[str]:
    for one in side.profiles:
        lost = "".join(f"<br>{escape(warning)}" for warning in one.warnings)
        gpu = one.fingerprint.get("gpu", "GPU not recorded")
        nsys = one.fingerprint.get("nsys", "unknown")
        yield f"{side.name}: {escape(str(one.path))} (nsys {escape(nsys)}, {escape(gpu)}){lost}"


def _gate(gate: Gate) -> Iterator[str]:
    *rows, verdict = gate_lines(gate)
    yield f'<h2 class="{"" if gate.passes else "fails"}">Gate</h2><p>{escape(verdict)}</p>'
    if rows:
        is_open = " open" if len(rows) <= FEW_ROWS else ""
        yield f"<details{is_open}><summary>{len(rows):,} rows</summary><ul>"
        yield from (f"<li>{escape(line)}</li>" for line in rows)
        yield "</ul></details>"


def _tables(diff: Diff, rows: Sequence[Row]) -> Iterator[str]:
    yield f"<p>{diff.equal:,} of {len(diff.keys):,} rows are equal in A and B."
    for presence, words in (("appeared", "in B only"), ("vanished", "in A only")):
        number = sum(1 for _ in only_in(diff, presence))
        yield f" {number:,} {words}." if number else ""
    yield "</p>"
    for number, figure in enumerate(diff.figures):
        own = [row for row in rows if row["figure"] == figure]
        if own:
            is_open = " open" if number == 0 else ""
            yield f"<details{is_open}><summary>{figure}, {len(own):,} rows changed</summary>"
            yield from _table(diff, own)
            yield "</details>"


def _table(diff: Diff, rows: Sequence[Row]) -> Iterator[str]:
    suffix = "" if diff.per == "process" else f"_per_{diff.per}"
    per = "" if diff.per == "process" else f" per {diff.per}"
    heads = [f"A{per}", f"B{per}", "change", "", "%", "per call %", "per image %"]
    heads += ["verdict", "B / A, 95 %"] if diff.repeated else []
    yield f'<table><tr><th class="name">range<th>{"<th>".join(heads)}</tr>'
    widest = max((abs(row[f"change{suffix}"] or 0.0) for row in rows), default=0.0) or 1.0
    for row in rows[:MOST_ROWS]:
        change = row[f"change{suffix}"] or 0.0
        width = f"{100 * abs(change) / widest:.1f}%"
        bar = f'<span class="bar {"more" if change > 0 else "less"}" style="width:{width}"></span>'
        name = row["path"] if "kernel" not in row else f"{row['path']} : {row['kernel']}"
        cells = [_number(row[f"{side}{suffix}"]) for side in ("a", "b", "change")]
        cells += [
            bar,
            *(_share(row[f"change{one}_share"]) for one in ("", "_per_call", "_per_image")),
        ]
        if diff.repeated:
            ends = row["ratio_ci95_low"], row["ratio_ci95_high"]
            cells.append(escape(str(row["verdict"])))
            cells.append("" if None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}")
        where = "" if row["presence"] == "both" else f" <em>{row['presence']}</em>"
        title = escape(shortened(printable(name)))
        yield f'<tr><td class="name">{title}{where}<td>{"<td>".join(cells)}</tr>'
    yield "</table>"
    if len(rows) > MOST_ROWS:
        yield f"<p>{len(rows) - MOST_ROWS:,} more moved less; CSV and JSON have them.</p>"


def _number(value: float | None) -> str:
    return "–" if value is None else known(value)


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value, 1, signed=True)
