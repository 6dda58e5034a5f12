"""What is alive at once, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from profiling.memory.allocator import Origin
from profiling.memory.live import LiveTensors, Position, Section

FLOAT = 4


def floats(count: int, device: str = "cpu") -> torch.Tensor:
    return torch.empty(count, device=device)


def test_a_peak_and_what_it_consists_of() -> None:
    live = LiveTensors()
    with live:
        first = floats(100)
        with live.follow() as seen:
            second = first + 1
            third = second + 1
            del second
            fourth = floats(10)
            del third, fourth
    assert (seen.kept_bytes, seen.peak_bytes) == (400, 1200)
    assert seen.origin == Origin(None, "aten::add", None)
    assert [(block.origin.operator, block.size_bytes) for block in seen.kept] == [
        ("aten::empty", 400)
    ]
    assert [block.size_bytes for block in seen.own] == [400, 400]
    assert seen.allocated_bytes == 400 + 400 + 40


def test_views_and_results_in_place_are_no_new_memory() -> None:
    with LiveTensors() as live, live.follow() as seen:
        tensor = torch.empty(8, 8)
        tensor.view(64).add_(1).reshape(4, 16).t()
        tensor[2:4].mul_(2)
    assert seen.peak_bytes == seen.allocated_bytes == 64 * FLOAT


def test_a_view_keeps_all_of_its_storage_alive() -> None:
    with LiveTensors() as live, live.follow() as seen:
        part = floats(1000)[:1]
        other = part + 1
        del part, other
    assert seen.peak_bytes == 1001 * FLOAT


def test_what_was_there_before_is_left_out() -> None:
    layer, image = torch.nn.Linear(10, 10), torch.empty(1, 10)
    live = LiveTensors()
    live.ignore([*layer.parameters(), image])
    with torch.no_grad(), live, live.follow() as seen:
        layer(image).view(-1)
        image.add_(1)
    assert seen.peak_bytes == 10 * FLOAT
    assert seen.flops == 2 * 10 * 10


def test_what_a_library_made_is_seen() -> None:
    array = np.zeros(100, np.float32)
    with LiveTensors() as live, live.follow() as seen:
        torch.from_numpy(array).reshape(10, 10)
    assert seen.peak_bytes == 100 * FLOAT


def test_the_host_is_told_apart_from_the_device() -> None:
    with FakeTensorMode(), LiveTensors("cuda") as live, live.follow() as seen:
        on_gpu = floats(100, "cuda")
        on_host = on_gpu.cpu()
        del on_gpu
        more = on_host + 1
        del on_host, more
    assert (seen.peak_bytes, seen.host_peak_bytes) == (400, 800)


def test_where_a_peak_is() -> None:
    class Somewhere:
        def position(self) -> Position:
            return Position("student", "student.2")

    with LiveTensors("cpu", Somewhere()) as live, live.follow() as seen:
        floats(3)
    assert seen.origin == Origin("student", "aten::empty", "student.2")


def test_followed_parts_may_nest() -> None:
    with LiveTensors() as live, live.follow() as outer:
        kept = floats(10)
        with live.follow() as inner:
            floats(5)
        del kept
        with live.follow() as other:
            floats(12)
    assert (outer.peak_bytes, inner.peak_bytes, other.peak_bytes) == (60, 60, 48)
    assert (outer.allocated_bytes, inner.allocated_bytes) == (108, 20)


def test_attention_as_torch_computes_it_on_a_cpu() -> None:
    query = torch.empty(1, 2, 16, 8)
    with torch.no_grad(), LiveTensors() as live, live.follow() as seen:
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert seen.flops == 2 * 2 * (2 * 16 * 16 * 8)


def _step(names: list[torch.Tensor], operation: int, size: int) -> None:
    if operation == 0 or not names:
        names.append(floats(size))
    elif operation == 1:
        names.append(names[size % len(names)] + 1)
    elif operation == 2:
        names.append(names[size % len(names)].view(-1))
    else:
        del names[size % len(names)]


def _live_bytes(names: list[torch.Tensor]) -> int:
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in names}.values()
    )


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=40),
    start=st.integers(0, 20),
    stop=st.integers(0, 40),
)
def test_any_course_of_allocations(steps: list[tuple[int, int]], start: int, stop: int) -> None:
    """Against the tensors that are reachable after each step, counted anew."""
    names: list[torch.Tensor] = []
    expected = kept = None
    with LiveTensors() as live:
        context = live.follow()
        seen: Section | None = None
        for number, (operation, size) in enumerate(steps):
            if number == start:
                kept = expected = _live_bytes(names)
                seen = context.__enter__()
            _step(names, operation, size)
            if seen is not None and number <= start + stop and expected is not None:
                expected = max(expected, _live_bytes(names))
            if seen is not None and number == start + stop:
                context.__exit__(None, None, None)
        if seen is None:
            return
        if len(steps) <= start + stop:
            context.__exit__(None, None, None)
    assert (seen.kept_bytes, seen.peak_bytes) == (kept, expected)
    assert sum(block.size_bytes for block in (*seen.kept, *seen.own)) == expected


@pytest.mark.parametrize("fake", [False, True])
def test_many_allocations_stay_fast_enough_to_describe(fake: bool) -> None:
    """A peak of many tensors is described once, not at each of them."""
    with FakeTensorMode() if fake else torch.no_grad(), LiveTensors() as live:
        with live.follow() as seen:
            rows = [floats(4) for _ in range(2000)]
        assert len(seen.own) == len(rows)
