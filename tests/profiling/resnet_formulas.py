"""WideResNet101-2 written down a second time, as plain calls on the tensors of a state_dict."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional as F  # noqa: N812

Weights = Mapping[str, torch.Tensor]
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 23, "layer4": 3}


def norm(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    mean, variance, scale, shift = (
        weights[f"{name}.{part}"].view(1, -1, 1, 1)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift


def block(x: torch.Tensor, weights: Weights, name: str, stride: int) -> torch.Tensor:
    y = F.relu(norm(F.conv2d(x, weights[f"{name}.conv1.weight"]), weights, f"{name}.bn1"))
    y = F.conv2d(y, weights[f"{name}.conv2.weight"], stride=stride, padding=1)
    y = F.relu(norm(y, weights, f"{name}.bn2"))
    y = norm(F.conv2d(y, weights[f"{name}.conv3.weight"]), weights, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in weights:
        x = F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride)
        x = norm(x, weights, f"{name}.downsample.1")
    return F.relu(x + y)


def stages(image: torch.Tensor, weights: Weights, last: str) -> dict[str, torch.Tensor]:
    x = F.conv2d(image, weights["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(norm(x, weights, "bn1")), 3, 2, 1)
    found = {}
    for stage, count in BLOCKS.items():
        for index in range(count):
            stride = 2 if index == 0 and stage != "layer1" else 1
            x = block(x, weights, f"{stage}.{index}", stride)
        found[stage] = x
        if stage == last:
            break
    return found
