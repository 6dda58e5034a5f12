"""One image from its file to its result, each part in a named range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .annotation import Annotate
from .images import ImageSet
from .methods.base import Method


@dataclass(frozen=True)
class Inference:
    """A method where it runs, and the images it is given.

    Args:
        method: on its device.
        images: the images.
        device_type: ``cpu`` or ``cuda``.
        flush: empties the device's cache before each image; None: it keeps what was there.
    """

    method: Method
    images: ImageSet
    device_type: str
    flush: Callable[[], None] | None = None

    def run(self, index: int, annotate: Annotate) -> None:
        """Runs one image.

        Args:
            index: of the image.
            annotate: opens the ranges.
        """
        with annotate("load"):
            image = self.images[index]
        with annotate("prepare"):
            batch = self.method.prepare(image)
        if self.device_type == "cuda":
            self._on_cuda(batch, annotate)
        else:
            self._flush(annotate)
            with annotate("image"):
                self.method.infer(batch, annotate)

    def _on_cuda(self, prepared: torch.Tensor, annotate: Annotate) -> None:
        with annotate("copy_to_device"):
            batch = prepared.to("cuda")
            torch.cuda.synchronize()
        self._flush(annotate)
        with annotate("image"):
            detection = self.method.infer(batch, annotate)
        with annotate("synchronize"):
            torch.cuda.synchronize()
        with annotate("copy_to_host"):
            for result in (detection.anomaly_map, detection.score):
                if result is not None:
                    result.cpu()

    def _flush(self, annotate: Annotate) -> None:
        if self.flush is not None:
            with annotate("flush"):
                self.flush()
