"""The count of a peak against a real inference, traced at the dispatcher with real tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import Resolution, square
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.loading import load_method_class
from tests.allocator import given_out

SMALL: list[tuple[str, int | str, dict[str, Any]]] = [
    ("efficientad", 256, {"size": "M"}),
    ("patchcore", 64, {"training_images": 20}),
    ("ddad", 32, {}),
    ("efficientad", "257x300", {"size": "S"}),
    ("patchcore", "75x50", {"training_images": 20}),
    ("ddad", "32x64", {"start_step": 50}),
]
LARGE: list[tuple[str, int | str, dict[str, Any]]] = [
    ("efficientad", 320, {"size": "S", "padding": True}),
    ("efficientad", 511, {"size": "S"}),
    ("patchcore", 130, {"training_images": 20}),
    ("patchcore", 320, {"training_images": 5}),
    ("ddad", 96, {}),
    ("ddad", 160, {"start_step": 75}),
    ("ddad", 320, {"start_step": 50}),  # from here on attention makes the peak
]
RECTANGLES: dict[str, tuple[dict[str, Any], str]] = {
    "efficientad": (
        {"size": "S"},
        "391x256 256x448 301x259 640x256 257x513 333x444 512x384 275x600 480x270",
    ),
    "patchcore": (
        {"training_images": 5},
        "131x320 301x97 9x200 200x9 255x129 64x513 333x222 480x270 17x31",
    ),
    "ddad": (
        {"start_step": 50},
        "160x64 96x224 64x32 128x96 32x256 192x64 224x160 256x32 96x128",
    ),
}
"""With that of SMALL ten for each method."""
LARGE += [
    (target, size, settings)
    for target, (settings, sizes) in RECTANGLES.items()
    for size in sizes.split()
]
LARGE += [("efficientad", "391x256", {"size": "S", "padding": True}),
          ("efficientad", "256x448", {"size": "M"})]  # fmt: skip
CASES = [*SMALL, *(pytest.param(*case, marks=pytest.mark.slow) for case in LARGE)]

BY_A_LIBRARY = "aten::lift_fresh"
"""With which torch takes over an array that a library made."""


@pytest.mark.parametrize("implementation", ["reference", "optimized"])
@pytest.mark.parametrize(("target", "size", "given"), CASES)
def test_a_real_inference_has_the_peak_that_was_counted(
    target: str, size: int | str, given: dict[str, Any], implementation: str
) -> None:
    spec = get_spec(target)
    settings, resolution = check_settings(spec, given), Resolution.of(size)
    counted = count_memory(
        spec, settings, resolution=resolution, implementation=implementation
    ).submodules
    method = load_method_class(spec).build(
        settings, resolution=resolution, implementation=implementation, seed=0
    )
    trace = Trace(method, spec.submodules, "cpu")
    image = torch.rand(1, 3, *resolution.shape)
    with torch.no_grad():
        trace.follow(image)
    for expected, real in zip(counted, trace.submodules(), strict=True):
        assert real.peak.bytes == pytest.approx(expected.peak.bytes, rel=0.01)
        assert real.peak.kept_bytes == pytest.approx(expected.peak.kept_bytes, rel=0.01)
        assert real.peak.operator in {expected.peak.operator, BY_A_LIBRARY}
        assert real.peak.layer == expected.peak.layer
        assert real.flops == expected.flops
        assert real.libraries == expected.libraries
        for figure in ("parameters_bytes", "buffers_bytes", "activations_bytes", "layers"):
            assert getattr(real, figure) == getattr(expected, figure)


def test_the_allocator_gives_out_what_is_counted_and_what_operators_take_inside() -> None:
    """As the reference was measured: 101 MiB at 256 px, 28 of them in a hidden contiguous copy."""
    spec = get_spec("patchcore")
    settings = check_settings(spec, {"training_images": 5})
    counted = count_memory(spec, settings, resolution=square(256), implementation="reference")
    method = load_method_class(spec).build(
        settings, resolution=square(256), implementation="reference", seed=0
    )
    taken = {given.submodule: given for given in given_out(method, torch.rand(1, 3, 256, 256))}
    assert list(taken) == list(spec.submodules)
    for part in counted.submodules[:3]:  # the last is scipy's, which has memory of its own
        assert taken[part.submodule].peak_bytes >= 0.999 * part.peak.bytes
    assert taken["patch_embedding"].peak_bytes / 2**20 == pytest.approx(101, abs=0.1)
    assert taken["feature_extraction"].operator == "aten::mkldnn_convolution"
