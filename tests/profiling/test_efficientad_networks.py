from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adscale.resolution import Resolution, square
from profiling.methods.efficientad.networks import (
    FIXED_DECODER_SIZES,
    adaptive_decoder_sizes,
    autoencoder,
    map_side_px,
    pdn_medium,
    pdn_small,
)

PDN_LAYERS = {
    "small": ["Conv2d", "ReLU", "AvgPool2d"] * 2 + ["Conv2d", "ReLU", "Conv2d"],
    "medium": ["Conv2d", "ReLU", "AvgPool2d"] * 2 + ["Conv2d", "ReLU"] * 3 + ["Conv2d"],
}
PDN = {"small": pdn_small, "medium": pdn_medium}


def on_meta(network: nn.Module, width_px: int, height_px: int | None = None) -> torch.Tensor:
    image = torch.empty(1, 3, height_px or width_px, width_px, device="meta")
    output: torch.Tensor = network.to("meta")(image)
    return output


def parameters(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize(
    ("name", "channels", "expected"),
    [
        ("small", 384, 2_694_144),
        ("small", 768, 4_267_392),
        ("medium", 384, 8_026_624),
        ("medium", 768, 11_615_488),
    ],
)
def test_parameters_of_the_pdns(name: str, channels: int, expected: int, padding: bool) -> None:
    assert parameters(PDN[name](channels, padding=padding)) == expected


def test_parameters_of_the_autoencoder() -> None:
    assert parameters(autoencoder(FIXED_DECODER_SIZES)) == 1_096_320


@pytest.mark.parametrize("name", ["small", "medium"])
def test_modules_of_the_pdns(name: str) -> None:
    network = PDN[name](384, padding=False)
    assert [type(layer).__name__ for layer in network] == PDN_LAYERS[name]
    assert len(network) == {"small": 9, "medium": 13}[name]


def test_modules_of_the_autoencoder() -> None:
    network = autoencoder(FIXED_DECODER_SIZES)
    kinds = Counter(type(layer).__name__ for layer in network)
    assert kinds == {"Conv2d": 14, "ReLU": 12, "Upsample": 7, "Dropout": 6}
    assert len(network) == 39


def test_state_dict_of_the_small_pdn() -> None:
    shapes = {k: tuple(v.shape) for k, v in pdn_small(768, padding=False).state_dict().items()}
    assert shapes == {
        "0.weight": (128, 3, 4, 4),
        "0.bias": (128,),
        "3.weight": (256, 128, 4, 4),
        "3.bias": (256,),
        "6.weight": (256, 256, 3, 3),
        "6.bias": (256,),
        "8.weight": (768, 256, 4, 4),
        "8.bias": (768,),
    }


def test_state_dict_of_the_medium_pdn() -> None:
    shapes = {k: tuple(v.shape) for k, v in pdn_medium(384, padding=True).state_dict().items()}
    weights = {k: shape for k, shape in shapes.items() if k.endswith("weight")}
    assert weights == {
        "0.weight": (256, 3, 4, 4),
        "3.weight": (512, 256, 4, 4),
        "6.weight": (512, 512, 1, 1),
        "8.weight": (512, 512, 3, 3),
        "10.weight": (384, 512, 4, 4),
        "12.weight": (384, 384, 1, 1),
    }
    assert {k for k in shapes if k.endswith("bias")} == {
        k.replace("weight", "bias") for k in weights
    }


def test_state_dict_of_the_autoencoder() -> None:
    state = autoencoder(FIXED_DECODER_SIZES).state_dict()
    encoder = {0: (32, 3), 2: (32, 32), 4: (64, 32), 6: (64, 64), 8: (64, 64)}
    expected = {f"{i}.weight": (*channels, 4, 4) for i, channels in encoder.items()}
    expected["10.weight"] = (64, 64, 8, 8)
    expected |= {f"{i}.weight": (64, 64, 4, 4) for i in (12, 16, 20, 24, 28, 32)}
    expected |= {"36.weight": (64, 64, 3, 3), "38.weight": (384, 64, 3, 3)}
    weights = {k: tuple(v.shape) for k, v in state.items() if k.endswith("weight")}
    assert weights == expected
    biases = {k: tuple(v.shape) for k, v in state.items() if k.endswith("bias")}
    assert biases == {k.replace("weight", "bias"): shape[:1] for k, shape in expected.items()}


@pytest.mark.parametrize("name", ["small", "medium"])
@pytest.mark.parametrize(("side_px", "expected"), [(256, 56), (512, 120), (1024, 248)])
def test_pdn_layer_sides_of_the_published_table(name: str, side_px: int, expected: int) -> None:
    network = PDN[name](384, padding=False).to("meta")
    sides, x = [], torch.empty(1, 3, side_px, side_px, device="meta")
    for layer in network:
        x = layer(x)
        if not isinstance(layer, nn.ReLU):
            sides.append(x.shape[-1])
    first = {256: [253, 126, 123, 61], 512: [509, 254, 251, 125], 1024: [1021, 510, 507, 253]}
    third = {256: 59, 512: 123, 1024: 251}[side_px]
    pointwise = [first[side_px][-1]] if name == "medium" else []
    last = [expected] * (2 if name == "medium" else 1)
    assert sides == [*first[side_px], *pointwise, third, *last]


@pytest.mark.parametrize(
    ("side_px", "encoder"),
    [
        (256, [128, 64, 32, 16, 8, 1]),
        (512, [256, 128, 64, 32, 16, 9]),
        (1024, [512, 256, 128, 64, 32, 25]),
    ],
)
def test_encoder_sides_of_the_published_table(side_px: int, encoder: list[int]) -> None:
    network = autoencoder(adaptive_decoder_sizes(square(side_px), padding=False)).to("meta")
    sides, x = [], torch.empty(1, 3, side_px, side_px, device="meta")
    for layer in list(network)[:11]:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            sides.append(x.shape[-1])
    assert sides == encoder


def test_decoder_is_that_of_the_reference_at_256_px() -> None:
    assert adaptive_decoder_sizes(square(256), padding=False) == FIXED_DECODER_SIZES
    assert tuple((side, side) for side in (3, 8, 15, 32, 63, 127, 56)) == FIXED_DECODER_SIZES


@pytest.mark.parametrize(
    ("side_px", "padding", "expected"),
    [
        (512, False, (7, 16, 31, 64, 127, 255, 120)),
        (1024, False, (15, 32, 63, 128, 255, 511, 248)),
        (300, False, (3, 9, 17, 37, 74, 149, 67)),
        (1063, True, (15, 33, 65, 132, 264, 530, 266)),
        (3000, False, (45, 93, 186, 375, 749, 1499, 742)),
    ],
)
def test_decoder_follows_the_image(side_px: int, padding: bool, expected: tuple[int, ...]) -> None:
    found = adaptive_decoder_sizes(square(side_px), padding=padding)
    assert found == tuple((side, side) for side in expected)
    beside = adaptive_decoder_sizes(Resolution(256, side_px), padding=padding)
    assert tuple(rows for rows, _ in beside) == expected
    assert [columns for _, columns in beside][:6] == [3, 8, 15, 32, 63, 127]


@settings(deadline=None, max_examples=40)
@given(
    width_px=st.integers(256, 6000), height_px=st.integers(256, 6000), padding=st.booleans(),
    name=st.sampled_from(sorted(PDN)),
)  # fmt: skip
def test_all_networks_agree_on_the_size_of_the_map(
    width_px: int, height_px: int, padding: bool, name: str
) -> None:
    size = [math.ceil(side_px / 4) - (0 if padding else 8) for side_px in (height_px, width_px)]
    assert [map_side_px(side_px, padding=padding) for side_px in (height_px, width_px)] == size
    sizes = adaptive_decoder_sizes(Resolution(width_px, height_px), padding=padding)
    with torch.device("meta"):
        pdn, decoder = PDN[name](768, padding=padding), autoencoder(sizes)
    assert on_meta(pdn, width_px, height_px).shape == (1, 768, *size)
    assert on_meta(decoder, width_px, height_px).shape == (1, 384, *size)


@pytest.mark.parametrize("side_px", [8, 100, 224, 255])
def test_below_256_px_the_encoder_itself_cannot_run(side_px: int) -> None:
    network = autoencoder(FIXED_DECODER_SIZES)
    with pytest.raises(RuntimeError, match=r"[Kk]ernel size can't be greater than"):
        network(torch.zeros(1, 3, side_px, side_px))
