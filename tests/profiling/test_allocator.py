"""torch's caching allocator, replayed: against one that knows nothing but who owns which bytes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.cuda import _memory_viz

from profiling.__main__ import main
from profiling.memory.allocator import Block, CachingAllocator, Event, Settings
from profiling.memory.replay import Allocations, inferences, replay, snapshot
from tests.profiling.counts import counted

MIB, UNIT = 2**20, 512


class Owners:
    """The same rules on an owner for each 512 bytes: free is what nobody owns, side by side.

    Args:
        expandable: whether the one segment of a pool grows.
        limit: bytes from which on nothing is split.
    """

    def __init__(self, expandable: bool, limit: float) -> None:
        self.expandable, self.limit = expandable, limit
        self.segments: list[tuple[bool, np.ndarray]] = []
        self.serial = 0

    def runs(self, is_small: bool) -> list[tuple[bool, int, int, int]]:
        """Free pieces: whether they can grow, units, segment, first unit."""
        found = []
        for place, (small, owners) in enumerate(self.segments):
            if small is not is_small:
                continue
            edges = np.flatnonzero(np.diff(np.concatenate(([0], owners == 0, [0]))))
            for first, end in edges.reshape(-1, 2):
                grows = self.expandable and end == len(owners)
                found.append((grows, int(end - first), place, int(first)))
        return sorted(found)

    def malloc(self, size: int) -> tuple[int, int, int]:
        """Serial, segment and offset of a block."""
        self.serial += 1
        units = -(-size // UNIT)
        is_small = units * UNIT <= MIB
        room = next((one for one in self.runs(is_small) if one[1] >= units), None)
        if room is not None:
            size_of = room[1] * UNIT
            too_large = units * UNIT < self.limit <= size_of
            too_loose = units * UNIT >= self.limit and size_of >= units * UNIT + 20 * MIB
            room = None if too_large or too_loose else room
        if room is None:
            room = self.grown(units, is_small)
        _, length, place, first = room
        left = (length - units) * UNIT
        cuts = is_small or self.expandable or (units * UNIT < self.limit and left > MIB)
        end = first + (units if cuts else length)
        self.segments[place][1][first:end] = self.serial
        return self.serial, place, first * UNIT

    def grown(self, units: int, is_small: bool) -> tuple[bool, int, int, int]:
        if not self.expandable:
            size = units * UNIT
            most = 2 * MIB if is_small else 20 * MIB
            size = most if is_small or size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB
            self.segments.append((is_small, np.zeros(size // UNIT, dtype=int)))
            return False, size // UNIT, len(self.segments) - 1, 0
        pools = [one for one, _ in self.segments]
        place = pools.index(is_small) if is_small in pools else len(pools)
        if place == len(pools):
            self.segments.append((is_small, np.zeros(0, dtype=int)))
        owners = self.segments[place][1]
        used = np.flatnonzero(owners)
        first = int(used[-1]) + 1 if len(used) else 0
        page = (2 if is_small else 20) * MIB // UNIT
        more = max(-(-(units - (len(owners) - first)) // page) * page, 0)
        self.segments[place] = (is_small, np.concatenate((owners, np.zeros(more, dtype=int))))
        return True, len(owners) + more - first, place, first

    def free(self, serial: int) -> None:
        for _, owners in self.segments:
            owners[owners == serial] = 0

    @property
    def sums(self) -> tuple[int, int]:
        """Bytes that are given out, and bytes of the driver."""
        arrays = [owners for _, owners in self.segments]
        given = sum(int(np.count_nonzero(owners)) for owners in arrays)
        return given * UNIT, sum(map(len, arrays)) * UNIT


SIZES = st.one_of(
    st.integers(1, 4096),
    st.integers(1, 2 * MIB),
    st.integers(MIB - 600, MIB + 600),
    st.integers(MIB, 12 * MIB),
    st.integers(10 * MIB - 600, 26 * MIB),
)
STEPS = st.lists(st.one_of(SIZES, st.floats(0, 1, exclude_max=True)), max_size=24)
"""Sizes to allocate, and which share of the live blocks is ended next."""


@given(STEPS, st.booleans(), st.sampled_from([None, 3, 21]))
@settings(max_examples=40, deadline=None)
def test_blocks_lie_and_sums_are_as_by_owners_of_bytes(
    steps: Sequence[int | float], expandable: bool, limit_mb: int | None
) -> None:
    ours = CachingAllocator(Settings(expandable, limit_mb))
    simple = Owners(expandable, float("inf") if limit_mb is None else limit_mb * MIB)
    live: list[tuple[Block, int]] = []
    peaks = [0, 0]
    for step in steps:
        if isinstance(step, int):
            block = ours.malloc(step)
            serial, place, offset = simple.malloc(step)
            assert ours.segments.index(block.segment) == place
            assert block.address - block.segment.address == offset
            live.append((block, serial))
        elif live:
            block, serial = live.pop(int(step * len(live)))
            ours.free(block)
            simple.free(serial)
        assert (ours.allocated_bytes, ours.reserved_bytes) == simple.sums
        peaks = list(map(max, peaks, simple.sums))
        for segment in ours.segments:
            assert sum(one.size for one in segment.blocks) == segment.size
    assert [ours.peak_allocated_bytes, ours.peak_reserved_bytes] == peaks


@pytest.mark.parametrize(
    ("size", "given", "reserved"),
    [
        (1, 512, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (10 * MIB + 1, 10 * MIB + 512, 12 * MIB),
        (11 * MIB, 12 * MIB, 12 * MIB),
        (11 * MIB - 512, 11 * MIB - 512, 12 * MIB),
    ],
)
def test_the_first_block_of_a_size_by_the_rules_of_torch(
    size: int, given: int, reserved: int
) -> None:
    """A rest of a large block is split off if it is larger than 1 MiB."""
    found = CachingAllocator()
    found.malloc(size)
    assert (found.allocated_bytes, found.reserved_bytes) == (given, reserved)


def test_free_memory_in_pieces_is_not_free_for_what_is_larger() -> None:
    """Three of 8 MiB lie in two segments of 20. Without the first 8, 4 and 12 MiB are free."""
    for expandable, taken, reserved in ((False, 30, 54), (True, 29, 40)):
        found = CachingAllocator(Settings(expandable_segments=expandable))
        first, _, _ = (found.malloc(8 * MIB) for _ in range(3))
        found.free(first)
        found.malloc(13 * MIB)
        assert found.allocated_bytes == taken * MIB, "14 MiB with a rest of 1, or 13"
        assert found.peak_reserved_bytes == reserved * MIB


EVENTS = [Event(1, 3 * MIB), Event(2, 600), Event(1, 0), Event(3, 30 * MIB), Event(2, 0)]
ALLOCATIONS = Allocations([512, 4 * MIB], MIB, EVENTS)


def test_an_inference_follows_another_and_its_result_ends_before_the_next_image() -> None:
    found = list(inferences(ALLOCATIONS))
    sizes = [event.size_bytes for event in found]
    assert sizes == [512, 4 * MIB, *[MIB, *(one.size_bytes for one in EVENTS), 0, 0] * 2]
    live: set[int] = set()
    for event in found:
        if event.size_bytes:
            assert event.serial not in live
            live.add(event.serial)
        else:
            live.remove(event.serial)
    assert len(live) == 2, "what lies on the device before the first image"


def test_torchs_viewer_reads_the_snapshot(tmp_path: Path) -> None:
    made: dict[str, Any] = snapshot(ALLOCATIONS)
    file = tmp_path / "snapshot.pickle"
    file.write_bytes(pickle.dumps(made))
    known = pickle.loads(file.read_bytes())
    allocator = replay(inferences(ALLOCATIONS))
    told = _memory_viz.segsum(known)
    assert f"total_reserved: {_memory_viz.Bytes(allocator.reserved_bytes)}" in told
    lines = _memory_viz.trace(known)
    assert lines.count("cudaMalloc") == len(allocator.segments)
    assert lines.count(" = ") == len(allocator.segments) + 2 + 2 * 4
    assert "Active Memory Timeline" in _memory_viz.trace_plot(known)


def test_the_snapshot_of_a_method_is_written_for_one_size_on_cuda(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "s.pickle", tmp_path / "other.pickle"
    command = ["memory", "--method", "efficientad", "--resolution", "256", "--json"]
    assert main([*command, "--device-type", "cuda", "--snapshot", str(file)]) == 0
    allocator = json.loads(capsys.readouterr().out)["resolutions"][0]["allocator"]
    made = pickle.loads(file.read_bytes())
    sizes = [one["total_size"] for one in made["segments"]]
    assert sum(sizes) == allocator["reserved_bytes"]
    left = sum(one["allocated_size"] for one in made["segments"])
    assert left < allocator["allocated_bytes"] <= allocator["reserved_bytes"]
    assert main([*command, "--device-type", "cpu", "--snapshot", str(other)]) != 0
    assert "is of one resolution on a CUDA device" in capsys.readouterr().err
    assert not other.exists()


def test_blocks_hold_what_is_counted_and_no_more_than_rounding() -> None:
    """The peak of the blocks is that of the tensors, each a multiple of 512 bytes and more."""
    for method, implementation in (("efficientad", "reference"), ("patchcore", "optimized")):
        count = counted(method, 256, implementation, "cuda")
        assert count.allocator is not None
        libraries = sum(part.library_bytes for part in count.submodules)
        needed = count.needed_bytes - libraries
        assert needed <= count.allocator.allocated_bytes <= 1.05 * needed
    assert counted("efficientad", 256, "reference", "cpu").allocator is None
