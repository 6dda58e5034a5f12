from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from adscale.errors import UnsupportedResolutionError, WeightsError
from adscale.methods.ddad import SPEC
from adscale.resolution import Resolution, square
from profiling.methods.ddad.diffusion import (
    ReferenceDenoising,
    ScheduledDenoising,
    denoising_steps,
)
from profiling.methods.ddad.method import DDAD, SIZES, PooledDistanceMap, ReferenceDistanceMap
from profiling.methods.ddad.unet import (
    AttentionBlock,
    EagerAttention,
    FusedAttention,
    ResidualBlock,
    UNet,
    optimize,
)
from profiling.methods.weights import draw_weights
from tests.profiling import ddad_formulas as formulas
from tests.profiling.tensors import assert_same, no_ranges, random_image, recorded_ranges

IMPLEMENTATIONS = ("reference", "optimized")
SMALL = {"size": "S", "start_step": 50}  # two steps


def build(side_px: int = 64, implementation: str = "reference", **settings_: Any) -> DDAD:
    return DDAD.build(
        {**SMALL, **settings_},
        resolution=square(side_px),
        implementation=implementation,
        seed=1,
    )


@pytest.fixture(scope="module")
def small() -> DDAD:
    """Of the reference, at 32 px; nothing that a test does with it changes it."""
    return build(32)


def make_unet(size: str = "S", seed: int = 3) -> UNet:
    unet = UNet(**SIZES[size]).eval().requires_grad_(requires_grad=False)
    draw_weights(unet, seed=seed)
    return unet


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("size", "count"), [("base", 32_952_707), ("S", 8_257_731)])
def test_parameters_of_the_unet(size: str, count: int) -> None:
    assert parameters(UNet(**SIZES[size])) == count


def test_parameters_by_part() -> None:
    unet = UNet(**SIZES["base"])
    parts = {name: parameters(child) for name, child in unet.named_children()}
    assert parts == {
        "time_embedding": 82_432,
        "down": 9_611_136,
        "middle": 2_757_632,
        "up": 20_499_648,
        "out": 1_859,
    }


def leaf_calls(unet: UNet) -> Counter[str]:
    found: Counter[str] = Counter()
    for module in unet.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(lambda m, *_: found.update([type(m).__name__]))
    unet(torch.zeros(1, 3, 32, 32), torch.zeros(1))
    return found


def test_calls_of_layers() -> None:
    found = leaf_calls(make_unet())
    expected = {
        "Conv2d": 106, "Conv1d": 32, "Linear": 44, "GroupNorm": 101, "SiLU": 128, "Dropout": 42,
        "Identity": 22, "AvgPool2d": 10, "Upsample": 10, "EagerAttention": 16,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert sum(found.values()) == 512  # with the encoding of the step


@pytest.mark.parametrize(("size", "resolution"), [("S", "96x64"), ("base", "32")])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_unet_agrees_with_plain_calls(size: str, resolution: str, implementation: str) -> None:
    unet = make_unet(size)
    weights = copy.deepcopy(unet.state_dict())
    if implementation == "optimized":
        optimize(unet)
    heads = {"S": 2, "base": 4}[size]
    image = random_image(resolution)
    with torch.inference_mode():
        found = unet(image, torch.tensor([125.0]))
    assert_same(found, formulas.unet(image, 125.0, weights, heads), relative=2e-5)


def test_blocks_agree_one_by_one() -> None:
    """Every block on an input of its own: an error in one cannot hide behind another."""
    unet = make_unet()
    weights = unet.state_dict()
    generator = torch.Generator().manual_seed(5)
    time = formulas.time_embedding(75.0, weights)
    checked = 0
    with torch.inference_mode():
        for name, module in unet.named_modules():
            if isinstance(module, ResidualBlock):
                width = module.in_layers[0].num_channels
                x = torch.randn(1, width, 6, 6, generator=generator)
                resize = {nn.AvgPool2d: "down", nn.Upsample: "up"}.get(type(module.h_upd), "")
                expected = formulas.residual(x, time, weights, name, resize)
                assert_same(module(x, time.unsqueeze(0)), expected)
                checked += 1
            elif isinstance(module, AttentionBlock):
                width = module.norm.num_channels
                x = torch.randn(1, width, 6, 6, generator=generator)
                assert_same(module(x), formulas.attention(x, weights, name, heads=2))
                checked += 1
    assert checked == 42 + 16


@given(heads=st.sampled_from([1, 2, 4]), width=st.integers(1, 5), positions=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_fused_attention_is_attention(heads: int, width: int, positions: int) -> None:
    generator = torch.Generator().manual_seed(positions)
    qkv = torch.randn(1, 3 * heads * width, positions, generator=generator)
    torch.testing.assert_close(
        FusedAttention(heads)(qkv), EagerAttention(heads)(qkv), rtol=1e-4, atol=1e-5
    )


def test_ten_steps() -> None:
    steps = denoising_steps(250, 25)
    assert [t for t, _ in steps] == [225, 200, 175, 150, 125, 100, 75, 50, 25, 0]
    assert [after for _, after in steps] == [200, 175, 150, 125, 100, 75, 50, 25, 0, -1]


class Wave(nn.Module):
    """A network whose answer depends on image and step."""

    def forward(self, image: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return torch.sin(3 * image + step.view(1, 1, 1, 1) / 50)


@pytest.mark.parametrize("denoising", [ReferenceDenoising, ScheduledDenoising])
@pytest.mark.parametrize("weight", [0.0, 2.0, 11.0])
def test_denoising_agrees_with_its_closed_form(denoising: Any, weight: float) -> None:
    image = random_image(16).clamp(-1, 1)
    drawn = [random_image(16, seed=k) for k in range(11)]
    waiting = iter(drawn)
    denoise = denoising(Wave(), start_step=250, skip=25, condition_weight=weight)
    found = denoise(image, lambda _like: next(waiting).clone(), no_ranges)
    expected = formulas.alpha(250) ** 0.5 * image + (1 - formulas.alpha(250)) ** 0.5 * drawn[0]
    for (t, after), z in zip(denoising_steps(250, 25), drawn[1:], strict=True):
        answer = Wave()(expected, torch.tensor([float(t)]))
        expected = formulas.denoising_step(expected, image, answer, z, t, after, weight)
    assert_same(found, expected, relative=1e-4)
    assert next(waiting, None) is None


@pytest.mark.parametrize("map_class", [ReferenceDistanceMap, PooledDistanceMap])
@pytest.mark.parametrize(("v", "width_px"), [(1.0, 64), (7.0, 64), (7.0, 96)])
def test_distance_map_agrees_with_its_formula(map_class: Any, v: float, width_px: int) -> None:
    generator = torch.Generator().manual_seed(6)
    resolution = Resolution(width_px, 64)
    image, reconstruction = (random_image(resolution, seed=seed) for seed in (7, 8))
    features = [
        {
            "layer2": torch.rand(1, 16, 8, width_px // 8, generator=generator),
            "layer3": torch.rand(1, 32, 4, width_px // 16, generator=generator),
        }
        for _ in range(2)
    ]
    found = map_class(resolution, pixel_weight=v)(image, reconstruction, *features)
    assert_same(found, formulas.distance_map(image, reconstruction, *features, v))


@pytest.mark.parametrize(
    ("side_px", "steps", "rounding"),
    # two steps leave an image nearly as it was: its distance to that is little beside its pixels
    [(32, 10, 0.0), (96, 2, 1e-6)],
)
def test_implementations_agree_and_open_the_same_ranges(
    side_px: int, steps: int, rounding: float
) -> None:
    image = random_image(side_px).clamp(-1, 1)
    parts = ["feature_extraction", "anomaly_map"]
    expected = ["denoising_unet", *["denoising_unet/step"] * steps, *parts]
    found = []
    for implementation in IMPLEMENTATIONS:
        opened, annotate = recorded_ranges()
        with torch.inference_mode():
            method = build(side_px, implementation, start_step=25 * steps)
            found.append(method.infer(image, annotate))  # type: ignore[arg-type]
        assert opened == expected
    reference, optimized = found
    assert reference.anomaly_map is not None
    assert optimized.anomaly_map is not None
    assert reference.score is not None
    assert optimized.score is not None
    torch.testing.assert_close(
        optimized.anomaly_map, reference.anomaly_map, rtol=1e-4, atol=rounding
    )
    torch.testing.assert_close(optimized.score, reference.score, rtol=1e-4, atol=rounding)


def test_the_same_image_gives_the_same_map(small: DDAD) -> None:
    with torch.inference_mode():
        first, second = (small.infer(random_image(32), no_ranges) for _ in range(2))
    assert first.anomaly_map is not None
    assert second.anomaly_map is not None
    assert torch.equal(first.anomaly_map, second.anomaly_map)


@pytest.mark.parametrize("side_px", [16, 100, 1000, 2992, 3000])
def test_sides_that_are_no_multiple_of_32_are_refused(side_px: int) -> None:
    with pytest.raises(UnsupportedResolutionError) as caught:
        build(side_px)
    below = side_px // 32 * 32
    assert f"{below + 32} px" in str(caught.value)
    assert (f"{below} px or" in str(caught.value)) == (below > 0)


def test_checkpoints_of_the_reference_load_by_mapping_names(small: DDAD, tmp_path: Path) -> None:
    """As docs/methods.md shows it: parallel training put `module.` before every name."""
    prefix = "module."
    saved = {
        part: {f"{prefix}{name}": t for name, t in getattr(small, part).state_dict().items()}
        for part in ("unet", "feature_extractor")
    }
    file = tmp_path / "ddad.pth"
    torch.save(
        {
            part: {name.removeprefix("module."): t for name, t in tensors.items()}
            for part, tensors in saved.items()
        },
        file,
    )
    loaded = DDAD.build(
        {**SMALL, "weights": str(file)},
        resolution=square(32),
        implementation="reference",
        seed=99,
    )
    found = loaded.state_dict()
    for name, tensor in small.state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_names_and_shapes_of_the_public_unet() -> None:
    """Those of arimousa/DDAD's checkpoints for 256 px, a few of each kind."""
    shapes = {name: tuple(t.shape) for name, t in UNet(**SIZES["base"]).state_dict().items()}
    expected = {
        "time_embedding.1.weight": (256, 64), "time_embedding.3.bias": (256,),
        "down.0.0.weight": (64, 3, 3, 3), "down.7.0.skip_connection.weight": (128, 64, 1, 1),
        "down.10.1.norm.weight": (128,), "down.10.1.to_qkv.weight": (384, 128, 1),
        "down.17.1.proj_out.weight": (256, 256, 1), "middle.1.to_qkv.bias": (768,),
        "middle.2.out_layers.3.weight": (256, 256, 3, 3),
        "up.0.0.in_layers.2.weight": (256, 512, 3, 3), "up.2.2.embed_layers.1.weight": (256, 256),
        "up.17.0.out_layers.0.weight": (64,), "up.17.0.skip_connection.weight": (64, 128, 1, 1),
        "out.0.weight": (64,), "out.2.weight": (3, 64, 3, 3),
    }  # fmt: skip
    assert {name: shapes[name] for name in expected} == expected


def test_a_checkpoint_of_the_other_size_is_refused_by_name(small: DDAD, tmp_path: Path) -> None:
    file = tmp_path / "ddad.pth"
    torch.save(
        {part: getattr(small, part).state_dict() for part in ("unet", "feature_extractor")}, file
    )
    with pytest.raises(WeightsError, match=r"unet\.time_embedding\.1\.weight: expected shape"):
        build(32, size="base", weights=str(file))


def test_prepare_scales_to_minus_one_to_one(small: DDAD) -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, :, 1] = 255
    found = small.prepare(Image.fromarray(pixels))
    assert found.shape == (1, 3, 32, 32)
    assert found[0, :, 5, 5].tolist() == [-1, 1, -1]


def test_precision_and_submodules_of_the_spec() -> None:
    assert SPEC.submodules == ("denoising_unet", "feature_extraction", "anomaly_map")
    assert SPEC.implementations == IMPLEMENTATIONS
