"""Sentences beneath a figure: measured what, on what, by which clock, how often; how fits went."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adscale.variant import Variant

from ..numbers import percent
from ..runtime_table import COSTLY_RANGES, MUCH_SLOWER
from ..statistics.unseen import unseen_words

if TYPE_CHECKING:
    import pandas as pd

CLOCK_WORDS = {
    "host": "CPU host time of the range",
    "busy": "GPU busy time of the kernels launched in the range",
    "kernel_sum": "sum of GPU kernel durations",
    "span": "GPU span of the kernels",
    "latency": "wall time without any profiler, until the device is done",
}


def measured_on(rows: pd.DataFrame) -> str:
    """Clock, device, collector and sample size of rows of ``runtime.csv``."""
    clock = " / ".join(CLOCK_WORDS[name] for name in rows["clock"].unique())
    hardware = " / ".join(rows["hardware"].unique())
    device = " / ".join(rows["device"].unique())
    versions = (rows["collector"] + " " + rows["collector_version"]).unique()
    recorded = [_shorten(version) for version in versions if not version.startswith("none")]
    collector = f", collector {' / '.join(recorded)}" if recorded else ""
    return (
        f"{clock}, measured on {hardware} (device “{device}”){collector}, "
        f"{batch_words(rows)}{_per_words(rows)}, {sample_size(rows)}"
    )


def batch_words(rows: pd.DataFrame) -> str:
    """``batch 1``, or the batches of several variants."""
    return f"batch {' / '.join(map(str, batches_in(rows)))}"


NUMBERS = {
    "fp16": "networks in fp16, the rest in 32-bit floats",
    "bf16": "networks in bf16, the rest in 32-bit floats",
    "int8": "weights of networks in int8, the rest in 32-bit floats",
}
"""In what is counted, where that is not 32-bit floats alone."""


def counted_in(rows: pd.DataFrame) -> str:
    """``batch 1 in 32-bit floats``: of how many images memory is counted, and in which numbers."""
    precisions = {Variant.of(str(name)).precision for name in rows["variant"].dropna().unique()}
    words = {NUMBERS.get(one, "32-bit floats") for one in precisions}
    return f"{batch_words(rows)} in {' or '.join(sorted(words))}"


def batches_in(rows: pd.DataFrame) -> list[int]:
    """The batches of a table's variants, each once."""
    return sorted({Variant.of(str(name)).batch for name in rows["variant"].dropna().unique()})


def _per_words(rows: pd.DataFrame) -> str:
    """Of what a time is, where that is no single image; nothing where it is."""
    if batches_in(rows) == [1]:
        return ""
    is_latency = rows["clock"] == "latency"
    if is_latency.all():
        return ", times of whole batches"
    return f", times per image{', latencies of whole batches' if is_latency.any() else ''}"


def sample_size(rows: pd.DataFrame) -> str:
    """``mean of n = 3–50 images in 2 processes``; runs without times are left out."""
    measured = rows[rows["status"] == "ok"]
    if measured.empty:
        return "no image measured"
    images, processes = _span(measured["images"]), _span(measured["processes"].fillna(1))
    several = "" if processes == "1" else f" in {processes} processes"
    one, more = ("image", "images") if batches_in(rows) == [1] else ("batch", "batches")
    return f"mean of n = {images} {one if images == '1' else more}{several}"


def _span(numbers: pd.Series) -> str:
    """`3`, or `3–50`."""
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low}–{high}"


def uncertainty(rows: pd.DataFrame) -> str:
    """Say what the whiskers at the whole image are; nothing where no sample has an interval."""
    interval = " with the 95 % confidence interval of its mean" if _has_interval(rows) else ""
    return f"{interval}{_unseen(rows)}"


def _unseen(rows: pd.DataFrame) -> str:
    """Say what the interval does not hold; nothing where no image was measured."""
    images = rows.loc[rows["status"] == "ok", "images"]
    if images.empty or images.min() < 1:
        return ""
    return f" ({unseen_words(int(images.min()))})"


def _has_interval(rows: pd.DataFrame) -> bool:
    return bool(rows["ci95_low_ms"].notna().any())


STATUS_WORDS = {
    "out_of_memory": "out of memory",
    "predicted_out_of_memory": "predicted out of memory",
}
"""The statuses of runs without times: those that did not fit, and those that were not begun."""


def out_of_memory(rows: pd.DataFrame) -> str:
    """Sentences on the resolutions that did not fit, or will not by their count, or nothing."""
    measured = _listed(rows, "out_of_memory")
    predicted = _listed(rows, "predicted_out_of_memory")
    said = f" Out of memory: {measured}." if measured else ""
    if predicted:
        said += f" Predicted out of memory by count, and not run: {predicted}."
    return said


def _listed(rows: pd.DataFrame, status: str) -> str:
    lost = rows[rows["status"] == status]
    runs = lost[["method", "resolution"]].drop_duplicates().itertuples(index=False)
    return ", ".join(f"{method} at {size} px" for method, size in runs)


def uncovered(rows: pd.DataFrame) -> str:
    """A sentence on time in no submodule where that is more than 1 %, or nothing."""
    import pandas as pd

    share = rows["uncovered_share"].max()
    if pd.isna(share) or share <= 0.01:
        return ""
    return f" Up to {percent(share, 1)} of an image's host time is in no submodule."


def costly_ranges(rows: pd.DataFrame) -> str:
    """A sentence on what the ranges themselves take where that is more than 1 %, or nothing."""
    import pandas as pd

    share = rows["ranges_share"].max()
    if pd.isna(share) or share <= COSTLY_RANGES:
        return ""
    return f" Ranges take up to {percent(share, 1)} of an image's host time."


def slowed_down(rows: pd.DataFrame) -> str:
    """A sentence on how much longer an image takes with its profiler, where that is much."""
    import pandas as pd

    share = rows["profiled_over_latency"].max()
    if pd.isna(share) or share <= MUCH_SLOWER:
        return ""
    return f" With its profiler an image takes up to {share:.2f} times as long as without."


def incomplete(rows: pd.DataFrame) -> str:
    """A sentence on methods of which something is not in the count, or nothing."""
    methods = rows.loc[rows["incomplete"].fillna("") != "", "method"].unique()
    if not len(methods):
        return ""
    return f" Not everything is counted, see memory.csv: {', '.join(methods)}."


DEVICE_WORDS = {"cpu": "a CPU device", "cuda": "a CUDA device"}


def on_device(counts: pd.DataFrame) -> str:
    """``a CUDA device``: where the inference was thought to happen when it was counted."""
    return " or ".join(DEVICE_WORDS[name] for name in counts["device_type"].unique())


def not_counted(methods: pd.DataFrame) -> str:
    """A sentence on what takes memory and is in no count, or nothing."""
    named = [
        re.sub(r" \([\d.,]+ MiB\)$", "", each)  # a size is that of one resolution
        for text in methods["not_counted"].dropna().unique()
        for each in text.split("; ")
    ]
    if not named:
        return ""
    return f" Not counted: {'; '.join(dict.fromkeys(named))}."


def _shorten(version: str) -> str:
    name, _, number = version.partition(" ")
    return f"{name} ({number})" if number else name


def band_words(fits: pd.DataFrame) -> str:
    """A sentence on what the bands are, or nothing where there are none.

    Args:
        fits: the rows of ``fits.csv`` that are drawn.
    """
    if not (fits["interval_refused"].fillna("") == "").any():
        return ""
    return (
        " Bands: where one more measurement lies with 95 %, by all laws that the points do not "
        "refute."
    )


def refused_words(fits: pd.DataFrame) -> str:
    """Sentences on predictions and bands that are refused, with the reason, or nothing."""
    has_law = fits["interval_refused"].fillna("") == ""
    to_px = fits["extrapolate_to_px"].max()
    without = ((fits[~has_law], "interval_refused", "No law chosen and no band"),
               (fits[has_law], "refused", f"No prediction at {to_px:,} px"))  # fmt: skip
    said = ""
    for rows, column, what in without:
        given = rows[rows[column].fillna("") != ""]
        for reason, group in given.groupby(column, sort=False):
            said += f" {what}: {', '.join(group['method'])} ({reason})."
    return said


def paper_words(fits: pd.DataFrame) -> str:
    """A sentence on parabolas that end at or below zero, which no time can, or nothing."""
    wrong = fits[fits["study_predicted"].fillna(1) <= 0]
    if wrong.empty:
        return ""
    listed = ", ".join(wrong["method"])
    return f" The paper's model falls to zero or below, and so predicts nothing: {listed}."
