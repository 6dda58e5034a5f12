from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.methods.efficientad import SPEC
from adscale.resolution import Resolution, square
from profiling.images import ImageSet
from profiling.methods.efficientad.method import EfficientAD
from tests.profiling import efficientad_formulas as formulas
from tests.profiling.tensors import assert_same, random_image

FEW = [("S", "256", True), ("S", "320x257", False), ("S", "257x300", True)]
MORE = [("S", "256", False), ("S", "257", True), ("S", "300", False), ("S", "300x320", True),
        ("S", "320", False), ("M", "256x300", False), ("M", "257", True)]  # fmt: skip
CASES = [*FEW, *(pytest.param(case, marks=pytest.mark.slow) for case in MORE)]
STATISTICS = ("teacher_statistics.mean", "teacher_statistics.std")


def build(
    size: str = "S", resolution: int | str = 256, padding: bool = False, seed: int = 0
) -> EfficientAD:
    settings = {"size": size, "padding": padding, "weights": None}
    return EfficientAD.build(
        settings, resolution=Resolution.of(resolution), implementation="reference", seed=seed
    )


def set_statistics(method: EfficientAD) -> None:
    generator = torch.Generator().manual_seed(3)
    method.teacher_statistics.mean.normal_(generator=generator)
    method.teacher_statistics.std.uniform_(0.5, 2, generator=generator)
    for name, value in {"st_start": 0.3, "st_end": 0.9, "ae_start": -0.2, "ae_end": 0.4}.items():
        getattr(method.map_quantiles, name).fill_(value)


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[EfficientAD, torch.Tensor, str, bool]:
    size, resolution, padding = request.param
    method = build(size, resolution, padding, seed=len(resolution))
    set_statistics(method)
    return method, random_image(resolution), size, padding


def outputs_by_range(method: EfficientAD, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """The last tensor that each range produces: what the submodule hands on."""
    produced: dict[str, torch.Tensor] = {}
    current: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            assert len(current) == 1, f"{func} runs in the ranges {current}"
            produced[current[0]] = result
            return result

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        current.append(name)
        yield
        current.remove(name)

    with Watch():
        detection = method.infer(image, annotate)
    assert produced["anomaly_map"] is detection.score
    return {**produced, "anomaly_map": detection.anomaly_map, "score": detection.score}


def test_every_submodule_is_what_the_layer_tables_say(
    case: tuple[EfficientAD, torch.Tensor, str, bool],
) -> None:
    method, image, size, padding = case
    weights, shape = method.state_dict(), tuple(image.shape[2:])
    found = outputs_by_range(method, image)
    teacher = formulas.pdn(size, image, weights, "teacher", padding)
    teacher = (teacher - weights[STATISTICS[0]]) / weights[STATISTICS[1]]
    student = formulas.pdn(size, image, weights, "student", padding)
    reconstruction = formulas.autoencoder(image, weights, padding)
    assert list(found) == [*SPEC.submodules, "score"]
    assert_same(found["teacher"], teacher)
    assert_same(found["student"], student)
    assert_same(found["autoencoder"], reconstruction)
    parts = (teacher, student, reconstruction)
    expected = formulas.anomaly_map(*parts, weights, shape, padding)
    assert_same(found["anomaly_map"], expected)
    assert found["anomaly_map"].shape == (1, 1, *shape)
    assert found["anomaly_map"].dtype == torch.float32
    assert found["score"].shape == (1,)
    assert float(found["score"]) == float(found["anomaly_map"].max())


def test_the_border_that_the_networks_cut_off_is_zero() -> None:
    with torch.inference_mode():
        found = build(padding=False).infer(random_image(256), lambda _name: nullcontext())
    border_px = 4 * 4 - 2  # four pixels of the map, less what the interpolation reaches into
    assert not found.anomaly_map[..., :border_px, :].any()
    assert not found.anomaly_map[..., :, -border_px:].any()
    assert found.anomaly_map[..., 20:-20, 20:-20].all()


def test_without_statistics_the_maps_stay_as_they_are() -> None:
    method = build()
    maps = [torch.rand(1, 1, 5, 5), torch.rand(1, 1, 5, 5)]
    torch.testing.assert_close(method.map_quantiles(*maps), (maps[0] + maps[1]) / 2)
    features = torch.randn(1, 384, 2, 2)
    torch.testing.assert_close(method.teacher_statistics(features), features, rtol=0, atol=0)


def test_quantiles_go_to_0_and_a_tenth() -> None:
    method = build()
    set_statistics(method)
    map_st, map_ae = torch.tensor([0.3, 0.9]), torch.tensor([-0.2, 0.4])
    torch.testing.assert_close(method.map_quantiles(map_st, map_ae), torch.tensor([0.0, 0.1]))


def test_it_is_built_for_inference() -> None:
    method = build()
    assert not any(module.training for module in method.modules())
    assert not any(parameter.requires_grad for parameter in method.parameters())
    assert all(tensor.device.type == "cpu" for tensor in method.state_dict().values())
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in method.autoencoder) == 6


@pytest.mark.parametrize(("size", "expected"), [("S", 8_057_856), ("M", 20_738_432)])
def test_parameters_and_statistics_of_the_whole(size: str, expected: int) -> None:
    method = build(size)
    assert sum(tensor.numel() for tensor in method.parameters()) == expected
    assert sum(tensor.numel() for tensor in method.buffers()) == 772


def test_a_seed_gives_the_same_weights_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build(seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = build(seed=5).state_dict(), build(seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["teacher.0.weight"], other["teacher.0.weight"])
    assert not torch.equal(first["teacher.0.weight"], first["student.0.weight"])


def test_weights_are_those_of_the_mersenne_twister_on_any_machine() -> None:
    integers = np.random.RandomState(11).randint(0, 2**32, size=128 * 3 * 4 * 4, dtype=np.uint32)
    fractions = (integers & 0xFFFFFF).astype(np.float64) / 2**24 - 0.5
    expected = fractions * 2 * np.sqrt(6 / (3 * 4 * 4))
    found = build(seed=11).teacher[0].weight.numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", ["S", "M"])
def test_activations_of_a_photograph_keep_their_scale(size: str) -> None:
    method = build(size)
    x = image = method.prepare(ImageSet.photographs()[0])
    for network in (method.teacher, method.student, method.autoencoder):
        x = image
        for layer in network:
            x = layer(x.clone())
            assert 0.02 < float(x.std()) < 20, layer
        assert float(x.std(dim=(2, 3)).min()) > 1e-3, "a channel that sees nothing of the image"


def test_prepare_resizes_and_normalises_as_imagenet_does() -> None:
    image = Image.fromarray(np.full((40, 90, 3), (255, 0, 51), dtype=np.uint8))
    prepared = build().prepare(image)
    assert prepared.shape == (1, 3, 256, 256)
    assert prepared.dtype == torch.float32
    assert prepared.is_contiguous()
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    for channel, value in enumerate(expected):
        assert prepared[0, channel].min().item() == pytest.approx(value, abs=1e-5)
        assert prepared[0, channel].max().item() == pytest.approx(value, abs=1e-5)


def test_prepare_keeps_left_and_right_and_averages_when_it_shrinks() -> None:
    stripes = np.zeros((1024, 1024, 3), dtype=np.uint8)
    stripes[:, 512::2] = 255  # finer than the target: gray with an antialiased filter only
    prepared = build().prepare(Image.fromarray(stripes))
    red = prepared[0, 0] * 0.229 + 0.485
    assert float(red[:, :120].abs().max()) < 1e-5
    assert float((red[:, 140:-4] - 0.5).abs().max()) < 0.02


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 257, 257\), built for \(1, 3, 256, 256\)"):
        build().infer(random_image(257), lambda _name: nullcontext())


@settings(deadline=None)
@given(side_px=st.integers(1, 20_000), size=st.sampled_from("SM"), padding=st.booleans())
def test_resolutions_from_256_px_on_are_supported(side_px: int, size: str, padding: bool) -> None:
    problem = SPEC.resolution_problem(
        {"size": size, "autoencoder": "adaptive", "padding": padding}, square(side_px)
    )
    if side_px >= 256:
        assert problem is None
    else:
        assert problem is not None
        assert problem.nearest == (square(256),)


@pytest.mark.parametrize("side_px", [1, 250, 255])
def test_below_256_px_nothing_is_built(side_px: int) -> None:
    with pytest.raises(UnsupportedResolutionError) as caught:
        build(resolution=side_px)
    message = str(caught.value)
    assert f"{side_px} px" in message
    assert message.endswith("nearest that it supports: 256 px")


def test_unknown_settings_and_implementations_are_refused() -> None:
    with pytest.raises(ConfigError, match="'L'"):
        build(size="L")
    with pytest.raises(ConfigError, match="optimised"):
        EfficientAD.build({}, resolution=square(256), implementation="optimised", seed=0)
