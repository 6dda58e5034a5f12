"""The width and height of an image: ``1024`` for a square, ``2448x2048`` as cameras are sold."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LARGEST_SIDE_PX = 100_000
"""An image of two such sides has 10 gigapixels, more than any sensor."""

PATTERN = r"^[1-9]\d*(x[1-9]\d*)?$"

EXPECTED = (
    "expected: a side length in px such as 1024, or width x height such as 2448x2048, each from 1 "
    f"to {LARGEST_SIDE_PX}"
)


@total_ordering
@dataclass(frozen=True)
class Resolution:
    """Width and height of an image in px. Of two, that with fewer pixels comes first."""

    width_px: int
    height_px: int

    @classmethod
    def of(cls, value: int | str | Resolution) -> Resolution:
        """Reads a resolution.

        Args:
            value: the side length of a square in px, or a text such as ``1024`` or ``2448x2048``.

        Raises:
            ValueError: it is no resolution.
        """
        if isinstance(value, Resolution):
            return value
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(PATTERN, text, re.ASCII):
            raise ValueError(EXPECTED)
        width, _, height = text.partition("x")
        found = cls(int(width), int(height or width))
        if max(found.width_px, found.height_px) > LARGEST_SIDE_PX:
            raise ValueError(EXPECTED)
        return found

    def __str__(self) -> str:
        return str(self.width_px) if self.is_square else f"{self.width_px}x{self.height_px}"

    @property
    def words(self) -> str:
        """For people: ``1,024`` or ``2448x2048``."""
        return f"{self.width_px:,}" if self.is_square else str(self)

    def __lt__(self, other: Resolution) -> bool:
        return (self.pixels, self.width_px) < (other.pixels, other.width_px)

    @property
    def is_square(self) -> bool:
        """Whether the width is the height."""
        return self.width_px == self.height_px

    def holds(self, other: Resolution) -> bool:
        """Whether an image of the other resolution has room in one of this, if it is padded."""
        return self.width_px >= other.width_px and self.height_px >= other.height_px

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def side_px(self) -> float:
        """Side length of the square with as many pixels."""
        return math.sqrt(self.pixels)

    @property
    def least_square_px(self) -> int:
        """Side length in px of the smallest square with at least as many pixels."""
        return math.isqrt(self.pixels - 1) + 1

    @property
    def half_perimeter_px(self) -> float:
        """Half the length of the border: of a square its side."""
        return (self.width_px + self.height_px) / 2

    def scaled(self, side_px: float) -> Resolution:
        """That of about as many pixels as a square of a side in px, in the shape of this one."""
        factor = side_px / self.side_px
        return Resolution(
            max(round(self.width_px * factor), 1), max(round(self.height_px * factor), 1)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, as tensors have them."""
        return self.height_px, self.width_px

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": LARGEST_SIDE_PX},
                {"type": "string", "pattern": PATTERN},
            ]
        }

    @classmethod
    def _validated(cls, value: object) -> Resolution:
        try:
            if isinstance(value, (int, str, Resolution)):
                return cls.of(value)
        except ValueError:
            pass
        raise PydanticCustomError("resolution", EXPECTED)


def square(side_px: int) -> Resolution:
    """The square of a side length in px."""
    return Resolution(side_px, side_px)


def sensor_resolution(
    megapixels: float, width_px: int | None = None, height_px: int | None = None
) -> Resolution:
    """The image of a sensor: its width and height, or a square with as many pixels, rounded up.

    Args:
        megapixels: of the sensor, in 10⁶ pixels.
        width_px: of the sensor; None where only its megapixels are known.
        height_px: the same.
    """
    if width_px is not None and height_px is not None:
        return Resolution(width_px, height_px)
    return square(math.ceil(math.sqrt(round(megapixels * 1e6))))


def resolution_argument(text: str) -> Resolution:
    """The type of an argument that names a resolution.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return Resolution.of(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no resolution; {error}") from None


def side_argument(text: str) -> int:
    """The type of an argument that names a side in px, or an image of as many pixels or fewer.

    Raises:
        ArgumentTypeError: it is no resolution.
    """
    return resolution_argument(text).least_square_px


def resolution_words(resolutions: Iterable[str | Resolution]) -> str:
    """Resolutions for people, small ones first: ``256, 1,024, 2448x2048``."""
    found = sorted({Resolution.of(one) for one in resolutions})
    return ", ".join(one.words for one in found)


def renamed_side(data: Any) -> Any:
    """A record as it is written now, of one from when all images were squares.

    Args:
        data: with ``resolution_px``, the side length, in place of ``resolution``.
    """
    if isinstance(data, dict) and "resolution_px" in data and "resolution" not in data:
        return {
            "resolution" if key == "resolution_px" else key: value for key, value in data.items()
        }
    return data
