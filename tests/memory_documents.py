"""Documents as `memory.json` has them, from closed forms of the side of the image.

Every size is a function of the side in px and gives bytes, so that a test knows what must be found
at any resolution.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Size = Callable[[int], int]
"""Bytes (or FLOP) at a side length in px."""

CONVENTIONS = ("convolution", "not_in_place", "leaf", "torchsummary", "allocated")
LIBRARY = "generated library"


def constant(size: int) -> Size:
    """The same at every resolution."""
    return lambda _side_px: size


def per_pixel(factor: float, fixed: int = 0) -> Size:
    """Grows with the pixels."""
    return lambda side_px: round(factor * side_px**2) + fixed


NOTHING = constant(0)
MEGABYTE = constant(1_000_000)
EIGHT_BYTES = constant(8)


@dataclass(frozen=True)
class Part:
    """A submodule.

    Attributes:
        name: of the submodule.
        parameters: bytes.
        buffers: bytes.
        activations: bytes by the paper's convention; the other conventions take two, three, …
            times as many, in the order of `CONVENTIONS`.
        peak: bytes of tensors alive at once.
        kept: of tensors that were alive before it began.
        host_peak: bytes beside a CUDA device.
        library: bytes that a library takes on the device.
        flops: floating-point operations.
        complexity: declared growth of its work.
    """

    name: str
    parameters: Size = MEGABYTE
    buffers: Size = EIGHT_BYTES
    activations: Size = NOTHING
    peak: Size = NOTHING
    kept: Size = NOTHING
    host_peak: Size = NOTHING
    library: Size = NOTHING
    flops: Size = NOTHING
    complexity: str = "unknown"


@dataclass(frozen=True)
class Count:
    """The counts of a method in one variant; without `resolutions`, which `document` fills."""

    method: str
    parts: Sequence[Part]
    variant: str = "reference-fp32"
    device_type: str = "cuda"
    incomplete: str | None = None
    not_counted: Sequence[str] = ()

    def document(self, sides_px: Sequence[int]) -> dict[str, Any]:
        """The content of `memory.json`."""
        return {
            "schema_version": 3,
            "method": self.method,
            "target": "generated",
            "settings": {},
            "variant": self.variant,
            "device_type": self.device_type,
            "resolutions": [self._resolution(side_px) for side_px in sides_px],
        }

    def write(self, path: Path, sides_px: Sequence[int]) -> Path:
        """Write `memory.json`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(sides_px)))
        return path

    def image_bytes(self, side_px: int) -> int:
        """Of the input: three channels of 32-bit floats."""
        return 12 * side_px**2

    def needed_bytes(self, side_px: int) -> int:
        """What the device must hold."""
        held = sum(
            part.parameters(side_px) + part.buffers(side_px) + part.library(side_px)
            for part in self.parts
        )
        return held + self.image_bytes(side_px) + max(part.peak(side_px) for part in self.parts)

    def _resolution(self, side_px: int) -> dict[str, Any]:
        return {
            "resolution": str(side_px),
            "image_bytes": self.image_bytes(side_px),
            "needed_bytes": self.needed_bytes(side_px),
            "not_counted": list(self.not_counted),
            "incomplete": self.incomplete,
            "submodules": [_submodule(part, side_px) for part in self.parts],
        }


def _submodule(part: Part, side_px: int) -> dict[str, Any]:
    activations = part.activations(side_px)
    library = part.library(side_px)
    return {
        "submodule": part.name,
        "complexity": part.complexity,
        "parameters_bytes": part.parameters(side_px),
        "buffers_bytes": part.buffers(side_px),
        "activations_bytes": activations,
        "conventions": {
            name: activations * factor for factor, name in enumerate(CONVENTIONS, start=2)
        },
        "peak": _peak(part, side_px),
        "host_peak_bytes": part.host_peak(side_px),
        "flops": part.flops(side_px),
        "libraries": [
            {"library": LIBRARY, "purpose": "search", "device_bytes": library, "host_bytes": 0}
        ]
        if library
        else [],
        "layers": [],
    }


def _peak(part: Part, side_px: int) -> dict[str, Any]:
    """Two thirds of what the submodule makes itself are one product, the rest what it read."""
    peak, kept = part.peak(side_px), part.kept(side_px)
    if not peak:
        return {"bytes": 0, "kept_bytes": 0, "operator": None, "layer": None, "alive": []}
    product = 2 * (peak - kept) // 3
    groups = [
        (part.name, "aten::bmm", f"{part.name}.attention", 1, product),
        (part.name, "aten::clone", None, 2, peak - kept - product),
        (None, "aten::empty", None, 1, kept),
    ]
    names = ("submodule", "operator", "layer", "tensors", "bytes")
    alive = [dict(zip(names, group, strict=True)) for group in groups if group[-1]]
    alive.sort(key=lambda group: -group["bytes"])
    return {
        "bytes": peak,
        "kept_bytes": kept,
        "operator": "aten::bmm",
        "layer": f"{part.name}.attention",
        "alive": alive,
    }
