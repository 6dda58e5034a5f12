"""What do the optimised implementations gain? Times over those of the reference, and peaks.

Both implementations have the same weights, see the same image, and take turns, an inference each.
Two neighbouring inferences give one ratio per submodule. Each block builds both anew, the other one
first, because where tensors lie in memory makes a difference of some percent that lasts as long as
they do. The interval comes from a bootstrap of blocks and of the ratios within each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.images import ImageSet
from profiling.memory.counting import count_memory
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from tests.bench.ratios import median_interval

CASES: Mapping[str, tuple[str, Mapping[str, Any], int, int]] = {
    "EfficientAD-S": ("efficientad", {"size": "S"}, 256, 4),
    "EfficientAD-M": ("efficientad", {"size": "M"}, 256, 2),
    "PatchCore-10": ("patchcore", {}, 256, 4),
    "DDAD-10": ("ddad", {}, 128, 1),
}
"""By label: target, settings, side in px, and inferences of each implementation per block."""

IMPLEMENTATIONS = ("reference", "optimized")
AT_MOST = 1.02
MIB = 2**20


def main(rounds: int) -> None:
    """Prints a table per method; a round is a block of neighbouring inferences."""
    print(
        f"CPU host time, {torch.get_num_threads()} threads; optimized / reference, median and 95 %"
    )
    for label, (target, settings, side_px, per_block) in CASES.items():
        blocks = [
            _block(_build(target, settings, side_px, IMPLEMENTATIONS[:: (-1) ** number]), per_block)
            for number in range(rounds)
        ]
        peaks = {name: _own_peaks(target, settings, side_px, name) for name in IMPLEMENTATIONS}
        print(f"\n{label}, {side_px} px, {rounds} blocks of {per_block} pairs of inferences")
        print(
            f"{'submodule':<20}{'ref. ms':>9}{'opt. ms':>9}{'ratio':>8}{'interval':>18}"
            f"  {'≤ ' + str(AT_MOST):<7}{'peak MiB, ref.':>15}{'opt.':>9}"
        )
        for name in blocks[0]["reference"]:
            _print_row(name, blocks, peaks)


def _own_peaks(
    target: str, settings: Mapping[str, Any], side_px: int, implementation: str
) -> dict[str, int]:
    """Of each submodule, without what earlier ones have left."""
    spec = get_spec(target)
    count = count_memory(
        spec,
        check_settings(spec, settings),
        resolution=square(side_px),
        implementation=implementation,
    )
    return {part.submodule: part.peak.bytes - part.peak.kept_bytes for part in count.submodules}


def _build(
    target: str, settings: Mapping[str, Any], side_px: int, implementations: Sequence[str]
) -> dict[str, Method]:
    spec = get_spec(target)
    built = {
        implementation: load_method_class(spec).build(
            check_settings(spec, settings),
            resolution=square(side_px),
            implementation=implementation,
            seed=0,
        )
        for implementation in implementations
    }
    for method in built.values():
        method.move_to("cpu")
    return built


Block = dict[str, dict[str, list[float]]]
"""Times in ms by implementation and submodule; `image` is the sum of an inference."""


def _block(built: Mapping[str, Method], inferences: int) -> Block:
    times: Block = {name: {} for name in built}
    images = ImageSet.photographs()
    for method in built.values():
        _infer(method, images, 0, {})  # warms up
    for number in range(inferences):
        order = list(built) if number % 2 == 0 else list(reversed(built))
        for name in order:
            _infer(built[name], images, number, times[name])
    return times


def _infer(method: Method, images: ImageSet, number: int, times: dict[str, list[float]]) -> None:
    @contextmanager
    def clock(name: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        if name in method.submodules:
            times.setdefault(name, []).append((time.perf_counter() - start_s) * 1e3)

    batch = method.prepare(images[number])
    with torch.inference_mode():
        method.infer(batch, clock)
    times.setdefault("image", []).append(sum(times[name][-1] for name in method.submodules))


def _print_row(name: str, blocks: list[Block], peaks: Mapping[str, Mapping[str, int]]) -> None:
    before, after = (
        [np.array(block[implementation][name]) for block in blocks]
        for implementation in IMPLEMENTATIONS
    )
    ratios = [b / a for a, b in zip(before, after, strict=True)]
    ratio, low, high = median_interval(ratios)
    peak = [
        f"{peaks[implementation][name] / MIB:.1f}" if name in peaks[implementation] else ""
        for implementation in IMPLEMENTATIONS
    ]
    print(
        f"{name:<20}{np.median(before):>9.1f}{np.median(after):>9.1f}{ratio:>8.3f}"
        f"{f'{low:.3f} to {high:.3f}':>18}  {'yes' if high <= AT_MOST else 'NO':<7}"
        f"{peak[0]:>15}{peak[1]:>9}"
    )
