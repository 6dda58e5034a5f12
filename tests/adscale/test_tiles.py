"""How images are cut: every pixel once, offsets as planned, no slivers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adscale.errors import ConfigError, UserError
from adscale.methods.registry import check_settings, get_spec
from adscale.methods.spec import check_resolution, tile_plan
from adscale.resolution import Resolution, square
from adscale.tiles import Tiles, Tiling, exact_overlap_px, plan_tiles

STRIDES = st.sampled_from([1, 2, 4, 8, 16, 32])


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Resolution, Tiles, Tiling]:
    """Images of any size from the tile on, and tiles that have room for a step."""
    stride = draw(STRIDES)
    width, height = (draw(st.integers(2 * stride + 1, 300)) for _ in range(2))
    image = Resolution(*(draw(st.integers(side, 900)) for side in (width, height)))
    overlap = draw(st.one_of(st.just("auto"), st.integers(0, min(width, height) - 2 * stride)))
    reach = draw(st.one_of(st.none(), st.integers(0, 40)))
    tiles = Tiles(size=Resolution(width, height), overlap=overlap, batch=draw(st.integers(1, 5)))
    return image, tiles, Tiling(stride, reach)


@settings(deadline=None, max_examples=50)
@given(cuts())
@example((Resolution(1031, 769), Tiles(size=square(256)), Tiling(4, 18)))  # primes
@example((Resolution(2048, 1536), Tiles(size=square(1024)), Tiling(4, 18)))
def test_every_pixel_is_covered_and_is_of_one_tile(
    cut: tuple[Resolution, Tiles, Tiling],
) -> None:
    image, tiles, tiling = cut
    plan = plan_tiles(image, tiles, tiling)
    seen, own = np.zeros(image.shape, int), np.zeros(image.shape, int)
    for tile in plan:
        seen[slice(*tile.rows), slice(*tile.columns)] += 1
        own[slice(*tile.own_rows), slice(*tile.own_columns)] += 1
        assert (tile.columns.length, tile.rows.length) == (plan.tile.width_px, plan.tile.height_px)
        assert tile.rows.begin <= tile.own_rows.begin < tile.own_rows.end <= tile.rows.end
        assert (
            tile.columns.begin <= tile.own_columns.begin < tile.own_columns.end <= tile.columns.end
        )
    assert seen.min() >= 1
    assert (own == 1).all()
    assert plan.overlap_share == pytest.approx(1 - seen.size / seen.sum())
    assert sum(map(len, plan.groups)) == plan.number == len(list(plan))
    assert max(map(len, plan.groups)) <= tiles.batch


@settings(deadline=None)
@given(cuts())
def test_offsets_are_multiples_of_the_stride_and_neighbours_share_enough(
    cut: tuple[Resolution, Tiles, Tiling],
) -> None:
    image, tiles, tiling = cut
    plan = plan_tiles(image, tiles, tiling)
    assert plan.is_aligned
    for axis, side_px, asked_px in (
        (plan.across, image.width_px, tiles.size.width_px),
        (plan.down, image.height_px, tiles.size.height_px),
    ):
        assert all(offset % tiling.stride_px == 0 for offset in axis.offsets)
        assert 0 <= min(asked_px, side_px) - axis.tile_px < tiling.stride_px
        assert axis.offsets[0] == 0
        assert axis.offsets[-1] + axis.tile_px == side_px  # moved inwards, not cut
        ends = [offset + axis.tile_px for offset in axis.offsets]
        shared = [end - begin for end, begin in zip(ends, axis.offsets[1:], strict=False)]
        assert all(axis.overlap_px <= one < axis.tile_px for one in shared)
        if isinstance(tiles.overlap, int) and len(axis.offsets) > 1:
            assert axis.overlap_px == tiles.overlap
            # no tile more than are needed: without the last, pixels would be missing
            assert len(axis.offsets) == 2 or ends[-2] < side_px
        # each pixel is at least half of what is shared away from an edge that is no image's
        for span, own in zip(axis.spans, axis.own, strict=True):
            assert own.begin - span.begin >= axis.overlap_px // 2 or span.begin == 0
            assert span.end - own.end >= axis.overlap_px // 2 or span.end == side_px


def test_a_size_that_the_method_does_not_admit_stays_and_the_last_tile_begins_where_it_must() -> (
    None
):
    plan = plan_tiles(
        Resolution(2448, 2048), Tiles(size=square(512), overlap=64), Tiling(32),
        lambda tile: tile.width_px % 32 == 0 and tile.height_px % 32 == 0,
    )  # fmt: skip
    assert plan.tile == square(512)
    assert not plan.is_aligned
    assert plan.across.offsets == (0, 448, 896, 1344, 1792, 1936)
    assert plan.down.offsets == (0, 448, 896, 1344, 1536)


def test_auto_is_exact_where_that_is_cheap() -> None:
    tiling = Tiling(4, 18)
    assert exact_overlap_px(tiling) == 36
    assert plan_tiles(square(1024), Tiles(size=square(256)), tiling).across.overlap_px == 36
    far = plan_tiles(square(1024), Tiles(size=square(256)), Tiling(4, 40))
    assert far.across.overlap_px == 32  # an eighth: 80 is more than a quarter


def test_four_tiles_where_four_are_enough() -> None:
    """supervision#1415: 1920 x 1080 in 1080 x 1080 became nine with slivers of 18 px."""
    plan = plan_tiles(Resolution(2000, 2000), Tiles(size=square(1018), overlap=36), Tiling())
    assert plan.number == 4


@pytest.mark.parametrize("overlap", [253, 256, 4000])
def test_an_overlap_that_leaves_nothing_is_refused(overlap: int) -> None:
    tiles = Tiles(size=square(256), overlap=overlap)
    with pytest.raises(ConfigError, match="at most 252, or auto"):
        plan_tiles(square(1024), tiles, Tiling(4))


def test_a_method_has_tiles_among_its_settings_and_its_sizes_are_those_of_the_tiles() -> None:
    spec = get_spec("ddad")
    given_ = check_settings(spec, {"tiles": {"size": "256x128", "overlap": 32}})
    assert given_["tiles"] == {"size": "256x128", "overlap": 32, "batch": 1}
    check_resolution(spec, given_, Resolution(2448, 2049))  # whole it would be refused
    plan = tile_plan(spec, given_, Resolution(2448, 2049))
    assert plan is not None
    assert plan.tile == Resolution(256, 128)
    with pytest.raises(UserError, match=r"tiles of 250 px.*nearest: 224 or 256"):
        check_resolution(spec, check_settings(spec, {"tiles": {"size": 250}}), square(1025))
    with pytest.raises(ConfigError, match=r"settings\.tiles\.batch"):
        check_settings(spec, {"tiles": {"size": 256, "batch": 0}})
    assert "tiles" not in check_settings(spec, {})
