"""Receptive fields against gradients, and features of tiles against those of the whole image."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from adscale.methods.efficientad import tiling
from adscale.methods.patchcore import REACH_PX
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import Resolution, square
from adscale.tiles import Tiles, exact_overlap_px, plan_tiles
from profiling.annotation import Annotate, no_range
from profiling.methods.base import Detection, Method
from profiling.methods.efficientad.method import EfficientAD
from profiling.methods.efficientad.networks import pdn_medium, pdn_small
from profiling.methods.loading import build_method
from profiling.methods.weights import draw_weights
from profiling.methods.wide_resnet import fold_batch_norms, stage_outputs, wide_resnet101
from profiling.receptive import Field, receptive_fields


class OneNetwork(Method):
    """A network as the only submodule."""

    submodules = ("network",)
    settings: ClassVar[type[Any]] = object

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def build(cls, *_: Any, **__: Any) -> Method:
        raise NotImplementedError

    def prepare(self, image: Any) -> torch.Tensor:
        raise NotImplementedError

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        with annotate("network"):
            return Detection(self.network(image), None)


LAYERS = st.one_of(
    st.builds(
        lambda kernel, stride, padding, dilation: nn.Conv2d(
            1, 1, kernel, stride, min(padding, kernel // 2), dilation
        ),
        st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
    ),
    st.builds(nn.AvgPool2d, st.integers(1, 3),
              st.integers(1, 2)),
    st.just(nn.Upsample(scale_factor=2, mode="nearest")),
    st.just(nn.Upsample(scale_factor=2, mode="bilinear")),
)  # fmt: skip


@settings(deadline=None, max_examples=8)
@given(st.lists(LAYERS, min_size=1, max_size=3))
def test_no_gradient_lies_outside_of_a_field_and_some_at_its_ends(
    layers: list[nn.Module],
) -> None:
    network = nn.Sequential(*layers)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)  # nothing cancels out
    image = torch.ones(1, 1, 40, 40, requires_grad=True)
    field = receptive_fields(OneNetwork(network), image.detach())["network"]
    output = network(image)
    assert field is not None
    lows, highs = [], []
    for at in range(0, output.shape[-1], 3):
        middle = output.shape[-2] // 2
        (gradient,) = torch.autograd.grad(output[0, 0, middle, at], image, retain_graph=True)
        seen = gradient[0, 0].any(dim=0).nonzero().flatten()
        if len(seen):
            lows.append(int(seen.min()) - field.stride * at)
            highs.append(int(seen.max()) - field.stride * at)
            assert lows[-1] >= field.low or seen.min() == 0
            assert highs[-1] <= field.high
    if not any(isinstance(one, nn.Upsample) for one in layers) and len(highs) > 4:
        assert min(lows) == field.low  # as sharp as can be


@pytest.mark.parametrize("make", [pdn_small, pdn_medium])
@pytest.mark.parametrize("padding", [False, True])
def test_a_value_of_a_patch_description_network_sees_33_px(make: Any, padding: bool) -> None:
    """Batzner et al. 2024: each output neuron's field is 33 x 33."""
    with FakeTensorMode():
        network = make(384, padding=padding)
        field = receptive_fields(OneNetwork(network), torch.empty(1, 3, 256, 256))["network"]
    assert field is not None
    assert (field.size_px, field.stride) == (33, 4)
    assert -field.low == (16 if padding else 0)


def test_what_looks_everywhere_sees_the_whole_image() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    assert receptive_fields(OneNetwork(network), torch.rand(1, 3, 32, 32)) == {"network": None}


def test_fields_of_our_methods() -> None:
    found = {}
    for target in ("efficientad", "patchcore"):
        spec = get_spec(target)
        with FakeTensorMode():
            method = build_method(
                spec, check_settings(spec, {}), resolution=square(512),
                implementation="optimized", seed=0,
            )  # fmt: skip
            found |= receptive_fields(method, torch.empty(1, 3, 512, 512))
    assert found["teacher"] == found["student"] == Field(found["teacher"].stride, 0, 32)  # type: ignore[union-attr,arg-type]
    assert found["autoencoder"] is None
    patches = found["patch_embedding"]
    assert patches is not None
    assert patches.reach_px + 12 + 16 == REACH_PX


def _largest_difference(whole: torch.Tensor, part: torch.Tensor) -> float:
    return float((whole - part).abs().max() / whole.abs().max().clamp(min=1))


def test_teacher_and_student_of_a_tile_are_those_of_the_whole_image() -> None:
    """Any tile at multiples of 4 px: without padding nothing of it comes from its edge."""
    network = pdn_small(384, padding=False).eval()
    draw_weights(network, seed=0)
    image = torch.rand(1, 3, 101, 83, generator=torch.Generator().manual_seed(2))
    plan = plan_tiles(
        Resolution(83, 101), Tiles(size=square(50), overlap=36), tiling({"padding": False})
    )
    assert plan.is_aligned
    assert plan.number > 4
    with torch.inference_mode():
        whole = network(image)
        for tile in plan:
            part = network(image[:, :, slice(*tile.rows), slice(*tile.columns)])
            top, left = tile.rows.begin // 4, tile.columns.begin // 4
            own = whole[:, :, top : top + part.shape[2], left : left + part.shape[3]]
            assert _largest_difference(own, part) <= 1e-5
        off = network(image[:, :, 2:52, 2:52])  # at no multiple of 4: another sampling
        assert _largest_difference(whole[:, :, : off.shape[2], : off.shape[3]], off) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("padding", [False, True])
def test_the_map_of_teacher_and_student_is_exact_with_the_overlap_of_auto(padding: bool) -> None:
    """Joined equals whole once the autoencoder counts nothing; with 8 px less it does not."""
    spec, image_size = get_spec("efficientad"), Resolution(524, 256)
    image = torch.rand(1, 3, *image_size.shape, generator=torch.Generator().manual_seed(2))

    def mapped(tiles: dict[str, Any]) -> torch.Tensor:
        given = check_settings(spec, {"size": "S", "padding": padding, **tiles})
        method = build_method(
            spec, given, resolution=image_size, implementation="optimized", seed=0
        )
        assert isinstance(method, EfficientAD)
        method.map_quantiles.ae_factor.zero_()  # type: ignore[union-attr,operator]
        with torch.inference_mode():
            found = method.infer(image, no_range).anomaly_map
        assert found is not None
        return found

    exact = exact_overlap_px(tiling({"padding": padding}))
    assert exact is not None
    whole = mapped({})
    for width_px, is_exact in ((image_size.width_px // 2 + exact // 2, True), (272, False)):
        # two tiles that share just as much, or 16 px less
        shared = 2 * width_px - image_size.width_px
        assert shared == (exact if is_exact else exact - 16)
        cut = {"tiles": {"size": f"{width_px}x256", "overlap": shared}}
        difference = _largest_difference(whole, mapped(cut))
        assert (difference <= 1e-5) is is_exact


def _stage(layer: str) -> Any:
    network = wide_resnet101()
    draw_weights(network, seed=0)
    fold_batch_norms(network)
    return lambda image: stage_outputs(network, image, layer)[layer]


@pytest.mark.parametrize(
    ("layer", "stride_px", "reach_px", "sides_px"),
    [
        pytest.param("layer2", 8, 45, (176, 128), marks=pytest.mark.slow),
        pytest.param("layer3", 16, 405, (1024, 880), marks=pytest.mark.slow),
    ],
)
def test_features_of_patches_are_exact_beyond_the_reach(
    layer: str, stride_px: int, reach_px: int, sides_px: tuple[int, int]
) -> None:
    """With padding inside, what is farther from the edge than the reach; not all of the rest."""
    stage, (side_px, tile_px) = _stage(layer), sides_px
    image = torch.rand(1, 3, tile_px, side_px, generator=torch.Generator().manual_seed(2))
    offset_px = side_px - tile_px
    assert offset_px % stride_px == 0
    with torch.inference_mode():
        whole, part = stage(image), stage(image[..., offset_px:])
    own = whole[..., offset_px // stride_px :]
    first = -(-reach_px // stride_px)
    assert 0 < first < part.shape[-1] - 1
    assert _largest_difference(own[..., first:], part[..., first:]) <= 1e-5
    assert _largest_difference(own, part) > 1e-3


def test_the_reach_of_the_second_stage() -> None:
    with FakeTensorMode():
        network = wide_resnet101()

        class Stage(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return stage_outputs(self.network, image, "layer2")["layer2"]

        found = receptive_fields(OneNetwork(Stage()), torch.empty(1, 3, 512, 512))["network"]
    assert found is not None
    assert (found.stride, found.reach_px) == (8, 45)
