"""Profiles side by side: the figures of every range, or kernel of a range, in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adscale.errors import ArgumentError
from adscale.mean_error import Floats

from ..arrow import reals
from ..nsys.records import Bools
from ..profiles.coverage import ProfileCoverage
from ..profiles.kernel_table import kernel_table
from ..profiles.paths import path_texts
from ..profiles.patterns import matching_paths
from ..profiles.range_table import KERNEL_FIGURES, profile_table
from ..profiles.text import null_reasons
from ..profiles.work import ProfileWork

IMAGE_PATTERNS = ("image", "*:image")
"""Ranges that are taken for images where none are named."""

UNITS = {
    "calls": "",
    "host_ms": "ms",
    "kernels": "",
    "kernel_sum_ms": "ms",
    "exclusive_ms": "ms",
    "busy_ms": "ms",
    "span_ms": "ms",
    "copies": "",
    "copy_sum_ms": "ms",
    "copy_bytes": "bytes",
    "memsets": "",
    "memset_sum_ms": "ms",
    "memset_bytes": "bytes",
    "graphs": "",
    "graph_sum_ms": "ms",
    "projected_ms": "ms",
}
"""What is compared of ranges, with its unit: columns of `analysis.profiles.range_table`."""

KERNEL_UNITS = {"kernels": "", "kernel_sum_ms": "ms"}
"""What is compared of kernels by their name."""

NOTHING_WHERE_NULL = ("span_ms", "projected_ms")
"""Null in a table of ranges where no work was launched: nothing, which is 0, in a difference."""

Key = tuple[str, ...]
"""A path, and behind it the name of a kernel where kernels are compared."""


@dataclass(frozen=True)
class ProfileFigures:
    """The figures of one profile.

    Attributes:
        path: the file.
        fingerprint: see `analysis.nsys.fingerprint.read_fingerprint`.
        warnings: what was lost or left open in it.
        keys: its rows.
        calls: of the range of each row.
        images: calls of the image around each row, or of the row itself; NaN outside of images.
        figures: values of each figure in each row; NaN where it is null.
        unknown: why a figure is null in every row, of those of which that is so.
        image_paths: the images.
    """

    path: Path
    fingerprint: dict[str, str]
    warnings: list[str]
    keys: list[Key]
    calls: Floats
    images: Floats
    figures: dict[str, Floats]
    unknown: dict[str, str]
    image_paths: list[str]


def profile_figures(
    work: ProfileWork,
    fingerprint: dict[str, str],
    *,
    levels: int | None = None,
    kernels: bool = False,
    image: str | None = None,
) -> ProfileFigures:
    """The figures of a profile.

    Args:
        work: of the profile, or of what was asked of it.
        fingerprint: of the profile.
        levels: leave out paths of more names; None for none.
        kernels: whether kernels by name are compared, instead of ranges.
        image: which ranges are images; None: those called `image`, in any domain.

    Raises:
        ArgumentError: no range is such an image.
    """
    table = profile_table(work, levels=levels)
    calls = dict(zip(table["path"].to_pylist(), table["calls"].to_pylist(), strict=True))
    around, images = _images(work, image)
    units = UNITS
    if kernels:
        units = KERNEL_UNITS
        table = kernel_table(work, None, levels)
    columns = ["path", "kernel"] if kernels else ["path"]
    paths = table["path"].to_pylist()
    capture = work.profile.capture
    reasons = null_reasons(capture)
    lost = [] if capture.knows_kernels else [name for name in units if name in KERNEL_FIGURES]
    return ProfileFigures(
        path=work.profile.path,
        fingerprint=fingerprint,
        warnings=ProfileCoverage.of(work, levels).warnings(),
        keys=list(zip(*(table[name].to_pylist() for name in columns), strict=True)),
        calls=np.array([calls[path] for path in paths], np.float64),
        images=np.array([around.get(path, np.nan) for path in paths], np.float64),
        figures={name: _column(table, name, lost) for name in units},
        unknown={name: reasons[name] for name in lost},
        image_paths=images,
    )


def _column(table: pa.Table, name: str, lost: Sequence[str]) -> Floats:
    values: Floats = reals(table, name)
    if name in NOTHING_WHERE_NULL and name not in lost:
        return np.nan_to_num(values, nan=0.0)
    return values


def _images(work: ProfileWork, image: str | None) -> tuple[dict[str, float], list[str]]:
    """Of each path in an image the calls of the innermost one, and the paths of the images."""
    paths = work.paths
    if image is not None:
        is_image = matching_paths(paths, (image,), "--image")
    else:
        is_image = np.zeros(len(paths.parent), np.bool_)
        for pattern in IMAGE_PATTERNS:
            try:
                is_image |= matching_paths(paths, (pattern,), "--image")
            except ArgumentError:
                continue
    shown = work.shown
    calls = np.bincount(paths.code[shown], minlength=len(paths.parent))
    around = np.full(len(paths.parent), np.nan)
    for number, parent in enumerate(paths.parent.tolist()):  # parents come first
        if is_image[number]:
            around[number] = calls[number] or np.nan
        elif parent >= 0:
            around[number] = around[parent]
    texts = path_texts(paths, None if len(paths.parent) < _MANY else _LEVELS)
    inside = np.flatnonzero(~np.isnan(around) & (texts != ""))
    images = texts[is_image & (calls > 0)].tolist()
    return dict(zip(texts[inside].tolist(), around[inside].tolist(), strict=True)), images


_MANY, _LEVELS = 20_000, 32


class Side(NamedTuple):
    """The profiles of one side on the rows of both.

    Attributes:
        name: A or B.
        profiles: of the side.
        has: whether each profile (first axis) has each row (second).
        calls: likewise; NaN where it has none.
        images: likewise.
        figures: values of each figure, likewise.
    """

    name: str
    profiles: tuple[ProfileFigures, ...]
    has: Bools
    calls: Floats
    images: Floats
    figures: dict[str, Floats]

    @property
    def label(self) -> str:
        """The files, for people."""
        return ", ".join(str(one.path) for one in self.profiles)


def align(a: Sequence[ProfileFigures], b: Sequence[ProfileFigures]) -> tuple[list[Key], Side, Side]:
    """The rows of all profiles, in the order in which they first occur, and both sides on them."""
    rows: dict[Key, int] = {}
    for one in (*a, *b):
        for key in one.keys:
            rows.setdefault(key, len(rows))
    return list(rows), _side("A", a, rows), _side("B", b, rows)


def _side(name: str, profiles: Sequence[ProfileFigures], rows: dict[Key, int]) -> Side:
    shape = (len(profiles), len(rows))
    has = np.zeros(shape, np.bool_)
    calls, images = np.full(shape, np.nan), np.full(shape, np.nan)
    figures = {figure: np.full(shape, np.nan) for figure in profiles[0].figures}
    for number, one in enumerate(profiles):
        at = [rows[key] for key in one.keys]
        has[number, at] = True
        calls[number, at], images[number, at] = one.calls, one.images
        for figure, column in one.figures.items():
            figures[figure][number, at] = column
    return Side(name, tuple(profiles), has, calls, images, figures)


def fingerprint_changes(a: Side, b: Side) -> list[dict[str, str]]:
    """What else is different: each entry of the fingerprints whose values are not the same."""
    names = dict.fromkeys(name for one in (*a.profiles, *b.profiles) for name in one.fingerprint)
    found = []
    for name in names:
        of_a, of_b = (_values(side, name) for side in (a, b))
        if of_a != of_b:
            found.append({"entry": name, "a": " / ".join(of_a), "b": " / ".join(of_b)})
    return found


def _values(side: Side, name: str) -> Sequence[str]:
    return sorted({one.fingerprint.get(name, "not recorded") for one in side.profiles})
