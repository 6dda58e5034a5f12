"""A network of one's own, without a line about adscale: its children are the submodules."""

from __future__ import annotations

import torch
from torch import nn


class SmallAutoencoder(nn.Module):
    """A convolutional autoencoder.

    Args:
        channels: of its first layer.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, channels, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Shape (1, 3, s, s) as given, s a multiple of 4."""
        reconstruction: torch.Tensor = self.decoder(self.encoder(image))
        return reconstruction
