"""Attribution on a method made for it, in which every difficulty occurs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from adscale.memory_record import SubmoduleCount
from adscale.methods.spec import MethodSpec, NoSettings
from adscale.resolution import Resolution, square
from profiling.annotation import Annotate
from profiling.memory.counting import count_memory
from profiling.memory.tracing import owner
from profiling.methods.base import Detection, Method


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Sequential(nn.ReLU(), nn.Linear(10, 5))  # resident, never called

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normalised: torch.Tensor = self.norm(self.stem(x))
        return normalised


class Pair(nn.Linear):
    def forward(self, x: torch.Tensor) -> Any:
        return x, [x, torch.cat([x, x])]


class Toy(Method):
    """Two submodules: features, and a head that is called twice and shares a weight."""

    fault = ""
    submodules = ("features", "head")

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Conv2d(4, 4, 1)
        self.tied = nn.Conv2d(4, 4, 1)
        self.tied.weight = self.head.weight
        if self.fault == "tuple":
            self.pair = Pair(2, 2)
        if self.fault == "orphan":
            self.bank = nn.Parameter(torch.empty(3))

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> Toy:
        return cls().eval()

    def prepare(self, image: Image.Image) -> torch.Tensor:
        raise AssertionError("no image is run")

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        if self.fault == "outside":
            self.head(self.backbone.stem(image))
        with annotate("unknown" if self.fault == "name" else "features"), annotate("inner step"):
            x = self.backbone(image)
            if self.fault == "tuple":
                self.pair(x)
        with annotate("head"):
            for _ in range(2):
                x = self.head(x)
            x = self.tied(x)
        return Detection(x, x.amax())


class TupleToy(Toy):
    fault = "tuple"


class OutsideToy(Toy):
    fault = "outside"


class NameToy(Toy):
    fault = "name"


class OrphanToy(Toy):
    fault = "orphan"


SPEC = MethodSpec(
    target="toy",
    summary="",
    factory=f"{__name__}:Toy",
    submodules=("features", "head"),
    implementations=("reference",),
    precisions=("fp32",),
    settings=NoSettings,
    resolution_problem=lambda _settings, _side_px: None,
    supported_resolutions="all",
)


def count(name: str = "Toy") -> dict[str, SubmoduleCount]:
    spec = dataclasses.replace(SPEC, factory=f"{__name__}:{name}")
    parts = count_memory(spec, {}, resolution=square(8), implementation="reference")
    return {part.submodule: part for part in parts.submodules}


def test_uncalled_modules_are_resident_with_the_module_around_them() -> None:
    features = count()["features"]
    stem, norm, classifier = 3 * 4 + 4, 4 + 4, 10 * 5 + 5
    assert features.parameters_bytes == 4 * (stem + norm + classifier)
    assert features.buffers_bytes == 4 * (4 + 4) + 8  # running mean and variance; int64 counter
    assert [layer.name for layer in features.layers] == ["backbone.stem", "backbone.norm"]
    assert features.activations_bytes == 2 * 4 * (4 * 8 * 8)


def test_a_second_call_is_not_counted() -> None:
    """The paper counts one pass: ten calls of a network need no more than one."""
    head = count()["head"]
    assert [layer.name for layer in head.layers] == ["head", "tied"]
    assert [layer.parameters_bytes for layer in head.layers] == [80, 80]
    assert head.activations_bytes == 2 * 4 * (4 * 8 * 8)


def test_a_shared_weight_is_resident_once() -> None:
    assert count()["head"].parameters_bytes == 4 * (16 + 4 + 4)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("OutsideToy", RuntimeError, "backbone.stem is called outside every submodule"),
        ("NameToy", RuntimeError, "'unknown' is none of the submodules features, head"),
        ("OrphanToy", RuntimeError, "the method itself are in no module that is called"),
    ],
)
def test_what_cannot_be_counted_is_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        count(name)


def test_a_layer_that_puts_out_several_tensors() -> None:
    """Each counts, and one that is put out twice counts once."""
    pair = next(layer for layer in count("TupleToy")["features"].layers if layer.name == "pair")
    assert pair.activations_bytes == 4 * (2 + 1) * (4 * 8 * 8)


CALLED = {"net": "a", "net.0": "a", "net.10": "a", "both.x": "a", "both.y": "b"}


@pytest.mark.parametrize("path", ["net.0", "net.1", "net.1.deep", "net"])
def test_owner(path: str) -> None:
    assert owner(path, CALLED) == "a"


@pytest.mark.parametrize("path", ["both.z", "ne", "", "other.net"])
def test_an_ambiguous_owner_is_refused(path: str) -> None:
    with pytest.raises(RuntimeError):
        owner(path, CALLED)
