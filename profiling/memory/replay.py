"""What torch's allocator would hold for a counted inference, and the same as a memory snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from adscale.memory_record import AllocatorCount

from ..methods.base import held_by
from .allocator import Block, CachingAllocator, Event, Origin, Segment, Settings
from .recording import own_tensors

INFERENCES = 2
"""The second begins with what the first one has left in pieces."""

RESIDENT = Origin(None, "parameter or buffer", None)
IMAGE = Origin(None, "input image", None)


class Allocations(NamedTuple):
    """What an inference allocates on a device."""

    resident: Sequence[int]
    """Bytes of what lies there before, see ``resident_sizes``."""
    image_bytes: int
    """Of the input."""
    events: Sequence[Event]
    """Of one inference, see ``LiveTensors.events``."""


def resident_sizes(
    method: nn.Module, held: Mapping[str, Sequence[torch.Tensor]], device_type: str
) -> list[int]:
    """Bytes of what lies on the device before the first image, in the order in which it moves.

    ``Module.to`` moves children before their parent, and parameters before buffers. What is shared
    moves once.

    Args:
        method: on the device.
        held: tensors that modules hold as plain attributes, by the module's path.
        device_type: of the device.
    """
    storages: dict[int, int] = {}
    given = (*_moved(method), *(one for tensors in held.values() for one in tensors))
    for tensor in (part for one in given for part in held_by(one)):
        storage = tensor.untyped_storage()
        if tensor.device.type == device_type and storage.nbytes():
            storages.setdefault(id(storage), storage.nbytes())
    return list(storages.values())


def _moved(module: nn.Module) -> Iterator[torch.Tensor]:
    for child in module.children():
        yield from _moved(child)
    yield from own_tensors(module, "parameters")
    yield from own_tensors(module, "buffers")


def inferences(allocations: Allocations) -> Iterator[Event]:
    """Allocations and their ends from the method's move to the device on, of `INFERENCES`.

    What an inference leaves alive, its result, ends before the next image comes.

    Args:
        allocations: of one inference.
    """
    serial = 0
    for size in allocations.resident:
        serial += 1
        yield Event(serial, size, RESIDENT)
    for _ in range(INFERENCES):
        serial += 1
        image, alive = serial, dict[int, int]()
        yield Event(image, allocations.image_bytes, IMAGE)
        for event in allocations.events:
            if event.size_bytes:
                serial += 1
                alive[event.serial] = serial
                yield event._replace(serial=serial)
            elif event.serial in alive:
                yield event._replace(serial=alive.pop(event.serial))
        for left in (*alive.values(), image):
            yield Event(left, 0)


def replay(
    sequence: Iterator[Event],
    settings: Settings | None = None,
    note: Callable[[Event, Block, int], None] | None = None,
) -> CachingAllocator:
    """The allocator behind a sequence of allocations and their ends.

    Args:
        sequence: of them.
        settings: of the allocator.
        note: is told of each event with its block, and how many segments there were before.
    """
    allocator = CachingAllocator(settings)
    blocks: dict[int, Block] = {}
    for event in sequence:
        reserved = allocator.reserved_bytes
        if event.size_bytes:
            block = blocks[event.serial] = allocator.malloc(event.size_bytes)
            if note is not None:
                note(event, block, allocator.reserved_bytes - reserved)
        else:
            block = blocks.pop(event.serial)
            if note is not None:
                note(event, block, 0)
            allocator.free(block)
    return allocator


def allocator_count(allocations: Allocations) -> AllocatorCount:
    """What the allocator would hold, see ``AllocatorCount``.

    Args:
        allocations: of one inference.
    """
    usual, expandable = (
        replay(inferences(allocations), Settings(expandable_segments=one)) for one in (False, True)
    )
    return AllocatorCount(
        allocated_bytes=usual.peak_allocated_bytes,
        reserved_bytes=usual.peak_reserved_bytes,
        expandable_reserved_bytes=expandable.peak_reserved_bytes,
    )


def snapshot(allocations: Allocations) -> dict[str, Any]:
    """The replay in the format of ``torch.cuda.memory._snapshot``, which torch's viewer opens.

    Keys are those that ``torch/cuda/_memory_viz.py`` of torch 2.14.1 and of 2.6 read. An operator
    stands where Python's stack would, with its layer as the file. Times count events.

    Args:
        allocations: of one inference.
    """
    trace: list[dict[str, Any]] = []
    origins: dict[int, Origin | None] = {}

    def entry(action: str, address: int, size: int, origin: Origin | None) -> None:
        trace.append(
            {
                "action": action, "addr": address, "size": size, "stream": 0,
                "frames": _frames(origin), "time_us": len(trace),
            }
        )  # fmt: skip

    def note(event: Event, block: Block, reserved: int) -> None:
        if event.size_bytes:
            if reserved:
                entry("segment_alloc", block.segment.address, reserved, event.origin)
            origins[block.address] = event.origin
            entry("alloc", block.address, event.size_bytes, event.origin)
            return
        origin = origins.pop(block.address)
        for action in ("free_requested", "free_completed"):
            entry(action, block.address, block.requested, origin)

    allocator = replay(inferences(allocations), note=note)
    segments = [_segment(one, origins) for one in allocator.segments]
    return {"segments": segments, "device_traces": [trace]}


def _segment(segment: Segment, origins: Mapping[int, Origin | None]) -> dict[str, Any]:
    blocks = [
        {
            "address": block.address,
            "size": block.size,
            "requested_size": block.requested,
            "state": "inactive" if block.is_free else "active_allocated",
            "frames": _frames(origins.get(block.address)),
        }
        for block in segment.blocks
    ]
    used = [one for one in blocks if one["state"] == "active_allocated"]
    return {
        "device": 0,
        "address": segment.address,
        "total_size": segment.size,
        "allocated_size": sum(one["size"] for one in used),
        "active_size": sum(one["size"] for one in used),
        "requested_size": sum(one["requested_size"] for one in used),
        "stream": 0,
        "segment_type": "small" if segment.is_small else "large",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "frames": [],
        "blocks": blocks,
    }


def _frames(origin: Origin | None) -> list[dict[str, Any]]:
    if origin is None:
        return []
    where = "/".join(filter(None, (origin.submodule, origin.layer)))
    return [{"name": origin.operator, "filename": where, "line": 0}]
