"""torch.compile: kernels that torch's compiler generates for a network of one size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .base import Engine, Loaded
from .parts import Inputs

MOST_NETWORKS = 1000


class Compiled(Engine):
    """Compiles once; the process that measures finds the kernels in the compiler's own cache."""

    owns_weights = False

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``; the files are those of the compiler's cache."""
        del calibration
        with torch.inference_mode():  # as it is called later: else it is compiled once more
            self.load(network, tuple(one.clone() for one in inputs), folder)

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``. Every size is compiled by itself, and nothing is compiled later."""
        from torch._dynamo import config as limits

        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.absolute())
        # compiled in this process: others would be there while images are measured
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        # the networks of a process share a forward, and behind a limit torch goes on uncompiled;
        # as a full graph it fails instead
        limits.recompile_limit = MOST_NETWORKS
        compiled: Any = torch.compile(network, dynamic=False, fullgraph=True)
        compiled(*inputs)
        return Loaded(compiled)
