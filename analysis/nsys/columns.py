"""Columns of tables: numpy arrays that take as little memory as their values need.

They grow from chunks; what has few different values is kept as codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger[Any]]
"""Integers of 32 bits where all values fit, else of 64."""
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]

Kind = Literal["int64", "narrow", "coded", "text"]
"""How to keep a column: `narrow` and `coded` take less memory, see `narrow` and `Coded`."""

_CODE_TYPES = (np.int8, np.int16, np.int32)
_SMALLEST: Mapping[Kind, type[Any]] = {
    "int64": np.int64,
    "narrow": np.int32,
    "coded": np.int8,
    "text": np.int8,
}
_ROOM = 1 << 24
"""Elements to make room for at once at most: rowids may promise more than there is."""
_FEW = 50_000
"""Elements up to which sorting is no slower than importing pyarrow."""
_DENSE = 1 << 22
"""Values from 0 up to here are looked up in an array, where there are more than `_HANDFUL`."""
_HANDFUL = 256


def narrow(values: Integers) -> Integers:
    """The same integers in 32 bits, if all of them fit."""
    if values.dtype == np.int32:
        return values
    limits = np.iinfo(np.int32)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        return values
    return values.astype(np.int32)


def factorized(values: Int64s) -> tuple[Integers, Int64s]:
    """A code per element and the value of each code, in the order in which they first occur."""
    if len(values) and bool((values == values[0]).all()):  # most often there is one thread
        return np.zeros(len(values), np.int8), values[:1].copy()
    if len(values) <= _FEW:
        distinct, first, code = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        return rank[code], distinct[order]
    import pyarrow as pa  # hashes, which takes a tenth of the time of sorting

    encoded = pa.array(values).dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_numpy()


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of few different values, such as threads or names: a small code per element.

    It can be used like the array of its values: `column[at]`, `column == value`.

    Attributes:
        distinct: the different values: integers or strings.
        code: position in `distinct` of each element.
    """

    distinct: npt.NDArray[Any]
    code: Integers

    @classmethod
    def of(cls, column: npt.ArrayLike) -> Coded:
        """Encode a column of integers, or of strings where it is an array of objects."""
        if isinstance(column, np.ndarray) and column.dtype == object:
            return cls.of_texts(column.tolist())
        code, distinct = factorized(np.asarray(column, np.int64))
        return cls(distinct, code.astype(_code_type(len(distinct)), copy=False))

    @classmethod
    def of_texts(cls, column: Sequence[str]) -> Coded:
        """Encode a column of strings."""
        known: dict[str, int] = {}
        code = [known.setdefault(text, len(known)) for text in column]
        return cls(strings(list(known)), np.array(code, _code_type(len(known))))

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, at: Any) -> npt.NDArray[Any]:
        """Values at positions, as from an array of values."""
        values: npt.NDArray[Any] = self.distinct[self.code[at]]
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All values."""
        del copy  # they are made anew each time
        return self[:] if dtype is None else self[:].astype(dtype)

    def __eq__(self, other: object) -> Any:
        """Which elements have a value."""
        return np.asarray(self.distinct == other, np.bool_)[self.code]

    __hash__ = None  # type: ignore[assignment]  # as an array

    def tolist(self) -> list[Any]:
        """All values."""
        found: list[Any] = self[:].tolist()
        return found

    def select(self, keep: Any) -> Coded:
        """The elements at a mask or at positions; all values stay known."""
        return Coded(self.distinct, self.code[keep])

    def mapped(self, texts: Sequence[str]) -> Coded:
        """Other texts in place of the values; those that are equal become one.

        Args:
            texts: one for each of `distinct`.
        """
        other = Coded.of_texts(texts)
        return Coded(other.distinct, other.code[self.code])


def coded_as(texts: Sequence[str], code: Integers) -> Coded:
    """The column of texts with these codes; texts that are equal become one value."""
    return Coded(strings(texts), code).mapped(texts)


Column = Integers | Coded
"""What a column of a table is read into."""


def strings(texts: Sequence[str]) -> Strings:
    """An array of strings."""
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


def _code_type(values: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in _CODE_TYPES if values <= np.iinfo(kind).max)


def reduced(values: Int64s, kind: Kind) -> Column:
    """Integers in the form in which a column of a kind keeps them.

    They are copied: as long as one column of a batch of Arrow is kept, all of its columns are.
    """
    if kind == "narrow":
        found = narrow(values)
        return found.copy() if found is values else found
    return Coded.of(values) if kind == "coded" else values.copy()


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
        self._codes: dict[Any, int] = {}
        self._dense = np.empty(0, np.int32)  # codes of small values, by value

    def append(self, part: npt.NDArray[Any] | Coded) -> None:
        """Add elements: integers or strings, or either of them encoded."""
        if self._kind in ("coded", "text"):
            part = self._encoded(part if isinstance(part, Coded) else Coded.of(part))
        else:
            part = np.asarray(part)
            part = narrow(part) if self._kind == "narrow" else part
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
        if self._kind == "text":
            return Coded(strings(list(self._codes)), values)
        if self._kind == "coded":
            return Coded(np.array(list(self._codes), np.int64), values)
        return values

    def _encoded(self, part: Coded) -> Integers:
        """The codes of a part in this column's own codes."""
        distinct, known = part.distinct, self._codes
        if distinct.dtype == object or len(distinct) <= _HANDFUL:
            own = [known.setdefault(value, len(known)) for value in distinct.tolist()]
            return np.array(own, _code_type(len(known)))[part.code]
        is_dense = (distinct >= 0) & (distinct < _DENSE)
        if not len(self._dense):
            self._dense = np.full(_DENSE, -1, np.int32)
        code = np.full(len(distinct), -1, np.int32)
        code[is_dense] = self._dense[distinct[is_dense]]
        for at in np.flatnonzero(code < 0).tolist():
            value = int(distinct[at])
            code[at] = known.setdefault(value, len(known))
            if is_dense[at]:
                self._dense[value] = code[at]
        return code.astype(_code_type(len(known)))[part.code]
