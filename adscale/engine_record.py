"""What executed the networks of a run, as its record tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from .models import CLOSED, Count, Number, Positive, Text

Seconds = Annotated[Number, Field(ge=0)]


@dataclass(frozen=True, config=CLOSED)
class PrunedNetwork:
    """What pruning has left of a network."""

    channels: Count = Field(description="Of convolutions and linear layers, before.")
    removed_channels: Count = Field(
        description="That were taken out. Less than the share that was asked for: what a network "
        "is given and returns keeps its width, and others are rounded to what a norm divides."
    )
    parameters: Count = Field(description="Before.")
    removed_parameters: Count = Field(description="That were taken out with them.")


@dataclass(frozen=True, config=CLOSED)
class EngineNetwork:
    """A network that an engine computes."""

    submodule: Text = Field(description="To which it belongs.")
    operators: Mapping[Text, Positive] = Field(
        description="How many convolutions and products are computed in which precision, as the "
        "engine itself tells of what it has loaded; empty where it does not tell."
    )
    export_s: Seconds = Field(
        description="Time to export it, or to compile it, in the process that did so: before this "
        "run, or before one that had the same engine."
    )
    load_s: Seconds = Field(
        description="Time until the engine had loaded it from its files, in this process: of "
        "torch.compile with the first inference, of the others without."
    )
    first_inference_s: Seconds = Field(description="The first inference after that.")
    size_bytes: Count = Field(description="Its files.")
    deviation: Annotated[Number, Field(ge=0)] | None = Field(
        description="Largest difference of what it returns from what torch returns in fp32, over "
        "the largest value of that, for the example with which it was exported; null where "
        "either is not finite."
    )
    calibrated_images: Count = Field(
        default=0,
        description="Images from which int8 has the ranges of its numbers: the first of those that "
        "are run.",
    )
    pruned: PrunedNetwork | None = Field(
        default=None, description="What pruning has left of it; null where it was not pruned."
    )


@dataclass(frozen=True, config=CLOSED)
class EngineRecord:
    """The engine of a run."""

    name: Text = Field(description="As in the variant.")
    versions: Mapping[Text, Text] = Field(description="Of its packages.")
    key: Text = Field(description="Names its files, which other runs use, too.")
    networks: tuple[EngineNetwork, ...] = Field(description="In the order of inference.")
    outside: Mapping[Text, Text] = Field(
        description="What of the submodules stays in eager torch, in fp32, or in other libraries."
    )
