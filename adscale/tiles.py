"""Tiles: an image cut into parts of one size, which are inspected one by one and joined again.

Pure geometry, for whoever measures, counts or plans. Offsets are multiples of the network's stride,
so that a tile's features are those of the whole image, as far as they see nothing beyond the tile.
Between two tiles the seam runs through the middle of what they share: each pixel of the joined map
is of the tile in which it lies farther from the edge. There are no slivers: the last tile of a row
or column moves inwards, and shares more with the one before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import Field
from pydantic import dataclasses as records

from .errors import ConfigError
from .models import CLOSED, Count, Positive
from .resolution import Resolution

KEY = "tiles"
"""The setting, of any method, that has its images cut."""

AUTO_SHARE = 8
"""Without a reach that is known and small, tiles share an eighth of their shorter side."""

EXACT_SHARE = 4
"""An exact overlap of more than a quarter of a tile's shorter side is not chosen by ``auto``."""


@records.dataclass(frozen=True, kw_only=True, config=CLOSED)
class Tiles:
    """How the images of a method are cut."""

    size: Resolution = Field(
        description="Of a tile: the side of a square in px, or width x height. Sides are up to one "
        "stride of the network smaller where that lets the last tile begin at a multiple of it."
    )
    overlap: Literal["auto"] | Count = Field(
        default="auto",
        description="Pixels that neighbours share at least. auto: what makes local features exact, "
        "if that is at most a quarter of a tile's side, else an eighth of the side.",
    )
    batch: Positive = Field(default=1, description="Tiles of one inference.")


@dataclass(frozen=True)
class Tiling:
    """What a method says of tiles."""

    stride_px: int = 1
    """Of its coarsest local features: at multiples of it a tile has those of the whole image."""
    reach_px: int | None = None
    """From the edge of a tile up to where its map's local part is that of the whole image, at
    offsets that are multiples of the stride; None: not known, or nothing of it is local."""


class Span(NamedTuple):
    """A part of a side, in px: from ``begin`` up to, and without, ``end``."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        """Its pixels."""
        return self.end - self.begin


class Tile(NamedTuple):
    """A tile in its image, and what of the joined map is its own."""

    rows: Span
    columns: Span
    own_rows: Span
    own_columns: Span


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of an image."""

    side_px: int
    tile_px: int
    overlap_px: int
    """That neighbours share at least."""
    offsets: tuple[int, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        """Of the tiles."""
        return tuple(Span(offset, offset + self.tile_px) for offset in self.offsets)

    @cached_property
    def own(self) -> tuple[Span, ...]:
        """What of the joined map is each tile's own: together the whole side, once."""
        spans = self.spans
        seams = [(one.end + after.begin) // 2 for one, after in itertools.pairwise(spans)]
        bounds = [0, *seams, self.side_px]
        return tuple(Span(*pair) for pair in itertools.pairwise(bounds))

    def is_aligned(self, stride_px: int) -> bool:
        """Whether all tiles begin at multiples of a stride."""
        return all(offset % stride_px == 0 for offset in self.offsets)


@dataclass(frozen=True)
class TilePlan:
    """How an image is cut."""

    image: Resolution
    across: Axis
    down: Axis
    batch: int
    """Tiles of one inference."""
    is_aligned: bool
    """Whether all tiles begin at multiples of the network's stride."""

    @property
    def tile(self) -> Resolution:
        """Width and height of every tile."""
        return Resolution(self.across.tile_px, self.down.tile_px)

    @property
    def number(self) -> int:
        """Of tiles in an image."""
        return len(self.across.offsets) * len(self.down.offsets)

    @property
    def groups(self) -> tuple[tuple[Tile, ...], ...]:
        """The tiles of each inference, row by row; the last may have fewer."""
        tiles = tuple(self)
        return tuple(
            tiles[first : first + self.batch] for first in range(0, len(tiles), self.batch)
        )

    @property
    def overlap_share(self) -> float:
        """Share of the pixels of all tiles that are computed more than once."""
        return 1 - self.image.pixels / (self.number * self.tile.pixels)

    def __iter__(self) -> Iterator[Tile]:
        rows = zip(self.down.spans, self.down.own, strict=True)
        columns = tuple(zip(self.across.spans, self.across.own, strict=True))
        for (row, own_row), (column, own_column) in itertools.product(rows, columns):
            yield Tile(row, column, own_row, own_column)

    @property
    def words(self) -> str:
        """For people: ``6 tiles of 1024 px, 36 px shared``."""
        if self.number == 1:
            return f"1 tile of {self.tile} px"
        shared = max(self.across.overlap_px, self.down.overlap_px)
        return f"{self.number} tiles of {self.tile} px, {shared} px shared"


def plan_tiles(
    image: Resolution,
    tiles: Tiles,
    tiling: Tiling = Tiling(),
    admits: Callable[[Resolution], bool] = lambda _tile: True,
    *,
    where: str = KEY,
) -> TilePlan:
    """Cuts an image.

    A side of the image that is shorter than the tile is not cut. Where the method admits it, tiles
    are made smaller by less than a stride so that the last one begins at a multiple of it as well;
    else the last one ends where the image ends, wherever that has it begin.

    Args:
        image: its resolution.
        tiles: how it shall be cut.
        tiling: what the method says of that.
        admits: whether the method runs at a resolution.
        where: the place the tiles come from, for the error.

    Raises:
        ConfigError: the overlap leaves nothing of a tile.
    """
    stride_px = tiling.stride_px
    asked = (
        min(image.width_px, tiles.size.width_px),
        min(image.height_px, tiles.size.height_px),
    )
    fitting = tuple(
        tile_px - (tile_px - side_px) % stride_px
        for tile_px, side_px in zip(asked, (image.width_px, image.height_px), strict=True)
    )
    smaller = Resolution(*fitting) if min(fitting) > 0 else None
    tile = smaller if smaller is not None and admits(smaller) else Resolution(*asked)
    overlap_px = overlap_of(tile, tiles, tiling)
    across = _axis(image.width_px, tile.width_px, overlap_px, stride_px, where)
    down = _axis(image.height_px, tile.height_px, overlap_px, stride_px, where)
    is_aligned = across.is_aligned(stride_px) and down.is_aligned(stride_px)
    return TilePlan(image, across, down, tiles.batch, is_aligned)


def exact_overlap_px(tiling: Tiling) -> int | None:
    """Pixels that tiles have to share so that all local features are exact; None: not known."""
    if tiling.reach_px is None:
        return None
    return _up(2 * tiling.reach_px, tiling.stride_px)


def overlap_of(tile: Resolution, tiles: Tiles, tiling: Tiling) -> int:
    """Pixels that neighbours share at least.

    Args:
        tile: its resolution.
        tiles: how the image shall be cut.
        tiling: what the method says of that.
    """
    if tiles.overlap != "auto":
        return tiles.overlap
    shorter_px, stride_px = min(tile.width_px, tile.height_px), tiling.stride_px
    exact_px = exact_overlap_px(tiling)
    if exact_px is not None and exact_px * EXACT_SHARE <= shorter_px:
        return exact_px
    return max(0, min(_up(shorter_px // AUTO_SHARE, stride_px), shorter_px - stride_px))


def _up(pixels: int, stride_px: int) -> int:
    return -(-pixels // stride_px) * stride_px


def _axis(side_px: int, tile_px: int, overlap_px: int, stride_px: int, where: str) -> Axis:
    if tile_px >= side_px:
        return Axis(side_px, tile_px, 0, (0,))
    step_px = (tile_px - overlap_px) // stride_px * stride_px
    if step_px <= 0:
        what = f"{overlap_px} px shared leave less than {stride_px} px, the network's stride, "
        remedy = f"expected: at most {tile_px - stride_px}, or auto"
        raise ConfigError(f"{where}.overlap", f"{what}of a tile of {tile_px} px", remedy)
    last_px = side_px - tile_px
    return Axis(side_px, tile_px, overlap_px, (*range(0, last_px, step_px), last_px))


def tiles_of(settings: Mapping[str, Any]) -> Tiles | None:
    """How a method's images are cut; None: they are not.

    Args:
        settings: of the method, checked.
    """
    found = settings.get(KEY)
    return None if found is None else Tiles(**{**found, "size": Resolution.of(found["size"])})


def without_tiles(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the method of a tile."""
    return {key: value for key, value in settings.items() if key != KEY}
