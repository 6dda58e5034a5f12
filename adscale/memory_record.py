"""``memory.json``: exact counts of one method and variant; no image is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, model_validator
from pydantic.dataclasses import dataclass

from .methods.spec import Complexity
from .models import CLOSED, Flag, Integer, Positive, Text
from .resolution import Resolution, renamed_side
from .variant import Variant

Counted = Annotated[int, Strict(), Field(ge=0, le=10**24)]
"""Bytes or FLOP: a quadratic search at the largest side takes 10²¹, which 64 bits do not hold."""


@dataclass(frozen=True, config=CLOSED)
class LayerCount:
    """A counted layer. One that is called several times is counted the first time."""

    name: str = Field(description="Path of the module.")
    type: str = Field(description="Its class.")
    output_shape: tuple[Integer, ...] = Field(description="Of its first call.")
    parameters_bytes: Counted = Field(description="Its own.")
    activations_bytes: Counted = Field(description="Its output.")


@dataclass(frozen=True, config=CLOSED)
class AliveCount:
    """Tensors of one origin in a peak."""

    submodule: str | None = Field(description="In which they were made.")
    operator: str = Field(description="That made them.")
    layer: str | None = Field(description="In which; null: in none.")
    tensors: Positive = Field(description="How many.")
    bytes: Counted = Field(description="Of all of them.")


@dataclass(frozen=True, config=CLOSED)
class PeakCount:
    """The largest sum of tensors on the device that are alive at once during a submodule."""

    bytes: Counted = Field(
        description="Largest sum of the tensors on the device that are alive at once while the "
        "submodule runs; parameters, buffers and the input image are not in it."
    )
    kept_bytes: Counted = Field(
        description="Of tensors alive when the submodule begins: what earlier ones have left."
    )
    operator: str | None = Field(
        description="Whose output completes the peak, such as aten::bmm; null: nothing was "
        "allocated."
    )
    layer: str | None = Field(
        description="Path of the innermost module it was called in; null: in none."
    )
    alive: tuple[AliveCount, ...] = Field(
        description="The tensors of the peak, largest group first."
    )


@dataclass(frozen=True, config=CLOSED)
class LibraryCount:
    """The memory of a library, which torch does not see."""

    library: str = Field(description="Its name.")
    purpose: str = Field(description="What for.")
    device_bytes: Counted = Field(description="On the device.")
    host_bytes: Counted = Field(description="On the host beside it.")


@dataclass(frozen=True, config=CLOSED)
class Conventions:
    """Bytes of activations by other conventions than that of ``activations_bytes``."""

    convolution: Counted = Field(
        description="Outputs of convolutions and linear layers, each once."
    )
    not_in_place: Counted = Field(
        description="Outputs of leaf modules less those of in-place activations, Dropout and "
        "Identity, each once."
    )
    leaf: Counted = Field(description="Outputs of all leaf modules, each once.")
    torchsummary: Counted = Field(
        description="Outputs of all modules but containers (Sequential, ModuleList), each once."
    )
    allocated: Counted = Field(
        description="Every storage that an operator returned newly, each time."
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class SubmoduleCount:
    """The needs of one submodule for one inference, of one image or of a variant's batch."""

    submodule: str = Field(description="Its name.")
    parameters_bytes: Counted = Field(description="Its parameters.")
    buffers_bytes: Counted = Field(description="Its buffers.")
    activations_bytes: Counted = Field(
        description="Sum of the outputs of leaf modules that own parameters, one inference of the "
        "variant's batch, not doubled (the paper's equation 3 in the convention that reproduces "
        "its figures)."
    )
    conventions: Conventions = Field(description="The same by other conventions.")
    leaf_modules: Counted | None = Field(
        default=None,
        description="Modules without children that are called, each once: layers with parameters, "
        "activation functions, poolings, Dropout. Absent from older files.",
    )
    peak: PeakCount = Field(description="Tensors alive at once.")
    host_peak_bytes: Counted = Field(
        description="Largest sum of tensors on the host beside a CUDA device; 0 for device_type "
        "cpu."
    )
    flops: Counted = Field(
        description="Twice the multiply-adds of convolutions, matrix products, attention and "
        "search, over one inference: of all images of a batch."
    )
    libraries: tuple[LibraryCount, ...] = Field(
        description="What libraries that torch does not see take besides. On device_type cpu the "
        "device is the host, and host_bytes are 0."
    )
    layers: tuple[LayerCount, ...] = Field(
        description="The layers in activations_bytes, in the order of their calls."
    )
    complexity: Complexity = Field(
        default="unknown",
        description="How its work grows with the image, as its method declares it from what it "
        "computes; neither counted nor measured.",
    )

    @property
    def library_bytes(self) -> int:
        """The bytes that libraries take on the device."""
        return sum(one.device_bytes for one in self.libraries)


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class AllocatorCount:
    """What torch's caching allocator is predicted to hold on a CUDA device.

    From the counted allocations and their ends, replayed by the allocator's rules for one stream
    and two inferences; workspaces of cuDNN and cuBLAS, which it holds as well, are not counted.
    """

    allocated_bytes: Counted = Field(
        description="Most that it gives out at once, in blocks: sizes rounded up, and rests that "
        "are too small to be split off."
    )
    reserved_bytes: Counted = Field(
        description="Most that it takes from the driver, unless the driver refuses: then it gives "
        "back segments that are wholly free, and asks again."
    )
    expandable_reserved_bytes: Counted = Field(
        description="Most that it takes with expandable_segments:True."
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class MemoryCount:
    """The needs of one inference of a method at one resolution, of the variant's batch."""

    resolution: Resolution = Field(
        description="Of the image: the side length of a square in px, or width x height."
    )
    image_bytes: Counted = Field(
        description="The input tensor; in no other figure but needed_bytes."
    )
    submodules: Annotated[tuple[SubmoduleCount, ...], Field(min_length=1)] = Field(
        description="In the order of inference."
    )
    not_counted: tuple[Text, ...] = Field(
        description="What takes memory and is in none of the figures."
    )
    incomplete: Text | None = Field(
        description="What of a method of the user's is not in the figures, and why: all from where "
        "it needs contents, the layers of what is scripted, the work of operators without a "
        "formula; null: everything is in the count."
    )
    needed_bytes: Counted = Field(
        description="What the device must hold: parameters, buffers, input image, the largest "
        "peak of a submodule, and what libraries take. What not_counted lists comes on top."
    )
    allocator: AllocatorCount | None = Field(
        default=None,
        description="What torch's allocator is predicted to hold for it; null for device_type cpu, "
        "and absent from older files.",
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier(cls, data: Any) -> Any:
        return renamed_side(data)

    @property
    def largest_peak(self) -> SubmoduleCount:
        """The submodule whose peak is the largest."""
        return max(self.submodules, key=lambda part: part.peak.bytes)


@dataclass(frozen=True, config=CLOSED)
class RefusedCount:
    """A resolution at which nothing could be counted."""

    resolution: Resolution = Field(
        description="Of the image: the side length of a square in px, or width x height."
    )
    reason: Text = Field(description="Why, in a line.")
    by_method: Flag = Field(
        default=False,
        description="Whether the method itself cannot be built or called at this resolution; "
        "false: it could only not be counted.",
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier(cls, data: Any) -> Any:
        return renamed_side(data)


@dataclass(frozen=True, config=CLOSED)
class MemoryRecord:
    """Exact counts of one method and variant at some resolutions."""

    schema: ClassVar[str] = "memory"

    schema_version: Literal[3] = Field(description="Of this record.")
    method: str = Field(description="The user's label.")
    target: str = Field(description="The class behind it.")
    settings: Mapping[str, Any] = Field(description="Of the class.")
    variant: Variant = Field(
        description="implementation-precision with engine and options, and the batch that is "
        "counted: -b8 are 8 images."
    )
    device_type: Literal["cpu", "cuda"] = Field(
        description="Where the inference is thought to happen. It decides which tensors are "
        "copied and which lie on the host."
    )
    resolutions: tuple[MemoryCount, ...] = Field(
        description="One count per resolution. Empty where the count failed as a whole; it is "
        "tried again when the study is called again."
    )
    refused: tuple[RefusedCount, ...] = Field(
        default=(), description="Resolutions that were asked for and could not be counted."
    )
