"""The study in one page: its tables made compact, template, styles and scripts in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from adscale.tables import MISSING, Table, names_of

from ..columns import images_in
from ..figures.canvas import OKABE_ITO, submodule_colour
from ..html import UNPACK, json_text, packed
from ..registry import TABLE_JOBS, TABLES
from ..runtime_table import RUNTIME
from ..tables import read_csv
from .summary import answers, missing_sentences, study_warnings

DIGITS = 6
"""Significant digits of a real number in the page."""

SHOWN = {table.name: table for table in TABLES if table.in_report}
"""The tables that the page reads, by the names that its scripts use."""

_COMMANDS = {
    output.table.name: job.made_by(output.table) for job in TABLE_JOBS for output in job.outputs
}


@dataclass(frozen=True)
class StudyContent:
    """The content of the report.

    Attributes:
        title: of the page.
        about: what was measured on what, in a sentence or two.
        answers: what somebody who chooses wants to know, by heading.
        warnings: what a reader has to know, one sentence each.
        footer: who made the page.
        tables: those that the study has, by name.
        files: where each lies, as told to the reader.
        colours: of submodules, and of other series.
    """

    title: str
    about: str
    answers: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    footer: str
    tables: Mapping[str, pd.DataFrame]
    files: Mapping[str, str]
    colours: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return what the page's scripts read, in values of JSON."""
        return {
            "tables": {
                name: {
                    "file": self.files[name],
                    "command": _COMMANDS[name],
                    "columns": list(table.columns),
                    "rows": [[_plain(value) for value in row] for row in table.to_numpy(object)],
                }
                for name, table in self.tables.items()
            },
            "colours": self.colours,
        }


def read_content(folder: Path, title: str) -> StudyContent:
    """Read the tables of a study.

    Args:
        folder: the tables, as the workflow names them. Those that are not there are left out.
        title: of the page.

    Raises:
        ResultsError: a table is damaged, or there is none at all of runtimes.
    """
    tables = {
        name: _read(folder, table)
        for name, table in SHOWN.items()
        if table == RUNTIME or (folder / table.file).exists()
    }
    return StudyContent(
        title=title,
        about=_about(tables["runtime"]),
        answers=tuple(answers(tables)),
        warnings=(*missing_sentences(folder), *study_warnings(tables)),
        footer=_footer(),
        tables=tables,
        files={name: str(folder / SHOWN[name].file) for name in tables},
        colours=_colours(tables),
    )


def _read(folder: Path, table: Table) -> pd.DataFrame:
    found = read_csv(folder / table.file, table.schema)
    return found.drop(columns=[*table.not_in_report, *names_of(MISSING)])


def _about(runtime: pd.DataFrame) -> str:
    measured = runtime[runtime["status"] == "ok"]
    devices = [
        f"{hardware} (device “{device}”)"
        for device, hardware in measured[["device", "hardware"]].drop_duplicates().to_numpy()
    ]
    if not devices:
        return "No run was measured to its end."
    methods = ", ".join(measured["method"].unique())
    sizes = images_in(measured)
    span = " to ".join(dict.fromkeys((sizes[0].words, sizes[-1].words)))
    return (
        f"{methods}, measured at {span} px on {'; '.join(devices)}. "
        f"{_batches(measured)} Kernel and host times tell what costs the time; latency, measured "
        "without a profiler, tells whether it is fast enough. Memory is counted unless it is "
        "said to be measured."
    )


def _batches(runtime: pd.DataFrame) -> str:
    from ..figures.captions import batches_in

    found = batches_in(runtime)
    if found == [1]:
        return "Batch 1."
    named = ", ".join(map(str, found))
    return f"Batches of {named} images: times are per image, latencies of whole batches."


def _footer() -> str:
    return "Made by adscale. Definitions of all columns: docs/definitions.md."


def _colours(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    names = [
        name
        for key in ("runtime", "memory")
        if key in tables
        for name in tables[key]["submodule"].dropna().unique()
    ]
    return {
        "submodules": {name: submodule_colour(name) for name in dict.fromkeys(names)},
        "series": list(OKABE_ITO),
    }


def _plain(value: object) -> str | int | float | bool | None:
    """A value as JSON has it; null for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | str):
        return value
    return _rounded(float(value))  # type: ignore[arg-type] # a real number of numpy's


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


PAGE_FOLDER = Path(__file__).with_name("page")

SCRIPTS = ("dom.js", "plots.js", "decision.js", "growth.js", "method.js", "runs.js", "main.js")
"""In the order in which they build on each other."""


def render(content: StudyContent) -> str:
    """The page.

    Args:
        content: what it shows. Texts of users, such as names of methods and kernels, are escaped:
            in the markup by Jinja, in the data by `packed`, and the scripts make text of them.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("template.html").render(
        title=content.title,
        about=content.about,
        answers=content.answers,
        warnings=content.warnings,
        footer=content.footer,
        style=_own("style.css"),
        study=packed(json_text(content.as_dict())),
        plotly=packed(get_plotlyjs()),
        script=Markup(UNPACK) + _own(*SCRIPTS),  # noqa: S704 - ours
    )


def _own(*names: str) -> Markup:
    """Files of ours, as they are."""
    texts = [(PAGE_FOLDER / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n".join(texts))  # noqa: S704 - nothing of a user's is in them
