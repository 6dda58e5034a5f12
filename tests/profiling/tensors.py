"""Tensors for tests, and how two of them are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch

from adscale.resolution import Resolution


def random_image(size: int | str | Resolution, seed: int = 7) -> torch.Tensor:
    """Shape (1, 3, height, width), standard normal."""
    shape = Resolution.of(size).shape
    return torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(seed))


def assert_same(found: torch.Tensor, expected: torch.Tensor, relative: float = 1e-5) -> None:
    """Equal up to rounding: within 1e-5 of the largest value, whatever the single one."""
    assert found.shape == expected.shape
    assert bool(torch.isfinite(expected).all())
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=relative * scale)


def no_ranges(_name: str) -> nullcontext[None]:
    """An ``Annotate`` that opens nothing."""
    return nullcontext()


def recorded_ranges() -> tuple[list[str], Callable[[str], object]]:
    """A list, and an ``Annotate`` that writes paths of ranges to it as they open."""
    opened: list[str] = []
    stack: list[str] = []

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        stack.append(name)
        opened.append("/".join(stack))
        try:
            yield
        finally:
            stack.pop()

    return opened, annotate
