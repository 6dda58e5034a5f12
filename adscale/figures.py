"""Types of the registry of figures, and the figures that a study will have.

A figure is declared once, beside its function in `analysis.figures`. The names that a study plans,
what `python -m analysis figures` draws and reads, and category, labels and caption in Snakemake's
report follow from the declaration, and so does the list in docs/results.md. Declaring modules
import pandas, numpy and matplotlib inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .plan import PlannedCount, PlannedRun
from .tables import Mark, Table, mark

When = Literal["always", "latency", "gpu", "sensors", "compared"]
"""In which studies a figure is: all; with the latency pass; on a GPU; with sensors; with the
latency pass, of methods in other precisions, layouts or engines than the reference beside them."""

ROWS: Mapping[When, tuple[str, str]] = {
    "latency": ("clock", "latency"),
    "gpu": ("device_type", "cuda"),
}
"""Column and value of the rows of the first table from which a figure follows."""

Labels = Mapping[str, str]
"""Labels of one figure, such as its device and variant."""


@dataclass(frozen=True)
class FigureKind:
    """Figures that show the same: `results/figures/<begins>_<labels>`, as PDF, PNG and data.

    Attributes:
        begins: beginning of its name.
        labels: columns whose values the name goes on with: there is a figure of each combination.
        reads: tables it is drawn from, each narrowed to the rows that have its labels; the
            combinations are those of the first.
        draw: its function. It takes the tables in that order, the hardware if it is drawn against
            that, and the style, and returns an `analysis.figures.canvas.Drawing`.
        category: under which Snakemake's report files it.
        subcategory: the same, within the category.
        quantity: label of it there, in a few words.
        caption: beneath it there: what it shows, and in a paragraph of its own whether that is
            measured, counted or extrapolated and by which clock; reStructuredText.
        shows: over the resolution, for docs/results.md.
        when: in which studies it is.
        with_hardware: whether GPUs and sensors are drawn in it.
    """

    begins: str
    labels: tuple[str, ...]
    reads: tuple[Table, ...]
    draw: Callable[..., Any]
    category: str
    subcategory: str
    quantity: str
    caption: str
    shows: str
    when: When = "always"
    with_hardware: bool = False

    def name(self, labels: Labels) -> str:
        """The name of the figure of these labels, without extension."""
        return "_".join([self.begins, *(labels[label] for label in self.labels)])

    def mark(self, labels: Labels) -> Mark:
        """How Snakemake's report files the figure of these labels."""
        told = {**{label: labels[label] for label in self.labels}, "quantity": self.quantity}
        return mark(self.begins, self.category, self.subcategory, told)


def planned_figures(
    figures: Iterable[FigureKind],
    runs: Mapping[str, PlannedRun],
    counts: Mapping[str, PlannedCount],
    *,
    latency: bool = False,
    sensors: bool = False,
) -> dict[str, Mark]:
    """The figures of a study by their names without extension, and how its report files them.

    Args:
        figures: all kinds of them.
        runs: of the study.
        counts: of the study.
        latency: whether it has the latency pass.
        sensors: whether it has sensors to be judged by.
    """
    has = {"always": True, "gpu": True, "latency": latency, "sensors": sensors}
    has["compared"] = latency
    return {
        figure.name(labels): figure.mark(labels)
        for figure in figures
        if has[figure.when]
        for labels in _planned_labels(figure, runs, counts)
    }


def _planned_labels(
    figure: FigureKind, runs: Mapping[str, PlannedRun], counts: Mapping[str, PlannedCount]
) -> Iterator[Labels]:
    """Labels of the figures of one kind, some of them repeatedly.

    Those of a device are of runs, those of a precision of variants that are measured beside their
    reference, and all others of counts.
    """
    if "device" not in figure.labels:
        for one in counts.values():
            yield {"method": one.method, "variant": str(one.variant)}
        return
    ran = {(run.request.device, run.request.method, run.request.variant) for run in runs.values()}
    for run in runs.values():
        request, variant = run.request, run.request.variant
        others = {(request.device, request.method, one) for one in variant.references}
        if figure.when == "gpu" and request.device_type != "cuda":
            continue
        is_other = figure.when == "compared"
        if ("precision" in figure.labels or is_other) and not others & ran:
            continue
        if is_other and variant.is_plain:
            continue
        yield {
            "device": request.device,
            "method": request.method,
            "variant": str(variant),
            "precision": variant.comparison,
        }
