"""Counts of PatchCore and DDAD, against the published ones."""

from __future__ import annotations

import pytest

from adscale.memory_record import SubmoduleCount
from adscale.methods.registry import all_specs
from adscale.methods.spec import MethodSpec
from tests.profiling import counts

MIB = 2**20


def count(target: str, side_px: int, *more: str, **given: object) -> dict[str, SubmoduleCount]:
    return counts.submodules(counts.counted(target, side_px, *more, **given))


@pytest.mark.parametrize(("side_px", "mib"), [(256, 779.90), (512, 3_119.5), (1024, 12_478.0)])
def test_activations_of_the_unet(side_px: int, mib: float) -> None:
    unet = count("ddad", side_px)["denoising_unet"]
    assert unet.activations_bytes / MIB == pytest.approx(mib, rel=5e-5)
    assert unet.parameters_bytes == 4 * 32_952_707


def test_activations_of_the_small_unet() -> None:
    unet = count("ddad", 512, size="S")["denoising_unet"]
    assert unet.activations_bytes / MIB == pytest.approx(1_561.3, rel=5e-5)


@pytest.mark.parametrize(("side_px", "mib"), [(256, 203.00), (512, 812.00), (1024, 3_248.0)])
def test_activations_of_the_backbone_to_layer3(side_px: int, mib: float) -> None:
    found = count("patchcore", side_px)["feature_extraction"]
    assert found.activations_bytes / MIB == pytest.approx(mib, rel=5e-5)
    assert found.parameters_bytes == 4 * 126_886_696  # the whole net stays in memory


@pytest.mark.parametrize("side_px", [256, 512, 1024, 3008])
def test_the_ratio_of_the_study(side_px: int) -> None:
    """U-Net to WideResNet101, both as torchinfo counts them: 3.69 at every resolution."""
    found = count("ddad", side_px)
    unet, network = found["denoising_unet"], found["feature_extraction"]
    ratio = unet.activations_bytes / network.activations_bytes
    assert ratio == pytest.approx(3.6874, abs=0.0001 if side_px <= 1024 else 0.01)


@pytest.mark.parametrize(("side_px", "mib"), [(256, 83.6), (512, 334.4), (1024, 1_337.6)])
def test_the_bank_is_a_buffer_of_the_search(side_px: int, mib: float) -> None:
    found = count("patchcore", side_px, training_images=209)["nn_search"]
    assert found.buffers_bytes / MIB == pytest.approx(mib, abs=0.05)
    assert found.activations_bytes == 0


@pytest.mark.parametrize("target", ["patchcore", "ddad"])
def test_the_optimized_implementation_holds_less(target: str) -> None:
    reference, optimized = (
        count(target, 256, implementation) for implementation in ("reference", "optimized")
    )
    before, after = (f["feature_extraction"] for f in (reference, optimized))
    # layer4 and the classifier are gone, and with the normalisations every second output
    assert after.parameters_bytes < 0.66 * before.parameters_bytes
    assert after.activations_bytes < 0.51 * before.activations_bytes
    assert after.buffers_bytes < before.buffers_bytes


def test_counting_at_3000_px_takes_no_memory_for_the_bank() -> None:
    found = count("patchcore", 3000)
    assert found["nn_search"].buffers_bytes == 2_939_062 * 1024 * 4


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.target)
def test_the_complexity_declared_is_that_of_the_counted_work(spec: MethodSpec) -> None:
    """From 2048 to 4096 px what grows with the pixels squared is a large part of the work."""
    assert set(spec.complexity) == set(spec.submodules)
    small, large = (count(spec.target, side_px) for side_px in (2048, 4096))
    for submodule, complexity in spec.complexity.items():
        if not small[submodule].flops:  # maps: no multiply-adds of the counted kinds
            assert complexity == "pixels"
            continue
        times = large[submodule].flops / small[submodule].flops
        assert (times > 8) == (complexity == "pixels_squared")
        assert complexity == "pixels_squared" or times == pytest.approx(4, rel=0.1)
