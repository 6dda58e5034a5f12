"""Networks with what is seldom: higher-order operators, sparse and packed tensors, hidden layers.

What runs is measured. What cannot be counted is said, and never that the network refuses the size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention.flex_attention import flex_attention

from adscale.memory_record import MemoryCount
from adscale.methods.registry import get_spec
from adscale.resolution import square
from profiling.memory.counting import count_memory
from profiling.methods.foreign import ModuleMethod, method_around
from profiling.methods.loading import resolve
from tests.profiling.tensors import random_image, recorded_ranges

SIDE_PX = 64
BETWEEN = "between submodules"


def conv(channels: int = 3, out: int = 8) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1)


class Flex(nn.Module):
    """Attention whose scores a function changes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 64, 8, 8)

    def forward(self, image: torch.Tensor) -> Any:
        tokens = self.embed(image).flatten(2).transpose(1, 2).reshape(1, -1, 4, 16).transpose(1, 2)
        return flex_attention(tokens, tokens, tokens)


class Branch(nn.Module):
    """Chooses what it computes by what it has computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv()

    def forward(self, image: torch.Tensor) -> Any:
        seen = self.first(image)
        return torch.cond(seen.sum() > 0, lambda one: one.relu(), lambda one: one.sin(), (seen,))


class Sparse(nn.Module):
    """Keeps the features above 0; has a sparse matrix."""

    def __init__(self, layout: str = "coo") -> None:
        super().__init__()
        self.first = conv()
        matrix = torch.eye(64)
        made = matrix.to_sparse() if layout == "coo" else matrix.to_sparse_csr()
        self.register_buffer("matrix", made)

    def forward(self, image: torch.Tensor) -> Any:
        rows = self.first(image).flatten(0, 2)[:64]
        return (self.matrix @ rows).relu().to_sparse()


class Hidden(nn.Module):
    """Has layers where torch does not look for them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv()
        self.layers = [conv(8, 8), {"more": (nn.Sequential(conv(8, 1)),)}]
        self.again = {"first": self.first}

    def forward(self, image: torch.Tensor) -> Any:
        seen = self.layers[0](self.first(image))  # type: ignore[operator]
        return self.layers[1]["more"][0](seen)  # type: ignore[index]


@torch.library.custom_op("adscale_tests::twice", mutates_args=())
def twice(values: torch.Tensor) -> torch.Tensor:
    """Of which torch does not know what it returns without contents."""
    return values * 2


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = conv()

    def forward(self, image: torch.Tensor) -> Any:
        return twice(self.first(image))


class Jagged(nn.Module):
    """Rows of several lengths in one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(SIDE_PX, 8)

    def forward(self, image: torch.Tensor) -> Any:
        rows = [image[0, 0], image[0, 1, :32]]
        return self.layer(torch.nested.nested_tensor(rows, layout=torch.jagged)).values()


class Ensemble(nn.Module):
    """Several networks in one call, as torch.func has it."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList([conv() for _ in range(2)])
        self.members[0].eval()

    def forward(self, image: torch.Tensor) -> Any:
        state = torch.func.stack_module_state(list(self.members))
        bare = nn.Conv2d(3, 8, 3, device="meta")

        def call(parameters: Any, buffers: Any) -> Any:
            return torch.func.functional_call(bare, (parameters, buffers), (image,))

        return torch.vmap(call)(*state)


class Fails(nn.Module):
    """Raises where the range of its child is open."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(), Reads()

    def forward(self, image: torch.Tensor) -> Any:
        return self.second(self.first(image))


class Reads(nn.Module):
    def forward(self, seen: torch.Tensor) -> Any:
        return seen[seen > float(seen.mean())]


class Products(nn.Module):
    """Multiplies complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(SIDE_PX, SIDE_PX, bias=False, dtype=torch.cfloat)

    def forward(self, image: torch.Tensor) -> Any:
        return self.layer(image.to(torch.cfloat)).abs()


def exported() -> nn.Module:
    network = nn.Sequential(conv(), nn.ReLU()).eval()
    made: nn.Module = torch.export.export(network, (torch.zeros(1, 3, 64, 64),)).module()
    return made


def optimized() -> Any:
    network = torch.jit.script(nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU()).eval())
    return torch.jit.optimize_for_inference(network)


def quantized() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.Flatten(2), nn.Linear(64, 16)).eval()
    made: nn.Module = torch.ao.quantization.quantize_dynamic(layers, {nn.Linear}, torch.qint8)
    return made


def built(make: Callable[..., nn.Module], **given: Any) -> ModuleMethod:
    return method_around(make.__name__, make).build(
        given, resolution=square(SIDE_PX), implementation="reference", seed=0
    )


def counted(make: Callable[..., Any], device_type: str = "cpu", **given: Any) -> MemoryCount:
    spec = resolve(get_spec(f"{__name__}:{make.__name__}"))
    return count_memory(
        spec, given, resolution=square(SIDE_PX), implementation="reference",
        device_type=device_type,
    )  # fmt: skip


RANGES: list[tuple[Callable[..., Any], list[str]]] = [
    (Flex, ["embed", BETWEEN]),
    (Branch, ["first", BETWEEN]),
    (Sparse, ["first", BETWEEN]),
    (Custom, ["first", BETWEEN]),
    (Jagged, [BETWEEN, "layer", BETWEEN]),
    (Ensemble, [BETWEEN]),
    (exported, ["network (a graph of operators)"]),
    (optimized, ["network (scripted)"]),
    (quantized, ["0", "1", "2"]),
]


@pytest.mark.parametrize(("make", "expected"), RANGES)
@pytest.mark.filterwarnings("ignore")
def test_they_run(make: Callable[..., nn.Module], expected: list[str]) -> None:
    method = built(make)
    for _ in range(2):  # in the first one everything is watched
        opened, annotate = recorded_ranges()
        with torch.inference_mode():
            method.infer(random_image(SIDE_PX), annotate)  # type: ignore[arg-type]
    assert opened == expected


SAID: list[tuple[Callable[..., Any], str]] = [
    (Flex, "without the memory inside of flex_attention"),
    (Branch, "without the memory inside of cond; FLOPs without those of cond (1 calls)"),
    (Sparse, "without the memory of what aten::_to_sparse return"),
    (Custom, f"counted up to {BETWEEN} (RuntimeError: There was no fake impl"),
    (Jagged, "shape_env"),
    (optimized, "RuntimeError"),
    (quantized, "without the weights of 2._packed_params, packed as torch does not show"),
    (Fails, "counted up to second (DataDependentOutputException"),
]


@pytest.mark.parametrize(("make", "words"), SAID)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_counted_is_said(make: Callable[..., Any], words: str) -> None:
    for device_type in ("cpu", "cuda"):
        said = counted(make, device_type).incomplete  # nobody says that it refuses the size
        assert said is not None
        assert words in said or device_type == "cuda"
    _, tokens, width = 1, (SIDE_PX // 8) ** 2, 64
    if make is Flex:
        embedding = 2 * tokens * width * 3 * 64
        flops = sum(part.flops for part in counted(make).submodules)
        assert flops == embedding + 2 * 2 * tokens * tokens * width


@pytest.mark.parametrize(("layout", "matrix_bytes"), [("coo", 64 * 20), ("csr", 65 * 8 + 64 * 20)])
@pytest.mark.filterwarnings("ignore")
def test_a_sparse_buffer_has_the_size_of_what_it_holds(layout: str, matrix_bytes: int) -> None:
    """Two indices of 8 bytes and a value of 4 for each of 64 entries, and the ends of all rows.

    Torch makes the second kind from the first, and keeps the memory of both indices.
    """
    count = counted(Sparse, layout=layout)
    assert sum(part.buffers_bytes for part in count.submodules) == matrix_bytes


def test_layers_in_plain_lists_and_dictionaries_are_resident() -> None:
    count = counted(Hidden)
    weights = {3 * 8: 8, 8 * 8: 8, 8 * 1: 1}  # channels in × out: biases
    assert count.incomplete is None
    resident = sum(part.parameters_bytes + part.buffers_bytes for part in count.submodules)
    assert resident == 4 * sum(9 * products + biases for products, biases in weights.items())


def test_a_product_of_complex_numbers_is_four_of_real_ones() -> None:
    count = counted(Products)
    assert sum(part.flops for part in count.submodules) == 4 * 2 * 3 * SIDE_PX**3
