"""Denoising an image under the condition that it stays like the image, in two ways.

Source: Mousakhan, Brox and Tayyub, "Anomaly Detection with Conditioned Denoising Diffusion Models"
(2023), algorithm 1; the order of operations of the reference is that of arimousa/DDAD. With ᾱ the
product of 1 − β up to a diffusion step, η = 1, and ε the network's answer, one step from t to t' is

    ε̂ = ε − w·√(1−ᾱ_t)·(√ᾱ_t·y + √(1−ᾱ_t)·ε − x_t)
    x_t' = √ᾱ_t'·(x_t − √(1−ᾱ_t)·ε̂)/√ᾱ_t + c₁·z + c₂·ε̂
    c₁ = η·√((1 − ᾱ_t/ᾱ_t')·(1 − ᾱ_t')/(1 − ᾱ_t)),  c₂ = √(1 − ᾱ_t' − c₁²)

with y the image and z fresh noise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ...annotation import Annotate

TRAINING_STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02
ETA = 1.0

Noise = Callable[[torch.Tensor], torch.Tensor]
"""Standard normal noise of the shape and on the device of the tensor given."""


def denoising_steps(start_step: int, skip: int) -> list[tuple[int, int]]:
    """The pairs (t, t') of a denoising; t' of the last is −1, the image itself.

    Args:
        start_step: diffusion step to which the image is disturbed.
        skip: diffusion steps per denoising step.
    """
    steps = list(range(0, start_step, skip))
    return list(zip(reversed(steps), reversed([-1, *steps[:-1]]), strict=True))


class Denoising(ABC):
    """Disturbs an image and denoises it.

    Args:
        unet: predicts the noise in an image at a step.
        start_step: diffusion step to which the image is disturbed.
        skip: diffusion steps per denoising step.
        condition_weight: w.
    """

    def __init__(
        self, unet: nn.Module, *, start_step: int, skip: int, condition_weight: float
    ) -> None:
        self.unet = unet
        self.start_step = start_step
        self.condition_weight = condition_weight
        self.steps = denoising_steps(start_step, skip)

    @abstractmethod
    def __call__(self, image: torch.Tensor, noise: Noise, annotate: Annotate) -> torch.Tensor:
        """Reconstructs an image, or all images of a batch at once.

        Args:
            image: shape (N, 3, height, width), values −1 to 1.
            noise: drawn once before the first step and once in each.
            annotate: opens a range ``step`` for each step.

        Returns:
            Shape (N, 3, height, width).
        """


class ReferenceDenoising(Denoising):
    """The operations of the reference: the schedule built twice a step, every image kept."""

    def __call__(self, image: torch.Tensor, noise: Noise, annotate: Annotate) -> torch.Tensor:
        """See ``Denoising``."""
        device, weight = image.device, self.condition_weight
        last = torch.Tensor([self.start_step]).type(torch.int64).to(device)
        alpha = _alpha(last, device)
        images = [alpha.sqrt() * image + (1 - alpha).sqrt() * noise(image)]
        for step, next_step in self.steps:
            with annotate("step"):
                t = (torch.ones(len(image)) * step).to(device)
                next_t = (torch.ones(len(image)) * next_step).to(device)
                at, at_next = _alpha(t.long(), device), _alpha(next_t.long(), device)
                xt = images[-1].to(device)
                et = self.unet(xt, t)
                yt = at.sqrt() * image + (1 - at).sqrt() * et
                et_hat = et - (1 - at).sqrt() * weight * (yt - xt)
                x0 = (xt - et_hat * (1 - at).sqrt()) / at.sqrt()
                c1 = ETA * ((1 - at / at_next) * (1 - at_next) / (1 - at)).sqrt()
                c2 = ((1 - at_next) - c1**2).sqrt()
                images.append(at_next.sqrt() * x0 + c1 * noise(image) + c2 * et_hat)
        return images[-1]


def _alpha(step: torch.Tensor, device: torch.device) -> torch.Tensor:
    """ᾱ at a diffusion step, −1 being the undisturbed image; shape (n, 1, 1, 1)."""
    values = np.linspace(FIRST_BETA, LAST_BETA, TRAINING_STEPS, dtype=np.float64)
    betas = torch.tensor(values).type(torch.float).to(device)
    padded = torch.cat([torch.zeros(1).to(device), betas], dim=0)
    return (1 - padded).cumprod(dim=0).index_select(0, step + 1).view(-1, 1, 1, 1)


class ScheduledDenoising(Denoising):
    """The schedule built once; a step is a sum of four images with known weights.

    Args:
        unet: predicts noise.
        start_step: diffusion step to which the image is disturbed.
        skip: diffusion steps per denoising step.
        condition_weight: w.
    """

    def __init__(
        self, unet: nn.Module, *, start_step: int, skip: int, condition_weight: float
    ) -> None:
        super().__init__(unet, start_step=start_step, skip=skip, condition_weight=condition_weight)
        betas = np.linspace(FIRST_BETA, LAST_BETA, TRAINING_STEPS)
        alphas = [1.0, *np.cumprod(1 - betas).tolist()]  # [t + 1] is ᾱ_t
        self._disturb = (alphas[start_step + 1] ** 0.5, (1 - alphas[start_step + 1]) ** 0.5)
        self._weights = [
            _step_weights(alphas[t + 1], alphas[after + 1], condition_weight)
            for t, after in self.steps
        ]
        self._times = torch.tensor([[float(t)] for t, _ in self.steps])

    def __call__(self, image: torch.Tensor, noise: Noise, annotate: Annotate) -> torch.Tensor:
        """See ``Denoising``."""
        kept, added = self._disturb
        self._times = self._times.to(image.device)
        x = noise(image).mul_(added).add_(image, alpha=kept)
        for time, (of_x, of_image, of_answer, of_noise) in zip(
            self._times, self._weights, strict=True
        ):
            with annotate("step"):
                answer = self.unet(x, time)
                x.mul_(of_x).add_(image, alpha=of_image).add_(answer, alpha=of_answer)
                x.add_(noise(image), alpha=of_noise)
        return x


def _step_weights(at: float, at_next: float, weight: float) -> tuple[float, float, float, float]:
    """How much of x_t, of the image, of the network's answer and of fresh noise makes x_t'."""
    c1 = ETA * ((1 - at / at_next) * (1 - at_next) / (1 - at)) ** 0.5
    c2 = max(0.0, 1 - at_next - c1**2) ** 0.5
    of_hat = c2 - (at_next * (1 - at) / at) ** 0.5
    pull = weight * (1 - at) ** 0.5  # ε̂ = ε·(1 − pull·√(1−ᾱ)) + pull·x − pull·√ᾱ·y
    return (
        (at_next / at) ** 0.5 + of_hat * pull,
        -of_hat * pull * at**0.5,
        of_hat * (1 - pull * (1 - at) ** 0.5),
        c1,
    )
