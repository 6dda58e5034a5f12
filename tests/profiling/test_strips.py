"""What runs in strips of rows, or in blocks, has the values of the whole, and takes less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.counting import count_memory, is_gpu_imaginable
from profiling.methods.ddad import strips, unet
from profiling.methods.ddad.unet import UNet, optimize
from profiling.methods.efficientad import networks
from profiling.methods.efficientad.networks import StripedNetwork, pdn_small
from profiling.methods.patchcore.search import BlockSearch
from profiling.methods.weights import draw_weights

MIB = 2**20


def close(first: torch.Tensor, second: torch.Tensor) -> None:
    assert first.shape == second.shape
    assert float((first - second).abs().max()) <= 1e-5 * float(second.abs().max())


@settings(deadline=None, max_examples=5)
@given(st.integers(33, 90), st.integers(33, 60), st.integers(1, 2), st.integers(100_000, 1_000_000))
def test_a_network_in_strips_has_the_values_of_the_whole(
    height: int, width: int, images: int, strip_bytes: int
) -> None:
    whole = pdn_small(24, padding=False).eval().requires_grad_(requires_grad=False)
    draw_weights(whole, seed=0)
    image = torch.rand(images, 3, height, width, generator=torch.Generator().manual_seed(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "STRIP_BYTES", strip_bytes)
        close(StripedNetwork(*whole)(image), whole(image))


def test_below_the_size_of_a_strip_nothing_is_another_operation() -> None:
    whole = pdn_small(24, padding=False).eval().requires_grad_(requires_grad=False)
    draw_weights(whole, seed=0)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(StripedNetwork(*whole)(image), whole(image))


@pytest.mark.parametrize("strip_bytes", [9000, pytest.param(1, marks=pytest.mark.slow)])
def test_a_unet_in_strips_has_the_values_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, strip_bytes: int
) -> None:
    """Also where groups of channels straddle a skip, and of two images at two steps."""
    net = UNet(base_channels=32, heads=2, dropout=0.0).eval().requires_grad_(requires_grad=False)
    draw_weights(net, seed=0)
    image = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    steps = torch.tensor([225.0, 25.0])
    with torch.inference_mode():
        whole = net(image, steps)
        optimize(net)
        monkeypatch.setattr(unet, "STRIPED_BYTES", 0)
        monkeypatch.setattr(strips, "STRIP_BYTES", strip_bytes)
        close(net(image, steps), whole)


def test_the_sums_of_a_normalisation_are_taken_over_all_parts() -> None:
    norm = nn.GroupNorm(4, 24)  # groups of 6 channels, parts of 16 and 8
    nn.init.normal_(norm.weight)
    parts = [torch.randn(2, 16, 5, 7) + 3, 2 * torch.randn(2, 8, 5, 7)]
    factor, constant = strips.affine(norm, parts)
    joined = torch.cat(parts, dim=1)
    torch.testing.assert_close(joined * factor + constant, norm(joined), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 50), st.integers(1, 300), st.integers(5, 64), st.integers(20, 64))
def test_a_search_in_blocks_finds_the_nearest(
    queries: int, rows: int, query_block: int, row_block: int
) -> None:
    search = BlockSearch(rows, 8, half=False)
    generator = torch.Generator().manual_seed(queries * 1000 + rows)
    search.bank.uniform_(0, 1, generator=generator)
    search.settle()
    asked = torch.rand(queries, 8, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("profiling.methods.patchcore.search.QUERY_BLOCK", query_block)
        patch.setattr("profiling.methods.patchcore.search.ROW_BLOCK", row_block)
        found = search(asked)
    expected = torch.cdist(asked.double(), search.bank.double()).square().amin(dim=1).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_bank_in_half_precision_is_the_same_bank_rounded() -> None:
    search = BlockSearch(100, 8, half=True)
    search.bank.uniform_(0, 1)
    exact = search.bank.clone()
    search.settle()
    assert search.bank.dtype == torch.float16
    asked = torch.rand(5, 8)
    expected = torch.cdist(asked, exact.half().float()).square().amin(dim=1)
    torch.testing.assert_close(search(asked), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("target", "given_", "side_px", "most_mib"),
    [
        ("efficientad", {"size": "M"}, 2236, 2700),
        pytest.param("ddad", {}, 2240, 7000, marks=pytest.mark.slow),
        pytest.param("patchcore", {"search": "blocks"}, 2236, 7700, marks=pytest.mark.slow),
        pytest.param("patchcore", {"search": "blocks-fp16"}, 2236, 4500, marks=pytest.mark.slow),
    ],
)
def test_what_the_whole_image_needs_at_five_megapixels(
    target: str, given_: dict[str, Any], side_px: int, most_mib: int
) -> None:
    if not is_gpu_imaginable():
        pytest.skip("this torch counts for no absent GPU")
    spec = get_spec(target)
    count = count_memory(
        spec, check_settings(spec, given_), resolution=square(side_px),
        implementation="optimized", device_type="cuda",
    )  # fmt: skip
    assert count.needed_bytes <= most_mib * MIB
