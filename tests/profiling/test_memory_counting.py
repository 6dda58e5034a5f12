from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.memory_record import SubmoduleCount
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.counting import count_memory
from profiling.methods.efficientad.method import EfficientAD
from tests.profiling.counts import counted, counted_anew, submodules

MIB = 2**20
SPEC = get_spec("efficientad")


def count(side_px: int, **given_: Any) -> Mapping[str, SubmoduleCount]:
    found = counted("efficientad", side_px, **given_)
    assert found.incomplete is None
    assert [part.submodule for part in found.submodules] == list(SPEC.submodules)
    return submodules(found)


def printed(size_bytes: int, like: str) -> str:
    """In MiB, with as many decimals as the published figure has."""
    decimals = len(like.partition(".")[2])
    return f"{size_bytes / MIB:,.{decimals}f}"


PUBLISHED = {
    ("S", 256): {"teacher": "54.02", "student": "58.62", "autoencoder": "13.54"},
    ("S", 512): {"teacher": "223.90", "student": "244.99", "autoencoder": "57.31"},
    ("S", 1024): {"teacher": "911.65", "student": "1,001.7", "autoencoder": "235.90"},
    ("M", 256): {"teacher": "115.31", "student": "124.50", "autoencoder": "13.54"},
    ("M", 512): {"teacher": "478.31", "student": "520.50", "autoencoder": "57.31"},
    ("M", 1024): {"teacher": "1,948.3", "student": "2,128.5", "autoencoder": "235.90"},
    ("S", 2048): {"autoencoder": "957.3"},
    ("M", 3000): {"autoencoder": "2,063"},
}


@pytest.mark.parametrize(("size", "side_px"), sorted(PUBLISHED))
def test_activations_of_the_published_table(size: str, side_px: int) -> None:
    published = PUBLISHED[size, side_px]
    counts = count(side_px, size=size)
    found = {
        name: printed(counts[name].activations_bytes, text) for name, text in published.items()
    }
    assert found == published
    assert counts["anomaly_map"].activations_bytes == 0


@pytest.mark.parametrize(("size", "layers"), [("S", 9), ("M", 13)])
def test_layers_are_those_of_the_public_implementation(size: str, layers: int) -> None:
    """With activation functions, poolings, Dropout and Upsample, as the paper counts them."""
    counts = count(256, size=size)
    assert counts["student"].leaf_modules == layers
    assert counts["teacher"].leaf_modules == layers + 1  # its normalisation, a module of ours
    assert counts["autoencoder"].leaf_modules == 39


def pdn_elements(size: str, side_px: int, channels: int) -> int:
    """Outputs of the convolutions without padding, by hand: kernels 4, 4, (1,) 3, 4 (, 1)."""
    width = {"S": 128, "M": 256}[size]
    first = side_px - 3
    second = first // 2 - 3
    third = second // 2 - 2
    last = third - 3
    elements = width * first**2 + 2 * width * second**2 + 2 * width * third**2 + channels * last**2
    if size == "M":
        elements += 2 * width * (second // 2) ** 2 + channels * last**2
    return elements


def autoencoder_elements(side_px: int) -> int:
    halves = [side_px // 2**k for k in (1, 2, 3, 4, 5)]
    encoder = sum(c * n**2 for c, n in zip((32, 32, 64, 64, 64), halves, strict=True))
    latent = 64 * (side_px // 32 - 7) ** 2
    resized = [side_px // n - d for n, d in ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))]
    decoder = sum(64 * (n + 1) ** 2 for n in resized)
    output = (64 + 384) * (math.ceil(side_px / 4) - 8) ** 2
    return encoder + latent + decoder + output


@settings(deadline=None, max_examples=12)
@given(side_px=st.integers(256, 4000), size=st.sampled_from("SM"))
def test_activations_at_any_resolution_follow_the_formula(side_px: int, size: str) -> None:
    counts = count(side_px, size=size)
    found = {name: counts[name].activations_bytes for name in SPEC.submodules[:3]}
    assert found == {
        "teacher": 4 * pdn_elements(size, side_px, 384),
        "student": 4 * pdn_elements(size, side_px, 768),
        "autoencoder": 4 * autoencoder_elements(side_px),
    }


def test_parameters_and_buffers() -> None:
    counts = count(300, size="S")
    assert {name: part.parameters_bytes for name, part in counts.items()} == {
        "teacher": 4 * 2_694_144,
        "student": 4 * 4_267_392,
        "autoencoder": 4 * 1_096_320,
        "anomaly_map": 0,
    }
    assert {name: part.buffers_bytes for name, part in counts.items()} == {
        "teacher": 4 * 768,  # mean and deviation of 384 channels
        "student": 0,
        "autoencoder": 0,
        "anomaly_map": 4 * 4,  # two quantiles of two maps
    }


@pytest.mark.parametrize("padding", [False, True])
def test_layers_are_those_of_a_real_inference(padding: bool) -> None:
    settings_ = check_settings(SPEC, {"size": "S", "padding": padding})
    method = EfficientAD.build(
        settings_, resolution=square(264), implementation="reference", seed=0
    )
    image, counts = torch.zeros(1, 3, 264, 264), count(264, **settings_)
    for name in ("teacher", "student", "autoencoder"):
        expected, x = [], image
        for index, layer in enumerate(getattr(method, name)):
            x = layer(x.clone())
            if isinstance(layer, torch.nn.Conv2d):
                own = layer.weight.nbytes + layer.bias.nbytes
                expected.append((f"{name}.{index}", "Conv2d", tuple(x.shape), own, x.nbytes))
        found = [
            (c.name, c.type, c.output_shape, c.parameters_bytes, c.activations_bytes)
            for c in counts[name].layers
        ]
        assert found == expected
        assert sum(entry[3] for entry in found) == counts[name].parameters_bytes
        assert sum(entry[4] for entry in found) == counts[name].activations_bytes


def test_nothing_is_allocated() -> None:
    counts = count(200_000, size="M")
    needed = sum(part.activations_bytes for part in counts.values())
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert needed > 10 * memory_bytes


def test_counting_leaves_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    counted_anew("efficientad", 256, size="S")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_is_not_read() -> None:
    assert count(256, size="S", weights="/nowhere.pth") == count(256, size="S")


def test_a_resolution_that_is_not_supported_is_refused() -> None:
    with pytest.raises(UnsupportedResolutionError, match="255 px"):
        count(255)


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ConfigError, match="optimal"):
        count_memory(
            SPEC,
            check_settings(SPEC, {}),
            resolution=square(256),
            implementation="optimal",
        )
