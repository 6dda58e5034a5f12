"""Images that are no squares: how they are written, fitted, and what the methods make of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.methods.registry import all_specs, check_resolution, check_settings, get_spec
from adscale.request import Decoding, Fit, RunRequest, Sampling
from adscale.resolution import Resolution, square
from profiling.image_reading import decode_as
from profiling.memory.counting import count_memory
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from profiling.methods.preparation import (
    centre_crop_tensor,
    fitted,
    imagenet_tensor,
    symmetric_tensor,
)
from tests.study_requests import plain_request

SIDES = st.integers(1, 100_000)


@given(SIDES, SIDES)
def test_a_resolution_is_read_as_it_is_written(width_px: int, height_px: int) -> None:
    resolution = Resolution(width_px, height_px)
    assert Resolution.of(str(resolution)) == resolution
    assert resolution.pixels == width_px * height_px
    assert (str(resolution) == str(width_px)) is (width_px == height_px)


@pytest.mark.parametrize("text", ["", "0", "-1", "1x", "x1", "1x2x3", "2448 x 2048", "1e3", "01",
                                  "100001", "1X2", "１", "1.0", True])  # fmt: skip
def test_what_is_no_resolution_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2448x2048"):
        Resolution.of(text)


def test_fewer_pixels_come_first() -> None:
    ordered = [Resolution.of(one) for one in ("256", "320x256", "256x320", "300", "512x384", "512")]
    assert sorted(ordered) == [ordered[0], ordered[2], ordered[1], *ordered[3:]]
    assert all(a.pixels <= b.pixels for a, b in pairwise(sorted(ordered)))


def test_a_request_keeps_it_and_reads_those_of_squares_from_before() -> None:
    request = plain_request(Sampling(1, 2, 2, None), resolution=Resolution(2448, 2048))
    data = request.as_dict()
    assert data["resolution"] == "2448x2048"
    assert RunRequest.from_dict(data) == request
    del data["resolution"]
    assert RunRequest.from_dict({**data, "resolution_px": 512}).resolution == square(512)
    with pytest.raises(ConfigError, match="resolution: '0x5'"):
        RunRequest.from_dict({**data, "resolution": "0x5"})


@pytest.mark.parametrize(
    ("target", "asked", "nearest"),
    [
        ("ddad", "2448x2048", "2432x2048 px or 2464x2048 px"),
        ("ddad", "100x70", "96x64 px or 128x96 px"),
        ("ddad", "20x64", "32x64 px"),
        ("efficientad", "200x300", "256x300 px"),
        ("patchcore", "1000x8", "1000x9 px"),
    ],
)
def test_a_method_names_the_nearest_it_runs_at(target: str, asked: str, nearest: str) -> None:
    spec = get_spec(target)
    with pytest.raises(UnsupportedResolutionError) as caught:
        check_resolution(spec, check_settings(spec, {}), Resolution.of(asked))
    message = str(caught.value)
    assert f"does not run at {asked} px" in message
    assert message.endswith(f"nearest that it supports: {nearest}")


def test_nothing_is_distorted() -> None:
    """Of a photograph of 60 x 30 px whose columns have their number as gray."""
    gray = np.broadcast_to(np.arange(60, dtype=np.uint8) * 4, (30, 60))
    photograph = Image.fromarray(gray).convert("RGB")
    narrow = np.asarray(fitted(photograph, Resolution(10, 30)))[:, :, 0]
    assert narrow.shape == (30, 10)
    assert narrow[0].tolist() == [4 * column for column in range(25, 35)]
    wide = np.asarray(fitted(photograph, Resolution(60, 15)))[:, :, 0]
    assert wide.shape == (15, 60)
    assert wide[0].tolist() == gray[0].tolist()
    # a square is resized as a whole, as the reference implementations do
    assert np.asarray(fitted(photograph, square(30)))[0, 0, 0] < 8
    assert imagenet_tensor(photograph, Resolution(12, 7)).shape == (1, 3, 7, 12)


@pytest.mark.parametrize("prepare", [imagenet_tensor, centre_crop_tensor, symmetric_tensor])
def test_how_an_image_is_fitted_can_be_stated(
    prepare: Callable[[Image.Image, Resolution], torch.Tensor],
) -> None:
    """A white image, twice as wide as high, with black left and right quarters."""
    levels = np.full((40, 80, 3), 255, np.uint8)
    levels[:, :20] = levels[:, 60:] = 0
    image = Image.fromarray(levels)

    def prepared(fit: Fit) -> torch.Tensor:
        decode_as(Decoding(fit=fit))
        try:
            return prepare(image, square(40))[0, 0]
        finally:
            decode_as(Decoding())

    cropped = prepared("crop")
    assert len(cropped.unique()) == 1, "the white middle"
    white = float(cropped[0, 0])
    padded, stretched = (prepared(fit) > white - 0.5 for fit in ("pad", "stretch"))
    assert padded[10:30, 11:29].all()
    assert not padded[:10].any()
    assert not padded[30:].any()
    assert not padded[:, :9].any()
    assert stretched[:, 11:29].all()
    assert not stretched[:, :9].any()


def transposed(method: Method) -> Method:
    """The kernels of a method with height and width exchanged."""
    for module in method.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.transpose(-1, -2).contiguous()
    return method


@pytest.mark.parametrize("implementation", ["reference", "optimized"])
@pytest.mark.parametrize(
    ("target", "size", "given_"),
    [
        ("efficientad", "256x300", {"size": "S"}),
        ("efficientad", "271x256", {"size": "S", "padding": True}),
        ("patchcore", "75x50", {"training_images": 3}),
        ("ddad", "64x32", {"start_step": 50, "size": "S"}),
    ],
)
def test_a_transposed_image_has_the_transposed_map(
    target: str, size: str, given_: dict[str, Any], implementation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch, "randn", lambda shape, **_more: torch.full(shape, 0.1))
    spec, resolution = get_spec(target), Resolution.of(size)
    cls, settings = load_method_class(spec), check_settings(spec, given_)
    image = torch.rand(1, 3, *resolution.shape, generator=torch.Generator().manual_seed(1))
    rows = {"training_images": 3} if target == "patchcore" else {}
    maps = []
    for asked, given_image in (
        (resolution, image),
        (Resolution(resolution.height_px, resolution.width_px), image.transpose(-1, -2)),
    ):
        method = cls.build(
            {**settings, **rows}, resolution=asked, implementation=implementation, seed=0
        )
        if asked != resolution:
            transposed(method)
        with torch.inference_mode():
            found = method.infer(given_image.contiguous(), lambda _name: nullcontext())
        assert found.anomaly_map is not None
        assert found.anomaly_map.shape == (1, 1, *asked.shape)
        maps.append(found.anomaly_map)
    # a cosine near 1 is known to some 1e-7
    tolerance = 2e-5 * float(maps[0].abs().max()) + 5e-7
    torch.testing.assert_close(maps[1].transpose(-1, -2), maps[0], rtol=0, atol=tolerance)


@pytest.mark.parametrize("implementation", ["reference", "optimized"])
@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.target)
def test_a_rectangle_and_its_transpose_need_the_same(spec: Any, implementation: str) -> None:
    settings = check_settings(spec, {})
    found = [
        count_memory(
            spec, settings, resolution=Resolution.of(size), implementation=implementation,
            device_type="cpu",
        )
        for size in ("512x288", "288x512")
    ]  # fmt: skip
    assert found[0].needed_bytes == pytest.approx(found[1].needed_bytes, rel=1e-3)
    # in the map rows are treated before columns, which is not the same work
    flops = [[part.flops for part in one.submodules[:-1]] for one in found]
    assert flops[0] == flops[1]
