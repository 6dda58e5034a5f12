"""The interface of an engine: it takes a network with an example, and computes it.

An engine is made ready in a process of its own, which leaves files; the process that measures loads
them. So what is measured never depends on whether something had to be exported before, and neither
exporters nor compilers leave anything in that process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from .parts import Inputs

Call = Callable[..., tuple[torch.Tensor, ...]]
"""Takes the inputs of a network, and returns all that it returns, in one tuple and in fp32."""


@dataclass(frozen=True)
class Order:
    """The way in which an engine shall compute."""

    precision: str
    threads: int
    device_type: str = "cpu"


@dataclass(frozen=True)
class Loaded:
    """A network that an engine computes."""

    call: Call
    precisions: Mapping[str, int] = field(default_factory=dict)
    """How many operators compute in which type, as the engine itself tells; empty where it does
    not."""


class Engine(ABC):
    """One way to execute networks.

    Args:
        order: what is asked of it.
    """

    casts: ClassVar[bool] = True
    """Whether it is given a network in the precision that is asked for; else one in fp32, and it
    computes in that precision by itself."""
    owns_weights: ClassVar[bool] = True
    """Whether it computes without the modules of the network, which are freed then."""

    def __init__(self, order: Order) -> None:
        self.order = order

    @abstractmethod
    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """Makes the files from which ``load`` takes the network.

        Args:
            network: returns a tuple of tensors.
            inputs: an example: the network is exported for these shapes.
            folder: empty, for the files.
            calibration: of int8, what the network is given in some inferences.
        """

    @abstractmethod
    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """Takes the network from its files.

        Args:
            network: as given to ``export``, for engines that compute with its modules.
            inputs: an example.
            folder: that ``export`` has filled.
        """
