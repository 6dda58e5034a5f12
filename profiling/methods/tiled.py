"""Any method on an image that is cut: tile by tile, and the maps joined.

The class of the method is the base of one that takes whole images and gives its own ``infer`` the
tiles, so that networks, names and settings stay those of the method. Geometry: ``adscale.tiles``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from adscale.errors import ConfigError, MethodError
from adscale.methods.spec import MethodSpec, tile_plan
from adscale.names import STITCH, TILE
from adscale.resolution import Resolution
from adscale.tiles import Tile, TilePlan, without_tiles

from ..annotation import Annotate
from .base import Detection, Method, is_fake, standing_for

if TYPE_CHECKING:
    from PIL.Image import Image


def build_tiled(
    cls: type[Method],
    spec: MethodSpec,
    settings: Mapping[str, Any],
    *,
    resolution: Resolution,
    implementation: str,
    seed: int,
) -> Method:
    """Builds a method whose images are cut, at the size of its tiles.

    Args:
        cls: of the method.
        spec: of the method.
        settings: of the method, checked, with ``tiles``.
        resolution: of the whole images.
        implementation: see ``Method.build``.
        seed: see ``Method.build``.

    Raises:
        ConfigError: the method takes one image at a time, and there are batches of tiles; or it
            does not say in ``resolution`` what its images are fitted to.
    """
    plan = tile_plan(spec, settings, resolution)
    assert plan is not None
    if plan.batch > 1 and not cls.takes_batches:
        what = f"{spec.target} takes one image at a time, and tiles have batches of {plan.batch}"
        raise ConfigError("tiles.batch", what, "write 1, or have it take batches")
    facts = {
        "of": cls,
        "plan": plan,
        "cut": plan,
        "are_alike": not spec.foreign,
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
    }
    made: type[Method] = new_class(
        cls.__name__, (_Tiled, cls), exec_body=lambda own: own.update(facts)
    )
    method = made.build(
        without_tiles(settings), resolution=plan.tile, implementation=implementation, seed=seed
    )
    if getattr(method, "resolution", None) != plan.tile:
        what = f"{spec.target} does not keep `resolution`, which it is built for, as an attribute"
        raise ConfigError("tiles", what, "have `prepare` fit images to `self.resolution`")
    return method


class _Tiled(Method):
    """What a class of a method becomes where images are cut."""

    of: ClassVar[type[Method]]
    """The class of the method."""
    plan: ClassVar[TilePlan]
    are_alike: ClassVar[bool]
    """Whether an inference costs the same whichever tile it is of: then two are counted."""
    resolution: Resolution
    """Of a tile."""

    @property
    def submodules(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the method, then what cuts and joins."""
        return (*super().submodules, STITCH)

    def prepare(self, image: Image) -> torch.Tensor:
        """As the method prepares an image, of the whole."""
        tile, self.resolution = self.resolution, self.plan.image
        try:
            return self.of.prepare(self, image)
        finally:
            self.resolution = tile

    def pieces(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        """The tiles of a prepared image, one by one."""
        yield from (_cut(image, [tile]) for tile in self.plan)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs the tiles of an image, or of each image of a batch, and joins their maps.

        Args:
            image: shape (N, 3, height, width), of whole images.
            annotate: opens a range ``tile`` around each inference, and ``stitch``.

        Returns:
            The joined map; as score its largest value if that is the method's rule, else the
            largest score of a tile.
        """
        joined, score, whole = None, None, len(image)
        for tiles, times in self._inferences(image):
            with annotate(STITCH):
                cut = _cut(image, tiles)
            with standing_for(times) if times > 1 else nullcontext():
                with annotate(TILE):
                    found = self.of.infer(self, cut, annotate)
                with annotate(STITCH):
                    del cut
                    tile_map = self._checked_map(found, whole * len(tiles))
                    if self.plan.number == 1:
                        return found
                    if joined is None:
                        size = (whole, tile_map.shape[1], *self.plan.image.shape)
                        joined = tile_map.new_empty(size)
                    _join(joined, tile_map, tiles)
                    of_tiles: Any = found.score  # of a network's it may be a number or a list
                    if isinstance(of_tiles, torch.Tensor):
                        score = _largest(score, of_tiles, whole)
                    del found, tile_map
        with annotate(STITCH):
            if joined is not None and score is not None and self.score_is_of_map:
                score = joined.amax(dim=(1, 2, 3))
        return Detection(anomaly_map=joined, score=score)

    def _inferences(self, image: torch.Tensor) -> Iterator[tuple[list[Tile], int]]:
        """The tiles of each inference, and of how many it tells the cost."""
        groups = [list(group) for group in self.plan.groups]
        if not (is_fake(image) and self.are_alike):
            yield from ((group, 1) for group in groups)
            return
        # the first is without the joined map, and the last may have fewer tiles
        full = [group for group in groups if len(group) == self.plan.batch]
        yield groups[0], 1
        if len(full) > 1:
            yield full[1], len(full) - 1
        if len(full) < len(groups) and len(groups) > 1:
            yield groups[-1], 1

    def _checked_map(self, found: Detection, tiles: int) -> torch.Tensor:
        found_map: Any = found.anomaly_map
        if isinstance(found_map, torch.Tensor) and found_map.dim() == 4:
            shape = (len(found_map), *found_map.shape[-2:])
            if shape == (tiles, *self.plan.tile.shape):
                return found_map
        is_map = isinstance(found_map, torch.Tensor)
        shown = f"shape {tuple(found_map.shape)}" if is_map else "no map"
        what = f"infer returns {shown} for {tiles} tiles of {self.plan.tile} px"
        remedy = "return a map of the tile's size, which can be joined, or leave `tiles` out"
        raise MethodError(type(self).__name__, what, remedy)


def _cut(image: torch.Tensor, tiles: list[Tile]) -> torch.Tensor:
    """Shape (N, 3, height, width) to (N · tiles, 3, h, w): of the first tile first."""
    parts = [
        image[:, :, tile.rows.begin : tile.rows.end, tile.columns.begin : tile.columns.end]
        for tile in tiles
    ]
    if len(parts) > 1:
        return torch.cat(parts)
    return parts[0].contiguous()  # no copy where it is the image


def _join(joined: torch.Tensor, maps: torch.Tensor, tiles: list[Tile]) -> None:
    """Writes what is its own of each tile's map."""
    for tile, of_tile in zip(tiles, maps.chunk(len(tiles)), strict=True):
        (top, bottom), (left, right) = tile.own_rows, tile.own_columns
        first_row, first_column = tile.rows.begin, tile.columns.begin
        joined[:, :, top:bottom, left:right] = of_tile[
            :, :, top - first_row : bottom - first_row, left - first_column : right - first_column
        ]


def _largest(
    before: torch.Tensor | None, scores: torch.Tensor | None, images: int
) -> torch.Tensor | None:
    """The largest score of each image so far."""
    if scores is None:
        return None
    of_images = scores.reshape(-1, images).amax(dim=0)
    return of_images if before is None else torch.maximum(before, of_images)
