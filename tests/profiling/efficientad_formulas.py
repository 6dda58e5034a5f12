"""EfficientAD written down a second time, as plain calls on the tensors of a state_dict.

Shares nothing with the package: sizes are literals, taken from the published layer tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional as F  # noqa: N812

Weights = Mapping[str, torch.Tensor]

DECODER_SIDES_PX = {
    256: (3, 8, 15, 32, 63, 127),
    257: (3, 8, 15, 32, 63, 127),
    300: (3, 9, 17, 37, 74, 149),
    320: (4, 10, 19, 40, 79, 159),
}
MAP_SIDE_PX = {
    (256, False): 56,
    (257, False): 57,
    (300, False): 67,
    (320, False): 72,
    (256, True): 64,
    (257, True): 65,
    (300, True): 75,
    (320, True): 80,
}


def conv(
    x: torch.Tensor, weights: Weights, name: str, *, padding: int = 0, stride: int = 1
) -> torch.Tensor:
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding)


def pdn(size: str, x: torch.Tensor, weights: Weights, net: str, padding: bool) -> torch.Tensor:
    wide, one = (3, 1) if padding else (0, 0)
    x = F.relu(conv(x, weights, f"{net}.0", padding=wide))
    x = F.avg_pool2d(x, 2, 2, padding=one)
    x = F.relu(conv(x, weights, f"{net}.3", padding=wide))
    x = F.avg_pool2d(x, 2, 2, padding=one)
    if size == "S":
        x = F.relu(conv(x, weights, f"{net}.6", padding=one))
        return conv(x, weights, f"{net}.8")
    x = F.relu(conv(x, weights, f"{net}.6"))
    x = F.relu(conv(x, weights, f"{net}.8", padding=one))
    x = F.relu(conv(x, weights, f"{net}.10"))
    return conv(x, weights, f"{net}.12")


def autoencoder(x: torch.Tensor, weights: Weights, padding: bool) -> torch.Tensor:
    height, width = x.shape[-2:]
    for index in (0, 2, 4, 6, 8):
        x = F.relu(conv(x, weights, f"autoencoder.{index}", padding=1, stride=2))
    x = conv(x, weights, "autoencoder.10")
    sides = zip(DECODER_SIDES_PX[height], DECODER_SIDES_PX[width], strict=True)
    for index, size in zip((12, 16, 20, 24, 28, 32), sides, strict=True):
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        x = F.relu(conv(x, weights, f"autoencoder.{index}", padding=2))
    size = MAP_SIDE_PX[height, padding], MAP_SIDE_PX[width, padding]
    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    x = F.relu(conv(x, weights, "autoencoder.36", padding=1))
    return conv(x, weights, "autoencoder.38", padding=1)


def anomaly_map(
    teacher: torch.Tensor,
    student: torch.Tensor,
    reconstruction: torch.Tensor,
    weights: Weights,
    shape: tuple[int, ...],
    padding: bool,
) -> torch.Tensor:
    """From the outputs of the three networks, the teacher's already normalised.

    Args:
        teacher: its output.
        student: its output.
        reconstruction: the output of the autoencoder.
        weights: of the method.
        shape: height and width of the image.
        padding: of the networks.
    """
    st = ((teacher - student[:, 0:384]) ** 2).sum(1, keepdim=True) / 384
    ae = ((reconstruction - student[:, 384:768]) ** 2).sum(1, keepdim=True) / 384
    start, end = weights["map_quantiles.st_start"], weights["map_quantiles.st_end"]
    st = 0.1 * (st - start) / (end - start)
    start, end = weights["map_quantiles.ae_start"], weights["map_quantiles.ae_end"]
    ae = 0.1 * (ae - start) / (end - start)
    small = (st + ae) / 2
    if not padding:
        framed = torch.zeros(1, 1, small.shape[-2] + 8, small.shape[-1] + 8)
        framed[:, :, 4:-4, 4:-4] = small
        small = framed
    return F.interpolate(small, size=shape, mode="bilinear", align_corners=False)
