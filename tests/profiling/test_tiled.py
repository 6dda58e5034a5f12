"""Images that are cut: results, ranges, memory, and what of a tile is that of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from adscale.errors import ConfigError, MethodError
from adscale.methods.patchcore import bank_rows
from adscale.methods.registry import check_settings, get_spec
from adscale.methods.spec import MethodSpec
from adscale.resolution import Resolution, square
from profiling.annotation import no_range
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.base import Detection, Method
from profiling.methods.loading import build_method, resolve

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "efficientad": (256, {"size": "S"}),
    "patchcore": (64, {"training_images": 20}),
    "ddad": (32, {"size": "S", "start_step": 50}),
    "examples.blur_distance:BlurDistance": (48, {}),
}
QUICK = {("examples.blur_distance:BlurDistance", "reference")}
IMPLEMENTATIONS = [
    pytest.param(target, one, marks=() if (target, one) in QUICK else pytest.mark.slow)
    for target in CASES
    for one in (("reference",) if ":" in target else ("reference", "optimized"))
]


def built(
    spec: MethodSpec, given: dict[str, Any], resolution: Resolution, implementation: str
) -> Method:
    return build_method(
        spec, check_settings(spec, given), resolution=resolution,
        implementation=implementation, seed=0,
    )  # fmt: skip


def photograph(resolution: Resolution, images: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(images, 3, *resolution.shape, generator=generator)


class Ranges(list[str]):
    """Names of all ranges with those around them, in the order of opening."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._open.append(name)
        self.append("/".join(self._open))
        yield
        self._open.pop()


@pytest.mark.parametrize(("target", "implementation"), IMPLEMENTATIONS)
def test_one_tile_is_the_untiled_run_bit_for_bit(target: str, implementation: str) -> None:
    side_px, given = CASES[target]
    spec = resolve(get_spec(target))
    size = Resolution(side_px + 32, side_px)
    found: list[Detection] = []
    for tiles in ({}, {"tiles": {"size": size.width_px}}):
        with torch.inference_mode():
            method = built(spec, given | tiles, size, implementation)
            found.append(method.infer(photograph(size), no_range))
    for whole, cut in zip(vars(found[0]).values(), vars(found[1]).values(), strict=True):
        assert torch.equal(whole, cut)


@pytest.mark.parametrize(("target", "implementation"), IMPLEMENTATIONS)
def test_a_joined_map_is_that_of_the_tiles(target: str, implementation: str) -> None:
    """The oracle cuts by itself; sizes that no stride divides, two images, tiles two by two."""
    side_px, given = CASES[target]
    spec, size = resolve(get_spec(target)), Resolution(side_px + 37, side_px + 3)
    tiles = {"tiles": {"size": side_px, "overlap": 0 if target == "ddad" else 7, "batch": 2}}
    images, ranges = photograph(size, 2), Ranges()
    with torch.inference_mode():
        method = built(spec, given | tiles, size, implementation)
        joined = method.infer(images, ranges)
        assert method.cut is not None
        tile = method.cut.tile
        alone = built(spec, given, tile, implementation)
        if target == "patchcore":  # the bank of tiles is larger
            alone.search = method.search  # type: ignore[assignment]
        seen, scores = torch.full((2, 1, *size.shape), torch.nan), []
        for at in method.cut:
            part = images[:, :, slice(*at.rows), slice(*at.columns)].contiguous()
            detection = alone.infer(part, no_range)
            assert detection.anomaly_map is not None
            scores.append(detection.score)
            for row in range(*at.own_rows):
                own = slice(
                    at.own_columns.begin - at.columns.begin, at.own_columns.end - at.columns.begin
                )
                seen[:, :, row, slice(*at.own_columns)] = detection.anomaly_map[
                    :, :, row - at.rows.begin, own
                ]
    assert joined.anomaly_map is not None
    assert joined.score is not None
    assert method.cut.number >= 4
    torch.testing.assert_close(joined.anomaly_map, seen, rtol=1e-4, atol=1e-5)
    largest = torch.stack(scores).amax(dim=0)  # type: ignore[arg-type]
    expected = joined.anomaly_map.amax(dim=(1, 2, 3)) if method.score_is_of_map else largest
    torch.testing.assert_close(joined.score, expected, rtol=1e-4, atol=1e-5)
    assert set(method.submodules) == {*spec.submodules, "stitch"}
    around = [name.rpartition("/")[0] for name in ranges if name.split("/")[-1] in spec.submodules]
    assert set(around) == {"tile"}
    assert ranges.count("tile") == len(method.cut.groups)
    assert ranges.count("stitch") >= 2


@pytest.mark.parametrize(("target", "implementation"), IMPLEMENTATIONS)
def test_the_memory_of_tiles_is_counted_as_it_is_taken(target: str, implementation: str) -> None:
    """Five tiles two by two: of three inferences two are counted, and the last is a smaller one."""
    side_px, given = CASES[target]
    spec, size = resolve(get_spec(target)), Resolution(5 * side_px, side_px)
    settings = given | {"tiles": {"size": side_px, "overlap": 0, "batch": 2}}
    count = count_memory(
        spec, check_settings(spec, settings), resolution=size, implementation=implementation
    )
    of_tile = count_memory(
        spec, check_settings(spec, given), resolution=square(side_px),
        implementation=implementation,
    )  # fmt: skip
    flops = {part.submodule: 5 * part.flops for part in of_tile.submodules}
    method = built(spec, settings, size, implementation)
    trace = Trace(method, None if spec.foreign else method.submodules, "cpu")
    with torch.inference_mode():
        trace.follow(photograph(size))
    real = {part.submodule: part for part in trace.submodules("between submodules")}
    assert {part.submodule for part in count.submodules} == set(real)
    for part in count.submodules:
        found = real[part.submodule]
        assert part.peak.bytes == pytest.approx(found.peak.bytes, rel=0.01, abs=4096)
        if part.submodule not in ("nn_search", "stitch"):  # the bank is larger
            assert part.flops == pytest.approx(flops[part.submodule], rel=0.001)


def test_peaks_of_tiles_do_not_grow_with_the_image() -> None:
    spec = get_spec("efficientad")
    settings = check_settings(spec, {"tiles": {"size": 256}})
    small, large = (
        count_memory(spec, settings, resolution=one, implementation="optimized")
        for one in (Resolution(512, 512), Resolution(5472, 3648))
    )
    own = [
        count.needed_bytes - count.image_bytes - 4 * count.resolution.pixels
        for count in (small, large)
    ]
    assert own[0] == pytest.approx(own[1], rel=0.01)


def test_the_bank_is_that_of_all_tiles_of_the_training_images() -> None:
    spec = get_spec("patchcore")
    given = {"training_images": 7, "tiles": {"size": 64, "overlap": 0}}
    count = count_memory(
        spec, check_settings(spec, given), resolution=Resolution(192, 128),
        implementation="optimized",
    )  # fmt: skip
    rows = bank_rows(training_images=7 * 6, resolution=square(64), coreset_fraction=0.1)
    search = {part.submodule: part for part in count.submodules}["nn_search"]
    assert search.buffers_bytes == 4 * 1024 * rows == 4 * 1024 * 268


class HalfMap(nn.Module):
    """Its map is smaller than its image."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(image, 2)


def test_what_cannot_be_joined_is_refused() -> None:
    spec = resolve(get_spec(f"{__name__}:HalfMap"))
    method = built(spec, {"tiles": {"size": 32}}, square(64), "reference")
    with pytest.raises(MethodError, match=r"\(1, 3, 16, 16\) for 1 tiles of 32 px"):
        method.infer(photograph(square(64)), no_range)


def test_batches_of_tiles_are_refused_where_the_method_takes_one_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = resolve(get_spec("examples.blur_distance:BlurDistance"))
    from examples.blur_distance import BlurDistance

    monkeypatch.setattr(BlurDistance, "takes_batches", False)
    with pytest.raises(ConfigError, match="one image at a time"):
        built(spec, {"tiles": {"size": 32, "batch": 2}}, square(64), "reference")
