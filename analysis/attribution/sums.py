"""Sums of numbers of operations, such as bytes, over the ranges that enclose their launch."""

from __future__ import annotations

import numpy as np

from ..nsys.records import Calls, Int64s, Integers
from .inside import inside, launches_of
from .nesting import Nesting
from .slices import running_sum


def inside_sums(
    nesting: Nesting, calls: Calls, launch: Integers, values: Int64s
) -> tuple[Integers, Int64s]:
    """Sum a number of each operation over every range that encloses its launch.

    Args:
        nesting: of the ranges.
        calls: API calls.
        launch: position in the calls of each operation's launch, −1 for none.
        values: number of each operation.

    Returns:
        Places of the ranges that have such operations, and the sum of each.
    """
    places, sums = [np.empty(0, nesting.order.dtype)], [np.empty(0, np.int64)]
    for launches in launches_of(nesting, calls, launch):
        ranges = inside(nesting, launches)
        until = running_sum(ranges.numbered(values[launches.at]))
        places.append(ranges.place)
        sums.append(until[ranges.last] - until[ranges.first])
    return np.concatenate(places), np.concatenate(sums)
