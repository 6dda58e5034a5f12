"""Tensors without contents, with the outputs of common operators found by rule.

torch's own ``FakeTensorMode`` asks for every call which kernel would run, and what that kernel
would make of its arguments: 0.1 to 5 ms. What an inference calls thousands of times follows from a
few rules that always hold: what works on single elements returns the shape that it was given, a
convolution one that its window decides, and a view is torch's own, which costs next to nothing.

Each rule states when it holds: for plain tensors of this mode, mostly contiguous ones. Whatever is
otherwise (another layout, a known value, a type to be promoted, a mistake that must raise its
error) is asked of torch, as is every operator without a rule. So each size is counted by calling
the method, and nothing is inferred from another size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch._higher_order_ops.utils import registered_hop_fake_fns
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from ..methods import weights
from .answers import answered
from .rules import KINDS, ordered_strides, rule_of

_aten = torch.ops.aten
_FAKE = torch._C._TorchDispatchModeKey.FAKE  # noqa: SLF001 - that of FakeTensorMode
_layout = vars(torch._C.TensorBase)["layout"].__get__  # noqa: SLF001 - of the class in C++
_FILLING = frozenset(
    getattr(_aten, name)
    for name in (
        *("uniform_", "normal_", "fill_", "zero_", "erfinv_", "clamp_"),
        *("add_", "sub_", "mul_", "div_", "copy_"),
    )
)
"""Operators that change what is in a tensor and nothing else."""


_DRAWING = (
    *((nn.init, name) for name in dir(nn.init) if name[-1] == "_" and name[0] != "_"),
    (weights, "_draw"),
)
"""Functions that fill a parameter: torch's, when a layer is made, and ours."""


@contextmanager
def _undrawn() -> Iterator[None]:
    """Has parameters of layers be made as they are, without a view of them and without values."""
    kept: list[tuple[Any, str, Any]]
    kept = [(place, name, getattr(place, name)) for place, name in _DRAWING]
    kept.append((nn.Parameter, "__new__", vars(nn.Parameter)["__new__"]))
    for place, name in _DRAWING:
        setattr(place, name, lambda tensor, *_args, **_named: tensor)
    nn.Parameter.__new__ = partial(_parameter, nn.Parameter.__new__)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for place, name, function in kept:
            setattr(place, name, function)


def _parameter(
    make: Any, cls: type[nn.Parameter], data: Any = None, requires_grad: bool = True
) -> Any:
    return as_parameter(data) if type(data) is FakeTensor else make(cls, data, requires_grad)


def as_parameter(tensor: FakeTensor) -> FakeTensor:
    """A tensor of which nobody else knows, as ``nn.Parameter`` makes it without a gradient."""
    tensor._is_param = True  # noqa: SLF001 - as torch does
    return tensor


def _may_be_of_onednn(tensor: FakeTensor) -> bool:
    """Whether it was made of one with contents, which may have had a layout of oneDNN's."""
    return getattr(tensor, "dispatch_keys", None) is not None  # torch 2.6 has none


class QuickMode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Does what ``FakeTensorMode`` does, by rule where there is one."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch goes through its compiler in every call

    supports_higher_order_operators = True  # else torch refuses to run any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.learned: dict[Any, Any] = {}
        """What torch answered once and will answer again, by what its answer depends on."""
        self._attributes: dict[torch.device, tuple[torch.device, dict[str, Any]]] = {}
        self._is_without_values = False

    @contextmanager
    def without_values(self) -> Iterator[None]:
        """Follows no values of tensors while it is entered, as weights are drawn.

        The drawing is half the time of a count; torch would keep the value of a number, such as
        how many batches a normalisation has seen. For methods of ours only.
        """
        self._is_without_values = True
        try:
            with _undrawn():
                yield
        finally:
            self._is_without_values = False

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Looks for a rule, else asks torch."""
        if isinstance(func, HigherOrderOperator):
            return self._of_higher_order(func, args, kwargs or {})
        if self._is_without_values:
            if func.overloadpacket in _FILLING:
                return args[0]
            if func is _aten.lift_fresh.default and type(args[0]) is torch.Tensor:
                return self.new(args[0].shape, args[0].dtype, args[0].device)
        rule = rule_of(func)
        if rule is not None:
            result = rule(self, func, args, kwargs or {})
            if result is not None:
                return result
        return answered(self, func, args, kwargs or {})

    def _of_higher_order(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What torch's own mode returns, by whose class torch finds out what to do."""
        handler: Any = func.python_key_table.get(FakeTensorMode)
        if func in registered_hop_fake_fns:
            return self.ask(func, args, kwargs)
        if handler is None:
            raise NotImplementedError(f"no rule registered for {func} without contents")
        return handler(self, *args, **kwargs)

    def call(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What an operator returns while this mode is entered.

        As if torch called it, which takes a mode away while that answers: to go through torch's
        dispatcher takes as long as to find a shape.
        """
        torch._C._unset_dispatch_mode(_FAKE)  # noqa: SLF001
        try:
            return self.__torch_dispatch__(func, (), args, kwargs)
        finally:
            torch._C._set_dispatch_mode(self)  # noqa: SLF001

    def ask(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What torch answers."""
        return self.dispatch(func, (), args, kwargs)

    def new(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> FakeTensor:
        """A contiguous tensor."""
        return self.wrap(torch.empty(tuple(shape), dtype=dtype, device="meta"), device)

    def wrap(self, bare: torch.Tensor, device: torch.device) -> FakeTensor:
        """A tensor on a device, of one on the device ``meta``: as ``FakeTensor()``, but faster."""
        known = self._attributes.get(device)
        if known is None:
            first = FakeTensor(self, bare, device)
            self._attributes[device] = (first.fake_device, dict(vars(first)))
            return first
        make: Any = torch.Tensor._make_subclass  # noqa: SLF001 - as FakeTensor does
        device, attributes = known
        tensor: FakeTensor = make(
            FakeTensor, bare, False, dispatch_device=True, device_for_backend_keys=device
        )
        if self._allow_unsafe_data_ptr_access:
            torch._C._set_warn_deprecated_on_mutable_data_ptr(tensor)  # noqa: SLF001
        else:
            torch._C._set_throw_on_mutable_data_ptr(tensor)  # noqa: SLF001
        vars(tensor).update(attributes)
        return tensor

    def is_plain(self, value: Any) -> bool:
        """Whether a value is a tensor of this mode without surprises, however it lies."""
        return (
            type(value) is FakeTensor
            and value.fake_mode is self
            and value.constant is None
            and value.dtype in KINDS
            and (value.layout if _may_be_of_onednn(value) else _layout(value)) is torch.strided
        )

    def is_contiguous(self, value: Any) -> bool:
        """Whether a value is such a tensor that lies in order."""
        return (
            self.is_plain(value)
            # along a side of length 1 other strides lie in order, too, and torch may read channels
            # last from them
            and value.stride() == ordered_strides(value.shape)
        )
