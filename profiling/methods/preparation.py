"""Makes the tensor that a network expects from a photograph."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from adscale.resolution import Resolution

from ..image_reading import any_size, decoding_in_force, to_rgb

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_tensor(image: Image.Image, resolution: Resolution) -> torch.Tensor:
    """Fits an image to a resolution, see ``fitted``, and normalises.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        resolution: of the tensor.

    Returns:
        Shape (1, 3, height, width), float32, contiguous: ``(rgb / 255 − mean) / std``.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return _rgb_tensor(image, resolution).sub_(mean).div_(std)


def centre_crop_tensor(image: Image.Image, resolution: Resolution) -> torch.Tensor:
    """Cuts an image to the aspect ratio of a resolution, unless told otherwise, and normalises.

    The reference of PatchCore resizes to 256 px and crops 224 px; here nothing but the longer
    side's ends are cut off, so that every resolution sees the same part of a photograph.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        resolution: of the tensor.

    Returns:
        Shape (1, 3, height, width), float32, contiguous: ``(rgb / 255 − mean) / std``.
    """
    if decoding_in_force().fit is None:
        image = centre_cropped(image, resolution)
    return imagenet_tensor(image, resolution)


def symmetric_tensor(image: Image.Image, resolution: Resolution) -> torch.Tensor:
    """Fits an image to a resolution, see ``fitted``, and scales to −1 … 1.

    Args:
        image: a decoded image of any mode that ``profiling.image_reading.to_rgb`` knows.
        resolution: of the tensor.

    Returns:
        Shape (1, 3, height, width), float32, contiguous: ``2 · rgb / 255 − 1``.
    """
    return _rgb_tensor(image, resolution).mul_(2).sub_(1)


def fitted(image: Image.Image, resolution: Resolution) -> Image.Image:
    """An image as large as a resolution says.

    To a square it is resized whatever its aspect ratio, as the reference implementations do. For
    any other resolution it is first cut to the same aspect ratio around its centre, so that nothing
    in it is distorted. Where ``Decoding.fit`` is set, that is what is done.

    Args:
        image: a decoded image.
        resolution: asked for.
    """
    rule = decoding_in_force().fit or ("stretch" if resolution.is_square else "crop")
    if rule == "crop":
        image = centre_cropped(image, resolution)
    elif rule == "pad":
        return _padded(image, resolution)
    # Pillow's bilinear filter widens with the reduction: it is the antialiased one.
    size = (resolution.width_px, resolution.height_px)
    return image.resize(size, Image.Resampling.BILINEAR)


def centre_cropped(image: Image.Image, resolution: Resolution) -> Image.Image:
    """The largest part around the centre of an image that has the aspect ratio of a resolution.

    Args:
        image: a decoded image.
        resolution: of which only the ratio of width and height matters.
    """
    width, height = image.size
    across, down = resolution.width_px, resolution.height_px
    cut_width = max(1, min(width, round(height * across / down)))
    cut_height = max(1, min(height, round(width * down / across)))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    with any_size():  # Pillow looks for attacks here, too
        return image.crop((left, top, left + cut_width, top + cut_height))


def _padded(image: Image.Image, resolution: Resolution) -> Image.Image:
    """The whole image as large as there is room for it, in the middle of a black one."""
    width, height = image.size
    across, down = resolution.width_px, resolution.height_px
    inner = (
        max(1, min(across, round(width * down / height))),
        max(1, min(down, round(height * across / width))),
    )
    found = Image.new(image.mode, (across, down))
    resized = image.resize(inner, Image.Resampling.BILINEAR)
    found.paste(resized, ((across - inner[0]) // 2, (down - inner[1]) // 2))
    return found


def _rgb_tensor(image: Image.Image, resolution: Resolution) -> torch.Tensor:
    """Shape (1, 3, height, width), values 0 to 1."""
    resized = fitted(to_rgb(image), resolution)
    levels = torch.from_numpy(np.array(resized, dtype=np.float32))
    return levels.permute(2, 0, 1).contiguous().div_(255).unsqueeze(0)
