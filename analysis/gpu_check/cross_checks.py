"""Checks of several things against each other, and of what other programs found.

Our attribution against nsys' own reports, one collector against the other, two runs at once, the
bench of the ranges, and pytest.
"""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.attribute import attribute, attribute_kinds, projection
from ..attribution.nesting import nest
from ..nsys.reading import read_profile
from ..numbers import percent
from .run_checks import is_gpu, measured, record
from .steps import NO_GPU, Check, checked, unchecked

KERNEL_REPORT, PROJECTION_REPORT = "nvtx_kern_sum", "nvtx_gpu_proj_sum"
LOW, HIGH = 0.95, 1.05
LEAST_SHARE = 0.05
"""Share of an image's kernel time below which a submodule is too small to be compared."""
WAITED = "waiting for the measurement of"
"""A run prints this while another one holds the lock of the device."""


def report_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of what `nsys stats --format csv` printed; none where it skipped the report."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    begin = next((at for at, line in enumerate(lines) if line.count(",") > 4), len(lines))
    return list(csv.DictReader(line for line in lines[begin:] if line.count(",") > 4))


def nsys_checks(folder: Path, where: str) -> list[Check]:
    """Compare the times of every range by us and by nsys, from the same profile.

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
    """Read nanoseconds by name of the range."""
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
    """Add up the kernel time in ns launched inside the ranges of each name."""
    profile = read_profile(sqlite)
    inclusive = attribute(profile.ranges, profile.calls, profile.kernels).inclusive
    return _by_label(profile.ranges.labels(), inclusive.total_ns.tolist())


def our_projections(sqlite: Path) -> dict[str, int]:
    """Add up the projected time in ns of ranges by name: kernels, copies, memsets, with gaps."""
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
    """Compare the kernels of an image as both collectors see them.

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
    submodules = record(nsys).submodules
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
    """Return kernels and their ms per image, by submodule and `image`: medians of the images."""
    table = measured(folder)
    depth_1 = table["path"].str.startswith("image/") & (table["depth"] == 1)
    rows = table[(table["path"] == "image") | depth_1]
    sums = rows.groupby(["name", "image_index"])[["kernels", "kernel_sum_ms"]].sum()
    medians = sums.groupby("name").median()
    return {str(name): (float(row.iloc[0]), float(row.iloc[1])) for name, row in medians.iterrows()}


def lock_check(runs: Sequence[tuple[Path, str]]) -> Check:
    """Do two measurements that are started together wait for each other?

    Args:
        runs: folder and printed text of each.
    """
    name, wanted = "device lock", "one waits and says for whom"
    waited = sum(WAITED in text for _, text in runs)
    times = sorted(_begin_end(folder) for folder, _ in runs)
    overlap = any(later[0] < earlier[1] for earlier, later in pairwise(times))
    text = f"{waited} of {len(runs)} waited, they {'overlap' if overlap else 'do not overlap'}"
    # with a latency pass a run measures twice, and may wait before that one, too
    holds = waited >= len(runs) - 1 and not overlap
    return checked(name, "two runs at once", holds, text, wanted)


def _begin_end(folder: Path) -> tuple[datetime, datetime]:
    """Return when the measuring began and ended, in whole seconds."""
    run = record(folder)
    return datetime.fromisoformat(run.started_utc), datetime.fromisoformat(run.finished_utc)


def range_checks(bench: Mapping[str, Any]) -> list[Check]:
    """Check what ranges cost, with and without nsys.

    Args:
        bench: what `tests.bench.range_cost` wrote: its limits and, for each case, the cost of an
            empty range and that of the ranges of an image of each method; null where the case was
            not measured, or by too few processes.
    """
    checks = []
    most_us, most_share = bench["most_ns"] / 1e3, bench["most_ratio"] - 1
    for title, case in bench["cases"].items():
        name, wanted = "cost of a range", f"at most {most_us:g} µs"
        if case is None:
            checks.append(unchecked(name, title, "not measured: no nsys here", wanted))
            continue
        text = f"median {case['median_ns'] / 1e3:.2f} µs, mean {case['mean_ns'] / 1e3:.2f} µs"
        checks.append(checked(name, title, case["within"], text, wanted))
        name, wanted = "ranges of an image", f"at most {percent(most_share)} of its time"
        for label, image in case["images"].items():
            where = f"{label}, {title}"
            if image is None:
                checks.append(unchecked(name, where, "too few processes for an interval", wanted))
                continue
            ratio, low, high = (
                percent(image[name] - 1, 2, signed=True) for name in ("ratio", "low", "high")
            )
            by_count = percent(image["share"], 3)
            text = f"{by_count} by count; measured {ratio} ({low} to {high})"
            holds = image["within"] != "NO" and image["share"] <= most_share
            checks.append(checked(name, where, holds, text, wanted))
    return checks


def junit_check(junit: Path, problem: str | None) -> Check:
    """Check what came of the tests marked `gpu`.

    Args:
        junit: pytest's report.
        problem: why pytest did not end well; None where it did.
    """
    name, wanted = "tests marked gpu", "none fails, some pass"
    if not junit.is_file():
        return checked(name, "", False, f"no report: {problem or 'pytest wrote none'}", wanted)
    cases = list(ET.parse(junit).getroot().iter("testcase"))  # noqa: S314 - from our own pytest
    results = Counter(_result(case) for case in cases)
    failed = [case.get("name", "?") for case in cases if _result(case) == "failed"]
    text = ", ".join(f"{results[word]} {word}" for word in ("passed", "failed", "skipped"))
    if failed:
        text += f" ({', '.join(failed[:3])}{' …' if len(failed) > 3 else ''})"
    if problem and not failed:
        text += f"; {problem}"
    holds = results["passed"] > 0 and not failed and problem is None
    return checked(name, "", holds, text, wanted)


def _result(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
