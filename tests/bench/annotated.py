"""One process of the bench `annotation`: images with ranges and without, and empty ranges.

`python -m tests.bench.annotated DEVICE_TYPE SECONDS OUT RECEIVER …`: writes what it measured to OUT
as JSON, for each receiver (`nvtx`, `recorder`). Whether nsys records is up to who starts it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from adscale.config import PRESET_FOLDER
from adscale.devices import usable_cpus
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.annotation import Annotate, NvtxAnnotator, RangeRecorder, no_range
from profiling.images import ImageSet
from profiling.lock import measurement_lock
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class

METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "EfficientAD-S": ("efficientad", {"size": "S"}),
    "PatchCore-10": ("patchcore", {}),
    "DDAD-10": ("ddad", {}),
}
"""By label: target and settings."""

RECEIVERS: Mapping[str, Callable[[], Annotate]] = {
    "nvtx": NvtxAnnotator,
    "recorder": RangeRecorder,
}
BLOCKS = 400
SUBMODULES = ("one", "two", "three", "four")
REPEATS = 50
RANGES_PER_BLOCK = REPEATS * (1 + len(SUBMODULES))
FEWEST_TURNS = 2
ONE_THREAD = os.environ.get("ADSCALE_BENCH_CLOCK") == "cpu"
"""Whether images run on one thread and its CPU time counts: for a CPU that others load."""

NO_RANGE: AbstractContextManager[object] = nullcontext()


class Images(NamedTuple):
    """Times of one method's images with one receiver.

    Attributes:
        ranges: opened during an image, the one around it too.
        ratios: of the times with ranges to those without, one per turn of four images.
        bare_ms: times without.
    """

    ranges: int
    ratios: list[float]
    bare_ms: list[float]


def threads() -> int:
    """That torch uses."""
    return 1 if ONE_THREAD else usable_cpus()


def smallest_px(target: str) -> int:
    """The smallest resolution at which a preset measures a method."""
    preset = yaml.safe_load((PRESET_FOLDER / "smoke.yaml").read_text(encoding="utf-8"))
    return int(min(preset["resolutions_by_target"].get(target, preset["resolutions"])))


def empty_ranges_ns(annotate: Annotate) -> tuple[float, float]:
    """Mean time of a range with nothing in it, nested as in an image: by the clock, by the CPU."""
    cpu_ns, start_ns = time.thread_time_ns(), time.perf_counter_ns()
    for _ in range(REPEATS):
        with annotate("image"):
            for name in SUBMODULES:
                with annotate(name):
                    pass
    end_ns, cpu_end_ns = time.perf_counter_ns(), time.thread_time_ns()
    return (end_ns - start_ns) / RANGES_PER_BLOCK, (cpu_end_ns - cpu_ns) / RANGES_PER_BLOCK


def measure_empty(receivers: Mapping[str, Callable[[], Annotate]]) -> dict[str, list[list[float]]]:
    """Both times of many blocks of empty ranges, a block of each receiver in turn."""
    kept = {name: make() for name, make in receivers.items() if name != "recorder"}
    found: dict[str, list[list[float]]] = {name: [] for name in ("none", *receivers)}
    for _ in range(BLOCKS):
        for name, blocks in found.items():
            # a recorder anew, as its list grows with what is recorded
            annotate = no_range if name == "none" else kept.get(name) or RangeRecorder()
            blocks.append(list(empty_ranges_ns(annotate)))
    return found


def measure_images(
    method: Method, image: torch.Tensor, annotate: Annotate, seconds: float
) -> Images:
    """Turns of four images, with ranges, without, without, with: a drift strikes both alike.

    Args:
        method: on the image's device.
        image: prepared.
        annotate: opens the ranges.
        seconds: how long; two turns are made in any case.
    """
    ranges = count_ranges(method, image)
    ratios: list[float] = []
    bare_ms: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(ratios) < FEWEST_TURNS or time.perf_counter() < end_s:
        first, *bare, last = (
            image_ms(method, image, opens) for opens in (annotate, no_range, no_range, annotate)
        )
        ratios.append(((first * last) / (bare[0] * bare[1])) ** 0.5)
        bare_ms += bare
    return Images(ranges, ratios, bare_ms)


def image_ms(method: Method, image: torch.Tensor, annotate: Annotate) -> float:
    """Time of an inference in its range, until the device has finished it."""
    clock_ns = time.thread_time_ns if ONE_THREAD else time.perf_counter_ns
    start_ns = clock_ns()
    with annotate("image"):
        method.infer(image, annotate)
    if image.is_cuda:
        torch.cuda.synchronize()
    return (clock_ns() - start_ns) / 1e6


def count_ranges(method: Method, image: torch.Tensor) -> int:
    """Ranges of an image; a first one has warmed up what it needs."""
    recorder = RangeRecorder()
    image_ms(method, image, no_range)
    image_ms(method, image, recorder)
    return len(recorder.ranges)


def main(device_type: str, seconds: str, out: str, *names: str) -> None:
    """Measures what was asked for and writes the file."""
    torch.set_num_threads(threads())
    receivers = {name: RECEIVERS[name] for name in names}
    with _alone(device_type), torch.inference_mode():
        empty = measure_empty(receivers)
        images = {
            label: _measure_method(*given, receivers, device_type, float(seconds))
            for label, given in METHODS.items()
        }
    Path(out).write_text(json.dumps({"empty": empty, "images": images}), encoding="utf-8")


def _measure_method(
    target: str,
    settings: Mapping[str, Any],
    receivers: Mapping[str, Callable[[], Annotate]],
    device_type: str,
    seconds: float,
) -> dict[str, Any]:
    spec = get_spec(target)
    method = load_method_class(spec).build(
        check_settings(spec, settings),
        resolution=square(smallest_px(target)),
        implementation="reference",
        seed=0,
    )
    method.move_to(device_type)
    image = method.prepare(ImageSet.photographs()[0]).to(device_type)
    return {
        name: measure_images(method, image, make(), seconds)._asdict()
        for name, make in receivers.items()
    }


def _alone(device_type: str) -> AbstractContextManager[object]:
    """Keeps measurements of others away, unless other load is expected anyway."""
    if ONE_THREAD:
        return nullcontext()
    if device_type == "cpu":
        return measurement_lock("cpu", "make bench")
    from profiling.fingerprint import gpu_uuid

    return measurement_lock(gpu_uuid(), "make bench")


if __name__ == "__main__":
    main(*sys.argv[1:])
