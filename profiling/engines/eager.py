"""Torch as it is, of networks that a process of its own has pruned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from .base import Engine, Loaded
from .parts import Inputs


class Eager(Engine):
    """Calls the network; its weights are all that there is in files."""

    owns_weights = False

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``; there is nothing to make."""

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``."""
        del inputs, folder
        return Loaded(network)
