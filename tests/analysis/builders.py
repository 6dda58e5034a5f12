"""Small profiles written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.nsys.records import Calls, Coded, Operations, Ranges

PROCESS = 7 << 24
THREAD = PROCESS | 7

RangeRow = tuple[int, int, int]
"""Thread, start, end."""
CallRow = tuple[int, int, int, int]
"""Thread, start, end, correlation id."""
KernelRow = tuple[int, int, int, int]
"""Process, start, end, correlation id."""


def make_ranges(rows: Sequence[RangeRow], names: Sequence[str] | None = None) -> Ranges:
    """Push/pop ranges with rowids from 1 on."""
    numbers = np.array(rows, np.int64).reshape(-1, 3)
    named = [f"r{k}" for k in range(len(rows))] if names is None else list(names)
    none = Coded.of_texts([""] * len(rows))
    return Ranges(
        row_id=np.arange(1, len(rows) + 1),
        start_ns=numbers[:, 1],
        end_ns=numbers[:, 2],
        thread=Coded.of(numbers[:, 0]),
        is_push_pop=np.ones(len(rows), np.bool_),
        is_open=np.zeros(len(rows), np.bool_),
        domain=none,
        category=none,
        name=Coded.of_texts(named),
    )


def make_calls(rows: Sequence[CallRow]) -> Calls:
    """API calls."""
    numbers = np.array(rows, np.int64).reshape(-1, 4)
    return Calls(numbers[:, 1], numbers[:, 2], Coded.of(numbers[:, 0]), numbers[:, 3])


def make_kernels(rows: Sequence[KernelRow]) -> Operations:
    """Kernels without names."""
    numbers = np.array(rows, np.int64).reshape(-1, 4)
    no_name = Coded.of(np.full(len(rows), -1))
    process = Coded.of(numbers[:, 0])
    return Operations(numbers[:, 1], numbers[:, 2], process, numbers[:, 3], no_name)


def frame(table: pa.Table) -> pd.DataFrame:
    """A table of a profile in pandas, with nullable types."""
    types = {
        pa.string(): pd.StringDtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
    }
    found: pd.DataFrame = table.to_pandas(types_mapper=types.get)
    return found
