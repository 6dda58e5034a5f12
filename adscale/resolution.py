"""The width and height of an image: ``1024`` for a square, ``2448x2048`` as cameras are sold."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
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

    def __lt__(self, other: Resolution) -> bool:
        return (self.pixels, self.width_px) < (other.pixels, other.width_px)

    @property
    def is_square(self) -> bool:
        """Whether the width is the height."""
        return self.width_px == self.height_px

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def side_px(self) -> float:
        """Side length of the square with as many pixels."""
        return math.sqrt(self.pixels)

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


def resolution_argument(text: str) -> Resolution:
    """The type of an argument that names a resolution.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return Resolution.of(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no resolution; {error}") from None


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
