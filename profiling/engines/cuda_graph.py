"""CUDA graphs: the kernels of a network are recorded once, and launched all at once.

Never run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from .base import Engine, Loaded
from .parts import Inputs

WARM_UP = 3
"""Calls before the recording, as torch advises: libraries choose their kernels in them."""


class CudaGraph(Engine):
    """Records the network in the process that measures: a graph cannot be kept in a file."""

    owns_weights = False

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``; there is nothing to make."""

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``.

        A graph reads and writes the same memory each time. So inputs are copied there, and what it
        returns is copied from there, in each call: both belong to its time.
        """
        del folder
        held = tuple(one.clone() for one in inputs)
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                network(*held)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = network(*held)

        def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            for place, tensor in zip(held, given, strict=True):
                place.copy_(tensor)
            graph.replay()
            return tuple(one.clone() for one in outputs)

        return Loaded(call)
