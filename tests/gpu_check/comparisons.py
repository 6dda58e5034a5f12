"""Our attribution against nsys' own reports, and one collector against the other."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from analysis.attribution.attribute import attribute, attribute_kinds, projection
from analysis.attribution.nesting import nest
from analysis.nsys.reading import read_profile
from tests.gpu_check.check import NO_GPU, Check, checked, unchecked
from tests.gpu_check.run_files import is_gpu, measured, record

KERNEL_REPORT, PROJECTION_REPORT = "nvtx_kern_sum", "nvtx_gpu_proj_sum"
LOW, HIGH = 0.95, 1.05
LEAST_SHARE = 0.05
"""Share of an image's kernel time below which a submodule is too small to be compared."""


def report_rows(path: Path) -> list[dict[str, str]]:
    """Rows of what `nsys stats --format csv` printed; none where it skipped the report."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    begin = next((at for at, line in enumerate(lines) if line.count(",") > 4), len(lines))
    return list(csv.DictReader(line for line in lines[begin:] if line.count(",") > 4))


def nsys_checks(folder: Path, where: str) -> list[Check]:
    """Times of every range by us and by nsys, from the same profile.

    Args:
        folder: with `profile.sqlite` and the reports as `<report>.csv`.
        where: name of the run on the page.
    """
    sqlite = folder / "profile.sqlite"
    compared = {KERNEL_REPORT: our_kernel_sums, PROJECTION_REPORT: our_projections}
    checks = []
    for report, ours in compared.items():
        name, wanted = f"attribution = {report}", "all ranges, to the nanosecond"
        path = folder / f"{report}.csv"
        if not is_gpu(folder):
            checks.append(unchecked(name, where, NO_GPU, wanted))
        elif not path.is_file():
            checks.append(unchecked(name, where, "nsys made no report", wanted))
        else:
            theirs = nsys_sums(report, path)
            checks.append(_equal(name, where, ours(sqlite), theirs, wanted))
    return checks


def _equal(
    name: str, where: str, ours: Mapping[str, int], theirs: Mapping[str, int], wanted: str
) -> Check:
    differing = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
    total = len({*ours, *theirs})
    text = f"{total - len(differing)} of {total} equal"
    if differing:
        first = differing[0]
        text += f"; {first}: {ours.get(first)} ns, nsys {theirs.get(first)}"
    return checked(name, where, total > 0 and not differing, text, wanted)


def nsys_sums(report: str, path: Path) -> dict[str, int]:
    """Nanoseconds by name of the range."""
    found: Counter[str] = Counter()
    name, total = {
        KERNEL_REPORT: ("NVTX Range", "Total Time (ns)"),
        PROJECTION_REPORT: ("Range", "Total Proj Time (ns)"),
    }[report]
    for row in report_rows(path):
        if row["Style"]:  # without one: work outside of all ranges
            found[row[name]] += int(row[total])
    return dict(found)


def our_kernel_sums(sqlite: Path) -> dict[str, int]:
    """Kernel time in ns launched inside the ranges of each name."""
    profile = read_profile(sqlite)
    inclusive = attribute(profile.ranges, profile.calls, profile.kernels).inclusive
    return _by_label(profile.ranges.labels(), inclusive.total_ns.tolist())


def our_projections(sqlite: Path) -> dict[str, int]:
    """Projected time in ns of the ranges of each name: kernels, copies and memsets, with gaps."""
    profile = read_profile(sqlite)
    kinds = [profile.kernels, profile.copies, profile.memsets]
    projected = projection(attribute_kinds(nest(profile.ranges), profile.calls, kinds))
    spans_ns = np.where(projected.intervals > 0, projected.span_ns, 0)
    return _by_label(profile.ranges.labels(), spans_ns.tolist())


def _by_label(labels: list[str], values_ns: list[int]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for label, value_ns in zip(labels, values_ns, strict=True):
        if value_ns:
            found[label] += value_ns
    return dict(found)


def collector_checks(nsys: Path, embedded: Path, where: str) -> list[Check]:
    """Kernels of an image as both collectors see them.

    Args:
        nsys: folder of the run that nsys recorded.
        embedded: folder of the same run by the embedded collector.
        where: name of the runs on the page.
    """
    times, counts = "kernel time nsys / embedded", "kernels per image, nsys and embedded"
    in_range = f"{LOW} to {HIGH}"
    if not (is_gpu(nsys) and is_gpu(embedded)):
        return [
            unchecked(times, where, NO_GPU, in_range),
            unchecked(counts, where, NO_GPU, "equal"),
        ]
    submodules = record(nsys)["submodules"]
    theirs, ours = (kernel_medians(folder) for folder in (nsys, embedded))
    image_ms = ours["image"][1]
    ratios = {
        name: theirs[name][1] / ours[name][1]
        for name in ["image", *submodules]
        if name in theirs and name in ours and ours[name][1] >= LEAST_SHARE * image_ms > 0
    }
    text, holds = "no kernel time to compare", False
    if ratios:
        worst = max(ratios, key=lambda name: abs(np.log(ratios[name])))
        holds = all(LOW <= ratio <= HIGH for ratio in ratios.values())
        text = f"image {ratios['image']:.3f}, worst {worst} {ratios[worst]:.3f}"
    both = theirs["image"][0], ours["image"][0]
    return [
        checked(times, where, holds, text, in_range),
        checked(
            counts, where, both[0] == both[1] > 0, f"{both[0]:g} and {both[1]:g}", "equal, not 0"
        ),
    ]


def kernel_medians(folder: Path) -> dict[str, tuple[float, float]]:
    """Kernels and their time in ms of an image, by submodule and `image`: medians of the images."""
    table = measured(folder)
    depth_1 = table["path"].str.startswith("image/") & (table["depth"] == 1)
    rows = table[(table["path"] == "image") | depth_1]
    sums = rows.groupby(["name", "image_index"])[["kernels", "kernel_sum_ms"]].sum()
    medians = sums.groupby("name").median()
    return {str(name): (float(row.iloc[0]), float(row.iloc[1])) for name, row in medians.iterrows()}
