"""Makes the tensor that a network expects from a photograph."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..image_reading import any_size, to_rgb

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_tensor(image: Image.Image, side_px: int) -> torch.Tensor:
    """Resizes to a square, whatever the aspect ratio, and normalises.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        side_px: side length of the square.

    Returns:
        Shape (1, 3, side_px, side_px), float32, contiguous: ``(rgb / 255 − mean) / std``.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return _rgb_tensor(image, side_px).sub_(mean).div_(std)


def centre_crop_tensor(image: Image.Image, side_px: int) -> torch.Tensor:
    """Resizes the shorter side, keeps the square in the middle, and normalises.

    The reference of PatchCore resizes to 256 px and crops 224 px; here nothing but the longer
    side's ends are cut off, so that every resolution sees the same part of a photograph.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        side_px: side length of the square.

    Returns:
        Shape (1, 3, side_px, side_px), float32, contiguous: ``(rgb / 255 − mean) / std``.
    """
    width, height = image.size
    shorter = min(width, height)
    left, top = (width - shorter) // 2, (height - shorter) // 2
    with any_size():  # Pillow looks for attacks here, too
        square = image.crop((left, top, left + shorter, top + shorter))
    return imagenet_tensor(square, side_px)


def symmetric_tensor(image: Image.Image, side_px: int) -> torch.Tensor:
    """Resizes to a square, whatever the aspect ratio, and scales to −1 … 1.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        side_px: side length of the square.

    Returns:
        Shape (1, 3, side_px, side_px), float32, contiguous: ``2 · rgb / 255 − 1``.
    """
    return _rgb_tensor(image, side_px).mul_(2).sub_(1)


def _rgb_tensor(image: Image.Image, side_px: int) -> torch.Tensor:
    """Shape (1, 3, side_px, side_px), values 0 to 1."""
    # Pillow's bilinear filter widens with the reduction: it is the antialiased one.
    resized = to_rgb(image).resize((side_px, side_px), Image.Resampling.BILINEAR)
    levels = torch.from_numpy(np.array(resized, dtype=np.float32))
    return levels.permute(2, 0, 1).contiguous().div_(255).unsqueeze(0)
