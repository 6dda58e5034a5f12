"""The interface of a method that is measured, and the steps that are counted without running.

Steps that torch does not see (libraries for numpy arrays, on the CPU or not) go through
``on_host``: while memory is counted there is nothing to compute, and such a step tells what it
would take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from adscale.methods.spec import Complexity, NoSettings, Part, ResolutionProblem
from adscale.resolution import Resolution
from adscale.tiles import TilePlan, Tiling

from ..annotation import EMPTY, Annotate, empty_range_ns

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Detection:
    """The result of one inference of N images.

    Instead of one tensor of all images either may be a list with a tensor of each.
    """

    anomaly_map: torch.Tensor | None
    """Shape (N, 1, height, width), float32, on the device of the inference or already on the host.
    Of a network that was not made for anomaly detection: its output, or None."""
    score: torch.Tensor | None
    """Shape (N,): how anomalous each image is as a whole; None where the method has none."""


class Method(nn.Module, ABC):
    """One anomaly-detection method, built for one resolution, ready for inference.

    It is an ``nn.Module``: what has to live on the device (networks, statistics) are its children
    and buffers, and ``move_to`` moves them.
    """

    submodules: ClassVar[tuple[str, ...]]
    """Names of the ranges that ``infer`` opens, in their order; they partition the inference."""

    # What follows has defaults for methods of users; our own say it without torch, in their SPEC.
    complexity: ClassVar[Mapping[str, Complexity]] = {}
    """How the work of submodules grows with the image, where it is known; fits then admit no other
    growth, and their bands are narrower."""
    implementations: ClassVar[tuple[str, ...]] = ("reference",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32")
    parts: ClassVar[Mapping[str, Part]] = {}
    """Networks by their submodule, which other engines can compute, and torch in other precisions;
    without them there are none of these variants."""
    takes_batches: ClassVar[bool] = False
    """Whether ``infer`` takes several images at once, and tells of each what it tells of it alone;
    else there are no variants with batches."""
    settings: ClassVar[type[Any]] = NoSettings
    """Model of the settings, a dataclass of pydantic; every field has a default."""
    supported_resolutions: ClassVar[str] = "whatever is asked for"
    counted_once: ClassVar[tuple[str, ...]] = ()
    """Paths of modules that are called many times an image, each call with the same cost: where
    memory is counted, one call stands for all. They return one new tensor and keep nothing."""

    tiling: ClassVar[Tiling] = Tiling()
    """What of a tile is that of the whole image, where that is known."""
    score_is_of_map: ClassVar[bool] = False
    """Whether the score is the largest value of the map: then it is that of a joined map, too, and
    else the largest score of a tile."""
    cut: ClassVar[TilePlan | None] = None
    """How whole images are cut; None: they are not. ``resolution`` is then that of a tile."""

    inner_ranges: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Ranges that are opened inside of submodules in each image, each with the names of those
    around it, the submodule first."""

    is_filled: bool = True
    """False where an instance that was built for counting lacks what one that runs has, such as a
    memory bank that is fitted to images."""

    @classmethod
    def resolution_problem(
        cls, settings: Mapping[str, Any], resolution: Resolution
    ) -> ResolutionProblem | None:
        """Why the method does not run at a resolution; None where it does.

        Args:
            settings: of the method, defaults filled in.
            resolution: of the image.
        """
        del settings, resolution
        return None

    @classmethod
    @abstractmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> Method:
        """Builds the method in evaluation mode on the CPU.

        Weights come from ``settings["weights"]`` or, where that is None, from ``seed``.

        Raises:
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: the architecture does not run at this resolution.
        """

    def move_to(self, device_type: str) -> None:
        """Moves everything to where inference happens.

        Args:
            device_type: ``cpu`` or ``cuda``, the current CUDA device.

        Raises:
            MemoryError, torch.OutOfMemoryError: it does not fit there.
        """
        self.to(device_type)

    @abstractmethod
    def prepare(self, image: Image) -> torch.Tensor:
        """Resizes and normalises a decoded image as the method prescribes.

        The images of a batch are prepared one by one and then joined, as data loaders do.

        Returns:
            Shape (1, 3, height, width), float32, on the CPU.
        """

    def pieces(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        """What of a prepared image an inference is given: all of it, or each of its tiles."""
        yield image

    @abstractmethod
    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference, each submodule in a range of its name.

        Args:
            image: what ``prepare`` returned, on the method's device; of a batch of N images shape
                (N, 3, height, width), where the method ``takes_batches``.
            annotate: opens a range. Every operation happens inside exactly one submodule's range.
        """

    def begin_measuring(self) -> None:
        """The images so far were to warm up: what has run in these only is in no measured one."""

    def empty_range_ns(self, annotate: Annotate) -> float:
        """Time in ns of a range without anything in it, opened as ``infer`` opens them.

        Args:
            annotate: opens ranges.
        """

        def opening() -> None:
            with annotate(EMPTY):
                pass

        return empty_range_ns(opening, lambda: None)


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether the tensor has a shape and no contents: memory is being counted."""
    return isinstance(tensor, FakeTensor)


_REPETITIONS: ContextVar[int] = ContextVar("repetitions", default=1)


@contextmanager
def standing_for(times: int) -> Iterator[None]:
    """What runs while it is entered is counted as if it ran so many times, one after the other."""
    token = _REPETITIONS.set(times)
    try:
        yield
    finally:
        _REPETITIONS.reset(token)


def repetitions() -> int:
    """How many times what runs now stands for."""
    return _REPETITIONS.get()


def held_by(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
    """What holds the memory of a tensor: of a sparse one its indices and values, else itself.

    Returns:
        Nothing where it lies otherwise, and nobody can tell where, such as in oneDNN's layouts.
    """
    layout = tensor.layout
    if layout is torch.strided:
        return () if tensor.is_nested else (tensor,)
    if is_fake(tensor):
        return ()  # how many values a sparse one has follows from contents
    with _disable_current_modes():  # a sparse one, while others without contents are counted
        if layout is torch.sparse_coo:
            return (tensor._indices(), tensor._values())  # noqa: SLF001 - coalesced or not
        if layout in (torch.sparse_csr, torch.sparse_bsr):
            return (tensor.crow_indices(), tensor.col_indices(), tensor.values())
        if layout in (torch.sparse_csc, torch.sparse_bsc):
            return (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    return ()


@dataclass(frozen=True)
class LibraryWork:
    """Memory and work of a library besides its arguments and results."""

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
