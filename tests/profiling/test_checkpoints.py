"""Checkpoints as others write them: wrapped, half, of other formats, or something else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adscale.errors import WeightsError
from profiling.methods.weights import load_statistics, load_weights

State = Mapping[str, Any]


class Network(nn.Module):
    """A bank whose size is that of a training set, beside two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.bn = nn.BatchNorm2d(4)
        self.register_buffer("bank", torch.zeros(5))


class Module(nn.Module):
    """A network as a child of something that trains it, with a measure of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Network()
        self.register_buffer("lowest", torch.tensor(float("inf")))


def of_weights(network: nn.Module, file: Path) -> None:
    load_weights(network, file)


def of_anomalib(network: nn.Module, file: Path) -> None:
    load_statistics(network, file)


LOADERS = pytest.mark.parametrize("load", [of_weights, of_anomalib])
Load = Callable[[nn.Module, Path], None]


def renamed(begin: str) -> Callable[[State], State]:
    return lambda state: {f"{begin}{name}": tensor for name, tensor in state.items()}


def lightning(state: State) -> State:
    return {
        "epoch": 3, "pytorch-lightning_version": "2.5.0", "hyper_parameters": {"rate": 0.1},
        "state_dict": renamed("model.")(state), "optimizer_states": [],
    }  # fmt: skip


def with_average(state: State) -> State:
    other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    return {"step": 4, "model": state, "ema": other}


def compiled_child(state: State) -> State:
    return {name.replace("first.", "first._orig_mod."): one for name, one in state.items()}


def half(state: State) -> State:
    return {k: t.half() if t.is_floating_point() else t for k, t in state.items()}


@LOADERS
@pytest.mark.parametrize(
    ("form", "said"),
    [
        (dict, []),
        (half, []),
        (renamed("module."), ["'module.' in its names"]),
        (renamed("_orig_mod."), ["'_orig_mod.' in its names"]),
        (renamed("module._orig_mod."), ["'module.'", "'_orig_mod.'"]),
        (renamed("net.encoder."), ["'net.encoder.' in its names"]),
        (compiled_child, ["'_orig_mod.' in its names"]),
        (lambda state: {"state_dict": state}, ["'state_dict.'"]),
        (lightning, ["'state_dict' around it", "'model.' in its names"]),
        (with_average, ["'model' around it"]),
    ],
)
def test_what_wraps_a_network_is_taken_off_its_names_and_said(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    load: Load,
    form: Callable[[State], State],
    said: list[str],
) -> None:
    made, network = Network(), Network()
    torch.save(form(made.state_dict()), tmp_path / "net.pt")
    with caplog.at_level(logging.WARNING):
        load(network, tmp_path / "net.pt")
    assert torch.allclose(network.first.weight, made.first.weight, rtol=1e-3, atol=1e-4)
    assert network.first.weight.dtype == torch.float32
    assert [words for words in said if words not in caplog.text] == []
    assert bool(caplog.text) == bool(said)


@LOADERS
def test_what_is_saved_of_the_inner_network_fits_the_outer_one(tmp_path: Path, load: Load) -> None:
    made, network = Network(), nn.Sequential()
    network.add_module("model", Network())
    torch.save(made.state_dict(), tmp_path / "inner.pt")
    load(network, tmp_path / "inner.pt")
    assert torch.equal(network.state_dict()["model.first.weight"], made.first.weight)


class Stateful(Network):
    """Keeps something besides tensors, by torch's own means."""

    def get_extra_state(self) -> Any:
        return {"version": 3}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"version": 3}


@LOADERS
def test_what_modules_keep_besides_tensors_is_left_and_told(
    tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    given, network = Stateful(), Stateful()
    torch.save(given.state_dict(), tmp_path / "c.pt")
    load(network, tmp_path / "c.pt")
    assert torch.equal(network.first.weight, given.first.weight)
    assert "what modules keep besides tensors (_extra_state) is not read" in caplog.text


@LOADERS
def test_names_that_fit_are_left_alone(tmp_path: Path, load: Load) -> None:
    """A network may have a child of the name that is taken off elsewhere."""
    made, network = nn.Sequential(), nn.Sequential()
    for one in (made, network):
        one.add_module("module", Network())
    torch.save(made.state_dict(), tmp_path / "net.pt")
    load(network, tmp_path / "net.pt")
    assert torch.equal(
        network.state_dict()["module.first.bias"], made.state_dict()["module.first.bias"]
    )


@LOADERS
@pytest.mark.parametrize("begin", ["", "module."])
def test_safetensors_are_read(tmp_path: Path, load: Load, begin: str) -> None:
    made, network = Network(), Network()
    save_file(renamed(begin)(made.state_dict()), tmp_path / "net.safetensors")  # type: ignore[arg-type]
    load(network, tmp_path / "net.safetensors")
    assert torch.equal(network.first.weight, made.first.weight)


def test_a_compiled_network_takes_the_names_of_the_plain_one(tmp_path: Path) -> None:
    made, network = Network(), torch.compile(Network(), backend="eager")
    torch.save(made.state_dict(), tmp_path / "net.pt")
    load_weights(network, tmp_path / "net.pt")  # type: ignore[arg-type]
    assert torch.equal(network.state_dict()["_orig_mod.first.weight"], made.first.weight)  # type: ignore[attr-defined]


def test_statistics_of_a_training_set_take_its_size_and_keep_their_type(tmp_path: Path) -> None:
    made, network = Module(), Module()
    made.model.bank = torch.arange(9.0)
    torch.save({"state_dict": half(made.state_dict())}, tmp_path / "trained.ckpt")
    load_statistics(network, tmp_path / "trained.ckpt")
    assert network.model.bank.tolist() == list(range(9))
    assert network.model.bank.dtype == torch.float32
    assert "model.bank" in network.state_dict()
    assert torch.isinf(network.lowest), "what no image has set yet is infinite in anomalib, too"


def scripted(file: Path) -> None:
    torch.jit.save(torch.jit.trace(Network().eval().first, torch.rand(1, 3, 8, 8)), file)  # type: ignore[no-untyped-call]


def saved(content: object) -> Callable[[Path], object]:
    return lambda file: torch.save(content, file)


def written(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


STATE = Network().state_dict()
WITHOUT_FIRST = {name: tensor for name, tensor in STATE.items() if name != "first.weight"}


@LOADERS
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (written(b""), "is empty"),
        (written(b"hello"), "is damaged or holds more"),
        (written(b"version https://git-lfs.github.com/spec/v1\noid"), "pointer of Git LFS"),
        (written(b"<!DOCTYPE html>"), "page of the web"),
        (written(b"\x10\0\0\0\0\0\0\0{" + b"broken" * 20), "is damaged or holds more"),
        (saved([1, 2]), "is of type list"),
        (saved(torch.zeros(3)), "is of type Tensor"),
        (saved(None), "is of type NoneType"),
        (saved({}), "bank: is missing (expected shape 5)"),
        (saved({1: torch.zeros(3)}), "the file has 1)"),
        (saved({"state_dict": {"epoch": 3}}), "epoch: is of type int"),
        (saved({"epoch": 3}), "epoch: is of type int"),
        (saved({"other.weight": torch.zeros(3)}), "the file has other.weight"),
        (saved(WITHOUT_FIRST), "first.weight: is missing (expected shape 4×3×1×1)"),
        (saved(renamed("module.")(WITHOUT_FIRST)), "first.weight: is missing"),
        (saved({**STATE, "more.bias": torch.zeros(2)}), "more.bias: is not part of the method"),
        (saved({**STATE, "first.bias": torch.zeros(9)}), "first.bias: expected shape 4, found 9"),
        (saved({"state_dict": STATE, "callbacks": Path("x")}), "objects of pathlib."),
        (saved(Network()), "objects of "),
        (scripted, "is a network of TorchScript"),
    ],
)
def test_what_is_no_checkpoint_of_the_network_ends_in_one_short_line(
    tmp_path: Path, load: Load, make: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "net.ckpt"
    make(file)
    with pytest.raises(WeightsError) as caught:
        load(Network(), file)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(file))
    assert "\n" not in message
    assert len(message) < len(str(file)) + 200
    assert "weights_only" not in message, "torch advises to run what is in the file"


@LOADERS
def test_places_without_a_checkpoint_end_in_one_line(tmp_path: Path, load: Load) -> None:
    (tmp_path / "link.pt").symlink_to(tmp_path / "gone.pt")
    for name, words in (("link.pt", "gone.pt, where there is no such file"), (".", "is a folder")):
        with pytest.raises(WeightsError, match=words):
            load(Network(), tmp_path / name)
