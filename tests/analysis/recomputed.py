"""The tables of a study once more, from its raw files, by a second program.

Nothing of the product is imported: JSON and CSV by the standard library, profiles by plain SQL and
loops over all events, formulas anew from docs/statistics.md, docs/comparison.md and the papers that
they name. `disagreements` names each cell that differs in the digits that a CSV file has.

Not recomputed: verdicts, steadiness, fits and feasibility; intervals of one process whose level
wanders, which are left out by the verdict in its row.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from tests.analysis.recomputed_statistics import SHARES, statistics

Cells = dict[str, Any]
Key = tuple[Any, ...]

MAIN_CLOCK = {"cpu": "host", "cuda": "busy"}
OUTSIDE = ("load", "prepare", "copy_to_device", "copy_to_host")
LATENCY_PARTS = ("image", *OUTSIDE, "end_to_end")
RUN_KEY = ("device", "method", "variant", "side_px")
DIGITS = 5e-11
"""Relative difference of two numbers that 12 digits tell apart, with what summing in another order
does to a difference of nearly equal numbers."""

HALVED = 1e-8
"""The same of what depends on the interval of a percentile of one process, whose ranks the product
finds by halving an interval 36 times, and here a root is sought."""


def disagreements(results: Path) -> Iterator[str]:
    """Each cell that differs, in words.

    Args:
        results: folder of a study: devices with runs, `counts` and `tables`.
    """
    runs = list(read_runs(results))
    runtime = dict(runtime_rows(runs))
    counts = list(read_counts(results / "counts"))
    yield from _differences(results, "runtime", runtime, (*RUN_KEY, "submodule", "clock"))
    yield from _differences(results, "memory", memory_rows(counts), (*COUNT_KEY, "submodule"))
    yield from _differences(results, "memory_methods", method_rows(counts), COUNT_KEY)
    yield from _differences(
        results, "memory_measured", measured_rows(runs), (*RUN_KEY, "submodule")
    )
    yield from _differences(results, "flops", flops_rows(runtime, counts), (*RUN_KEY, "submodule"))
    yield from _differences(
        results, "implementations", implementation_rows(runtime),
        ("device", "method", "precision", "side_px", "submodule"),
    )  # fmt: skip


def _differences(
    results: Path, table: str, expected: Mapping[Key, Cells], columns: Sequence[str]
) -> Iterator[str]:
    path = results / "tables" / f"{table}.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["missing"]]
    found = {tuple(row[name] for name in columns): row for row in rows}
    wanted = {tuple(map(str, key)): cells for key, cells in expected.items()}
    if len(found) != len(rows):
        yield f"{table}: two rows of one key"
    for key in sorted(found.keys() ^ wanted.keys()):
        yield f"{table}: {key} is {'not in the table' if key in wanted else 'unexpected'}"
    for key in sorted(found.keys() & wanted.keys()):
        wandering = found[key].get("steadiness") == "wandering"
        for name, value in wanted[key].items():
            if not (wandering and name in UNSURE) and not _same(name, found[key][name], value):
                yield f"{table}: {key} {name} is {found[key][name]!r}, recomputed {value!r}"


def _same(name: str, cell: str, value: Any) -> bool:
    if value is None or cell == "":
        return value is None and cell == ""
    if isinstance(value, float):
        digits = HALVED if name in BETWEEN_VALUES else DIGITS
        return abs(float(cell) - value) <= digits * max(abs(value), 1e-9)
    return cell == str(value)


# Raw files


def read_runs(results: Path) -> Iterator[Cells]:
    """Processes of runs: their records, and their times by part and clock."""
    for path in sorted(results.glob("*/*/*/*/**/run.json")):
        if path.with_name("run.failed.json").exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        latency = path.with_name("latency.json")
        if latency.exists() and not latency.with_name("latency.failed.json").exists():
            record["without_profiler"] = json.loads(latency.read_text(encoding="utf-8"))
        record["sqlite"] = path.with_name("profile.sqlite")
        yield record


def _key(record: Cells) -> Key:
    request = {**record["request"], "side_px": int(record["request"]["resolution"])}
    return tuple(request[name] for name in RUN_KEY)


def profile_times(record: Cells) -> dict[tuple[str, str], list[float]]:
    """Times in ms of measured images by part and clock; calls in one image are added up."""
    with closing(sqlite3.connect(record["sqlite"])) as connection:
        ranges = connection.execute(
            "SELECT coalesce(text, value), start, end, globalTid FROM NVTX_EVENTS LEFT JOIN "
            "StringIds ON textId = id WHERE eventType = 59 ORDER BY start, end DESC"
        ).fetchall()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        kernels = []
        if "CUPTI_ACTIVITY_KIND_KERNEL" in tables:
            kernels = connection.execute(
                "SELECT k.start, k.end, c.start, c.globalTid FROM CUPTI_ACTIVITY_KIND_KERNEL k "
                "JOIN CUPTI_ACTIVITY_KIND_RUNTIME c USING (correlationId)"
            ).fetchall()
    (_, first, last, thread), = (one for one in ranges if one[0] == "measure")  # fmt: skip
    inside = [one for one in ranges if first <= one[1] and one[2] <= last and one[3] == thread]
    images = [one for one in inside if one[0] == "image"]
    wanted = {(name,): name for name in record["submodules"]}
    wanted |= {tuple(names): names[-1] for names in record.get("inner_ranges", ())}
    calls: dict[str, list[list[tuple[int, int]]]] = {
        name: [[] for _ in images] for name in (*wanted.values(), "image", *OUTSIDE)
    }
    for number, image in enumerate(images):
        calls["image"][number].append(image[1:3])
        within = [one for one in inside if image[1] <= one[1] and one[2] <= image[2]][1:]
        for one in within:
            around = [two for two in within if two[1] <= one[1] and one[2] <= two[2]]
            path = tuple(two[0] for two in around)
            if path in wanted:
                calls[wanted[path]][number].append(one[1:3])
    for name in OUTSIDE:
        for number, one in enumerate(one for one in inside if one[0] == name):
            calls[name][number].append(one[1:3])
    gpu = record["clock"] == "gpu"
    return dict(_by_clock(calls, [one[:3] for one in kernels if one[3] == thread], gpu=gpu))


def _by_clock(
    calls: Mapping[str, list[list[tuple[int, int]]]], kernels: Sequence[Key], *, gpu: bool
) -> Iterator[tuple[tuple[str, str], list[float]]]:
    for name, images in calls.items():
        known = [image for image in images if image]
        if not known:
            continue
        yield (name, "host"), [sum(end - start for start, end in one) / 1e6 for one in known]
        work = [
            sorted(
                kernel[:2]
                for kernel in kernels
                if any(start <= kernel[2] <= end for start, end in one)
            )
            for one in known
        ]
        if not gpu or (name in OUTSIDE and not any(work)):
            continue
        yield (name, "kernel_sum"), [sum(e - s for s, e in one) / 1e6 for one in work]
        yield (name, "busy"), [_union_ns(one) / 1e6 for one in work]
        yield (name, "span"), [(max(e for _, e in one) - one[0][0]) / 1e6 for one in work if one]


def _union_ns(intervals: Sequence[tuple[int, int]]) -> int:
    total, until = 0, -1
    for start, end in intervals:
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total


# runtime.csv


BETWEEN_VALUES = {"median_standard_error_ms", "time_ratio_ci95_low", "time_ratio_ci95_high",
                  *(f"{name}_{end}_ms" for name in SHARES for end in ("low", "high"))}  # fmt: skip
UNSURE = {"ci95_low_ms", "ci95_high_ms", "standard_error_ms", "degrees_of_freedom",
          "median_degrees_of_freedom", "effective_images", *BETWEEN_VALUES}  # fmt: skip
"""What a wandering level widens, or leaves out."""


def runtime_rows(runs: Sequence[Cells]) -> Iterator[tuple[Key, Cells]]:
    """Cells of every run whose processes all have times."""
    ordered = sorted(runs, key=lambda run: (_key(run), run["request"]["process"]))
    for key, group in groupby(ordered, key=_key):
        processes = list(group)
        unprofiled = [one["without_profiler"] for one in processes if "without_profiler" in one]
        passes: list[list[dict[tuple[str, str], list[float]]]] = []
        if all(one["status"] == "ok" for one in processes):
            passes.append([profile_times(one) for one in processes])
        if unprofiled and all(one["status"] == "ok" for one in unprofiled):
            passes.append([_latency_times(one) for one in unprofiled])
        for times in passes:
            for part, clock in dict.fromkeys(name for one in times for name in one):
                series = [np.array(one[part, clock]) for one in times if one.get((part, clock))]
                if series:
                    images = batch(key[2])
                    cells = statistics(
                        [one / (images if clock != "latency" else 1) for one in series]
                    )
                    if clock == "latency":
                        cells["megapixels_per_s"] = images * key[3] ** 2 / 1e3 / cells["mean_ms"]
                    yield (*key, part, clock), cells


def batch(variant: str) -> int:
    """Images of an inference: 8 of `optimized-fp32-b8`."""
    option = variant.rsplit("-", maxsplit=1)[-1]
    return int(option[1:]) if option[0] == "b" else 1


def _latency_times(record: Cells) -> dict[tuple[str, str], list[float]]:
    times = record["latency"]
    return {(name, "latency"): times[f"{name}_ms"] for name in LATENCY_PARTS
            if times[f"{name}_ms"] is not None}  # fmt: skip


# Counts


COUNT_KEY = ("method", "variant", "side_px")


def read_counts(folder: Path) -> Iterator[tuple[Key, Cells]]:
    """Counted resolutions of every `memory.json`."""
    for path in sorted(folder.glob("*/*/memory.json")):
        count = json.loads(path.read_text(encoding="utf-8"))
        for one in count["resolutions"]:
            yield (count["method"], count["variant"], int(one["resolution"])), one


TERMS = ("parameters_bytes", "buffers_bytes", "activations_bytes")


def memory_rows(counts: Sequence[tuple[Key, Cells]]) -> dict[Key, Cells]:
    """Cells of `memory.csv`."""
    return {
        (*key, part["submodule"]): {
            **{name: part[name] for name in TERMS},
            "total_bytes": sum(part[name] for name in TERMS),
            **{f"activations_{name}_bytes": size for name, size in part["conventions"].items()},
            "peak_bytes": part["peak"]["bytes"], "kept_bytes": part["peak"]["kept_bytes"],
            "host_peak_bytes": part["host_peak_bytes"], "flops": part["flops"],
        }
        for key, one in counts
        for part in one["submodules"]
    }  # fmt: skip


def method_rows(counts: Sequence[tuple[Key, Cells]]) -> dict[Key, Cells]:
    """Cells of `memory_methods.csv`: sums and largest ones of the submodules."""
    found = {}
    for key, one in counts:
        parts = one["submodules"]
        sums = {name: sum(part[name] for part in parts) for name in (*TERMS, "flops")}
        found[key] = {
            **sums,
            "total_bytes": sum(sums[name] for name in TERMS),
            "image_bytes": one["image_bytes"],
            "peak_bytes": max(part["peak"]["bytes"] for part in parts),
            "host_peak_bytes": max(part["host_peak_bytes"] for part in parts),
            "needed_bytes": one["needed_bytes"],
        }
    return found


def measured_rows(runs: Sequence[Cells]) -> dict[Key, Cells]:
    """Cells of `memory_measured.csv`; of a run on a CPU what compares with its count."""
    found = {}
    for run in runs:
        if run["request"]["process"] != 1:
            continue
        host, count = run["memory"]["host"], run["prediction"]
        cells: Cells = {f"host_{name}": size for name, size in host.items()}
        if run["memory"]["gpu"] is None and run["request"]["device_type"] == "cpu":
            grown = None
            if None not in (host["peak_bytes"], host["resident_before_build_bytes"]):
                grown = host["peak_bytes"] - host["resident_before_build_bytes"]
            needed = count["needed_bytes"] if count else None
            whole = run["status"] == "ok" and count and not count["incomplete"] and grown
            cells["measured_bytes"], cells["counted_bytes"] = grown, needed
            cells["measured_to_counted"] = grown / needed if whole and needed else None
        found[(*_key(run), "run")] = cells
        found |= {(*_key(run), name): {} for name in run["submodules"]}
    return found


# Counts and times


def flops_rows(
    runtime: Mapping[Key, Cells], counts: Sequence[tuple[Key, Cells]]
) -> dict[Key, Cells]:
    """Cells of `flops.csv`, of submodules and whole images by the main clock."""
    work: dict[Key, int] = {}
    for key, one in counts:
        for part in one["submodules"]:
            work[(*key, part["submodule"])] = part["flops"]
        work[(*key, "image")] = sum(part["flops"] for part in one["submodules"])
    found = {}
    for (device, *of, part, clock), cells in runtime.items():
        flops = work.get((*of, part))
        flops = None if flops is None else flops // batch(of[1])
        if clock != _main(runtime, device, *of) or part in OUTSIDE:
            continue
        times = [cells[name] for name in ("mean_ms", "ci95_high_ms", "ci95_low_ms")]
        rates = [flops / time / 1e6 if flops and time else None for time in times]
        names = ("gflop_per_s", "gflop_per_s_ci95_low", "gflop_per_s_ci95_high")
        found[(device, *of, part)] = {"flops": flops, **dict(zip(names, rates, strict=True))}
    return found


def _main(runtime: Mapping[Key, Cells], *run: Any) -> str:
    return "busy" if (*run, "image", "busy") in runtime else "host"


def implementation_rows(runtime: Mapping[Key, Cells]) -> dict[Key, Cells]:
    """Cells of `implementations.csv`: optimized over reference, errors of one process each."""
    found = {}
    for (device, method, variant, side, part, clock), other in runtime.items():
        way = variant.removeprefix("optimized-")
        of_batch = runtime.get((device, method, f"reference-{way}", side, part, clock))
        single = (device, method, f"reference-{way.split('-')[0]}", side, part, clock)
        reference = of_batch or runtime.get(single)
        main = _main(runtime, device, method, variant, side)
        if reference is None or way == variant or clock != main or part in OUTSIDE:
            continue
        both = (reference, other)
        known = all(one["median_standard_error_ms"] is not None for one in both)
        statistic, of = ("median", "median_") if known else ("mean", "")
        below, above = (one[f"{statistic}_ms"] for one in both)
        cells: Cells = {"statistic": statistic, "reference_ms": below, "optimized_ms": above,
                        "time_ratio": above / below}  # fmt: skip
        errors = [one[f"{of}standard_error_ms"] for one in both]
        if None not in errors and reference["processes"] == other["processes"] == 1 and any(errors):
            shares = [errors[0] / below, errors[1] / above]
            degrees = [one[f"{of}degrees_of_freedom"] for one in both]
            square = shares[0] ** 2 + shares[1] ** 2
            welch = square**2 / sum(s**4 / d for s, d in zip(shares, degrees, strict=True))
            reach = math.exp(float(t.ppf(0.975, welch)) * math.sqrt(square))
            cells |= {"time_ratio_ci95_low": above / below / reach,
                      "time_ratio_ci95_high": above / below * reach}  # fmt: skip
        found[(device, method, way, side, part)] = cells
    return found
