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
from profiling.methods.efficientad.method import EfficientAD
from profiling.methods.loading import load_method_class
from profiling.methods.patchcore.embedding import closed_form_embedding
from profiling.methods.patchcore.method import PatchCore
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


@given(SIDES, SIDES)
def test_the_least_square_has_as_many_pixels_and_no_smaller_one_has(
    width_px: int, height_px: int
) -> None:
    pixels = width_px * height_px
    side_px = Resolution(width_px, height_px).least_square_px
    assert (side_px - 1) ** 2 < pixels <= side_px**2


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


def parts_of_a_crop(
    target: str,
    given_: dict[str, Any],
    implementation: str,
    crop: Resolution,
    offset: tuple[int, int],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The features of a crop, and of the image that it is cut from, which is larger by 64 px.

    Args:
        target: the method.
        given_: its settings.
        implementation: of the method.
        crop: its size.
        offset: its first row and column in the image.
    """
    whole = Resolution(crop.width_px + 64, crop.height_px + 64)
    image = torch.rand(1, 3, *whole.shape, generator=torch.Generator().manual_seed(2))
    (top, left), (height, width) = offset, crop.shape
    cut = image[..., top : top + height, left : left + width].contiguous()
    spec = get_spec(target)
    settings = check_settings(spec, given_)
    found = []
    for resolution, of_image in ((crop, cut), (whole, image)):
        method = load_method_class(spec).build(
            settings, resolution=resolution, implementation=implementation, seed=0
        )
        with torch.inference_mode():
            if isinstance(method, PatchCore):
                stages = method.stages(of_image)
                vectors = closed_form_embedding(*stages).reshape(1, *stages[0].shape[-2:], -1)
                parts = {"middle": vectors[..., :512], "deep": vectors[..., 512:]}
                found.append({name: one.permute(0, 3, 1, 2) for name, one in parts.items()})
            else:
                assert isinstance(method, EfficientAD)
                teacher = method.teacher_statistics(method.teacher(of_image))
                found.append({"teacher": teacher, "student": method.student(of_image)})
    return found[0], found[1]


def assert_crop_agrees(
    of_crop: torch.Tensor, of_whole: torch.Tensor, offset: tuple[int, int], margin: int
) -> None:
    """Compares what is at least ``margin`` positions from the crop's border.

    Args:
        of_crop: features of the crop.
        of_whole: features of the image.
        offset: of the crop in the image, in positions.
        margin: what the zeros beyond the border reach.
    """
    rows, columns = of_crop.shape[-2:]
    (top, left), (of_rows, of_columns) = offset, (rows - margin, columns - margin)
    assert of_rows > margin, "something is left to compare"
    assert of_columns > margin, "something is left to compare"
    inner = of_crop[..., margin:of_rows, margin:of_columns]
    same = of_whole[..., top + margin : top + of_rows, left + margin : left + of_columns]
    largest = float(of_whole.abs().max())
    torch.testing.assert_close(inner, same, rtol=0, atol=1e-5 * largest)
    other = of_whole[..., top + margin + 1 : top + of_rows + 1, left + margin : left + of_columns]
    assert (inner - other).abs().max() > 1e-3 * largest, "positions differ"


@pytest.mark.parametrize("implementation", ["reference", "optimized"])
@pytest.mark.parametrize("size", ["S", pytest.param("M", marks=pytest.mark.slow)])
def test_without_padding_networks_see_of_a_crop_what_they_see_in_the_whole(
    size: str, implementation: str
) -> None:
    """Both poolings have stride 2, and nothing is padded: equal at offsets of multiples of 4."""
    settings = {"size": size, "padding": False}
    crop, whole = parts_of_a_crop(
        "efficientad", settings, implementation, Resolution(300, 256), (8, 52)
    )
    for name in ("teacher", "student"):
        assert_crop_agrees(crop[name], whole[name], (2, 13), 0)


@pytest.mark.parametrize("implementation", ["reference", "optimized"])
@pytest.mark.parametrize(
    ("stage", "size", "offset", "stride_px", "margin"),
    [
        # the second stage sees 91 px, with the neighbourhood 8 more on either side
        ("middle", "160x144", (16, 48), 8, 7),
        # the third 811 px: its grid has 16 px, and is brought to that of the second
        pytest.param("deep", "976x960", (16, 48), 8, 57, marks=pytest.mark.slow),
    ],
)
def test_patches_far_from_the_border_are_those_of_the_whole(
    stage: str, size: str, offset: tuple[int, int], stride_px: int, margin: int,
    implementation: str,
) -> None:  # fmt: skip
    crop, whole = parts_of_a_crop(
        "patchcore", {"training_images": 1}, implementation, Resolution.of(size), offset
    )
    rows, columns = offset
    assert_crop_agrees(crop[stage], whole[stage], (rows // stride_px, columns // stride_px), margin)


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
