"""Finding the API call that launched each GPU operation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..nsys.records import Calls, Int64s, Integers, Operations, process_of

_CHUNK = 1 << 20
_DENSE = 8
"""Largest width of the correlation ids, in calls, up to which a table of all ids is kept."""


def launch_of(calls: Calls, operations: Operations) -> Integers:
    """Position in `calls` of the call that launched each operation, −1 where there is none.

    Operations and calls are joined by process and correlation id, because correlation ids repeat
    between processes. Where one id has several calls (some schemas record the runtime call and the
    driver's entry inside it) the one that starts last counts, and only that: on one thread it lies
    within the others, so that a range encloses it whenever it encloses any of them. Of equal ones
    the later row counts.
    """
    launch: Integers = np.full(len(operations), -1, np.int32 if len(calls) < 2**31 else np.int64)
    if not len(calls) or not len(operations):
        return launch
    of_thread = process_of(calls.thread.distinct)
    for code, process in enumerate(operations.process.distinct.tolist()):
        own_calls = _where(of_thread == process, calls.thread.code)
        own = _where(np.arange(len(operations.process.distinct)) == code, operations.process.code)
        launch[own] = _joined(calls, own_calls, operations.correlation[own])
    return launch


def _where(chosen: npt.NDArray[np.bool_], code: Integers) -> Any:
    """What selects the elements whose code is chosen: everything, where all are."""
    return slice(None) if chosen.all() else np.flatnonzero(chosen[code])


def _joined(calls: Calls, own: Any, correlation: Integers) -> Integers:
    """Position of the call of each correlation id among the calls of one process."""
    position = np.arange(len(calls), dtype=np.int32 if len(calls) < 2**31 else np.int64)[own]
    found = np.full(len(correlation), -1, position.dtype)
    if not len(position):
        return found
    ids = calls.correlation[own]
    lowest, width = int(ids.min()), int(ids.max()) - int(ids.min()) + 1
    is_dense = width <= _DENSE * len(ids) + _CHUNK
    table = _table(calls, position, ids, lowest, width) if is_dense else None
    ordered = None if is_dense else _ordered(calls, position, ids)
    for first in range(0, len(correlation), _CHUNK):
        wanted = correlation[first : first + _CHUNK].astype(np.int64)
        into = found[first : first + _CHUNK]
        if table is not None:
            inside = (wanted >= max(lowest, 0)) & (wanted < lowest + width)
            into[inside] = table[wanted[inside] - lowest]
        elif ordered is not None:
            order, sorted_ids = ordered
            at = np.searchsorted(sorted_ids, wanted, side="right") - 1
            inside = (at >= 0) & (wanted >= 0)
            inside[inside] = sorted_ids[at[inside]] == wanted[inside]
            into[inside] = order[at[inside]]
    return found


def _table(calls: Calls, position: Integers, ids: Integers, lowest: int, width: int) -> Integers:
    """The call of each id from the lowest on, −1 for none: no sorting, ids being nearly dense."""
    table = np.full(width, -1, position.dtype)
    chunks = [slice(first, first + _CHUNK) for first in range(0, len(ids), _CHUNK)]
    for chunk in chunks:
        table[ids[chunk].astype(np.int64) - lowest] = position[chunk]
    repeated = np.zeros(width, np.bool_)
    for chunk in chunks:
        offset = ids[chunk].astype(np.int64) - lowest
        repeated[offset[table[offset] != position[chunk]]] = True
    if repeated.any():  # several calls have one id
        of_repeated = np.flatnonzero(repeated[ids.astype(np.int64) - lowest])
        order, sorted_ids = _ordered(calls, position[of_repeated], ids[of_repeated])
        is_last = np.r_[sorted_ids[1:] != sorted_ids[:-1], True]
        table[sorted_ids[is_last] - lowest] = order[is_last]
    return table


def _ordered(calls: Calls, position: Integers, ids: Integers) -> tuple[Integers, Int64s]:
    """Positions by id, of one id the call that counts last; and their ids."""
    order = np.lexsort((-calls.end_ns[position], calls.start_ns[position], ids))
    return position[order], ids[order].astype(np.int64)
