"""How figures and tables are filed in Snakemake's own report: category, labels, caption. No torch.

The report shows a result by its category and subcategory, in a row of its labels. Captions are
files in workflow/report/, one for each kind of figure and one for each table; Snakemake reads
them when it makes the report, so editing them causes no job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from adscale.marks import Mark, mark
from adscale.plan import PlannedCount, PlannedRun


class _Kind(NamedTuple):
    """What the figures whose names begin alike have in common."""

    category: str
    subcategory: str
    quantity: str
    places: tuple[str, ...]
    """What the name goes on with."""


_OF_RUNS = ("device", "method", "variant")
_OF_COUNTS = ("method", "variant")
_OF_DEVICE = ("device", "variant")

FIGURES: Mapping[str, _Kind] = {
    "runtime_share": _Kind(
        "Runtime", "Shares of the submodules", "time per image and submodule", _OF_RUNS
    ),
    "latency_parts": _Kind(
        "Runtime", "Parts of the latency", "wall time from decoded image to result", _OF_RUNS
    ),
    "implementations": _Kind(
        "Runtime",
        "Reference and optimized",
        "time and memory of optimized over reference",
        ("device", "method", "precision"),
    ),
    "clocks": _Kind("Runs", "Clocks beside each other", "time per image by clock", _OF_RUNS),
    "launch_bound": _Kind(
        "Runs", "Waiting for launches", "share of time without a kernel", _OF_DEVICE
    ),
    "memory_share": _Kind("Memory", "Shares of the submodules", "counted memory", _OF_COUNTS),
    "memory_peak": _Kind("Memory", "Alive at the peak", "counted memory", _OF_COUNTS),
    "scaling_runtime": _Kind("Scaling", "Runtime", "time per image over resolution", _OF_DEVICE),
    "scaling_latency": _Kind("Scaling", "Latency", "wall time over resolution", _OF_DEVICE),
    "scaling_memory": _Kind(
        "Scaling", "Memory of activations", "counted memory over resolution", ("variant",)
    ),
    "scaling_needed": _Kind(
        "Scaling", "Memory needed", "counted memory over resolution", ("variant",)
    ),
    "fit_check": _Kind("Scaling", "Fits and their residuals", "error of the fits", _OF_RUNS),
    "memory_extrapolation": _Kind(
        "Scaling", "The study's parabola", "counted and extrapolated memory", ("variant",)
    ),
    "feasibility": _Kind(
        "Feasibility", "Figures", "what fits which GPU at which sensor", ("variant",)
    ),
}
"""By the beginning of their names, see ``adscale.plan.figure_names``."""


def figure_marks(
    names: Iterable[str], runs: Mapping[str, PlannedRun], counts: Mapping[str, PlannedCount]
) -> dict[str, Mark]:
    """The marks of figures by their names.

    A name is told apart by the devices, methods and variants that the study has: any of them may
    contain what separates them in the name.

    Args:
        names: without extension, as ``adscale.plan.figure_names`` gives them.
        runs: of the study.
        counts: of the study.
    """
    known = {(tuple(labels), "_".join(labels.values())): labels for labels in _known(runs, counts)}
    return {name: _figure_mark(name, known) for name in names}


def _figure_mark(name: str, known: Mapping[tuple[tuple[str, ...], str], Mapping[str, str]]) -> Mark:
    for beginning, kind in FIGURES.items():
        if not name.startswith(f"{beginning}_"):
            continue
        labels = known.get((kind.places, name.removeprefix(f"{beginning}_")))
        if labels is not None:
            told = {**labels, "quantity": kind.quantity}
            return mark(beginning, kind.category, kind.subcategory, told)
    return mark("figure", "Other", "Figures", {"figure": name})


def _known(
    runs: Mapping[str, PlannedRun], counts: Mapping[str, PlannedCount]
) -> Iterator[dict[str, str]]:
    """Everything that a figure may be of."""
    for group in dict.fromkeys(run.group for run in runs.values()):
        device, method, variant = group.split("/")
        yield {"device": device, "method": method, "variant": variant}
        yield {"device": device, "variant": variant}
        precision = variant.partition("-")[2]
        yield {"device": device, "method": method, "precision": precision}
    for count in counts.values():
        yield {"method": count.method, "variant": count.variant}
        yield {"variant": count.variant}
