"""Counts of networks as people write them, against closed forms and torch's own allocator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.memory_record import MemoryCount
from profiling.memory.counting import is_gpu_imaginable
from profiling.memory.live import LiveTensors
from profiling.memory.shapes import take_contents
from tests.profiling.counts import submodules
from tests.profiling.networks import counted

BETWEEN = "between submodules"
ODD = "tests.profiling.odd_networks"
FLOAT = 4
DEVICES = ["cpu", *(["cuda"] if is_gpu_imaginable() else [])]
device_types = pytest.mark.parametrize("device_type", DEVICES)


def flops(count: MemoryCount) -> int:
    return sum(part.flops for part in count.submodules)


def parameters(count: MemoryCount) -> int:
    return sum(part.parameters_bytes for part in count.submodules) // FLOAT


@device_types
def test_layers_called_from_outside_their_container(device_type: str) -> None:
    parts = submodules(counted("Loop", device_type=device_type))
    assert list(parts) == ["features", "head"]
    convolutions = 8 * 27 * 62**2 + 8 * 72 * 60**2
    assert parts["features"].flops == 2 * convolutions
    assert [layer.name for layer in parts["features"].layers] == [
        "network.features.0", "network.features.2",
    ]  # fmt: skip


@pytest.mark.skipif("cuda" not in DEVICES, reason="this torch does not count for an absent GPU")
def test_the_allocation_that_failed_in_a_thread_is_counted_to_the_byte() -> None:
    """anomalib#967: 268.78 GiB for 1024 patches less 45,872 rows of 1536 floats."""
    tried = 288_601_669_632
    assert tried == 1024 * 45_872 * 1536 * FLOAT
    found = counted(f"{ODD}:AllDifferences", 32, device_type="cuda")
    assert found.incomplete is None
    (part,) = (one for one in found.submodules if one.submodule == BETWEEN)
    sizes = {group.operator: group.bytes for group in part.peak.alive}
    assert sizes["aten::sub"] == sizes["aten::pow"] == tried
    assert found.allocator is not None
    assert found.allocator.reserved_bytes > 2 * tried


@device_types
def test_an_extractor_is_counted_whole(device_type: str) -> None:
    from torchvision.models import resnet18

    found = counted("extractor", device_type=device_type)
    whole = resnet18()
    used = (*whole.conv1.parameters(), *whole.bn1.parameters(), *whole.layer1.parameters(),
            *whole.layer2.parameters(), *whole.layer3.parameters())  # fmt: skip
    assert found.incomplete is None
    assert parameters(found) == sum(one.numel() for one in used)
    assert [part.submodule for part in found.submodules][-1] == BETWEEN


@device_types
def test_a_constructor_that_reads_numbers(device_type: str) -> None:
    assert parameters(counted("Reader", device_type=device_type)) == 4 * 3 + 4 + 8 * 4 + 8


@pytest.mark.parametrize("name", ["regnet_y_400mf", "vit_b_16", "convnext_tiny"])
def test_networks_of_torchvision(name: str) -> None:
    import torchvision

    published = {"regnet_y_400mf": 4_344_144, "vit_b_16": 86_567_656, "convnext_tiny": 28_589_128}
    multiply_adds = {"regnet_y_400mf": 0.40e9, "vit_b_16": 17.56e9, "convnext_tiny": 4.46e9}
    assert hasattr(torchvision.models, name)
    found = counted(f"torchvision.models:{name}", 224)
    assert found.incomplete is None
    assert parameters(found) == published[name]
    assert flops(found) == pytest.approx(2 * multiply_adds[name], rel=0.02)


@pytest.mark.parametrize("form", ["four", "three", "keywords", "odd", "masked", "groups"])
def test_attention_in_any_form(form: str) -> None:
    """Both products, for queries as long as keys; on a CUDA device the same."""
    found = {name: submodules(counted("Attends", form=form, device_type=name)) for name in DEVICES}
    width = {"odd": 63}.get(form, 64)  # of all heads together
    for parts in found.values():
        assert parts[BETWEEN].flops == 4 * 64 * 64 * width
    assert len({str([part.flops for part in parts.values()]) for parts in found.values()}) == 1


@pytest.mark.skipif("cuda" not in DEVICES, reason="this torch counts for no GPU that is absent")
def test_attention_on_a_gpu_holds_its_matrix_only_where_no_kernel_does_without() -> None:
    """At 512 px there are 4096 tokens; 63 floats do not lie on 16 bytes."""
    matrix = FLOAT * 4096**2
    for form, holds in (("three", False), ("keywords", False), ("odd", True)):
        peak = submodules(counted("Attends", 512, "cuda", form=form))[BETWEEN].peak.bytes
        assert (peak > matrix) == holds, form


@pytest.mark.skipif("cuda" not in DEVICES, reason="this torch counts for no GPU that is absent")
def test_multi_head_attention_on_a_gpu() -> None:
    """Tokens, projections and result; and the matrix, where weights are asked for.

    Also where tokens do not lie in order: torch's choice of a kernel looks at their strides.
    """
    tokens = FLOAT * 4096 * 512
    found = submodules(counted("MultiHead", 512, "cuda"))["attention"]
    assert found.peak.bytes == tokens + (3 + 1 + 1) * tokens
    assert found.flops == 2 * 4096 * 512 * (4 * 512 + 2 * 4096)
    for more in ({"need_weights": True}, {"ordered": False}):
        asked = submodules(counted("MultiHead", 512, "cuda", **more))["attention"]
        assert asked.peak.bytes > FLOAT * 8 * 4096**2
        assert asked.flops == found.flops


def allocated_bytes(call: Callable[[], Any]) -> int:
    """The most that torch's CPU allocator had given out at once."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    events = profiled.profiler.kineto_results.events()  # type: ignore[union-attr]
    held = most = 0
    for event in sorted(events, key=lambda one: int(one.start_ns())):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


class Compared(nn.Module):
    """Distances to a bank."""

    def __init__(self, p: float = 2.0) -> None:
        super().__init__()
        self.bank, self.p = nn.Parameter(torch.randn(300, 64), requires_grad=False), p

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cdist(rows, self.bank, p=self.p)


def layer(**more: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(64, 8, 160, batch_first=True, **more)


FUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, Any]]] = {
    "attention": (lambda: nn.MultiheadAttention(64, 8, batch_first=True), (1, 256, 64),
                  {"need_weights": False}),
    "weights": (lambda: nn.MultiheadAttention(64, 8, batch_first=True), (2, 256, 64), {}),
    "all weights": (lambda: nn.MultiheadAttention(64, 8, batch_first=True), (1, 256, 64),
                    {"average_attn_weights": False}),
    "masked": (lambda: nn.MultiheadAttention(64, 8, batch_first=True), (1, 256, 64),
               {"attn_mask": torch.zeros(256, 256, dtype=torch.bool)}),
    "wide": (lambda: nn.MultiheadAttention(512, 8, batch_first=True), (1, 64, 512), {}),
    "layer": (layer, (1, 256, 64), {}),
    "layer, few tokens": (layer, (3, 16, 64), {}),
    "layer, norm first": (lambda: layer(norm_first=True), (1, 256, 64), {}),
    "layer, gelu": (lambda: layer(activation="gelu"), (1, 256, 64), {}),
    "distances": (Compared, (500, 64), {}),
    "few distances": (Compared, (20, 64), {}),
    "other distances": (lambda: Compared(1.0), (500, 64), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_what_fused_operators_hold_inside_is_what_the_allocator_gives_out(name: str) -> None:
    make, shape, more = FUSED[name]
    network = make().eval()

    def call(rows: torch.Tensor) -> object:
        given = (rows, rows, rows) if isinstance(network, nn.MultiheadAttention) else (rows,)
        return network(*given, **more)

    with torch.no_grad():
        rows = torch.randn(shape)
        real = allocated_bytes(lambda: call(rows))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        take_contents(network, mode, torch.device("cpu"))
        live, rows = LiveTensors(), torch.empty(shape)
        live.ignore([*network.parameters(), rows])
        with live, live.follow() as seen:
            call(rows)
    # masks are made before the operator, and scalars besides
    assert real == pytest.approx(seen.peak_bytes, rel=0.002, abs=64)


@device_types
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_fused_layer_is_counted_as_its_parts(device_type: str, norm_first: bool) -> None:
    found = counted("Tokens", 64, device_type, norm_first=norm_first)
    part = submodules(found)["layers"]
    tokens, width, hidden = 64, 64, 128
    projections, products = 4 * tokens * width**2, 2 * tokens**2 * width
    assert part.flops == 2 * 2 * (projections + products + 2 * tokens * width * hidden)
    assert part.activations_bytes == 2 * FLOAT * tokens * (hidden + 3 * width)
    assert found.incomplete is None


@device_types
def test_distances_between_children(device_type: str) -> None:
    """Of 4096 positions to 4096 rows: the matrix, and both sides with two columns more."""
    part = submodules(counted("Distances", 512, device_type))[BETWEEN]
    assert part.flops == 2 * 4096 * 4096 * 64
    assert part.peak.bytes >= FLOAT * (4096**2 + 2 * 4096 * 66)
    assert part.peak.bytes < 1.1 * FLOAT * (4096**2 + 2 * 4096 * 66)


@device_types
def test_differences_to_a_large_bank(device_type: str) -> None:
    found = counted("Subtracted", 256, device_type, rows=45_872)
    peak = submodules(found)[BETWEEN].peak
    assert max(group.bytes for group in peak.alive) == FLOAT * 1024 * 45_872 * 64
    assert found.needed_bytes > FLOAT * 1024 * 45_872 * 64


RECURRENT = [
    ("LSTM", {}, 4 * 128 * (192 + 128)),
    ("GRU", {}, 3 * 128 * (192 + 128)),
    ("RNN", {}, 128 * (192 + 128)),
    ("LSTM", {"bidirectional": True}, 2 * 4 * 128 * (192 + 128)),
    ("LSTM", {"num_layers": 2}, 4 * 128 * (192 + 128 + 128 + 128)),
    ("LSTM", {"proj_size": 32}, 4 * 128 * (192 + 32) + 128 * 32),
]


@device_types
@pytest.mark.parametrize(("kind", "more", "weights"), RECURRENT)
def test_recurrent_layers(device_type: str, kind: str, more: dict[str, Any], weights: int) -> None:
    found = counted("Recurrent", 64, device_type, kind=kind, **more)
    assert found.incomplete is None
    assert submodules(found)["layer"].flops == 64 * 2 * weights


@device_types
def test_deformable_convolution(device_type: str) -> None:
    found = submodules(counted("Deformable", device_type=device_type))
    assert found["layer"].flops == 2 * 64**2 * 8 * 3 * 9


@device_types
def test_work_without_a_formula_is_named(device_type: str) -> None:
    found = counted("Fourier", device_type=device_type)
    assert found.incomplete is not None
    assert "FLOPs without those of aten::_fft_c2c" in found.incomplete


@pytest.mark.parametrize(
    ("name", "flops_expected"),
    [
        ("mv", 2 * 6 * 5), ("dot", 2 * 5), ("addmv", 2 * 6 * 5), ("bilinear", 4 * 7 * 5 * 5 * 4),
        ("outer", 0), ("softmax", 0), ("interpolate", 0), ("cumsum", 0), ("svd", None),
        ("inverse", None), ("fft", None), ("vector_norm", 0),
    ],
)  # fmt: skip
def test_work_of_single_operators(name: str, flops_expected: int | None) -> None:
    matrix, vector = torch.ones(6, 5), torch.ones(5)
    square = torch.eye(5)
    calls: dict[str, Callable[[], object]] = {
        "mv": lambda: matrix.mv(vector),
        "dot": lambda: vector.dot(vector),
        "addmv": lambda: torch.addmv(torch.ones(6), matrix, vector),
        "bilinear": lambda: nn.functional.bilinear(
            torch.ones(7, 5), torch.ones(7, 5), torch.ones(4, 5, 5)
        ),
        "outer": lambda: torch.outer(vector, vector),
        "softmax": lambda: matrix.softmax(0),
        "interpolate": lambda: nn.functional.interpolate(
            matrix[None, None], scale_factor=2, mode="bilinear"
        ),
        "cumsum": lambda: matrix.cumsum(0),
        "svd": lambda: torch.linalg.svd(matrix),
        "inverse": lambda: torch.linalg.inv(square),
        "fft": lambda: torch.fft.fft(vector),
        "vector_norm": lambda: torch.linalg.vector_norm(matrix),
    }
    with torch.no_grad(), LiveTensors() as live, live.follow() as seen:
        calls[name]()
    assert seen.flops == (flops_expected or 0)
    assert bool(live.without_formula) == (flops_expected is None)


@device_types
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "swin_t", "efficientnet_b0"])
def test_no_operator_of_common_networks_is_without_a_formula(name: str, device_type: str) -> None:
    assert counted(f"torchvision.models:{name}", 224, device_type).incomplete is None


@pytest.mark.parametrize("name", ["scripted", "traced", "partly_scripted"])
@device_types
def test_scripted_networks_are_counted_but_for_their_layers(name: str, device_type: str) -> None:
    plain = counted({"scripted": "Loop", "traced": "pair"}.get(name, name), 64, device_type)
    found = counted(name, 64, device_type)
    assert found.incomplete is not None
    assert found.incomplete.startswith("activations without the layers of ")
    assert (parameters(found), flops(found)) == (parameters(plain), flops(plain))
    if name != "partly_scripted":
        assert [part.submodule for part in found.submodules] == [f"network ({name})"]


@pytest.mark.parametrize("name", ["compiled", "compiled_in_place"])
def test_layers_of_compiled_networks_have_their_own_names(name: str) -> None:
    (part,) = counted(name).submodules
    assert part.submodule == "network (compiled)"
    assert [layer.name for layer in part.layers] == ["network.0"]
    assert part.flops == 2 * 8 * 27 * 62**2


def test_a_compiled_child_has_its_own_name() -> None:
    parts = submodules(counted("CompiledParts"))
    # counted uncompiled, the third runs by itself
    assert list(parts) == ["first", "second", "third", BETWEEN]
    assert [layer.name for layer in parts["first"].layers] == ["network.first.0"]


@device_types
def test_shared_weights_count_once(device_type: str) -> None:
    assert parameters(counted("Tied", device_type=device_type)) == 3 * 3 * 25 + 3 + 3


@device_types
def test_lazy_layers(device_type: str) -> None:
    assert parameters(counted("Lazy", device_type=device_type)) == 8 * 27 + 8 + 4 * 8 * 62**2 + 4


def test_a_tensor_that_is_held_as_a_plain_attribute_is_resident() -> None:
    """Where it is: ``Module.to`` does not move it."""
    layer = submodules(counted("Holding"))
    assert sum(part.buffers_bytes for part in layer.values()) == FLOAT * 1000 * 8
    assert max(part.peak.bytes for part in layer.values()) < 1.1 * FLOAT * 64**2 * (1000 + 8 + 8)


def test_a_layer_whose_weight_is_made_of_others_is_a_layer() -> None:
    (part,) = counted("Normed").submodules
    assert part.activations_bytes == FLOAT * 8 * 62**2
    assert part.parameters_bytes == FLOAT * (8 * 27 + 8 + 8)


@pytest.mark.parametrize("name", ["Named", "Hooked", "Childless"])
def test_outputs_hooks_and_weights_of_any_kind(name: str) -> None:
    assert counted(name).incomplete is None


REFUSING = {
    "tests.profiling.networks:Fixed": (224, 64, "RuntimeError: "),
    "torchvision.models:vit_b_16": (224, 64, "Wrong image height! Expected 224 but got 64!"),
    f"{ODD}:Patched": (28, 30, "AssertionError: 30 is no multiple of 14; "),
    f"{ODD}:Unfinished": (28, 32, "NotImplementedError: tiles of large images"),
    f"{ODD}:Skipping": (28, 31, "RuntimeError: "),
    f"{ODD}:Positions": (28, 30, "RuntimeError: "),
}


@pytest.mark.parametrize("target", REFUSING)
def test_a_size_that_a_network_refuses_by_an_error_of_its_own_is_refused(target: str) -> None:
    takes_px, refuses_px, error = REFUSING[target]
    assert counted(target, takes_px).incomplete is None
    with pytest.raises(UnsupportedResolutionError) as caught:
        counted(target, refuses_px)
    assert f"{target} does not run at {refuses_px} px (" in str(caught.value)
    assert error in str(caught.value)
    assert ", line " in str(caught.value)


def test_a_size_that_is_refused_while_layers_are_made_is_refused() -> None:
    assert counted(f"{ODD}:Lazily", 28).incomplete is None
    with pytest.raises(ConfigError, match="30 is no multiple of 14"):
        counted(f"{ODD}:Lazily", 30)


@pytest.mark.parametrize("name", ["ThroughNumpy", "Formatting"])
def test_what_fails_for_want_of_numbers_is_counted_up_to_there(name: str) -> None:
    """Behind an error of its own, too: this one does not stand for a size."""
    assert "parameters and buffers only" in (counted(f"{ODD}:{name}").incomplete or "")


def test_a_copy_inside_an_operator_is_named_with_its_size() -> None:
    """PatchCore's pooling brings its patches in order: 3 x 3 neighbours of 1024 channels."""
    from tests.profiling import counts

    listed = counts.counted("patchcore", 256).not_counted
    (told,) = (one for one in listed if "adaptive_avg_pool" in one)
    size_mib = FLOAT * 32**2 * 9 * 1024 / 2**20
    assert told == f"a copy of its input in aten::_adaptive_avg_pool2d ({size_mib:.1f} MiB)"


@device_types
def test_what_runs_in_threads_of_the_network_is_named_as_not_counted(device_type: str) -> None:
    count = counted("tests.profiling.odd_networks:Branches", device_type=device_type)
    assert count.incomplete is not None
    for layer in ("left", "right"):
        assert f"network.{layer}" in count.incomplete
    assert "compute in other threads" in count.incomplete
