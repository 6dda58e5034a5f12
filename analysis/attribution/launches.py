"""Finding the API call that launched each GPU operation."""

from __future__ import annotations

import numpy as np

from analysis.nsys.records import Calls, Int64s, Operations, process_of


def launch_of(calls: Calls, operations: Operations) -> Int64s:
    """Position in `calls` of the call that launched each operation, −1 where there is none.

    Operations and calls are joined by process and correlation id, because correlation ids repeat
    between processes. Where one id has several calls (some schemas record the runtime call and the
    driver's entry inside it) the one that starts last counts, and only that: on one thread it lies
    within the others, so that a range encloses it whenever it encloses any of them.
    """
    if not len(calls) or not len(operations):
        return np.full(len(operations), -1, np.int64)
    call_key, operation_key = _joint_keys(calls, operations)
    order = np.lexsort((-calls.end_ns, calls.start_ns, call_key))
    sorted_keys = call_key[order]
    position = np.searchsorted(sorted_keys, operation_key, side="right") - 1
    found = (position >= 0) & (sorted_keys[position] == operation_key)
    found &= operations.correlation >= 0
    return np.where(found, order[position], -1)


def _joint_keys(calls: Calls, operations: Operations) -> tuple[Int64s, Int64s]:
    """One integer per (process, correlation id), equal on both sides where both are equal."""
    process = _ranks(process_of(calls.thread), operations.process)
    correlation = _ranks(calls.correlation, operations.correlation)
    keys = process * (correlation.max() + 1) + correlation
    return keys[: len(calls)], keys[len(calls) :]


def _ranks(left: Int64s, right: Int64s) -> Int64s:
    return np.unique(np.r_[left, right], return_inverse=True)[1].astype(np.int64)
