"""Columns in as little memory as their values need, and how they are put together from chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Int64s = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger[Any]]
"""Integers of 32 bits where all values fit, else of 64."""
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]

Kind = Literal["int64", "narrow", "coded", "text"]
"""What to make of a column: `narrow` and `coded` take less memory, see `narrow` and `Coded`."""

_CODE_TYPES = (np.int8, np.int16, np.int32)
_SMALLEST: Mapping[Kind, type[Any]] = {
    "int64": np.int64,
    "narrow": np.int32,
    "coded": np.int8,
    "text": np.object_,
}
_ROOM = 1 << 24
"""Elements to make room for at once at most: rowids may promise more than there is."""


def narrow(values: Int64s) -> Integers:
    """The same integers in 32 bits, if all of them fit."""
    limits = np.iinfo(np.int32)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        return values
    return values.astype(np.int32)


@dataclass(frozen=True)
class Coded:
    """A column of few different values, such as threads or names: a small code per element.

    Attributes:
        distinct: the different values.
        code: position in `distinct` of each element.
    """

    distinct: Int64s
    code: Integers

    @classmethod
    def of(cls, column: npt.ArrayLike) -> Coded:
        """Encode a column of integers."""
        code, distinct = pd.factorize(np.asarray(column, np.int64))
        return cls(np.asarray(distinct, np.int64), code.astype(_code_type(len(distinct))))

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, at: Any) -> Int64s:
        """Values at positions, as from an array of values."""
        values: Int64s = self.distinct[self.code[at]]
        return values

    def select(self, keep: Any) -> Coded:
        """The elements at a mask or at positions; all values stay known."""
        return Coded(self.distinct, self.code[keep])


Column = Integers | Coded | Strings
"""What a column of a table is read into."""


def _code_type(values: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in _CODE_TYPES if values <= np.iinfo(kind).max)


class Growing:
    """A column that parts are appended to, each of which is then free.

    Parts kept until the last is there, and joined then, would take twice the memory.

    Args:
        kind: of the column.
        expected: number of elements to make room for at once.
    """

    def __init__(self, kind: Kind, expected: int) -> None:
        self._kind = kind
        self._used = 0
        self._values: npt.NDArray[Any] = np.empty(min(expected, _ROOM), _SMALLEST[kind])
        self._codes: dict[int, int] = {}

    def append(self, part: npt.NDArray[Any]) -> None:
        """Add elements: int64, or strings."""
        if self._kind == "narrow":
            part = narrow(part)
        elif self._kind == "coded":
            part = self._encoded(part)
        end = self._used + len(part)
        room = len(self._values) if end <= len(self._values) else max(end, 2 * len(self._values))
        kind = np.promote_types(self._values.dtype, part.dtype)
        if kind != self._values.dtype or room != len(self._values):
            values = np.empty(room, kind)
            values[: self._used] = self._values[: self._used]
            self._values = values
        self._values[self._used : end] = part
        self._used = end

    def column(self) -> Column:
        """All elements."""
        values = self._values[: self._used]
        if self._kind != "coded":
            return values
        return Coded(np.array(list(self._codes), np.int64), values)

    def _encoded(self, part: Int64s) -> Integers:
        if len(part) and (part == part[0]).all():  # most often there is one process or thread
            code, values = np.zeros(len(part), np.intp), part[:1]
        else:
            code, values = pd.factorize(part)
        own = [self._codes.setdefault(value, len(self._codes)) for value in values.tolist()]
        return np.array(own, _code_type(len(self._codes)))[code]
