"""The count for a CUDA device against real inferences on one."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class

pytestmark = pytest.mark.gpu

CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("efficientad", 256, {"size": "M"}),
    ("efficientad", 1024, {"size": "S"}),
    ("patchcore", 256, {}),
    ("patchcore", 512, {"training_images": 60}),
    ("ddad", 256, {}),
    ("ddad", 512, {"start_step": 50}),
]
implementations = pytest.mark.parametrize("implementation", ["reference", "optimized"])
cases = pytest.mark.parametrize(("target", "side_px", "given"), CASES)


def build(target: str, side_px: int, given: dict[str, Any], implementation: str) -> Method:
    spec = get_spec(target)
    method = load_method_class(spec).build(
        check_settings(spec, given),
        resolution=square(side_px),
        implementation=implementation,
        seed=0,
    )
    method.move_to("cuda")
    return method


def count(target: str, side_px: int, given: dict[str, Any], implementation: str) -> Any:
    spec = get_spec(target)
    return count_memory(
        spec,
        check_settings(spec, given),
        resolution=square(side_px),
        implementation=implementation,
        device_type="cuda",
    )


@implementations
@cases
def test_live_tensors_on_a_gpu(
    target: str, side_px: int, given: dict[str, Any], implementation: str
) -> None:
    """Traced at the dispatcher: without what libraries allocate inside operators."""
    method = build(target, side_px, given, implementation)
    trace = Trace(method, get_spec(target).submodules, "cuda")
    with torch.no_grad():
        trace.follow(torch.rand(1, 3, side_px, side_px, device="cuda"))
    expected = count(target, side_px, given, implementation).submodules
    for counted, real in zip(expected, trace.submodules(), strict=True):
        assert real.peak.bytes == pytest.approx(counted.peak.bytes, rel=0.05, abs=4096)
        assert real.host_peak_bytes == pytest.approx(counted.host_peak_bytes, rel=0.05, abs=4096)


@implementations
@cases
def test_the_allocator_of_a_gpu(
    target: str,
    side_px: int,
    given: dict[str, Any],
    implementation: str,
    record_property: Callable[[str, object], None],
) -> None:
    """It gives out what is counted and, inside convolutions and products, workspaces."""
    method = build(target, side_px, given, implementation)
    image = torch.rand(1, 3, side_px, side_px, device="cuda")
    taken: dict[str, int] = {}

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        if name not in method.submodules:
            yield
            return
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        yield
        torch.cuda.synchronize()
        taken[name] = torch.cuda.max_memory_allocated() - before

    with torch.inference_mode():
        method.infer(image, lambda _name: annotate(""))  # libraries load and choose
        gc.collect()  # else what an earlier test has left may be given back in the middle
        before = torch.cuda.memory_allocated()
        method.infer(image, annotate)
    for part in count(target, side_px, given, implementation).submodules:
        workspaces = taken[part.submodule] - part.peak.bytes
        record_property(f"{part.submodule} workspaces bytes", workspaces)
        # blocks of the allocator are multiples of 512 bytes, large ones of 2 MiB
        assert workspaces >= -0.05 * part.peak.bytes
