"""Ranges of modules below a network's children: which open, where they cannot, what they cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from adscale.errors import ConfigError
from adscale.resolution import square
from profiling.__main__ import main
from profiling.annotation import EMPTY, TURNS, RangeRecorder, no_range
from profiling.methods.arguments import tell
from profiling.methods.foreign import ModuleMethod, method_around
from tests.profiling import networks
from tests.profiling.tensors import random_image, recorded_ranges
from tests.profiling.test_division import SIDE_PX, built, operators


class Nested(nn.Module):
    """Three levels, a list, a layer under two names, one that is borrowed, one never called."""

    def __init__(self) -> None:
        super().__init__()
        stages = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(2)]
        self.encoder = nn.ModuleDict({"stages": nn.ModuleList(stages), "norm": nn.BatchNorm2d(3)})
        self.decoder = nn.Sequential(
            nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1))
        )
        self.again = self.decoder[0]
        self.borrower = Borrower(self.decoder[1])
        self.auxiliary = nn.Sequential(nn.Conv2d(3, 3, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for stage in self.encoder["stages"]:  # type: ignore[union-attr]
            image = stage(image)
        result: torch.Tensor = self.borrower(self.decoder(self.encoder["norm"](image)))
        return result


class Borrower(nn.Module):
    """Calls a part of another module between two calls of its own layer."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.layer, self._other = nn.Conv2d(3, 3, 1), [other]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(self._other[0](self.layer(image)))
        return result


def nested(**given: Any) -> ModuleMethod:
    return method_around("Nested", Nested).build(
        given, resolution=square(SIDE_PX), implementation="reference", seed=0
    )


def paths_of(method: ModuleMethod, images: int = 2) -> list[str]:
    for _ in range(images):
        opened, annotate = recorded_ranges()
        with torch.inference_mode():
            method.infer(random_image(SIDE_PX), annotate)  # type: ignore[arg-type]
    return opened


CHILDREN = ["encoder"] * 3 + ["decoder", "borrower"]


@pytest.mark.parametrize(
    ("depth", "inner"),
    [
        (1, []),
        (["decoder"], []),
        (2, ["encoder/encoder.stages", "encoder/encoder.stages", "encoder/encoder.norm",
             "decoder/decoder.0", "decoder/decoder.1",
             "borrower/borrower.layer", "borrower/borrower.layer"]),
        (["decoder.1.1", "encoder.stages.1"],
         ["encoder/encoder.stages.1", "decoder/decoder.1.1"]),
        (["decoder.1", "decoder.1.1"], ["decoder/decoder.1", "decoder/decoder.1/decoder.1.1"]),
        (3, ["encoder/encoder.stages", "encoder/encoder.stages/encoder.stages.0",
             "encoder/encoder.stages", "encoder/encoder.stages/encoder.stages.1",
             "encoder/encoder.norm", "decoder/decoder.0", "decoder/decoder.1",
             "decoder/decoder.1/decoder.1.0", "decoder/decoder.1/decoder.1.1",
             "borrower/borrower.layer", "borrower/borrower.layer"]),
    ],
)  # fmt: skip
def test_modules_further_down_have_ranges_inside_of_those_of_children(
    depth: Any, inner: list[str]
) -> None:
    """In the first image and later, in whatever way they are called."""
    for images in (1, 3):
        method = nested(depth=depth)
        opened = paths_of(method, images)
        assert [path for path in opened if "/" not in path] == CHILDREN
        assert [path for path in opened if "/" in path] == inner
        assert method.submodules == ("encoder", "decoder", "borrower")
        assert method.inner_ranges == tuple(dict.fromkeys(tuple(one.split("/")) for one in inner))


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (["encoder.stage.1"], "there is no module 'encoder.stage.1', did you mean encoder.stages"),
        (["again"], "'again' is the same module as 'decoder.0'; name 'decoder.0'"),
        (0, "0 cannot be used; expected: a whole number from 1 on, or a list"),
        (True, "True cannot be used"),
        ([], "cannot be used"),
        ([1], "cannot be used"),
        ("decoder.0", "'decoder.0' cannot be used"),
    ],
)
def test_ranges_that_cannot_be_are_refused_in_a_line(depth: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nested(depth=depth)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"depth": ["encoder.stage.1"]}, "methods.Mine.depth"),
        ({"range_depth": 0}, "methods.Mine.range_depth"),
        ({"depth": ["encoder.norm"]}, None),
        ({"depth": ["nowhere"], "channels": 3}, None),  # what cannot be built is told by its runs
        ({}, None),
    ],
)
def test_they_are_refused_when_a_study_is_planned(
    settings: dict[str, Any], place: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    question = {
        "label": "Mine", "target": f"{__name__}:Nested", "settings": settings,
        "resolutions": [SIDE_PX], "variants": ["reference-fp32"],
    }  # fmt: skip
    assert main(["check", json.dumps([question])]) == 0
    assert [where for where, *_ in json.loads(capsys.readouterr().out)] == [place] * bool(place)


@pytest.mark.parametrize(
    ("name", "inside", "words"),
    [
        ("partly_scripted", "0.weight_layer", "there is no module '0.weight_layer'"),
        (
            "scripted",
            "head",
            "'head' lies in the network, which is scripted: its parts cannot be told",
        ),
        ("compiled", "0", "'0' lies in the network, which is compiled"),
        ("compiled_in_place", "0", "'0' lies in the network, which is compiled"),
        ("CompiledParts", "first.0", "'first.0' lies in 'first', which is compiled"),
        ("Childless", "x", "there is no module 'x'"),
    ],
)
def test_names_of_what_cannot_be_told_apart_are_refused(name: str, inside: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(name, depth=[inside])
    assert words in str(caught.value)


def test_what_stays_whole_at_a_depth_and_what_was_never_called_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell.cache_clear()
    paths_of(built("CompiledParts", depth=2))
    assert "'first' stays one range: it is compiled" in capsys.readouterr().err
    method = nested(depth=["auxiliary.0"])
    paths_of(method)
    assert method.inner_ranges == ()
    assert "'auxiliary.0' has no range: it was never called" in capsys.readouterr().err


def test_a_network_with_an_argument_of_that_name_keeps_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def by_name(depth: int = 1) -> nn.Module:
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1)) for _ in range(depth)))

    def by_any(**given: Any) -> nn.Module:
        return by_name(**given)

    def by_none(**given: Any) -> nn.Module:
        assert not given
        return by_name()

    def refusing(**given: Any) -> nn.Module:
        return nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1, **given)))

    tell.cache_clear()
    for make in (by_name, by_any):
        method = method_around("made", make)
        for more, inner in (({}, 0), ({"range_depth": 2}, 3), ({"range_depth": ["1.0"]}, 1)):
            one = method.build(
                {"depth": 3, **more}, resolution=square(8), implementation="", seed=0
            )
            paths_of(one)
            assert one.submodules == ("0", "1", "2")
            assert len(one.inner_ranges) == inner
    assert capsys.readouterr().err.count("depth=3 is taken by made itself") == 1
    method = method_around("refusing", refusing)
    one = method.build({"depth": 2}, resolution=square(8), implementation="", seed=0)
    paths_of(one)
    assert one.inner_ranges == (("0", "0.0"),)
    with pytest.raises(ConfigError, match="both say which modules have ranges"):
        method.build(
            {"depth": 2, "range_depth": 2},
            resolution=square(8),
            implementation="",
            seed=0,
        )


@pytest.mark.parametrize("name", ["Tokens", "MultiHead", "Recurrent", "extractor"])
def test_the_same_operators_run_with_ranges_of_every_module(name: str) -> None:
    network = getattr(networks, name)().eval().requires_grad_(requires_grad=False)
    image = random_image(SIDE_PX)
    with torch.inference_mode():
        network(image)
    alone = operators(lambda: network(image))
    method = built(name, depth=9)
    with torch.inference_mode():
        method.infer(image, no_range)
    assert operators(lambda: method.infer(image, no_range)) == alone


def test_what_is_compiled_stays_so_with_ranges_of_every_module() -> None:
    torch._dynamo.reset()
    networks.GRAPHS.clear()
    with torch.inference_mode():
        networks.CompiledParts().eval()(random_image(SIDE_PX))
    alone = list(networks.GRAPHS)
    torch._dynamo.reset()
    networks.GRAPHS.clear()
    assert paths_of(built("CompiledParts", depth=9), images=3)
    assert alone == networks.GRAPHS


def test_counts_are_those_of_submodules_whatever_has_ranges_inside() -> None:
    """What is inside is part of its submodule: sums and shares stay those of the whole."""
    for name in ("Loop", "Tokens", "torchvision.models:resnet18"):
        assert networks.counted(name, depth=3) == networks.counted(name)


def test_a_call_that_fails_within_ranges_leaves_nothing_open() -> None:
    method = built("Fixed", depth=2)
    opened, annotate = recorded_ranges()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            method.infer(random_image(SIDE_PX), annotate)  # type: ignore[arg-type]
    method.infer(random_image(224), annotate)  # type: ignore[arg-type]
    assert {name.count("/") for name in opened} == {0}


def test_an_empty_range_is_opened_as_those_of_modules() -> None:
    recorder = RangeRecorder()
    cost_ns = nested(depth=2).empty_range_ns(recorder)
    assert cost_ns > 0
    assert {one.name for one in recorder.ranges} == {EMPTY}
    assert len(recorder.ranges) == TURNS
