"""How networks are divided into ranges while they run, and that nothing else runs than without."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from adscale.resolution import square
from profiling.annotation import NvtxAnnotator, no_range
from profiling.methods.arguments import tell
from profiling.methods.foreign import ModuleMethod, method_around
from tests.profiling import networks
from tests.profiling.odd_networks import Branches, NamedAsOurs, Once
from tests.profiling.tensors import random_image, recorded_ranges

SIDE_PX = 64
BETWEEN = "between submodules"


def built(name: str, side_px: int = SIDE_PX, **given: Any) -> ModuleMethod:
    made = method_around(name, getattr(networks, name))
    return made.build(given, resolution=square(side_px), implementation="reference", seed=0)


def ranges_of(method: ModuleMethod, images: int = 2) -> list[str]:
    """What opens in the last of some images."""
    for _ in range(images):
        opened, annotate = recorded_ranges()
        with torch.inference_mode():
            method.infer(random_image(SIDE_PX), annotate)  # type: ignore[arg-type]
    assert all("/" not in name for name in opened)
    return opened


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Loop", ["features", "features", "features", "head"]),
        ("Sums", ["first", "second", BETWEEN, "second"]),
        ("Distances", ["embed", BETWEEN]),
        ("Hooked", ["body", BETWEEN]),
        ("Lazy", ["layer", "head"]),
        ("Named", ["layer", BETWEEN]),
        ("partly_scripted", ["0", "1"]),
        ("CompiledParts", ["first", "second", BETWEEN]),
        ("scripted", ["network (scripted)"]),
        ("traced", ["network (traced)"]),
        ("compiled", ["network (compiled)"]),
        ("compiled_in_place", ["network (compiled)"]),
        ("Decorated", ["network (compiled)"]),
        ("Childless", ["network"]),
    ],
)
def test_ranges(name: str, expected: list[str]) -> None:
    method = built(name)
    assert ranges_of(method) == expected
    assert set(method.submodules) == set(expected)
    assert ranges_of(method, images=1) == expected


def test_a_child_that_is_named_as_what_runs_in_none() -> None:
    method = method_around("NamedAsOurs", NamedAsOurs)
    made = method.build({}, resolution=square(SIDE_PX), implementation="reference", seed=0)
    assert ranges_of(made) == [f"network.{BETWEEN}", BETWEEN]


def test_layers_of_an_extractor_run_in_the_children_that_hold_them() -> None:
    method = built("extractor")
    opened = ranges_of(method)
    assert [name for name in dict.fromkeys(opened) if name != BETWEEN] == [
        "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3",
    ]  # fmt: skip
    assert method.submodules[-1] == BETWEEN


def test_what_cannot_be_divided_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tell.cache_clear()
    built("compiled")
    assert "measured as one submodule, 'network (compiled)'" in capsys.readouterr().err
    built("Childless")
    built("Loop")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["compiled", "compiled_in_place", "Decorated", "CompiledParts"])
def test_what_is_compiled_runs_as_it_was_compiled(name: str) -> None:
    """Graphs and their operators, without us and with us."""
    torch._dynamo.reset()
    networks.GRAPHS.clear()
    with torch.inference_mode():
        getattr(networks, name)().eval()(random_image(SIDE_PX))
    alone = list(networks.GRAPHS)
    assert alone
    torch._dynamo.reset()
    networks.GRAPHS.clear()
    assert ranges_of(built(name), images=3)
    assert alone == networks.GRAPHS


@pytest.mark.parametrize("name", ["compiled_in_place", "Decorated", "CompiledParts"])
def test_ranges_of_nsys_go_around_what_is_compiled(name: str) -> None:
    """Torch refuses to trace nvtx' annotations."""
    torch._dynamo.reset()
    method = built(name)
    for _ in range(2):
        with torch.inference_mode():
            assert method.infer(random_image(SIDE_PX), NvtxAnnotator()).anomaly_map is not None


def operators(call: Any) -> list[str]:
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.inference_mode():
        call()
    return [event.name for event in profiled.events() if event.name.startswith("aten::")]


@pytest.mark.parametrize("name", ["Tokens", "MultiHead", "Sums", "Recurrent", "extractor"])
def test_the_same_operators_run_as_without_us(name: str) -> None:
    """Torch has fused paths that it leaves where layers have hooks."""
    # as a method is: where weights ask for gradients torch 2.6 folds other matrix products
    network = getattr(networks, name)().eval().requires_grad_(requires_grad=False)
    image = random_image(SIDE_PX)
    with torch.inference_mode():
        network(image)
    alone = operators(lambda: network(image))
    method = built(name)
    with torch.inference_mode():
        method.infer(image, no_range)  # in the first image it is seen what has to be watched
    assert operators(lambda: method.infer(image, no_range)) == alone


def test_watching_ends_within_children() -> None:
    """After the first image a layer inside a child costs nothing."""
    method = built("Tokens")
    ranges_of(method, images=1)
    watched = [name for name, one in method.network.named_modules() if _slot(one) is not None]
    assert watched == ["embed", "layers", "layers.0", "layers.1"]


def _slot(module: nn.Module) -> object:
    return module.__dict__.get("_compiled_call_impl")


def test_a_call_that_fails_leaves_nothing_open() -> None:
    opened: list[str] = []

    @contextlib.contextmanager
    def annotate(name: str) -> Iterator[None]:
        opened.append(name)
        try:
            yield
        finally:
            opened.remove(name)

    method = built("Fixed")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            method.infer(random_image(SIDE_PX), annotate)
        assert opened == []
    assert torch.ones(1).add(1).item() == 2, "no mode is left on"
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


def test_children_that_run_in_threads_of_the_network_have_no_range_and_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A range is of one thread; opened in two, it would be closed by whoever ends first."""
    tell.cache_clear()
    method = method_around("Branches", Branches).build(
        {"depth": 2}, resolution=square(SIDE_PX), implementation="reference", seed=0
    )
    for _ in range(3):
        assert ranges_of(method) == [BETWEEN, "head"]
    assert method.submodules == ("head", BETWEEN)
    assert method.inner_ranges == ()
    told = capsys.readouterr().err
    assert "'left'" in told
    assert "'right'" in told
    assert "no ranges, called in threads of the method's" in told
    assert "never called" not in told


def test_a_child_that_runs_while_warming_up_only_is_no_submodule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell.cache_clear()
    method = method_around("Once", Once).build(
        {}, resolution=square(SIDE_PX), implementation="reference", seed=0
    )
    assert ranges_of(method, images=1)[0] == "places"
    assert method.submodules[0] == "places"
    method.begin_measuring()
    assert ranges_of(method, images=2) == [BETWEEN, "head"]
    assert method.submodules == ("head", BETWEEN)
    assert method.inner_ranges == ()  # told when these are asked for
    assert "'places' runs in warm-up images only: it is no submodule" in capsys.readouterr().err


class ScalarFirst(nn.Module):
    """A loss before what is of each image, as training code has it."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": image.mean(), "result": image * 2}


def test_of_several_outputs_that_of_each_image_counts() -> None:
    method = method_around("ScalarFirst", ScalarFirst).build(
        {}, resolution=square(SIDE_PX), implementation="reference", seed=0
    )
    images = random_image(SIDE_PX).expand(3, -1, -1, -1)
    found = method.infer(images, no_range).anomaly_map  # type: ignore[arg-type]
    assert found is not None
    assert found.shape == images.shape
