"""Peak of live tensors per submodule, on fake tensors: no image is run.

torch's own tracker (``torch.distributed._tools.mem_tracker``) cannot follow a network that is
called several times, as DDAD's U-Net is.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from profiling.methods.ddad.unet import UNet, optimize
from profiling.methods.loading import load_method_class
from profiling.methods.patchcore.embedding import closed_form_embedding, reference_embedding
from profiling.methods.registry import check_settings, get_spec


class LiveTensors(TorchDispatchMode):
    """Follows the storages that operators return, from their first appearance to their release.

    What an operator allocates and frees inside itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def ignore(self, module: torch.nn.Module, *tensors: torch.Tensor) -> None:
        """Leaves out what was there before: weights, buffers, inputs."""
        for tensor in (*module.parameters(), *module.buffers(), *tensors):
            self._known.add(tensor.untyped_storage())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the operator, then looks at what it returned."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.live_bytes -= size


def peak_bytes(
    target: str, settings: Mapping[str, Any], *, implementation: str, resolution_px: int
) -> dict[str, int]:
    """Largest sum of the tensors that are made and alive at once within each submodule.

    Weights, the input, and what earlier submodules have left are not in it.

    Args:
        target: of the method.
        settings: of the method.
        implementation: such as ``reference``.
        resolution_px: side length of the image.
    """
    spec = get_spec(target)
    peaks: dict[str, int] = {}
    with FakeTensorMode(), torch.no_grad():
        method = load_method_class(spec).build(
            check_settings(spec, settings),
            resolution_px=resolution_px,
            implementation=implementation,
            seed=0,
        )
        image = torch.empty(1, 3, resolution_px, resolution_px)

        @contextmanager
        def tracked(name: str) -> Iterator[None]:
            if name not in spec.submodules:  # a step inside one
                yield
                return
            before = live.peak_bytes = live.live_bytes
            yield
            peaks[name] = live.peak_bytes - before

        live = LiveTensors()
        live.ignore(method, image)
        with live:
            method.infer(image, tracked)
    return peaks


def unet_peak_bytes(*, implementation: str, resolution_px: int) -> int:
    """Peak of one call of DDAD's U-Net by itself, weights and input not counted."""
    with FakeTensorMode(), torch.no_grad():
        unet = UNet(base_channels=64, heads=4, dropout=0.0).eval()
        if implementation == "optimized":
            optimize(unet)
        image, step = torch.empty(1, 3, resolution_px, resolution_px), torch.empty(1)
        live = LiveTensors()
        live.ignore(unet, image, step)
        with live:
            unet(image, step)
    return live.peak_bytes


def embedding_peak_bytes(*, implementation: str, resolution_px: int) -> int:
    """Peak of PatchCore's patch embedding, both feature maps counted."""
    embed = {"reference": reference_embedding, "optimized": closed_form_embedding}[implementation]
    live = LiveTensors()
    with FakeTensorMode(), torch.no_grad(), live:
        middle, deep = (
            torch.empty(1, channels, *[math.ceil(resolution_px / factor)] * 2)
            for channels, factor in ((512, 8), (1024, 16))
        )
        embed(middle, deep)
    return live.peak_bytes
