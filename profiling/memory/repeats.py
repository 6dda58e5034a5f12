"""Calls of a network that are alike are counted once.

DDAD calls its U-Net ten times with images of one size. The first call is followed in full; each
later one adds the same to the sums, and its peak to what is alive by then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .live import LiveTensors, Origin, Section


@contextmanager
def counting_once(method: nn.Module, paths: Sequence[str], live: LiveTensors) -> Iterator[None]:
    """Counts the calls of some modules once per shape of their arguments while it is entered.

    Args:
        method: the method.
        paths: of modules whose calls leave nothing behind but the new tensor that they return.
        live: follows the inference.
    """
    modules = [method.get_submodule(path) for path in paths]
    for module in modules:
        module.forward = _Repeated(module.forward, live)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


class _Repeated:
    def __init__(self, forward: Callable[..., torch.Tensor], live: LiveTensors) -> None:
        self._forward = forward
        self._live = live
        self._seen: dict[Hashable, _Seen] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        key = tuple(_shape(leaf) for leaf in tree_leaves((args, kwargs)))
        if key not in self._seen:
            with self._live.follow() as section:
                result = self._forward(*args, **kwargs)
            origin = self._live.origin(result)
            if origin is None:
                raise RuntimeError("a module that is counted once must return a new tensor")
            layout = (result.shape, result.stride(), result.dtype, result.device)
            self._seen[key] = _Seen(section, layout, origin)
            return result
        section, (shape, stride, dtype, device), origin = self._seen[key]

        def make() -> torch.Tensor:
            return torch.empty_strided(shape, stride, dtype=dtype, device=device)

        return self._live.repeat(section, make, origin)


class _Seen(NamedTuple):
    section: Section
    layout: tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]
    origin: Origin


def _shape(leaf: Any) -> Hashable:
    if isinstance(leaf, torch.Tensor):
        return (tuple(leaf.shape), leaf.dtype, leaf.device)
    value: Hashable = leaf
    return value
