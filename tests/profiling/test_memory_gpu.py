"""The count for a CUDA device against real inferences on one."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.allocator import Block, CachingAllocator, Settings
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


IN_A_PROCESS = """
import json, sys, torch
blocks, found = {}, []
for step, size in json.load(sys.stdin):
    if size:
        blocks[step] = torch.empty(size, dtype=torch.uint8, device="cuda")
    else:
        del blocks[step]
    found.append([torch.cuda.memory_allocated(), torch.cuda.memory_reserved()])
json.dump(found, sys.stdout)
"""
"""Allocates and frees as told; a process of its own has nothing in its allocator before."""


@pytest.mark.parametrize("expandable", [False, True])
def test_torchs_allocator_holds_what_its_replay_holds(expandable: bool) -> None:
    draw = random.Random(24)
    steps: list[tuple[int, int]] = []
    live: list[int] = []
    for step in range(400):
        if live and draw.random() < 0.45:
            steps.append((live.pop(draw.randrange(len(live))), 0))
        else:
            steps.append((step, int(2 ** draw.uniform(0, 27))))
            live.append(step)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], input=json.dumps(steps), capture_output=True,
        text=True, check=True,
        env={**os.environ, "PYTORCH_CUDA_ALLOC_CONF": f"expandable_segments:{expandable}"},
    )  # fmt: skip
    ours, blocks, expected = CachingAllocator(Settings(expandable)), dict[int, Block](), []
    for step, size in steps:
        if size:
            blocks[step] = ours.malloc(size)
        else:
            ours.free(blocks.pop(step))
        expected.append([ours.allocated_bytes, ours.reserved_bytes])
    assert json.loads(done.stdout) == expected


INFERENCES = """
import sys, torch
from contextlib import nullcontext
from tests.profiling.test_memory_gpu import build
target, side_px, given, implementation = eval(sys.argv[1])
method = build(target, side_px, given, implementation)
with torch.no_grad():
    for _ in range(2):
        method.infer(torch.rand(1, 3, side_px, side_px).to("cuda"), nullcontext)
print(torch.cuda.memory_stats()["reserved_bytes.all.peak"])
"""


@implementations
@cases
def test_reserved_memory_of_a_gpu(
    target: str,
    side_px: int,
    given: dict[str, Any],
    implementation: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Workspaces of cuDNN and cuBLAS are in what is measured, and in no prediction."""
    case = repr((target, side_px, given, implementation))
    done = subprocess.run(
        [sys.executable, "-c", INFERENCES, case], capture_output=True, text=True, check=True
    )
    measured = int(done.stdout.split()[-1])
    predicted = count(target, side_px, given, implementation).allocator.reserved_bytes
    record_property("predicted_to_measured", predicted / measured)
    assert predicted == pytest.approx(measured, rel=0.05)


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
