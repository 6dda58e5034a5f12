"""Columns in as little memory as their values need, and how they are put together from chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Int64s = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger[Any]]
"""Integers of 32 bits where all values fit, else of 64."""
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]

_CODE_TYPES = (np.int8, np.int16, np.int32)


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
        values: the different values.
        code: position in `values` of each element.
    """

    values: Int64s
    code: Integers

    @classmethod
    def of(cls, column: npt.ArrayLike) -> Coded:
        """Encode a column of integers."""
        code, values = pd.factorize(np.asarray(column, np.int64))
        return cls(np.asarray(values, np.int64), code.astype(_code_type(len(values))))

    @classmethod
    def joined(cls, parts: Sequence[Coded]) -> Coded:
        """One column after the other."""
        every = np.concatenate([part.values for part in parts]) if parts else np.empty(0, np.int64)
        translation, values = pd.factorize(every)
        kind = _code_type(len(values))
        code = np.empty(sum(len(part) for part in parts), kind)
        first_value = first = 0
        for part in parts:
            own = translation[first_value : first_value + len(part.values)].astype(kind)
            np.take(own, part.code, out=code[first : first + len(part)], mode="clip")
            first_value += len(part.values)
            first += len(part)
        return cls(np.asarray(values, np.int64), code)

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, at: Any) -> Int64s:
        """Values at positions, as from an array of values."""
        values: Int64s = self.values[self.code[at]]
        return values

    def select(self, keep: Any) -> Coded:
        """The elements at a mask or at positions; all values stay known."""
        return Coded(self.values, self.code[keep])


Column = Integers | Coded | Strings
"""What a column of a table is read into."""


def _code_type(values: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in _CODE_TYPES if values <= np.iinfo(kind).max)


def joined_columns(chunks: Iterable[list[Column]], width: int) -> list[Column]:
    """The columns of chunks of a table, one after the other.

    Args:
        chunks: the columns of each chunk; the lists are emptied, to free them on the way.
        width: number of columns.
    """
    rest = list(chunks)
    columns: list[Column] = []
    for _ in range(width):
        parts: list[Any] = [chunk.pop(0) for chunk in rest]
        if parts and isinstance(parts[0], Coded):
            columns.append(Coded.joined(parts))
        else:
            columns.append(np.concatenate(parts) if parts else np.empty(0, np.int64))
    return columns
