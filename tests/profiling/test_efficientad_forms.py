"""The fixed autoencoder, and the optimised implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from adscale.errors import UnsupportedResolutionError
from adscale.methods.efficientad import SPEC
from adscale.methods.spec import check_countable, check_resolution, check_settings
from adscale.resolution import square
from profiling.methods.efficientad.method import EfficientAD
from tests.profiling import counts
from tests.profiling import efficientad_formulas as formulas
from tests.profiling.tensors import no_ranges, random_image, recorded_ranges

MIB = 2**20


def build(side_px: int = 256, implementation: str = "reference", **settings: Any) -> EfficientAD:
    return EfficientAD.build(
        {"size": "S", **settings},
        resolution=square(side_px),
        implementation=implementation,
        seed=2,
    )


def counted(side_px: int, implementation: str = "reference", **settings: Any) -> dict[str, float]:
    found = counts.counted("efficientad", side_px, implementation, size="S", **settings)
    return {part.submodule: part.activations_bytes / MIB for part in found.submodules}


def test_both_forms_are_the_same_at_256_px() -> None:
    image = random_image(256)
    with torch.inference_mode():
        fixed, adaptive = (
            build(autoencoder=form).infer(image, no_ranges) for form in ("fixed", "adaptive")
        )
    assert fixed.anomaly_map is not None
    assert adaptive.anomaly_map is not None
    assert torch.equal(fixed.anomaly_map, adaptive.anomaly_map)


@pytest.mark.parametrize(
    ("side_px", "fixed", "adaptive"),
    [(256, 13.54, 13.54), (512, 22.04, 57.31), (1024, 56.11, 235.90)],
)
def test_activations_of_both_forms(side_px: int, fixed: float, adaptive: float) -> None:
    assert counted(side_px, autoencoder="fixed")["autoencoder"] == pytest.approx(fixed, abs=0.005)
    found = counted(side_px, autoencoder="adaptive")
    assert found["autoencoder"] == pytest.approx(adaptive, abs=0.005)
    # the other networks do not depend on the form
    assert counted(side_px, autoencoder="fixed")["student"] == found["student"]


@pytest.mark.parametrize("side_px", [257, 320])
def test_the_fixed_form_is_refused_above_256_px(side_px: int) -> None:
    settings = check_settings(SPEC, {"autoencoder": "fixed"})
    with pytest.raises(UnsupportedResolutionError, match=r"56x56.*it supports: 256 px"):
        check_resolution(SPEC, settings, square(side_px))
    check_countable(SPEC, settings, square(side_px))
    method = build(side_px, autoencoder="fixed")
    with pytest.raises(UnsupportedResolutionError, match="autoencoder: its map has 56 x 56 values"):
        method.infer(random_image(side_px), no_ranges)


def test_the_fixed_form_does_not_go_with_padding() -> None:
    settings = check_settings(SPEC, {"autoencoder": "fixed", "padding": True})
    with pytest.raises(UnsupportedResolutionError, match="with padding"):
        check_resolution(SPEC, settings, square(256))


@pytest.mark.parametrize(
    ("side_px", "padding", "size"),
    [
        (256, False, "S"),
        (257, True, "M"),
        (320, False, "S"),
        pytest.param(257, True, "S", marks=pytest.mark.slow),
        pytest.param(256, False, "M", marks=pytest.mark.slow),
        pytest.param(320, False, "M", marks=pytest.mark.slow),
    ],
)
def test_implementations_agree(side_px: int, padding: bool, size: str) -> None:
    image = random_image(side_px)
    found = {}
    for implementation in ("reference", "optimized"):
        method = build(side_px, implementation, size=size, padding=padding)
        method.move_to("cpu")
        weight = method.teacher[3].weight
        lies_so = weight.is_contiguous(memory_format=torch.channels_last)
        assert lies_so == (implementation == "optimized"), "as oneDNN wants it"
        with torch.inference_mode():
            found[implementation] = method.infer(image, no_ranges)
    reference, optimized = found["reference"], found["optimized"]
    assert reference.anomaly_map is not None
    assert optimized.anomaly_map is not None
    assert reference.score is not None
    assert optimized.score is not None
    scale = float(reference.anomaly_map.abs().max())
    torch.testing.assert_close(
        optimized.anomaly_map, reference.anomaly_map, rtol=1e-4, atol=1e-6 * scale
    )
    torch.testing.assert_close(optimized.score, reference.score, rtol=1e-4, atol=0)


def test_statistics_are_folded_correctly(tmp_path: Any) -> None:
    """With statistics other than the identity, held against the formulas."""
    trained = build()
    generator = torch.Generator().manual_seed(3)
    statistics = trained.teacher_statistics
    assert isinstance(statistics.mean, torch.Tensor)
    assert isinstance(statistics.std, torch.Tensor)
    statistics.mean.normal_(generator=generator)
    statistics.std.uniform_(0.5, 2, generator=generator)
    for name, value in {"st_start": 0.3, "st_end": 0.9, "ae_start": -0.2, "ae_end": 0.4}.items():
        getattr(trained.map_quantiles, name).fill_(value)
    file = tmp_path / "trained.pth"
    torch.save(trained.state_dict(), file)
    weights = trained.state_dict()
    image = random_image(256)
    with torch.inference_mode():
        found = build(implementation="optimized", weights=str(file)).infer(image, no_ranges)
    teacher = formulas.pdn("S", image, weights, "teacher", padding=False)
    teacher = (teacher - weights["teacher_statistics.mean"]) / weights["teacher_statistics.std"]
    expected = formulas.anomaly_map(
        teacher,
        formulas.pdn("S", image, weights, "student", padding=False),
        formulas.autoencoder(image, weights, padding=False),
        weights,
        (256, 256),
        padding=False,
    )
    assert found.anomaly_map is not None
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.anomaly_map, expected, rtol=1e-4, atol=1e-5 * scale)


def test_the_optimized_form_has_no_dropout_and_the_same_submodules() -> None:
    method = build(implementation="optimized")
    assert not [module for module in method.modules() if isinstance(module, nn.Dropout)]
    opened, annotate = recorded_ranges()
    with torch.inference_mode():
        method.infer(random_image(256), annotate)  # type: ignore[arg-type]
    assert tuple(opened) == SPEC.submodules
