"""What is counted once stands for the full loop."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from adscale.memory_record import AllocatorCount, SubmoduleCount
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.live import LiveTensors
from profiling.memory.replay import allocator_count
from profiling.memory.tracing import Trace, counting_once
from profiling.methods.ddad.method import DDAD

SPEC = get_spec("ddad")


def count(
    side_px: int, implementation: str, paths: tuple[str, ...]
) -> tuple[tuple[SubmoduleCount, ...], AllocatorCount]:
    """Of the submodules, and of the allocator behind the same allocations."""
    settings = check_settings(SPEC, {})
    with FakeTensorMode(), torch.no_grad():
        method = DDAD.build(
            settings, resolution=square(side_px), implementation=implementation, seed=0
        )
        trace = Trace(method, SPEC.submodules, "cpu")
        image = torch.empty(1, 3, side_px, side_px)
        trace.follow(image, counted_once=paths)
        return trace.submodules(), allocator_count(trace.allocations(image))


FEW = [(32, "optimized"), (512, "reference")]
MORE = [(32, "reference"), (512, "optimized"),
        *((px, name) for px in (96, 256) for name in ("reference", "optimized"))]  # fmt: skip


@pytest.mark.parametrize(
    ("side_px", "implementation"),
    [*FEW, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_one_call_of_the_unet_stands_for_ten(side_px: int, implementation: str) -> None:
    """At 32 px other tensors make the peak than at 512, where attention does."""
    assert DDAD.counted_once
    assert count(side_px, implementation, DDAD.counted_once) == count(side_px, implementation, ())


def test_a_later_call_with_more_alive_has_a_higher_peak() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 100), torch.nn.Linear(100, 4))
    live = LiveTensors()
    live.ignore(module.parameters())
    outer = torch.nn.ModuleDict({"net": module})
    with torch.no_grad(), live, counting_once(outer, ["net"], live), live.follow() as seen:
        kept = [torch.empty(1, 4)]
        for _ in range(3):
            kept.append(module(kept[-1]))
    # four values before the first call, and four more of each call; 100 + 4 inside the last
    assert seen.peak_bytes == 4 * (4 + 4 + 4 + 104)
    assert seen.allocated_bytes == 4 * (4 + 3 * 104)
    assert seen.flops == 3 * 2 * (400 + 400)
    assert len(seen.own) == 5


def test_other_shapes_are_followed_anew() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 100))
    live = LiveTensors()
    live.ignore(module.parameters())
    outer = torch.nn.ModuleDict({"net": module})
    with torch.no_grad(), live, counting_once(outer, ["net"], live), live.follow() as seen:
        module(torch.empty(1, 4))
        module(torch.empty(50, 4))
    assert seen.allocated_bytes == 4 * (4 + 100 + 200 + 5000)
