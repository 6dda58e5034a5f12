"""Where work ran: devices and streams, told apart and named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from ..nsys.records import THREAD_BITS, Coded, Int64s, Operations

UNKNOWN = -1
"""Number of what the profile does not say."""


class Place(NamedTuple):
    """A device, or a stream: its number says little without its process and CUDA context."""

    device: int
    stream: int = UNKNOWN
    process: int = UNKNOWN
    context: int = UNKNOWN


def positions(operations: Operations, by: Literal["device", "stream"]) -> dict[Place, Int64s]:
    """Positions of the operations of each device, or of each stream.

    Args:
        operations: read with their streams.
        by: what to tell apart; of devices only `Place.device` is known.
    """
    device, stream, context = operations.device, operations.stream, operations.context
    if device is None or stream is None or context is None:
        raise ValueError("the profile was read without its streams")
    columns = [device] if by == "device" else [device, stream, operations.process, context]
    key = np.zeros(len(device), np.int64)
    for column in columns:
        # encoded again each time: of four columns of many values the product may not fit
        combined = Coded.of(key * max(len(column.distinct), 1) + column.code)
        key = combined.code.astype(np.int64)
    order = np.argsort(key, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    return {
        Place(*(int(column[part[0]]) for column in columns)): part for part in parts if len(part)
    }


def device_labels(places: Iterable[Place]) -> dict[Place, str]:
    """The number of each device."""
    return {place: _number(place.device) for place in places}


def stream_labels(places: Iterable[Place]) -> dict[Place, str]:
    """`device/stream` of each stream, with its process and context only where others share that.

    Args:
        places: all streams of a profile; no two labels are equal.
    """
    places = list(places)
    sharing: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for place in places:
        sharing[place.device, place.stream][place.process].add(place.context)
    processes = _process_names({place.process for place in places})
    labels = {}
    for place in places:
        contexts = sharing[place.device, place.stream]
        label = f"{_number(place.device)}/{_number(place.stream)}"
        if len(contexts) > 1:
            label += f" process {processes[place.process]}"
        if len(contexts[place.process]) > 1:
            label += f" context {_number(place.context)}"
        labels[place] = label
    return labels


def _process_names(processes: set[int]) -> dict[int, str]:
    """Process ids; the whole `globalPid` of each where two of several machines have one id."""
    ids = {process: process >> THREAD_BITS & 0xFFFFFF for process in processes}
    named = ids if len(set(ids.values())) == len(ids) else {process: process for process in ids}
    return {process: "?" if process == UNKNOWN else str(name) for process, name in named.items()}


def _number(number: int) -> str:
    return "?" if number == UNKNOWN else str(number)
