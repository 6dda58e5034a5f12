"""What an inference has found, in whatever form a method or a network returns it.

Maps and scores of a batch are one tensor of all images, or a list with one of each. A network may
return them in tuples, lists, dictionaries, dataclasses and objects, inside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from adscale.errors import MethodError

from .base import Detection

_DEEPEST = 6
"""Levels of an output in which tensors are looked for: objects may hold themselves."""

_SHOWN = 3
"""Shapes that are told in words."""


class Results(NamedTuple):
    """Of an inference: one tensor of all its images, or a tensor of each."""

    maps: tuple[torch.Tensor, ...]
    scores: tuple[torch.Tensor, ...]


def results_of(detection: object, images: int, method: str) -> Results:
    """What ``infer`` has returned, checked.

    Args:
        detection: what it has returned.
        images: of the inference.
        method: its name, for the user.

    Raises:
        MethodError: it is no ``Detection`` of tensors, or of several images has not a map of each.
    """
    if not isinstance(detection, Detection):
        what = f"infer returns a {type(detection).__name__}, and not a Detection"
        remedy = "return Detection(anomaly_map=…, score=…) of profiling.methods.base"
        raise MethodError(method, what, remedy)
    found = Results(
        _tensors(detection.anomaly_map, "anomaly_map", method),
        _tensors(detection.score, "score", method),
    )
    if images > 1 and found.maps and not _is_of(images, found.maps):
        shapes = ", ".join(str(_shape(one)) for one in found.maps[:_SHOWN])
        more = ", …" if len(found.maps) > _SHOWN else ""
        what = f"infer returns shape {shapes}{more} for {images} images"
        remedy = "return a map for each image, or leave the variants with batches out"
        raise MethodError(method, what, remedy)
    return found


def _tensors(found: Any, name: str, method: str) -> tuple[torch.Tensor, ...]:
    if found is None:
        return ()
    tensors = []
    for one in found if isinstance(found, (list, tuple)) else [found]:
        if isinstance(one, (int, float, np.number, np.ndarray)):
            one = torch.as_tensor(one)  # noqa: PLW2901 - the same
        if not isinstance(one, torch.Tensor):
            what = f"infer returns a {type(one).__name__} as {name}"
            remedy = "return a tensor of all images, or a list with one of each"
            raise MethodError(method, what, remedy)
        tensors.append(one)
    return tuple(tensors)


def _is_of(images: int, tensors: Sequence[torch.Tensor]) -> bool:
    """Whether tensors are one of each image, or hold so many together."""
    if len(tensors) == images:
        return True
    return sum(_rows(one) or 1 for one in tensors) == images


def _shape(one: torch.Tensor) -> tuple[int, ...]:
    return (one.size(0),) if one.is_nested else tuple(one.shape)


def found_by_network(output: Any, images: int) -> Detection:
    """What a network has found: what it names so, else its first output.

    Args:
        output: what it has returned.
        images: of the inference.
    """
    if isinstance(output, torch.Tensor) and _rows(output) == images:
        return Detection(output, None)
    anomaly_map = _named(output, "anomaly_map", images)
    return Detection(
        anomaly_map=_first(output, images) if anomaly_map is None else anomaly_map,
        score=_named(output, "pred_score", images),
    )


def _named(output: Any, name: str, images: int) -> Any:
    """A named part of an output, or of the outputs of each image; None where it has none."""
    if isinstance(output, torch.Tensor):
        return None
    if isinstance(output, (list, tuple)) and len(output) == images and not hasattr(output, name):
        each = [_part(one, name) for one in output]
        return each if each and all(map(_is_named, each)) else None
    part = _part(output, name)
    is_each = isinstance(part, (list, tuple)) and part and all(map(_is_named, part))
    return part if _is_named(part) or is_each else None


def _part(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _first(output: Any, images: int) -> Any:
    """The first tensor, rather one that has a part for each image, or a list with one of each."""
    leaves = list(_leaves(output))
    for one in leaves:
        if _rows(one) == images:
            return one
    if images > 1:
        for parts in _lists(output):
            each = [next(_leaves(part), None) for part in parts]
            if len(each) == images and all(one is not None for one in each):
                return each
        for one in leaves:  # rows of all images, one image behind the other
            if _rows(one) and _rows(one) % images == 0 and is_plain(one):
                return one.reshape(images, -1, *one.shape[1:])
    return leaves[0] if leaves else None


def _rows(one: Any) -> int:
    """Size of the first dimension; 0: it has none."""
    if isinstance(one, torch.Tensor):
        return one.size(0) if one.dim() else 0
    return len(one) if one.ndim else 0


def is_plain(one: Any) -> bool:
    """Whether it has real numbers, each in its place: none of sparse, nested or quantized ones."""
    if isinstance(one, np.ndarray):
        return one.dtype.kind in "biuf"
    odd = one.is_nested or one.is_quantized or one.is_complex()
    return one.layout is torch.strided and not odd


def _is_leaf(one: Any) -> bool:
    return isinstance(one, (torch.Tensor, np.ndarray))


def _is_named(one: Any) -> bool:
    return _is_leaf(one) or isinstance(one, (int, float, np.number))


def _inside(output: Any) -> Sequence[Any]:
    """What is directly in an output."""
    if isinstance(output, Mapping):
        return list(output.values())
    if isinstance(output, (list, tuple)):
        return output
    if isinstance(output, (type, torch.nn.Module)) or callable(output):
        return ()
    slots = [getattr(output, name, None) for name in getattr(type(output), "__slots__", ())]
    return [*slots, *getattr(output, "__dict__", {}).values()]


def _leaves(output: Any, level: int = 0) -> Iterator[Any]:
    if _is_leaf(output):
        yield output
    elif level < _DEEPEST:
        for part in _inside(output):
            yield from _leaves(part, level + 1)


def _lists(output: Any, level: int = 0) -> Iterator[Sequence[Any]]:
    if _is_leaf(output) or level == _DEEPEST:
        return
    if isinstance(output, (list, tuple)):
        yield output
    for part in _inside(output):
        yield from _lists(part, level + 1)
