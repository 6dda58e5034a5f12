"""Which counted resolutions are shown."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from adscale.resolution import square
from analysis.figures.shares import shown_sizes, shown_words


def shown(counted: Iterable[int]) -> list[int]:
    """The sides of the squares that are shown."""
    return [size.width_px for size in shown_sizes(map(square, counted))]


GRID_PX = (256, 384, 512, 640, 768, 896, 1024, 1536, 2048, 2560)


def test_few_are_all_shown() -> None:
    assert shown([512, 256, 256]) == [256, 512]
    assert shown_words(map(square, [512, 256, 256])) == ""


@pytest.mark.parametrize(
    ("own_px", "last_px"), [((288, 320, 352), 3000), ((32, 64, 96, 128, 160), 3008)]
)
def test_of_many_those_about_a_factor_of_1_4_apart_are_shown(
    own_px: tuple[int, ...], last_px: int
) -> None:
    counted = [*own_px, *GRID_PX, last_px]
    assert shown(counted) == [256, 384, 512, 768, 1024, 1536, 2048, last_px]
    assert shown_words(map(square, counted)).startswith(
        f" Shown are 8 of {len(counted)} counted resolutions"
    )


def test_a_method_that_does_not_run_at_these_is_shown_at_the_next() -> None:
    counted = [260, 390, 520, 650, 780, 910, 1040, 1560, 2080, 2600, 3120]
    assert shown(counted) == [260, 390, 520, 780, 1040, 1560, 2080, 3120]


def test_counts_at_other_resolutions_are_shown_evenly() -> None:
    found = shown(range(10, 110, 10))
    assert len(found) == 8
    assert (found[0], found[-1]) == (10, 100)
    assert found == sorted(set(found))
