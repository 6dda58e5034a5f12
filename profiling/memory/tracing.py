"""One inference, followed from its first range to its last, on fake tensors or on real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from ..methods.base import LibraryWork, Method, watching_libraries
from .conventions import OTHER_CONVENTIONS, owns_parameters
from .live import Block, Origin, Section
from .ownership import resident_bytes
from .recording import ModuleCall, Recorder
from .records import AliveCount, LayerCount, LibraryCount, PeakCount, SubmoduleCount
from .repeats import counting_once

OUTSIDE = "outside"
"""Stands for tensors of a foreign network that belong to none of its submodules."""


class Trace:
    """Follows one inference, on fake tensors or on real ones.

    Args:
        method: built, and where it shall run.
        submodules: the names of the ranges that partition the inference; None where they are not
            known beforehand.
        device_type: of the inference.
    """

    def __init__(self, method: Method, submodules: Sequence[str] | None, device_type: str) -> None:
        self.recorder = Recorder(method, submodules, device_type)
        self._method = method
        self._libraries: dict[str, list[LibraryWork]] = {}

    def follow(self, image: torch.Tensor, *, counted_once: Sequence[str] = ()) -> None:
        """Runs the inference.

        Args:
            image: its input.
            counted_once: see ``Method.counted_once``; for fake tensors only.
        """
        method, recorder = self._method, self.recorder
        recorder.live.ignore([*method.parameters(), *method.buffers(), image])
        with (
            recorder.attach(),
            counting_once(method, counted_once, recorder.live),
            watching_libraries(self._take_note),
        ):
            method.infer(image, recorder.annotate)

    def _take_note(self, work: LibraryWork) -> None:
        submodule = self.recorder.position().submodule or OUTSIDE
        self._libraries.setdefault(submodule, []).append(work)
        self.recorder.live.add_flops(work.flops)

    def submodules(self, otherwise: str | None = None) -> tuple[SubmoduleCount, ...]:
        """What each submodule took, in the order of inference.

        Args:
            otherwise: the submodule of tensors of which nothing tells where they belong.
        """
        recorder = self.recorder
        parameters, buffers = resident_bytes(self._method, recorder.submodule_of, otherwise)
        names = list(self._method.submodules)
        if otherwise in {*parameters, *buffers} - set(names):
            names.append(OUTSIDE)
        return tuple(
            _submodule(
                name,
                parameters.get(name, 0),
                buffers.get(name, 0),
                [call for call in recorder.calls if call.submodule == name],
                recorder.sections.get(name, []),
                self._libraries.get(name, []),
            )
            for name in names
        )


def _submodule(
    name: str,
    parameters_bytes: int,
    buffers_bytes: int,
    calls: Sequence[ModuleCall],
    sections: Sequence[Section],
    libraries: Sequence[LibraryWork],
) -> SubmoduleCount:
    layers = tuple(_layer(call) for call in calls if owns_parameters(call))
    conventions = {
        convention: sum(call.output_bytes for call in calls if belongs(call))
        for convention, belongs in OTHER_CONVENTIONS.items()
    }
    conventions["allocated"] = sum(section.allocated_bytes for section in sections)
    return SubmoduleCount(
        submodule=name,
        parameters_bytes=parameters_bytes,
        buffers_bytes=buffers_bytes,
        activations_bytes=sum(layer.activations_bytes for layer in layers),
        conventions=conventions,
        leaf_modules=sum(call.is_leaf for call in calls),
        peak=_peak(sections),
        host_peak_bytes=max((section.host_peak_bytes for section in sections), default=0),
        flops=sum(section.flops for section in sections),
        libraries=_libraries(libraries),
        layers=layers,
    )


def _layer(call: ModuleCall) -> LayerCount:
    return LayerCount(
        name=call.name,
        type=type(call.module).__name__,
        output_shape=call.output_shape,
        parameters_bytes=call.parameters_bytes,
        activations_bytes=call.output_bytes,
    )


def _peak(sections: Sequence[Section]) -> PeakCount:
    """Of a submodule whose range may open several times in an image."""
    if not sections:
        return PeakCount(0, 0, None, None, ())
    most = max(sections, key=lambda section: section.peak_bytes)
    origin = most.origin
    return PeakCount(
        bytes=most.peak_bytes,
        kept_bytes=most.kept_bytes,
        operator=origin and origin.operator,
        layer=origin and origin.layer,
        alive=_grouped((*most.kept, *most.own)),
    )


def _grouped(blocks: tuple[Block, ...]) -> tuple[AliveCount, ...]:
    tensors: Counter[Origin] = Counter()
    sizes: Counter[Origin] = Counter()
    for block in blocks:
        tensors[block.origin] += 1
        sizes[block.origin] += block.size_bytes
    return tuple(
        AliveCount(origin.submodule, origin.operator, origin.layer, tensors[origin], size)
        for origin, size in sizes.most_common()
    )


def _libraries(works: Sequence[LibraryWork]) -> tuple[LibraryCount, ...]:
    """One of each kind: a library takes its memory again in the next call, not once more."""
    largest: dict[tuple[str, str], LibraryCount] = {}
    for work in works:
        key = (work.library, work.purpose)
        known = largest.get(key)
        largest[key] = LibraryCount(
            *key,
            device_bytes=max(work.device_bytes, known.device_bytes if known else 0),
            host_bytes=max(work.host_bytes, known.host_bytes if known else 0),
        )
    return tuple(largest.values())
