"""Receptive fields: which pixels of the image a value of a submodule's output can depend on.

Each operator of an inference on tensors without contents moves the field along, by its kernel,
stride and padding (Dumoulin and Visin 2016, "A guide to convolution arithmetic"). What looks
everywhere, such as a normalisation over the image, attention, or a resizing by a factor that
follows from the size of the image, sees the whole image, and so does what is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .methods.base import Method


@dataclass(frozen=True)
class Field:
    """The value at position i sees the pixels from ``stride · i + low`` to ``stride · i + high``.

    Of both axes; where they differ, of the one that sees more.
    """

    stride: Fraction = Fraction(1)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    @property
    def size_px(self) -> int:
        """Pixels that a value sees along an axis."""
        return int(self.high - self.low) + 1

    @property
    def reach_px(self) -> int:
        """Distance from the edge of a tile from which on nothing beyond the edge is seen."""
        return max(-(self.low.__floor__()), self.high.__ceil__() - int(self.stride) + 1, 0)


WHOLE = None
"""In place of a field: the whole image, or what is not known."""


def receptive_fields(method: Method, image: torch.Tensor) -> dict[str, Field | None]:
    """The fields of what each submodule puts out last that has two axes of an image.

    Args:
        method: on tensors without contents, see ``torch._subclasses.FakeTensorMode``, or on real
            ones, which takes an inference.
        image: shape (1, 3, height, width); large enough that sides are halved without a rest.

    Returns:
        By the name of the submodule; None where it sees the whole image. What a library computes
        is not seen, and neither are submodules of nothing else.
    """
    found: dict[str, Field | None] = {}
    fields = _Fields(image)

    @contextmanager
    def annotate(name: str) -> Iterator[None]:
        if name not in method.submodules:
            yield
            return
        fields.maps.clear()
        yield
        if fields.maps:  # else all of it is a library's
            found[name] = fields.maps[-1]

    with torch.no_grad(), fields:
        method.infer(image, annotate)
    return found


class _Fields(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the field of each tensor that comes of the image."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._of: dict[int, Field | None] = {id(image.untyped_storage()): Field()}
        self._kept: list[Any] = [image.untyped_storage()]  # an id is one storage's while it lives
        self.maps: list[Field | None] = []
        """Of the maps that were made, in their order."""

    def __torch_dispatch__(
        self, func: torch._ops.OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Runs the operator, and moves the fields of what it is given to what it returns."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        known = [self._of[key] for one in given if (key := _key(one)) in self._of]
        if known:
            field = _moved(func, args, kwargs, result, _joined(known))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    self._kept.append(tensor.untyped_storage())
                    self._of[_key(tensor)] = field
                    if tensor.dim() == 4 and tensor.is_floating_point():
                        self.maps.append(field)
        return result


def _key(tensor: torch.Tensor) -> int:
    return id(tensor.untyped_storage())


def _joined(fields: list[Field | None]) -> Field | None:
    """What is seen by who looks at several."""
    seen = [one for one in fields if one is not None]
    if len(seen) < len(fields) or len({one.stride for one in seen}) > 1:
        return WHOLE
    return Field(seen[0].stride, min(one.low for one in seen), max(one.high for one in seen))


def _moved(
    func: torch._ops.OpOverload, args: Any, kwargs: Mapping[str, Any], result: Any, at: Field | None
) -> Field | None:
    if at is None:
        return WHOLE
    rule = _RULES.get(func.overloadpacket.__name__)
    if rule is not None:
        schema = func._schema  # noqa: SLF001 - torch gives no other way to the names
        bound = {one.name: value for one, value in zip(schema.arguments, args, strict=False)}
        return rule(at, {**bound, **kwargs}, result)
    if torch.Tag.pointwise in func.tags or func.is_view:
        return at
    return at if func.overloadpacket.__name__ in _AS_GIVEN else WHOLE


_AS_GIVEN = frozenset(
    ("clone", "copy_", "_to_copy", "cat", "_unsafe_view", "empty_like", "new_empty", "detach",
     "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "contiguous",
     "fill_", "zero_", "new_empty_strided", "new_zeros", "alias", "lift_fresh", "stack")
)  # fmt: skip


def _window(at: Field, kernel: int, stride: int, padding: int, dilation: int = 1) -> Field:
    return Field(
        at.stride * stride,
        at.low - at.stride * padding,
        at.high + at.stride * ((kernel - 1) * dilation - padding),
    )


def _widest(at: Field, *axes: tuple[int, int, int, int]) -> Field | None:
    """The field behind a window of a kernel, stride, padding and dilation for each axis."""
    return _joined([_window(at, *axis) for axis in axes])


def _convolved(at: Field, given: Mapping[str, Any], _result: Any) -> Field | None:
    if given["transposed"] or given["weight"].dim() != 4:
        return WHOLE
    kernel = given["weight"].shape[2:]
    settings = (_both(given[name]) for name in ("stride", "padding", "dilation"))
    return _widest(at, *zip(kernel, *settings, strict=True))


def _pooled(at: Field, given: Mapping[str, Any], _result: Any) -> Field | None:
    kernel = _both(given["kernel_size"])
    stride = _both(given.get("stride") or kernel)
    padding, dilation = _both(given.get("padding", 0)), _both(given.get("dilation", 1))
    return _widest(at, *zip(kernel, stride, padding, dilation, strict=True))


def _both(value: Any) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return values * 2 if len(values) == 1 else values


def _resized(taps: int) -> Callable[[Field, Mapping[str, Any], Any], Field | None]:
    """By a whole factor: neighbours that the value lies between, one or, linearly, two."""

    def rule(at: Field, given: Mapping[str, Any], result: Any) -> Field | None:
        inner = next(iter(given.values())).shape[-2:]
        sides = zip(result.shape[-2:], inner, strict=True)
        factors = {Fraction(large, small) for large, small in sides}
        factor = factors.pop()
        if factors or factor.denominator > 1 or given.get("align_corners"):
            return WHOLE
        before, after = Fraction(0), Fraction(0)
        if taps > 1:  # of f values between two centres the first is (f − 1)/2 in front of one
            before, after = (
                Fraction(-(3 * factor - 1), 2) / factor,
                Fraction(factor + 1, 2) / factor,
            )
        else:
            before = -(factor - 1) / factor
        return Field(at.stride / factor, at.low + at.stride * before, at.high + at.stride * after)

    return rule


def _shifted(at: Field, given: Mapping[str, Any], _result: Any) -> Field | None:
    pad = given.get("pad") or given["padding"]
    begins = set(pad[0:4:2]) if len(pad) <= 4 else {-1}
    if begins == {-1} or len(begins) > 1:
        return WHOLE
    shift = at.stride * begins.pop()
    return Field(at.stride, at.low - shift, at.high - shift)


def _reduced(at: Field, given: Mapping[str, Any], _result: Any) -> Field | None:
    tensor = given["self"]
    axes = given.get("dim")
    axes = range(tensor.dim()) if axes is None else (axes if isinstance(axes, list) else [axes])
    is_channel = tensor.dim() >= 4 and all(axis % tensor.dim() < tensor.dim() - 2 for axis in axes)
    return at if is_channel else WHOLE


_RULES: Mapping[str, Callable[[Field, Mapping[str, Any], Any], Field | None]] = {
    "convolution": _convolved,
    "avg_pool2d": _pooled,
    "max_pool2d_with_indices": _pooled,
    "upsample_nearest2d": _resized(1),
    "upsample_bilinear2d": _resized(2),
    "constant_pad_nd": _shifted,
    "reflection_pad2d": _shifted,
    "mean": _reduced,
    "sum": _reduced,
    "amax": _reduced,
}
