"""Steps of an inference that torch does not see: libraries for numpy arrays, on the CPU or not.

While memory is counted there is nothing to compute; such a step then tells what it would take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether the tensor has a shape and no contents: memory is being counted."""
    return isinstance(tensor, FakeTensor)


@dataclass(frozen=True)
class LibraryWork:
    """What a library takes besides its arguments and results."""

    library: str
    purpose: str
    device_bytes: int
    """On the device of the inference."""
    host_bytes: int
    """On the host, where the device is another."""
    flops: int
    """Twice the multiply-adds."""


_watchers: list[Callable[[LibraryWork], None]] = []


@contextmanager
def watching_libraries(watcher: Callable[[LibraryWork], None]) -> Iterator[None]:
    """Tells a watcher of every call of ``on_host`` that says what it takes, while entered."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def on_host(
    function: Callable[..., Any],
    *tensors: torch.Tensor,
    shape: Sequence[int],
    takes: Callable[[], LibraryWork] | None = None,
) -> torch.Tensor:
    """Calls a function of numpy arrays with tensors.

    Args:
        function: takes one array per tensor, returns one.
        tensors: on the CPU.
        shape: of the result, which is all that fake tensors yield.
        takes: says what the function takes besides, which nobody sees from outside.

    Returns:
        The result, on the CPU.
    """
    if takes is not None:
        for watcher in _watchers:
            watcher(takes())
    if any(is_fake(tensor) for tensor in tensors):
        return torch.empty(tuple(shape), dtype=tensors[0].dtype)
    return torch.from_numpy(function(*(tensor.numpy() for tensor in tensors)))


def generator_for(tensor: torch.Tensor, *, seed: int) -> torch.Generator | None:
    """A random generator on a tensor's device; None for fake tensors, whose device may be absent.

    Args:
        tensor: next to which numbers will be drawn.
        seed: non-negative.
    """
    if is_fake(tensor):
        return None
    return torch.Generator(device=tensor.device).manual_seed(seed)
