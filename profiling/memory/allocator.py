"""torch's caching allocator for CUDA, replayed: what it would hold of the driver. No torch, no GPU.

The rules are those of ``c10/cuda/CUDACachingAllocator.cpp``, read at commit 001074d of
pytorch/pytorch, by its code a state near torch 2.6, which the container has, with the constants of
``c10/core/AllocatorConfig.h`` as torch 2.14.1 installs it, which the host has. The search and the
splitting of 2.14.1 were not read; it can be told other numbers for what are constants in 2.6
(``large_segment_size_mb``, ``max_non_split_rounding_mb``), with these defaults.

Replayed is one stream without a limit of memory, so that nothing is ever given back to the driver.
Not replayed are ``roundup_power2_divisions``, garbage collection and memory pools of CUDA graphs.
New segments are taken to lie behind all earlier ones, which decides between equal blocks only.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MIB = 2**20

MIN_BLOCK = 512
"""Bytes to multiples of which sizes are rounded up."""

SMALL_SIZE = MIB
"""Up to it an allocation is a small one, of a pool of its own."""

SMALL_SEGMENT = 2 * MIB
"""Size of the segments of small allocations."""

LARGE_SEGMENT = 20 * MIB
"""Size of the segments of larger allocations below ``MIN_LARGE``."""

MIN_LARGE = 10 * MIB
"""From it on an allocation without a free block has a segment of its own."""

ROUND_LARGE = 2 * MIB
"""To multiples of it such a segment is rounded up."""

NON_SPLIT_ROUNDING = 20 * MIB
"""By less than it may a block exceed a request that is too large to be split for."""

_FIRST = 1 << 32
_SPACE = 1 << 44


class Origin(NamedTuple):
    """The operator that made a tensor, and where it was called."""

    submodule: str | None
    operator: str
    layer: str | None


class Event(NamedTuple):
    """An allocation on the device, or its end."""

    serial: int
    """Of the allocation: its end has the same."""
    size_bytes: int
    """0: it ends."""
    origin: Origin | None = None
    """Of what is allocated."""


@dataclass(frozen=True)
class Settings:
    """Of ``PYTORCH_CUDA_ALLOC_CONF``, with torch's defaults.

    Attributes:
        expandable_segments: one segment for each pool grows, instead of many.
        max_split_size_mb: blocks from this size on are not split; None: all are.
    """

    expandable_segments: bool = False
    max_split_size_mb: int | None = None

    @property
    def max_split_bytes(self) -> float:
        """The same in bytes."""
        return float("inf") if self.max_split_size_mb is None else self.max_split_size_mb * MIB


@dataclass(eq=False)
class Block:
    """A piece of a segment.

    Attributes:
        address: of its first byte.
        size: in bytes.
        requested: of these, what was asked for; 0 while it is free.
        segment: in which it lies.
        is_free: whether it may be given out.
        before: its neighbour at lower addresses.
        after: the one at higher addresses.
    """

    address: int
    size: int
    segment: Segment
    requested: int = 0
    is_free: bool = True
    before: Block | None = field(default=None, repr=False)
    after: Block | None = field(default=None, repr=False)


@dataclass(eq=False)
class Segment:
    """Memory that the driver gave: a range of addresses, which only an expandable one extends."""

    address: int
    size: int
    is_small: bool
    first: Block | None = field(default=None, repr=False)

    @property
    def blocks(self) -> Iterator[Block]:
        """Its blocks in the order of their addresses."""
        block = self.first
        while block is not None:
            yield block
            block = block.after


class CachingAllocator:
    """Gives out blocks as torch's allocator does.

    Args:
        settings: of the allocator.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.segments: list[Segment] = []
        self.allocated_bytes = self.reserved_bytes = 0
        self.peak_allocated_bytes = self.peak_reserved_bytes = 0
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._at: dict[int, Block] = {}
        self._end = _FIRST

    def malloc(self, requested: int) -> Block:
        """A block for a tensor of so many bytes, at least one."""
        size = -(-requested // MIN_BLOCK) * MIN_BLOCK
        is_small = size <= SMALL_SIZE
        block = self._found(size, is_small)
        if block is None and self.settings.expandable_segments:
            block = self._mapped(size, is_small)
        elif block is None:
            block = self._in_new_segment(_segment_bytes(size), is_small)
        if self._is_split(block, size):
            self._split(block, size)
        block.is_free, block.requested = False, requested
        self.allocated_bytes += block.size
        self.peak_allocated_bytes = max(self.peak_allocated_bytes, self.allocated_bytes)
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return block

    def free(self, block: Block) -> None:
        """Takes a block back, and joins it with free neighbours."""
        self.allocated_bytes -= block.size
        block.is_free, block.requested = True, 0
        for other in (block.before, block.after):
            if other is not None and other.is_free:
                self._forget(other)
                self._join(block, other)
        self._keep(block)

    def _found(self, size: int, is_small: bool) -> Block | None:
        """The smallest free block in which a size has room, of equal ones that in front."""
        free = self._free[is_small]
        place = bisect_left(free, (size, 0))
        if place == len(free):
            return None
        block = self._at[free[place][1]]
        is_growing = self.settings.expandable_segments and block.after is None
        if is_growing and place + 1 < len(free):
            # the last block counts with all into which its segment can grow
            block = self._at[free[place + 1][1]]
        limit = self.settings.max_split_bytes
        if size < limit <= block.size:
            return None
        if size >= limit and block.size >= size + NON_SPLIT_ROUNDING:
            return None
        self._forget(block)
        return block

    def _is_split(self, block: Block, size: int) -> bool:
        left = block.size - size
        if block.segment.is_small or self.settings.expandable_segments:
            return left >= MIN_BLOCK
        return size < self.settings.max_split_bytes and left > SMALL_SIZE

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.address + size, block.size - size, block.segment)
        rest.before, rest.after = block, block.after
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        self._keep(rest)

    def _in_new_segment(self, size: int, is_small: bool) -> Block:
        segment = Segment(self._end, size, is_small)
        self._end += size
        self._reserve(segment, size)
        segment.first = Block(segment.address, size, segment)
        return segment.first

    def _reserve(self, segment: Segment, size: int) -> None:
        self.reserved_bytes += size
        if segment not in self.segments:
            self.segments.append(segment)

    def _mapped(self, size: int, is_small: bool) -> Block:
        """A block at the end of the expandable segment of a pool, which grows by as little."""
        segment = next((one for one in self.segments if one.is_small is is_small), None)
        if segment is None:
            segment = Segment(_FIRST + (0 if is_small else _SPACE), 0, is_small)
        last = None
        for last in segment.blocks:  # noqa: B007 - the last one
            pass
        is_open = last is not None and last.is_free
        missing = size - (last.size if last is not None and is_open else 0)
        if (
            last is not None and missing <= 0
        ):  # too large to be split for it, and taken all the same
            self._forget(last)
            return last
        page = SMALL_SEGMENT if is_small else LARGE_SEGMENT
        more = -(-missing // page) * page
        block = Block(segment.address + segment.size, more, segment)
        block.before = last
        if last is None:
            segment.first = block
        else:
            last.after = block
        segment.size += more
        self._reserve(segment, more)
        if last is not None and is_open:
            self._forget(last)
            self._join(block, last)
        return block

    def _join(self, block: Block, other: Block) -> None:
        """Adds a neighbour to a block."""
        if block.before is other:
            block.address, block.before = other.address, other.before
            if other.before is None:
                block.segment.first = block
            else:
                other.before.after = block
        else:
            block.after = other.after
            if other.after is not None:
                other.after.before = block
        block.size += other.size

    def _keep(self, block: Block) -> None:
        insort(self._free[block.segment.is_small], (block.size, block.address))
        self._at[block.address] = block

    def _forget(self, block: Block) -> None:
        free = self._free[block.segment.is_small]
        del free[bisect_left(free, (block.size, block.address))]
        del self._at[block.address]


def _segment_bytes(size: int) -> int:
    """Size of a new segment for a block."""
    if size <= SMALL_SIZE:
        return SMALL_SEGMENT
    if size < MIN_LARGE:
        return LARGE_SEGMENT
    return -(-size // ROUND_LARGE) * ROUND_LARGE
