"""Rows of an nsys export: their shape, their ids, their strings."""

from __future__ import annotations

from typing import NamedTuple

from .schema import Table

UNKNOWN = -1
"""Stands where nsys' schema demands a number and the recorder knows none."""

VM_ID = 1 << 48
"""nsys' id of the machine; the ids of processes and threads lie below it."""

THREAD_ID_LIMIT = 1 << 24
"""nsys has 24 bits for the number of a process and of a thread, more than Linux uses."""

Value = int | str | None


class Rows(NamedTuple):
    """Rows of one table; columns that are not named stay NULL."""

    table: Table
    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]


class Strings:
    """Gives every distinct string an id, in the order of their coming."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def id_of(self, text: str) -> int:
        """The id of a string."""
        return self._ids.setdefault(text, len(self._ids))

    def rows(self) -> list[tuple[Value, ...]]:
        """(id, value) of all strings so far."""
        return [(number, text) for text, number in self._ids.items()]


def global_pid(process_id: int) -> int:
    """Encodes a process as nsys does: 24 bits, above as many for its threads.

    Raises:
        ValueError: the number has more than 24 bits; Linux gives none such.
    """
    return VM_ID | _in_24_bits(process_id) << 24


def global_tid(process_id: int, thread_id: int) -> int:
    """Encodes a thread as nsys does.

    Raises:
        ValueError: a number has more than 24 bits; Linux gives none such.
    """
    return global_pid(process_id) | _in_24_bits(thread_id)


def _in_24_bits(number: int) -> int:
    if not 0 <= number < THREAD_ID_LIMIT:
        raise ValueError(f"{number} is no number of a process or thread")
    return number
