"""One line for each method: does it fit, is it fast enough, and how sure is that."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from adscale.errors import ArgumentError
from adscale.models import as_listed
from adscale.variant import Variant

from ..hardware import Gpu, Sensor, asked_sensor, listed_gpu
from ..json_output import document_text, told_rows_text
from ..numbers import known, known_interval
from .cheapest import Deviations, cheapest_rows, cheapest_words
from .devices import Target, is_listed_as, measured_devices, of_gpu, on_device
from .fitting import between_gib
from .process import GIB
from .rows import feasibility_rows
from .tables import FeasibilityTables, largest_batches


def print_answers(
    tables: FeasibilityTables, deviations: Deviations, options: argparse.Namespace
) -> None:
    """Print one line per method and variant to a question of the command line.

    Args:
        tables: of the study.
        deviations: of its variants.
        options: of `feasible`.

    Raises:
        ArgumentError: the question names what the study does not know, or no memory.
    """
    tables = _chosen(tables, options)
    target = asked_target(tables.runtime, options)
    sensor = asked_image(options.sensor, options.sensor_mp)
    if options.json:
        print(answers_json(tables, deviations, target, sensor, options))
        return
    if options.device is not None:
        own = list(feasibility_rows(tables, [target], [sensor]))
        for row in own:
            print(answer(row, options.cycle_ms))
        _print_batches(own, own)
        _print_cheapest(own, deviations, options)
        return
    # each latency stands with the device it was measured on: none is taken for that of the target
    devices = [on_device(one, one.name, None) for one in measured_devices(tables.runtime)]
    rows = list(feasibility_rows(tables, [target, *devices], [sensor]))
    for first in range(0, len(rows), 1 + len(devices)):
        row, *measured = rows[first : first + 1 + len(devices)]
        print(answer(row, options.cycle_ms, measured))
    _print_batches(rows[:: 1 + len(devices)], rows)
    _print_cheapest(rows, deviations, options)


def _judged(rows: Iterable[Mapping[str, Any]], cycle_ms: float | None) -> list[dict[str, Any]]:
    """The rows, each with the cycle time that was asked about and whether it is kept."""
    judged = []
    for row in rows:
        is_timed = cycle_ms is not None and row["verdict"] != "refused"
        keeps = keeps_cycle(row, cycle_ms) if is_timed and cycle_ms is not None else None
        judged.append({**row, "cycle_ms": cycle_ms, "keeps_cycle": keeps})
    return judged


def _print_cheapest(
    rows: Sequence[Mapping[str, Any]], deviations: Deviations, options: argparse.Namespace
) -> None:
    """Print which variant of each method is the cheapest that does, and which is the closest."""
    most = options.most_deviation
    for row in cheapest_rows(_judged(rows, options.cycle_ms), deviations, most):
        print(cheapest_words(row, options.cycle_ms, most))


def answers_json(
    tables: FeasibilityTables,
    deviations: Deviations,
    target: Target,
    sensor: Sensor,
    options: argparse.Namespace,
) -> str:
    """The answers to a question as a JSON document.

    Args:
        tables: of the study, with what was asked for.
        deviations: of its variants.
        target: the GPU or device that is asked about.
        sensor: whose image is judged.
        options: of `feasible`.
    """
    targets = [target]
    if options.device is None:  # as in words: each latency with the device that it is of
        targets += [on_device(one, one.name, None) for one in measured_devices(tables.runtime)]
    answers = _judged(feasibility_rows(tables, targets, [sensor]), options.cycle_ms)
    own = [row for row in answers if row["gpu"] == target.name]
    question = {
        name: getattr(options, name)
        for name in ("method", "variant", "sensor", "sensor_mp", "gpu", "vram_gib", "device",
                     "cycle_ms", "most_deviation")
    }  # fmt: skip
    parts = {
        "question": json.dumps(
            {key: value for key, value in question.items() if value is not None}
        ),
        "rows": told_rows_text(answers, why_null),
        "largest_batches": told_rows_text(largest_batches(own), _why_no_batch),
        "cheapest_variants": told_rows_text(
            cheapest_rows(answers, deviations, options.most_deviation), _why_no_variant
        ),
    }
    return document_text("feasible", parts)


def why_null(row: Mapping[str, Any], name: str) -> str:
    """Why a column of a row of `feasibility.csv` is null."""
    if name == "latency_problem":
        return "there is a latency"
    if name.startswith("sensor_"):
        return "only the megapixels of the sensor are given"
    if name in ("cycle_ms", "keeps_cycle") and row["cycle_ms"] is None:
        return "no cycle time was asked about"
    if row["verdict"] == "refused":
        return str(row["reason"])
    if name in ("device", "hardware"):
        return "it was not measured"
    if name == "gpu_memory_bytes":
        return "the memory of the device is not known"
    if name in ("counted_high_bytes", "needed_high_bytes") and not pd.isna(
        row["counted_low_bytes"]
    ):
        return "no image was counted that holds one of this size and shape"
    if name.startswith("counted_") or name in ("memory_basis", "context_basis"):
        return "it was counted for another type of device"
    if name.startswith("needed_"):
        return str(row["reason"])
    if not pd.isna(row["latency_ms"]):
        few = "too few measured images" if "p99" in name else "too few measured images, or unsteady"
        return f"{few}, for this number"
    return str(row["latency_problem"])


def _why_no_batch(row: Mapping[str, Any], name: str) -> str:
    return "none fits for certain" if row["batch"] is None else f"{name} was not measured there"


def _why_no_variant(row: Mapping[str, Any], name: str) -> str:
    if row["variant"] is None:
        return "no variant that was measured does"
    if name == "keeps_cycle":
        return "no cycle time was asked about"
    if name.startswith("image_"):
        return "too few measured images, or unsteady, for this number"
    if name == "deviation_bound":
        return "it has no bound"
    return "it was not compared with reference-fp32, or has left neither maps nor scores"


def _print_batches(
    rows: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]
) -> None:
    """Print a line for each method that was counted in several batches.

    Args:
        rows: of the target that is asked about.
        measured: these and those of the devices that were measured.
    """
    for found in largest_batches(rows):
        of = (found["method"], found["variant"])
        way, batch = Variant.of(found["variant"]).of_one_image, found["batch"]
        rates = {
            row["device"]: f", {row['images_per_second']:.3g} images per second measured on "
            f"{row['hardware']} (device {row['device']})"
            for row in measured
            if (row["method"], row["variant"]) == of and row["latency_basis"] == "measured"
        }
        fits = "none fits for certain" if batch is None else f"{batch}{''.join(rates.values())}"
        print(f"{found['method']} {way}, {found['gpu']}: largest counted batch that fits: {fits}")


def _chosen(tables: FeasibilityTables, options: argparse.Namespace) -> FeasibilityTables:
    """The tables with the method and variant that were asked for."""
    counts = tables.counts
    for column, asked in (("method", options.method), ("variant", options.variant)):
        if asked is None or (column == "method" and asked == "all"):
            continue
        known = counts[column].unique()
        wanted = as_listed(asked, known)
        if wanted not in known:
            remedy = f"choose from: {', '.join(known)}"
            raise ArgumentError(f"--{column}", f"{wanted} was not counted", remedy)
        counts = counts[counts[column] == wanted]
    return replace(tables, counts=counts)


def asked_image(asked: str | None, megapixels: float | None) -> Sensor:
    """The sensor that is asked about, by its name, its pixels or its megapixels."""
    if asked is None:
        assert megapixels is not None, "the command asks for one of them"
        return Sensor(f"{megapixels:g} MP", megapixels)
    if megapixels is not None:
        raise ArgumentError("--sensor-mp", "--sensor is given, too", "leave one of them out")
    return asked_sensor(asked)


def asked_target(runtime: pd.DataFrame | None, options: argparse.Namespace) -> Target:
    """The GPU or device that is asked about, by `--gpu`, `--vram-gib` or `--device`."""
    gpu, device = _gpu(options.gpu, options.vram_gib), options.device
    devices = measured_devices(runtime)
    if device is None:
        if gpu is None:
            remedy = "give a GPU or its memory, or --device of one that was measured"
            raise ArgumentError("--gpu or --vram-gib", "missing", remedy)
        own = of_gpu(gpu, devices)  # several devices of the same GPU differ in nothing but latency
        return own[0]._replace(name=_size(own[0])) if options.gpu else own[0]
    known = {one.name: one for one in devices}
    device = as_listed(device, known)
    if device not in known:
        remedy = f"choose from: {', '.join(known) or 'none, nothing was measured'}"
        raise ArgumentError("--device", f"{device} was not measured", remedy)
    if gpu is None or is_listed_as(gpu, known[device]):
        unified = gpu is not None and gpu.unified_memory
        return on_device(known[device], device, None, unified_memory=unified)
    memory_bytes = int(gpu.memory_gib * GIB)
    return on_device(known[device], gpu.name, memory_bytes, unified_memory=gpu.unified_memory)


def _gpu(name: str | None, vram_gib: float | None) -> Gpu | None:
    """The GPU that is asked for, by its name or by its memory; None: neither."""
    if name is None:
        return None if vram_gib is None else Gpu(f"{vram_gib:g} GiB", vram_gib)
    if vram_gib is not None:
        raise ArgumentError("--vram-gib", "--gpu is given, too", "leave one of them out")
    return listed_gpu(name)


def _size(target: Target) -> str:
    memory = "" if target.memory_bytes is None else f" ({target.memory_bytes / GIB:.4g} GiB)"
    return f"{target.name}{memory}"


def answer(
    row: Mapping[str, Any],
    cycle_ms: float | None,
    measured: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The answer in words.

    Args:
        row: of `feasibility.csv`.
        cycle_ms: time between two images; None: none has to be kept.
        measured: rows of the same method, variant and sensor on each device that was measured,
            whose latencies are told beside each other; None: the device is that of `row`.
    """
    named = f"{row['method']} {row['variant']}, {_image_words(row)}"
    if row["verdict"] == "refused":
        return f"{named}: {row['reason']}"
    verdicts = {"fits": "fits", "does_not_fit": "does not fit", "uncertain": "uncertain"}
    parts = [f"{verdicts[row['verdict']]}, {row['reason']}", _memory_words(row)]
    if measured is None:
        parts.append(_timed_words(row, cycle_ms))
    else:
        parts += [_timed_words(one, cycle_ms) for one in measured]
        if not measured:
            parts.append("no runtime: nothing was measured")
    return f"{named}, {row['gpu']}: {'; '.join(part for part in parts if part)}"


def _image_words(row: Mapping[str, Any]) -> str:
    """The image of the sensor, or the square that stands for it."""
    size = row["sensor_resolution"]
    if pd.isna(row["sensor_width_px"]):
        return f"{row['megapixels']:g} MP (as a square with {size} px)"
    name = "" if row["sensor"] == size else f"{row['sensor']}, "
    return f"{name}{size} px ({row['megapixels']:.3g} MP)"


def _timed_words(row: Mapping[str, Any], cycle_ms: float | None) -> str:
    """Latency on a device, and whether it keeps the cycle time."""
    said = _speed_words(row)
    return said if cycle_ms is None else f"{said}, {cycle_words(row, cycle_ms)}"


def cycle_words(row: Mapping[str, Any], cycle_ms: float) -> str:
    """Whether the 99th percentile keeps a cycle time, and how sure that is."""
    cycle = f"{cycle_ms:g} ms" if row["batch"] == 1 else f"{row['batch']} × {cycle_ms:g} ms"
    words = {
        "yes": f"keeps {cycle}",
        "no": f"does not keep {cycle}",
        "uncertain": f"may not keep {cycle}: {_open_end(row)}",
        "unknown": f"whether it keeps {cycle} is not known{_without_p99(row)}",
    }
    return words[keeps_cycle(row, cycle_ms)]


def _without_p99(row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row["latency_ms"]) else ": too few images for a p99"


def keeps_cycle(row: Mapping[str, Any], cycle_ms: float) -> str:
    """`yes`, `no`, `uncertain` or `unknown`: the interval of p99 against the cycle time.

    `yes` where its upper end lies within, `no` where its lower end lies beyond. Without an upper
    end it is never `yes`, and without a lower end the value itself decides on `no`. Of too few
    images for a p99 the mean can only decide on `no`. A batch has the cycles of all its images.
    """
    cycle_ms *= row["batch"]
    p99, low, high = (row[f"latency_p99{end}_ms"] for end in ("", "_low", "_high"))
    if pd.isna(p99):
        mean, mean_low = row["latency_ms"], row["latency_low_ms"]
        least = mean if pd.isna(mean_low) else mean_low
        return "no" if pd.notna(least) and least > cycle_ms else "unknown"
    if (p99 if pd.isna(low) else low) > cycle_ms:
        return "no"
    if pd.isna(high) or high > cycle_ms:
        return "uncertain"
    return "yes"


def _open_end(row: Mapping[str, Any]) -> str:
    _, low, high = known_interval(*(row[f"latency_p99{end}_ms"] for end in ("", "_low", "_high")))
    if not high:
        return "p99 has no upper end, with too few images"
    return f"p99 is at most {high} ms" + (f", at least {low} ms" if low else "")


def _memory_words(row: Mapping[str, Any]) -> str:
    if pd.isna(row["counted_low_bytes"]):
        return ""
    low, high = row["counted_low_bytes"], row["counted_high_bytes"]
    size = f"more than {low / GIB:.4g}" if pd.isna(high) else between_gib(low, high)
    same = row["resolution"] == row["sensor_resolution"]
    at = "" if same else f" at {row['resolution']} px, to which the image is padded"
    return f"{size} GiB {row['memory_basis']}{at}, context {row['context_basis']}"


def _speed_words(row: Mapping[str, Any]) -> str:
    if pd.isna(row["latency_ms"]):
        where = "" if pd.isna(row["device"]) else f" on {row['hardware']} (device {row['device']})"
        return f"no runtime{where}: {row['latency_problem']}"
    ends = (row["latency_low_ms"], row["latency_high_ms"])
    value, low, high = known_interval(row["latency_ms"], *ends)
    interval = f" (95 %: {low} to {high})" if low and high else ""
    p99 = [row[f"latency_p99{end}_ms"] for end in ("", "_low", "_high")]
    tail = "" if pd.isna(p99[0]) else f", p99 {known(*p99)} ms"
    batch = row["batch"]
    rates = [_per_second(end, batch) for end in reversed(ends)]
    rate = known(row["images_per_second"], rates[0], rates[1], digits=3)
    basis = row["latency_basis"]
    if basis != "measured":
        basis = f"{basis}, {row['latency_factor_pixels']:.3g} times the largest pixels measured"
    verdict = row["latency_verdict"]
    unsteady = "" if verdict == "steady" else f", not steady ({verdict})"
    return (
        f"{value} ms per {'image' if batch == 1 else f'batch of {batch}'}{interval}{tail}, {rate} "
        f"images per second, without a profiler on {row['hardware']} (device {row['device']}), "
        f"{basis}, n = {row['images']}{unsteady}"
    )


def _per_second(time_ms: float | None, batch: int) -> float | None:
    """The rate at an end of an interval; none where that is open, or 0."""
    return None if pd.isna(time_ms) or not time_ms else batch * 1e3 / time_ms
