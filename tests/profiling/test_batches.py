"""Several images at once: results of each, the memory counted and taken, and who takes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.annotation import no_range
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class

BATCHES = [2, pytest.param(8, marks=pytest.mark.slow)]
"""Of batch 1 the same is in test_memory_proof."""
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "efficientad": (256, {"size": "S"}),
    "patchcore": (64, {"training_images": 20}),
    "ddad": (32, {"size": "S", "start_step": 50}),
}
EACH = [(target, one) for target in CASES for one in ("reference", "optimized")]


@cache
def built(target: str, implementation: str) -> Method:
    side_px, given = CASES[target]
    spec = get_spec(target)
    return load_method_class(spec).build(
        check_settings(spec, given), resolution=square(side_px), implementation=implementation,
        seed=0,
    )  # fmt: skip


@pytest.mark.parametrize(("target", "implementation"), EACH)
def test_each_image_of_a_batch_has_the_result_that_it_has_alone(
    target: str, implementation: str
) -> None:
    method, side_px = built(target, implementation), CASES[target][0]
    images = torch.rand(3, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = method.infer(images, no_range)
        alone = [method.infer(image[None], no_range) for image in images]
    assert together.anomaly_map is not None
    assert together.score is not None
    assert together.anomaly_map.shape == (3, 1, side_px, side_px)
    assert together.score.shape == (3,)
    for image, one in enumerate(alone):
        assert one.anomaly_map is not None
        assert one.score is not None
        largest = float(one.anomaly_map.abs().max())
        difference = (together.anomaly_map[image] - one.anomaly_map[0]).abs().max()
        assert float(difference) <= 1e-5 * max(largest, 1.0)
        assert float(together.score[image]) == pytest.approx(float(one.score), rel=1e-5, abs=1e-5)
    # the images are different ones, so that results mixed up would not have passed
    assert float((alone[0].anomaly_map - alone[1].anomaly_map).abs().max()) > 1e-4  # type: ignore[operator]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("target", "implementation"), EACH)
def test_a_real_batch_has_the_peak_that_was_counted(
    target: str, implementation: str, batch: int
) -> None:
    spec, (side_px, given) = get_spec(target), CASES[target]
    settings, method = check_settings(spec, given), built(target, implementation)
    counted = count_memory(
        spec, settings, resolution=square(side_px), implementation=implementation, batch=batch
    )
    trace = Trace(method, spec.submodules, "cpu")
    images = torch.rand(batch, 3, side_px, side_px)
    with torch.no_grad():
        trace.follow(images)
    assert counted.image_bytes == images.nbytes
    for expected, real in zip(counted.submodules, trace.submodules(), strict=True):
        assert real.peak.bytes == pytest.approx(expected.peak.bytes, rel=0.01)
        assert real.peak.kept_bytes == pytest.approx(expected.peak.kept_bytes, rel=0.01)
        assert real.flops == expected.flops
        assert real.libraries == expected.libraries
        for figure in ("parameters_bytes", "buffers_bytes", "activations_bytes", "layers"):
            assert getattr(real, figure) == getattr(expected, figure)
