"""Which tensors are alive at once during an inference, where most are, and the work done.

Seen are the storages that operators return, as torch's dispatcher sees them: from the first
appearance until the last tensor on them is gone. What an operator allocates and frees inside itself
(workspaces, copies in another layout) is not seen. Works alike on fake tensors, which have no
contents, and on real ones.

torch's own tracker (``torch.distributed._tools.mem_tracker``) does not follow a network that is
called several times, as DDAD's U-Net is, and does not tell what is alive.

Work is counted by operator, see ``operators``. A few operators that hold far more inside themselves
than they return are followed step by step where they have no contents, see ``fused``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Protocol

import torch
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..methods.base import held_by, is_fake
from ..methods.division import computes
from .allocator import Event, Origin
from .fused import STEPS
from .operators import Arguments, arguments_of, copied_bytes, operator_flops, operator_name
from .quick import QuickMode

_DEVICE = torch.ops.prim.device.default


class Position(NamedTuple):
    """The submodule and the layer that are being called."""

    submodule: str | None
    layer: str | None
    """Path of the innermost module."""


class Whereabouts(Protocol):
    """Knows what is being called."""

    def position(self) -> Position:
        """The submodule and the layer that are running."""


class Block(NamedTuple):
    """Memory of one storage."""

    origin: Origin
    size_bytes: int
    on_device: bool
    serial: int = 0
    """Of the allocation, see ``Event``."""


@dataclass
class Section:
    """Memory and work during a part of an inference, such as a submodule."""

    kept_bytes: int
    """Alive on the device when it began."""
    peak_bytes: int
    """The most that was alive at once on the device."""
    host_kept_bytes: int
    """As ``kept_bytes``, on the host where that is another device."""
    host_peak_bytes: int
    """As ``peak_bytes``, on the host where that is another device."""
    origin: Origin | None = None
    """The tensor that completed the peak; None: nothing was allocated."""
    kept: tuple[Block, ...] = ()
    """The part of the peak that was there when the section began."""
    own: tuple[Block, ...] = ()
    """The part of the peak that was made since."""
    allocated_bytes: int = 0
    """Sum of every storage that an operator returned newly."""
    flops: int = 0
    """Floating-point operations, see ``operator_flops``."""
    is_working: bool = False
    """Whether anything was computed, even if nothing of it was allocated or has multiply-adds."""
    events: tuple[int, int] = (0, 0)
    """Of ``LiveTensors.events``, those during the section; known when it is complete."""


class _Follower:
    """Keeps a section up to date.

    What is alive at a peak is looked up as late as possible, when the first of it goes away:
    on the way up every allocation is a new peak.
    """

    def __init__(self, on_device: int, on_host: int, live: Mapping[int, Block]) -> None:
        self.section = Section(on_device, on_device, on_host, on_host)
        self._before = frozenset(live)
        self._is_pending = True

    def grown(self, on_device: int, on_host: int, origin: Origin) -> None:
        section = self.section
        section.host_peak_bytes = max(section.host_peak_bytes, on_host)
        if on_device > section.peak_bytes:
            section.peak_bytes, section.origin = on_device, origin
            self._is_pending = True

    def shrinking(self, live: Mapping[int, Block]) -> None:
        if self._is_pending:
            self._is_pending = False
            found = [(key in self._before, block) for key, block in live.items() if block.on_device]
            self.section.kept = tuple(block for before, block in found if before)
            self.section.own = tuple(block for before, block in found if not before)

    def repeated(
        self, again: Section, on_device: int, on_host: int, live: Mapping[int, Block]
    ) -> None:
        section = self.section
        section.allocated_bytes += again.allocated_bytes
        section.flops += again.flops
        host_above = again.host_peak_bytes - again.host_kept_bytes
        section.host_peak_bytes = max(section.host_peak_bytes, on_host + host_above)
        above = again.peak_bytes - again.kept_bytes
        if on_device + above > section.peak_bytes:
            section.peak_bytes, section.origin = on_device + above, again.origin
            self._is_pending = True
            self.shrinking(live)
            section.own += again.own


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows storages while it is entered.

    Args:
        device_type: of the inference, ``cpu`` or ``cuda``; everything else is the host.
        whereabouts: tells what is being called; None: nothing is known.
        below: the mode of tensors without contents that is entered, if it is to be called right
            away rather than by torch.
    """

    supports_higher_order_operators = True  # else torch refuses to run any

    def __init__(
        self,
        device_type: str = "cpu",
        whereabouts: Whereabouts | None = None,
        below: QuickMode | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._below = below
        self._device_type = device_type
        self._whereabouts = whereabouts
        self._live: dict[int, Block] = {}
        self._watches: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._ignored: dict[int, torch.UntypedStorage] = {}
        self._on_device = self._on_host = 0
        self._followers: list[_Follower] = []
        self._is_paused = False
        self._is_in_steps = False
        self.without_formula: dict[str, int] = {}
        """Operators that multiply and add, but have no formula, with their numbers of calls."""
        self.unseen: dict[str, None] = {}
        """Operators that return tensors of whose memory nobody can tell."""
        self.hidden: dict[str, None] = {}
        """Operators that call functions of the method, in which no operator is seen."""
        self.copied: dict[str, int] = {}
        """Operators that copy what does not lie in order, with the most bytes of one copy."""
        self.events: list[Event] = []
        """Allocations on the device and their ends, in their order."""
        self._serials = count(1)

    def ignore(self, tensors: Iterable[torch.Tensor]) -> None:
        """Leaves out tensors that were there before: weights, buffers, the input."""
        for tensor in tensors:
            for part in held_by(tensor):
                storage = part.untyped_storage()
                self._ignored[id(storage)] = storage  # held, so that no other takes its place

    @contextmanager
    def follow(self) -> Iterator[Section]:
        """Follows a part of the inference; complete when it is left. They may nest."""
        follower = _Follower(self._on_device, self._on_host, self._live)
        self._followers.append(follower)
        first = len(self.events)
        try:
            yield follower.section
        finally:
            follower.section.events = (first, len(self.events))
            follower.shrinking(self._live)
            self._followers.remove(follower)

    def repeat(
        self, again: Section, make: Callable[[], torch.Tensor], origin: Origin
    ) -> torch.Tensor:
        """Counts a call that was followed before as if it took place once more now.

        Args:
            again: what was seen of the call.
            make: makes a tensor as the call returned it.
            origin: of that tensor.

        Returns:
            What ``make`` made.
        """
        for follower in self._followers:
            follower.repeated(again, self._on_device, self._on_host, self._live)
        with self.paused():
            result = make()
        self._add(result, origin, self._repeat_events(again))
        return result

    def _repeat_events(self, again: Section) -> int | None:
        """Takes note of the same allocations and ends; the serial of what is left of them."""
        serials: dict[int, int] = {}
        for event in self.events[slice(*again.events)]:
            if event.size_bytes:
                serials[event.serial] = next(self._serials)
            elif event.serial not in serials:
                continue  # made before the call: it ended once
            serial = serials[event.serial]
            self.events.append(event._replace(serial=serial))
            if not event.size_bytes:
                del serials[event.serial]
        left = list(serials.values())
        self.events += [Event(serial, 0) for serial in left[:-1]]
        return left[-1] if left else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Takes no note of anything while it is entered."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def origin(self, tensor: torch.Tensor) -> Origin | None:
        """The origin of a tensor; None: it was there before."""
        block = self._live.get(id(tensor.untyped_storage()))
        return None if block is None else block.origin

    def add_flops(self, flops: int) -> None:
        """Counts the work of a library that is no operator of torch."""
        for follower in self._followers:
            follower.section.flops += flops

    def _see(self, tensor: torch.Tensor, name: str) -> None:
        """Takes note of a tensor that may be new, returned by an operator of that name."""
        size_bytes = self._add(tensor, name)
        if size_bytes:
            for follower in self._followers:
                follower.section.allocated_bytes += size_bytes

    def _see_parts(self, tensor: torch.Tensor, name: str) -> None:
        parts = held_by(tensor)
        for part in parts:
            self._see(part, name)
        if not parts:
            self.unseen.setdefault(name)

    def _add(self, tensor: torch.Tensor, made_by: str | Origin, serial: int | None = None) -> int:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._live or key in self._ignored:
            return 0
        size_bytes = storage.nbytes()
        if not size_bytes:
            return 0
        origin = self._origin(made_by) if isinstance(made_by, str) else made_by
        device = tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device
        on_device = device.type == self._device_type
        block = Block(origin, size_bytes, on_device, serial or next(self._serials))
        if on_device and serial is None:
            self.events.append(Event(block.serial, size_bytes, origin))
        self._live[key] = block
        self._watches[key] = weakref.ref(storage, lambda _gone: self._release(key))
        if block.on_device:
            self._on_device += size_bytes
        else:
            self._on_host += size_bytes
        for follower in self._followers:
            follower.grown(self._on_device, self._on_host, origin)
        return size_bytes

    def _origin(self, name: str) -> Origin:
        if self._whereabouts is None:
            return Origin(None, name, None)
        submodule, layer = self._whereabouts.position()
        return Origin(submodule, name, layer)

    def _release(self, key: int) -> None:
        for follower in self._followers:
            follower.shrinking(self._live)
        block = self._live.pop(key)
        del self._watches[key]
        if block.on_device:
            self.events.append(Event(block.serial, 0))
            self._on_device -= block.size_bytes
        else:
            self._on_host -= block.size_bytes

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch goes through its compiler in every call

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs the operator, then looks at what it returned."""
        if func is _DEVICE:  # makes nothing, and is asked for all the time
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args)
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._of_higher_order(func, args, kwargs)
        steps = STEPS.get(operator_name(func))
        if steps is not None and is_fake(args[0]) and not self._is_paused:
            result = self._in_steps(steps, arguments_of(func, args, kwargs))
        elif self._below is not None:
            result = self._below.call(func, args, kwargs)
        else:
            result = func(*args, **kwargs)
        if self._is_paused:
            return result
        if isinstance(result, torch.Tensor):
            tensors = [result]
        else:
            tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if tensors:
            self._note(func, args, kwargs, tensors)
            if not self._is_in_steps:
                self._add_work(func, args, kwargs, result)
        return result

    def _of_higher_order(self, func: HigherOrderOperator, args: Any, kwargs: Any) -> Any:
        """Such as torch.cond: what it calls is not seen."""
        result = func(*args, **kwargs)
        if not self._is_paused:
            name = str(func)
            self.hidden.setdefault(name)
            formula = flop_registry.get(func)
            if formula is None:
                self.without_formula[name] = self.without_formula.get(name, 0) + 1
            else:
                self.add_flops(int(formula(*args, **kwargs, out_val=result)))
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    self._see_parts(leaf, name)
            for follower in self._followers:
                follower.section.is_working = True
        return result

    def _in_steps(self, steps: Callable[[Arguments], Any], given: Arguments) -> Any:
        is_outer, self._is_in_steps = not self._is_in_steps, True
        try:
            with self:
                return steps(given)
        finally:
            self._is_in_steps = not is_outer

    def _note(
        self,
        func: torch._ops.OpOverload,
        args: Any,
        kwargs: Mapping[str, Any],
        tensors: list[torch.Tensor],
    ) -> None:
        name = operator_name(func)
        for tensor in tensors:
            self._see_parts(tensor, name)
        size_bytes = copied_bytes(name, args)
        if size_bytes > self.copied.get(name, 0):
            self.copied[name] = size_bytes
        if any(not one.section.is_working for one in self._followers):
            working = computes(func, (args, kwargs), tensors)
            for follower in self._followers:
                follower.section.is_working |= working

    def _add_work(
        self, func: torch._ops.OpOverload, args: Any, kwargs: Mapping[str, Any], result: Any
    ) -> None:
        flops = operator_flops(func, args, kwargs, result)
        if flops is None:
            name = operator_name(func)
            self.without_formula[name] = self.without_formula.get(name, 0) + 1
        elif flops:
            self.add_flops(flops)
