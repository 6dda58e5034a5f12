"""What is counted of an inference; ``memory.json`` holds it under the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerCount:
    """A counted layer. One that is called several times is counted the first time."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters_bytes: int
    activations_bytes: int


@dataclass(frozen=True)
class AliveCount:
    """Tensors of one origin in a peak."""

    submodule: str | None
    operator: str
    layer: str | None
    tensors: int
    bytes: int


@dataclass(frozen=True)
class PeakCount:
    """The largest sum of tensors on the device that are alive at once during a submodule."""

    bytes: int
    kept_bytes: int
    """Alive when the submodule began."""
    operator: str | None
    """Whose output completes the peak."""
    layer: str | None
    alive: tuple[AliveCount, ...]
    """The largest group first."""


@dataclass(frozen=True)
class LibraryCount:
    """What a library takes that torch does not see."""

    library: str
    purpose: str
    device_bytes: int
    host_bytes: int


@dataclass(frozen=True)
class SubmoduleCount:
    """What one submodule needs for one inference, batch 1."""

    submodule: str
    parameters_bytes: int
    buffers_bytes: int
    activations_bytes: int
    """Sum over ``layers``: the study's convention."""
    conventions: Mapping[str, int]
    """Activations by the other conventions, in bytes."""
    leaf_modules: int
    """Modules without children that are called, with or without parameters."""
    peak: PeakCount
    host_peak_bytes: int
    flops: int
    libraries: tuple[LibraryCount, ...]
    layers: tuple[LayerCount, ...]
    """The counted layers, in the order of their calls."""


@dataclass(frozen=True)
class MemoryCount:
    """What one inference of a method needs, batch 1."""

    image_bytes: int
    submodules: tuple[SubmoduleCount, ...]
    """In the order of inference."""
    not_counted: tuple[str, ...]
    incomplete: str | None
    """Why what follows a certain submodule is not in the count; None: everything is."""

    @property
    def needed_bytes(self) -> int:
        """What the device must hold; what ``not_counted`` lists comes on top."""
        resident = sum(part.parameters_bytes + part.buffers_bytes for part in self.submodules)
        peak = max(part.peak.bytes for part in self.submodules)
        libraries = sum(one.device_bytes for part in self.submodules for one in part.libraries)
        return resident + self.image_bytes + peak + libraries
