"""Weights of a method: drawn from a seed, or read from a checkpoint."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import nn

from adscale.errors import WeightsError

from .checkpoints import EXTRA, read_tensors, unreadable

logger = logging.getLogger(__name__)

REMEDY = "check that the checkpoint is of this method and size"


def draw_weights(module: nn.Module, *, seed: int) -> None:
    """Fills all parameters from a seed: the same numbers on every machine.

    Convolutions and linear layers: uniform with the variance 2 / fan-in of He et al. 2015
    (equation 10), which keeps the scale of activations through ReLU networks, and biases within
    ±1/√fan-in. Normalisations: as after a training, near the identity without being it (weights
    0.5 to 1, biases ±0.1, running means ±0.1, running variances 0.5 to 1.5), so that residual
    networks neither explode nor hide a normalisation that is left out. Only Mersenne Twister
    integers, exact sums and one multiplication are used, because the normal distribution of torch
    depends on the vector instructions of the CPU in its last bits.

    Args:
        module: whose layers are filled, in the order of its modules. Neither torch's global
            random state nor that of others is touched.
        seed: non-negative.

    Raises:
        TypeError: a layer of another kind owns parameters.
    """
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for name, layer in module.named_modules():
        if not any(True for _ in layer.parameters(recurse=False)):
            continue
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            fan_in = math.prod(layer.weight.shape[1:])
            _draw(layer.weight, 0, math.sqrt(6 / fan_in), generator)
            if layer.bias is not None:
                _draw(layer.bias, 0, 1 / math.sqrt(fan_in), generator)
        elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)):
            _draw(layer.weight, 0.75, 0.25, generator)
            _draw(layer.bias, 0, 0.1, generator)
            buffers = dict(layer.named_buffers(recurse=False))
            if "running_mean" in buffers:
                _draw(buffers["running_mean"], 0, 0.1, generator)
                _draw(buffers["running_var"], 1, 0.5, generator)
                buffers["num_batches_tracked"].zero_()
        else:
            raise TypeError(f"no rule to draw {name} ({type(layer).__name__})")


def _draw(tensor: torch.Tensor, middle: float, bound: float, generator: torch.Generator) -> None:
    with torch.no_grad():
        tensor.uniform_(0, 1, generator=generator).sub_(0.5).mul_(2 * bound)
        if middle:
            tensor.add_(middle)


def load_weights(module: nn.Module, file: Path, *, optional: Collection[str] = ()) -> None:
    """Fills a module from a checkpoint, whole or not at all.

    Args:
        module: whose parameters and buffers are filled, on their device and in their dtype.
        file: a flat state_dict (``teacher.0.weight`` …), or one state_dict per child
            (``{"teacher": {"0.weight": …}, …}``), of ``torch.save`` or safetensors; perhaps under
            names of what wraps it, see ``read_tensors``.
        optional: children that may be absent from the checkpoint as a whole.

    Raises:
        WeightsError: the file cannot be read, or a tensor is missing, unexpected, of another
            shape or kind, or not finite.
    """
    state = module.state_dict()
    expected = _tensors_of(state, file)
    found = read_tensors(file, expected)
    absent = {child for child in optional if not any(n.startswith(f"{child}.") for n in found)}
    required = {name: t for name, t in expected.items() if name.split(".")[0] not in absent}
    compare_names(file, found, required)
    for name, tensor in required.items():
        _check_tensor(f"{file}: {name}", found[name], tensor)
    module.load_state_dict({**state, **found})


def _tensors_of(state: Mapping[str, object], file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state_dict; what modules keep besides them stays as it is, and is told."""
    tensors = {name: one for name, one in state.items() if isinstance(one, torch.Tensor)}
    if len(tensors) < len(state):
        logger.warning("%s: what modules keep besides tensors (%s) is not read", file, EXTRA)
    return tensors


def weights_record(path: str | None) -> dict[str, str | None]:
    """Where the weights of a run come from, as ``run.json`` records it.

    Args:
        path: of the checkpoint; None where the weights are drawn from the seed.

    Raises:
        WeightsError: the file cannot be read.
    """
    if path is None:
        return {"source": "seeded random", "sha256": None}
    return {"source": path, "sha256": file_sha256(Path(path))}


def file_sha256(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        WeightsError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as problem:
        raise unreadable(file, problem) from problem
    return digest.hexdigest()


def compare_names(
    file: Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    """Refuses a checkpoint that lacks a tensor, or has one more.

    Raises:
        WeightsError: for the first of them.
    """
    other = next(iter(found), None)
    has = f"; the file has {other}" if other and not found.keys() & expected.keys() else ""
    for name, tensor in expected.items():
        if name not in found:
            what = f"is missing (expected shape {_shape(tensor)}{has})"
            raise WeightsError(f"{file}: {name}", what, REMEDY)
    for name, tensor in found.items():
        if name not in expected:
            what = f"is not part of the method (found shape {_shape(tensor)})"
            raise WeightsError(f"{file}: {name}", what, REMEDY)


def check_kind(where: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Refuses a tensor of another shape or kind of numbers.

    Raises:
        WeightsError: it is.
    """
    if found.shape != expected.shape:
        what = f"expected shape {_shape(expected)}, found {_shape(found)}"
        raise WeightsError(where, what, REMEDY)
    if found.is_meta or found.layout != torch.strided:
        raise WeightsError(where, "holds no plain values", "save a dense tensor of the CPU")
    if found.is_floating_point() != expected.is_floating_point() or found.is_complex():
        what = f"expected dtype {expected.dtype}, found {found.dtype}"
        raise WeightsError(where, what, "save the tensor with the method's dtype")


def _check_tensor(where: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    check_kind(where, found, expected)
    if not bool(torch.isfinite(found.to(expected.dtype)).all()):
        raise WeightsError(where, "holds NaN or infinity", "train or export the weights anew")


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"


def load_statistics(model: nn.Module, file: Path) -> None:
    """Fills a model whose statistics, such as a memory bank, have the size of their training set.

    Raises:
        WeightsError: the file cannot be read, or does not fit the model.
    """
    own = model.state_dict()
    expected = _tensors_of(own, file)
    state = read_tensors(file, expected)
    compare_names(file, state, expected)
    buffers = dict(model.named_buffers())
    for key, tensor in state.items():
        if key in buffers and buffers[key].shape != tensor.shape:
            path, _, name = key.rpartition(".")
            empty = torch.empty(tensor.shape, dtype=buffers[key].dtype)
            setattr(model.get_submodule(path), name, empty)  # it stays a buffer
    now = model.state_dict()
    for key in expected:
        check_kind(f"{file}: {key}", state[key], now[key])
    model.load_state_dict({**own, **state})
