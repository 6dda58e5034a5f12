"""Steps of an inference that a library for numpy arrays carries out on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether the tensor has a shape and no contents: memory is being counted."""
    return isinstance(tensor, FakeTensor)


def on_host(
    function: Callable[..., Any], *tensors: torch.Tensor, shape: Sequence[int]
) -> torch.Tensor:
    """Calls a function of numpy arrays with tensors.

    Args:
        function: takes one array per tensor, returns one.
        tensors: on the CPU.
        shape: of the result, which is all that fake tensors yield.

    Returns:
        The result, on the CPU.
    """
    if any(is_fake(tensor) for tensor in tensors):
        return torch.empty(tuple(shape), dtype=tensors[0].dtype)
    return torch.from_numpy(function(*(tensor.numpy() for tensor in tensors)))
