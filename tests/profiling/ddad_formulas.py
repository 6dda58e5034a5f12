"""DDAD written down a second time: plain calls on the tensors of a state_dict, literal sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

Weights = Mapping[str, torch.Tensor]

ATTENTION_DOWN = {10, 11, 13, 14, 16, 17}
ATTENTION_UP = set(range(9))
HALVING = {3, 6, 9, 12, 15}
DOUBLING = {2, 5, 8, 11, 14}


def group_norm(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    groups = x.reshape(32, -1)
    mean = groups.mean(dim=1, keepdim=True)
    variance = ((groups - mean) ** 2).mean(dim=1, keepdim=True)
    shape = (1, -1, *[1] * (x.ndim - 2))
    normal = ((groups - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
    return normal * weights[f"{name}.weight"].view(shape) + weights[f"{name}.bias"].view(shape)


def silu(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + torch.exp(-x))


def conv(x: torch.Tensor, weights: Weights, name: str, padding: int = 1) -> torch.Tensor:
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)


def time_embedding(step: float, weights: Weights) -> torch.Tensor:
    half = weights["time_embedding.1.weight"].shape[1] // 2
    angles = torch.tensor([step * math.exp(-math.log(10000) * k / half) for k in range(half)])
    x = torch.cat([torch.sin(angles), torch.cos(angles)])
    x = weights["time_embedding.1.weight"] @ x + weights["time_embedding.1.bias"]
    return weights["time_embedding.3.weight"] @ silu(x) + weights["time_embedding.3.bias"]


def residual(
    x: torch.Tensor, time: torch.Tensor, weights: Weights, name: str, resize: str = ""
) -> torch.Tensor:
    h = silu(group_norm(x, weights, f"{name}.in_layers.0"))
    if resize == "down":
        h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
    if resize == "up":
        h, x = (y.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) for y in (h, x))
    h = conv(h, weights, f"{name}.in_layers.2")
    shift = weights[f"{name}.embed_layers.1.weight"] @ silu(time)
    h = h + (shift + weights[f"{name}.embed_layers.1.bias"]).view(1, -1, 1, 1)
    h = conv(silu(group_norm(h, weights, f"{name}.out_layers.0")), weights, f"{name}.out_layers.3")
    if f"{name}.skip_connection.weight" in weights:
        x = conv(x, weights, f"{name}.skip_connection", padding=0)
    return x + h


def attention(x: torch.Tensor, weights: Weights, name: str, heads: int) -> torch.Tensor:
    channels = x.shape[1]
    flat = x.reshape(1, channels, -1)
    normal = group_norm(flat, weights, f"{name}.norm")[0]
    qkv = weights[f"{name}.to_qkv.weight"][:, :, 0] @ normal
    qkv = qkv + weights[f"{name}.to_qkv.bias"][:, None]
    width = channels // heads
    outputs = []
    for head in range(heads):
        query, key, value = (
            qkv[(3 * head + part) * width : (3 * head + part + 1) * width] for part in range(3)
        )
        scores = query.T @ key / math.sqrt(width)
        scores = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
        outputs.append(value @ (scores / scores.sum(dim=1, keepdim=True)).T)
    out = weights[f"{name}.proj_out.weight"][:, :, 0] @ torch.cat(outputs)
    out = out + weights[f"{name}.proj_out.bias"][:, None]
    return x + out.reshape(x.shape)


def unet(x: torch.Tensor, step: float, weights: Weights, heads: int) -> torch.Tensor:
    time = time_embedding(step, weights)
    h = conv(x, weights, "down.0.0")
    kept = [h]
    for index in range(1, 18):
        h = residual(h, time, weights, f"down.{index}.0", "down" if index in HALVING else "")
        if index in ATTENTION_DOWN:
            h = attention(h, weights, f"down.{index}.1", heads)
        kept.append(h)
    h = residual(h, time, weights, "middle.0")
    h = attention(h, weights, "middle.1", heads)
    h = residual(h, time, weights, "middle.2")
    for index in range(18):
        h = residual(torch.cat([h, kept.pop()], dim=1), time, weights, f"up.{index}.0")
        if index in ATTENTION_UP:
            h = attention(h, weights, f"up.{index}.1", heads)
        if index in DOUBLING:
            last = 2 if index in ATTENTION_UP else 1
            h = residual(h, time, weights, f"up.{index}.{last}", "up")
    return conv(silu(group_norm(h, weights, "out.0")), weights, "out.2")


def alpha(step: int) -> float:
    """The product of 1 − β up to a step; β from 1e-4 to 0.02 in 1000 steps; 1 at step −1."""
    product = 1.0
    for index in range(step + 1):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * index / 999)
    return product


def denoising_step(
    x: torch.Tensor,
    y: torch.Tensor,
    eps: torch.Tensor,
    z: torch.Tensor,
    t: int,
    after: int,
    w: float,
) -> torch.Tensor:
    """Equation by equation from the paper: guided noise, image guess, step with η = 1."""
    a, b = alpha(t), alpha(after)
    disturbed = math.sqrt(a) * y + math.sqrt(1 - a) * eps
    guided = eps - math.sqrt(1 - a) * w * (disturbed - x)
    guess = (x - math.sqrt(1 - a) * guided) / math.sqrt(a)
    sigma = math.sqrt((1 - b) / (1 - a) * (1 - a / b))
    return math.sqrt(b) * guess + math.sqrt(max(0.0, 1 - b - sigma**2)) * guided + sigma * z


def neighbourhood_mean(features: torch.Tensor) -> torch.Tensor:
    rows, columns = features.shape[-2:]
    framed = F.pad(features, (1, 1, 1, 1))
    return sum(framed[..., a : a + rows, b : b + columns] for a in range(3) for b in range(3)) / 9  # type: ignore[return-value]


def distance_map(
    image: torch.Tensor,
    reconstruction: torch.Tensor,
    of_image: Mapping[str, torch.Tensor],
    of_reconstruction: Mapping[str, torch.Tensor],
    v: float,
) -> torch.Tensor:
    height, width = image.shape[-2:]
    features = torch.zeros(1, 1, height, width)
    for stage in ("layer2", "layer3"):
        p, q = (neighbourhood_mean(f[stage]) for f in (of_image, of_reconstruction))
        cosine = (p * q).sum(1) / (p.norm(dim=1) * q.norm(dim=1))
        features += F.interpolate(
            (1 - cosine).unsqueeze(1), size=(height, width), mode="bilinear", align_corners=True
        )
    pixels = (image - reconstruction).abs().mean(1, keepdim=True)
    joined = (features + v * features.max() / pixels.max() * pixels)[0, 0].double().numpy()
    kernel = np.exp(-(np.arange(-16, 17) ** 2) / (2 * 4**2))
    kernel /= kernel.sum()
    framed = np.pad(joined, 16, mode="reflect")
    rows = sum(kernel[k] * framed[:, k : k + width] for k in range(33))
    smooth = sum(kernel[k] * rows[k : k + height] for k in range(33))
    return torch.from_numpy(np.asarray(smooth)).float().view(1, 1, height, width)
