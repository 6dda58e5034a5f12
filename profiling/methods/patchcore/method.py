"""PatchCore-10 as it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from adscale.methods.patchcore import DIMENSION, SPEC, bank_rows, patch_grid
from adscale.methods.spec import check_implementation, check_resolution, check_settings
from adscale.resolution import Resolution

from ...annotation import Annotate
from ..base import Detection, Method, is_fake
from ..preparation import centre_crop_tensor
from ..weights import draw_weights, load_weights
from ..wide_resnet import cut_behind, fold_batch_norms, stage_outputs, wide_resnet101
from .bank import draw_bank, fit_bank, normal_images
from .embedding import (
    MatrixMap,
    ReferenceMap,
    closed_form_embedding,
    gathered,
    reference_embedding,
)
from .search import BlockSearch, FlatSearch

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...images import ImageSet

STAGES = ("layer2", "layer3")


class PatchCore(Method):
    """WideResNet101, patch embedding, exact search in a memory bank, anomaly map.

    The configuration is the baseline of amazon-science/patchcore-inspection with this backbone:
    stages 2 and 3, 1024 values, neighbourhoods of 3 x 3, one neighbour, coreset of 10 %.

    Args:
        rows: vectors of the memory bank.
        resolution: of the images.
        search: `faiss`, or of the optimized implementation `blocks` or `blocks-fp16`.
        optimized: cut backbone with folded normalisations, closed form of the embedding, one copy
            to the host, map as a matrix product; else the operations of the reference.

    Raises:
        MemoryError: the memory bank does not fit.
    """

    submodules = SPEC.submodules
    takes_batches = True

    def __init__(
        self, *, rows: int, resolution: Resolution, optimized: bool, search: str = "faiss"
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.optimized = optimized
        self.grid = patch_grid(resolution)
        self.backbone = wide_resnet101()
        in_blocks = optimized and search != "faiss"
        self.search: FlatSearch | BlockSearch = (
            BlockSearch(rows, DIMENSION, half=search == "blocks-fp16")
            if in_blocks
            else FlatSearch(rows, DIMENSION)
        )
        self.map = MatrixMap(resolution, self.grid) if optimized else ReferenceMap(resolution)

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> PatchCore:
        """Builds the method in evaluation mode on the CPU; see ``Method.build``.

        Raises:
            ConfigError: a setting, or the implementation, is unknown, or there are no images to
                fit the bank to.
            ImageFolderError: none of those images can be read.
            WeightsError: the checkpoint cannot be read or does not fit the architecture.
            UnsupportedResolutionError: the resolution is too small.
            MemoryError: the memory bank does not fit; the message says how many bytes it needs.
        """
        settings = check_settings(SPEC, settings)
        check_implementation(SPEC, implementation)
        check_resolution(SPEC, settings, resolution)
        images = normal_images(settings["normal_images"]) if settings["bank"] == "fit" else None
        rows = bank_rows(
            # of tiles: all that the training images are cut into
            training_images=(len(images) if images else settings["training_images"])
            * (1 if cls.cut is None else cls.cut.number),
            resolution=resolution,
            coreset_fraction=settings["coreset_fraction"],
        )
        method = cls(
            rows=rows,
            resolution=resolution,
            optimized=implementation == "optimized",
            search=settings["search"],
        )
        if settings["weights"] is None:
            draw_weights(method.backbone, seed=seed)
        else:
            load_weights(method.backbone, Path(settings["weights"]))
        method.requires_grad_(requires_grad=False).eval()
        if not is_fake(method.search.bank):
            method._fill_bank(images, seed)
        if isinstance(method.search, BlockSearch):
            method.search.settle()
        if method.optimized:
            fold_batch_norms(method.backbone)
            cut_behind(method.backbone, STAGES[-1])
        return method

    def _fill_bank(self, images: ImageSet | None, seed: int) -> None:
        if images is None:
            draw_bank(self.search.bank, seed=seed)
            return

        def embed(index: int) -> torch.Tensor:
            with torch.inference_mode():
                pieces = self.pieces(self.prepare(images[index]))
                embedded = [closed_form_embedding(*self.stages(piece)) for piece in pieces]
                return torch.cat(embedded).cpu()

        fit_bank(
            self.search.bank,
            images,
            embed,
            self.backbone,
            resolution=self.resolution,
            seed=seed,
            cut=self.cut,
        )

    def move_to(self, device_type: str) -> None:
        """Moves the networks, and the memory bank into an index there."""
        if device_type != "cuda":
            return
        for module in (self.backbone, self.map):
            module.to(device_type)
        if isinstance(self.search, BlockSearch):
            self.search.to(device_type)
        else:
            self.search.move_to_gpu()

    def prepare(self, image: Image) -> torch.Tensor:
        """Crops the centre to the aspect ratio, resizes, normalises with ImageNet's statistics.

        Returns:
            Shape (1, 3, height, width), float32, contiguous, on the CPU.
        """
        return centre_crop_tensor(image, self.resolution)

    def stages(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs of the backbone's second and third stage, which patches are made of.

        Args:
            image: shape (N, 3, height, width), as ``prepare`` returns each.

        Returns:
            Shapes (N, 512, g, f) and (N, 1024, h, e), sides ceil(s/8) and ceil(s/16).
        """
        outputs = stage_outputs(self.backbone, image, STAGES[-1])
        return tuple(outputs[stage] for stage in STAGES)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Runs one inference; the patches of all images of a batch are searched at once.

        Args:
            image: shape (N, 3, height, width), float32.
            annotate: opens the ranges feature_extraction, patch_embedding, nn_search and
                anomaly_map.
        """
        with annotate("feature_extraction"):
            stages = self.stages(image)
        if self.optimized:
            with annotate("patch_embedding"):
                patches = closed_form_embedding(*stages)
                if isinstance(self.search, FlatSearch):
                    patches = patches.cpu()
                del stages
            with annotate("nn_search"):
                distances = self.search(patches)
                del (
                    patches
                )  # giving blocks back to the system takes time, which is to be in a range
        else:
            with annotate("patch_embedding"):
                rows = reference_embedding(*stages)
                del stages
            with annotate("nn_search"):
                distances = self.search(gathered(rows))
                del rows
        with annotate("anomaly_map"):
            grid = distances.reshape(-1, 1, *self.grid)
            score = distances.reshape(len(grid), -1).amax(dim=1)
            return Detection(anomaly_map=self.map(grid.to(image.device)), score=score)
