"""From a photograph to the tensor that a network trained on ImageNet expects."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from profiling.images import to_rgb

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_tensor(image: Image.Image, side_px: int) -> torch.Tensor:
    """Resizes to a square, whatever the aspect ratio, and normalises.

    Args:
        image: a decoded image of any mode that ``profiling.images.to_rgb`` knows.
        side_px: side length of the square.

    Returns:
        Shape (1, 3, side_px, side_px), float32, contiguous: ``(rgb / 255 − mean) / std``.
    """
    # Pillow's bilinear filter widens with the reduction: it is the antialiased one.
    resized = to_rgb(image).resize((side_px, side_px), Image.Resampling.BILINEAR)
    levels = torch.from_numpy(np.array(resized, dtype=np.float32))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    tensor = levels.permute(2, 0, 1).contiguous().div_(255).sub_(mean).div_(std)
    return tensor.unsqueeze(0)
