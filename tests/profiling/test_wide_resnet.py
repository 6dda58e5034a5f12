from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
from torch import nn

from profiling.methods.weights import draw_weights
from profiling.methods.wide_resnet import (
    cut_behind,
    fold_batch_norms,
    stage_outputs,
    wide_resnet101,
)
from tests.profiling import resnet_formulas as formulas
from tests.profiling.tensors import assert_same, random_image


@pytest.fixture(scope="module")
def network() -> nn.Module:
    made = wide_resnet101()
    draw_weights(made, seed=5)
    return made.requires_grad_(requires_grad=False)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_public_checkpoints_fit(network: nn.Module) -> None:
    with torch.device("meta"):
        public = torchvision.models.wide_resnet101_2()
    expected = {name: tensor.shape for name, tensor in public.state_dict().items()}
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == expected


def test_parameters_by_stage(network: nn.Module) -> None:
    children = dict(network.named_children())
    assert parameters(children["conv1"]) + parameters(children["bn1"]) == 9_536
    assert [parameters(children[f"layer{k}"]) for k in (1, 2, 3, 4)] == [
        634_368,
        3_482_624,
        78_739_456,
        41_971_712,
    ]
    assert parameters(network) == 126_886_696


def test_modules_and_results_are_those_of_timm(network: nn.Module) -> None:
    with torch.device("meta"):
        public = timm.create_model("wide_resnet101_2", pretrained=False)
    public = public.to_empty(device="cpu").eval()
    public.load_state_dict(network.state_dict())
    assert leaves(network) == leaves(public)
    image = random_image(75)
    with torch.inference_mode():
        assert torch.equal(network(image), public(image))


def leaves(module: nn.Module) -> list[tuple[str, str]]:
    """The modules without others in them, in their order; timm's pooling is one of its own."""
    return [
        (name, str(one))
        for name, one in module.named_modules()
        if not list(one.children()) and not name.startswith("global_pool")
    ]


@pytest.mark.parametrize("side_px", [32, 75])
def test_stages_agree_with_plain_calls(network: nn.Module, side_px: int) -> None:
    image = random_image(side_px)
    expected = formulas.stages(image, network.state_dict(), "layer4")
    found = stage_outputs(network, image, "layer4")
    assert list(found) == list(expected)
    for stage, output in found.items():
        assert_same(output, expected[stage])


def test_the_last_stage_is_the_last_one_run(network: nn.Module) -> None:
    assert list(stage_outputs(network, random_image(32), "layer3")) == [
        "layer1",
        "layer2",
        "layer3",
    ]


def test_folding_keeps_the_stages_and_leaves_no_norm(network: nn.Module) -> None:
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    image = random_image(64)
    expected = stage_outputs(network, image, "layer4")
    for stage, output in stage_outputs(folded, image, "layer4").items():
        assert_same(output, expected[stage])


def test_cutting_takes_away_what_is_behind(network: nn.Module) -> None:
    cut = copy.deepcopy(network)
    cut_behind(cut, "layer3")
    assert parameters(cut) == 82_865_984
    image = random_image(32)
    expected = stage_outputs(network, image, "layer3")
    assert torch.equal(stage_outputs(cut, image, "layer3")["layer3"], expected["layer3"])


def test_making_one_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    wide_resnet101()
    assert torch.equal(torch.get_rng_state(), before)
