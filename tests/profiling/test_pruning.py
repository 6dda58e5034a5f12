"""Pruned networks: what goes, what stays, and that count, file and result follow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adscale.engine_record import PrunedNetwork
from adscale.engines import machine_problem
from adscale.errors import MethodError
from adscale.methods.registry import check_settings, get_spec
from adscale.methods.spec import Part
from adscale.resolution import square
from adscale.variant import Variant
from profiling.__main__ import main
from profiling.annotation import no_range
from profiling.engine_files import read_facts
from profiling.engines.parts import examples
from profiling.engines.pruning import Pruned, prune
from profiling.engines.takeover import export, take_over
from profiling.memory.counting import count_memory
from profiling.methods.base import Method
from profiling.methods.loading import resolve
from tests.profiling.running import record
from tests.profiling.test_engines import built, image_of, request_of
from tests.profiling.test_precisions import CASES
from tests.profiling.test_precisions import built as method_of
from tests.profiling.test_precisions import image_of as image_for

HAS_PRUNING = importlib.util.find_spec("torch_pruning") is not None
ENGINES = pytest.mark.engines


def pruned_method(target: str, implementation: str, percent: int) -> tuple[Method, Any]:
    spec, method = get_spec(target), method_of(target, implementation)
    with torch.no_grad():
        found = examples(method, spec.parts, image_for(target))
    given = {name: one.inputs for name, one in found.items()}
    return method, prune(method, spec.parts, percent, given)


def widths(network: nn.Module) -> dict[str, int]:
    return {
        name: len(one.weight)
        for name, one in network.named_modules()
        if isinstance(one, nn.Conv2d | nn.Linear)
    }


@ENGINES
def test_half_the_channels_go_where_the_network_may_lose_them() -> None:
    method, found = pruned_method("efficientad", "reference", 50)
    # table 5 of the paper, halved; the 384 features, and two heads of them, stay
    assert list(widths(method.teacher).values()) == [64, 128, 128, 384]
    assert list(widths(method.student).values()) == [64, 128, 128, 768]
    assert list(widths(method.autoencoder).values()) == [16, 16, *[32] * 11, 384]
    assert found["teacher"].removed_channels == 64 + 128 + 128
    ours = sum(one.numel() for one in method.teacher.parameters())
    by_hand = 64 * (3 * 16 + 1) + 128 * (64 * 16 + 1) + 128 * (128 * 9 + 1) + 384 * (128 * 16 + 1)
    assert ours == by_hand == found["teacher"].parameters - found["teacher"].removed_parameters


@ENGINES
@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["reference", "optimized"])
def test_stages_of_a_backbone_stay_and_its_blocks_are_thinner(implementation: str) -> None:
    method, _ = pruned_method("patchcore", implementation, 50)
    backbone = method.backbone
    assert [len(backbone.layer2[-1].conv3.weight), len(backbone.layer3[-1].conv3.weight)] == [
        512, 1024,
    ]  # fmt: skip
    assert [len(backbone.layer3[-1].conv1.weight), len(backbone.layer1[0].conv1.weight)] == [
        256, 64,
    ]  # fmt: skip
    assert len(backbone.layer1[-1].conv3.weight) == 128, "what no other part sees is halved"


@ENGINES
@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["reference", "optimized"])
def test_norms_keep_their_groups_and_attention_its_heads(implementation: str) -> None:
    method, _ = pruned_method("ddad", implementation, 40)
    norms = [one for one in method.unet.modules() if isinstance(one, nn.GroupNorm)]
    assert all(one.num_groups == 32 and one.num_channels % 32 == 0 for one in norms)
    assert all(len(one.weight) == one.num_channels for one in norms)
    blocks = [one for one in method.unet.modules() if hasattr(one, "to_qkv")]
    assert blocks
    for block in blocks:  # a third of them queries, keys, values, as before
        assert len(block.to_qkv.weight) == 3 * block.proj_out.weight.shape[1]
    with torch.inference_mode():
        found = method.infer(image_for("ddad"), no_range).anomaly_map
    assert found is not None
    assert found.isfinite().all()


@ENGINES
@pytest.mark.parametrize(
    "target",
    [one if one == "efficientad" else pytest.param(one, marks=pytest.mark.slow) for one in CASES],
)
def test_the_count_without_weights_is_that_of_the_pruned_network(target: str) -> None:
    spec, (side_px, given) = get_spec(target), CASES[target]

    def counted(name: str) -> Any:
        return count_memory(
            spec, check_settings(spec, given), resolution=square(side_px),
            implementation="optimized", variant=Variant.of(name),
        )  # fmt: skip

    method, _ = pruned_method(target, "optimized", 50)
    whole, less = counted("optimized-fp32").submodules, counted("optimized-fp32-pruned50")
    assert less.incomplete is None
    for of_whole, of_less in zip(whole, less.submodules, strict=True):
        if of_whole.submodule not in spec.parts:
            continue
        part = spec.parts[of_whole.submodule]
        modules = nn.ModuleList(map(method.get_submodule, part.modules))
        used = sum(4 * one.numel() for one in modules.parameters())
        assert of_less.parameters_bytes == used
        for figure in ("parameters_bytes", "activations_bytes", "flops"):
            assert 0 < getattr(of_less, figure) < getattr(of_whole, figure)


@ENGINES
@pytest.mark.parametrize("way", ["fp32", "bf16", "fp32-onnxruntime", "int8-openvino"])
def test_a_process_prunes_and_another_computes_the_same(way: str, tmp_path: Path) -> None:
    request = request_of(f"reference-{way}-pruned50", "tests.profiling.parted_method:Deeper")
    spec, image = resolve(get_spec(request.target)), image_of(request)
    export(built(request), spec, request, image, tmp_path, [image])
    facts, method = read_facts(tmp_path), built(request)
    with torch.no_grad():
        given = {name: one.inputs for name, one in examples(method, spec.parts, image).items()}
        prune(method, spec.parts, 50, given)
    with torch.inference_mode():
        expected = method.infer(image, no_range).anomaly_map
        other = built(request)
        told = take_over(other, spec, request, tmp_path)
        found = other.infer(image, no_range).anomaly_map
    assert found is not None
    assert expected is not None
    assert float((found - expected).abs().max() / expected.abs().max()) <= 0.1
    assert [one.pruned is not None for one in told.networks] == [True, True]
    assert told.versions["torch-pruning"]
    # both stages of the features are returned, and of the answer the last layer
    features, answer = (one.pruned for one in told.networks)
    assert features == PrunedNetwork(24, 0, 8 * 28 + 16 + 16 * 73, 0)
    removed = 4 * 76 + 8 + 4 * 4 * 9
    assert answer == PrunedNetwork(12, 4, 8 * 76 + 16 + 4 * 73, removed)
    assert facts["answer"]["pruned"]["removed_parameters"] == removed  # type: ignore[index]


@ENGINES
def test_a_run_in_torch_has_its_pruned_weights_from_a_file(tmp_path: Path) -> None:
    code = main([
        "run", "--method", "tests.profiling.parted_method:Deeper", "--device-type", "cpu",
        "--threads", "1", "--resolution", "32", "--variant", "reference-fp32-pruned50",
        "--warmup-images", "1", "--measured-images", "2", "--min-images", "2", "--collector",
        "embedded", "--no-latency", "--out", str(tmp_path),
    ])  # fmt: skip
    assert code == 0
    data = record(tmp_path)
    assert data["engine"]["name"] == "eager"
    features, answer = data["engine"]["networks"]
    assert answer["pruned"]["removed_channels"] == 4
    assert features["pruned"]["removed_channels"] == 0
    assert (tmp_path / "engines" / data["engine"]["key"] / "answer" / "pruned.pt").is_file()
    assert answer["deviation"] > 0, "it is told from the network as it was"
    assert data["prediction"]["incomplete"] is None, "torch shows its tensors"


@ENGINES
def test_what_keeps_its_width_can_be_named(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.Conv2d(12, 4, 1))

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

    inputs = {"one": (torch.rand(1, 3, 16, 16),)}
    part = Part(calls=("network",), modules=("network",), fixed=("network.2",))
    found = prune(Holder(), {"one": part}, 50, inputs)  # type: ignore[arg-type]
    assert list(widths(network).values()) == [4, 12, 4]
    removed = 4 * (27 + 1) + 12 * 4 * 9
    assert found == {"one": Pruned(24, 4, sum((28 * 8, 12 * 73, 4 * 13)), removed)}


@ENGINES
def test_a_network_that_cannot_be_followed_is_refused_in_a_line() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            hidden = self.inner[0](image)
            if hidden.shape[1] != 8:
                raise ValueError("eight\nor nothing")
            return self.inner[1](hidden)

    method: Any = nn.Module()
    method.network = Odd()
    part = Part(calls=("network",), modules=("network",))
    with pytest.raises(MethodError, match=r"eight or nothing.*leave pruned variants out"):
        prune(method, {"one": part}, 50, {"one": (torch.rand(1, 3, 16, 16),)})


@pytest.mark.skipif(HAS_PRUNING, reason="torch-pruning is installed")
def test_without_torch_pruning_it_is_said_what_to_install() -> None:
    problem = machine_problem(Variant.of("optimized-fp32-pruned50"))
    assert problem is not None
    assert "needs torch-pruning, which is not installed here" in problem.what
    assert problem.remedy == "pip install -r envs/engines.txt"
    assert machine_problem(Variant.of("optimized-fp32")) is None
