"""Noises of known truth beside those of `tests.analysis.series`: relative times, a series per row.

The usual level is 1.
"""

from __future__ import annotations

import numpy as np

from tests.analysis.series import Floats, noise

RECORD = 8192
"""Images of the record that a piece of a power law is cut from."""


def lognormal(
    random: np.random.Generator, series: int, images: int, variation: float = 0.03, rho: float = 0.0
) -> Floats:
    """Skewed noise of mean 1."""
    shocks = noise(random, series, images, rho)
    return np.asarray(np.exp(variation * shocks - variation**2 / 2), np.float64)


def spikes(random: np.random.Generator, series: int, images: int, share: float = 0.005) -> Floats:
    """Log-normal noise in which a share of the images takes 3 to 10 times as long."""
    values = lognormal(random, series, images)
    slow = random.uniform(size=values.shape) < share
    return np.where(slow, random.uniform(3, 10, size=values.shape), 1) * values


def power_law(random: np.random.Generator, series: int, images: int, exponent: float) -> Floats:
    """Pieces of records with power ∝ f^−exponent, of mean 0 and variance 1 over the record."""
    weights = np.fft.rfftfreq(RECORD)
    weights[1:] **= -exponent / 2
    shape = (series, len(weights))
    spectrum = random.normal(size=shape) + 1j * random.normal(size=shape)
    records = np.fft.irfft(spectrum * weights, RECORD, axis=1)
    records *= RECORD / 2 / np.linalg.norm(weights)
    starts = random.integers(0, RECORD - images, size=(series, 1))
    return np.take_along_axis(records, starts + np.arange(images), axis=1)


def clocks(
    random: np.random.Generator,
    series: int,
    images: int,
    dwell: float,
    slower: float = 0.06,
    share: float = 0.3,
) -> Floats:
    """Two states of a clock; the slow one holds for `dwell` images on average."""
    slow, states = random.uniform(size=series) < share, np.empty((series, images))
    leaves_fast = share / (1 - share) / dwell
    for image in range(images):
        states[:, image] = slow
        leaves = random.uniform(size=series) < np.where(slow, 1 / dwell, leaves_fast)
        slow ^= leaves
    return (1 + slower * states) * lognormal(random, series, images, 0.005)


def first_tenth(random: np.random.Generator, series: int, images: int) -> Floats:
    """The first tenth of the images is 5 % slower, with noise of 2 %."""
    level = np.where(np.arange(images) < 0.1 * images, 1.05, 1)
    return level * lognormal(random, series, images, 0.02)


def sine(random: np.random.Generator, series: int, images: int, period: float) -> Floats:
    """A wave of 3 % up and down, with noise of 2 %."""
    phase = np.arange(images) / period + random.uniform(size=(series, 1))
    return (1 + 0.03 * np.sin(2 * np.pi * phase)) * lognormal(random, series, images, 0.02)


def stalls(random: np.random.Generator, series: int, images: int, every: int) -> Floats:
    """One image of so many takes 30 % longer, with noise of 1 %."""
    place = np.arange(images) + random.integers(0, every, size=(series, 1))
    return np.where(place % every, 1.0, 1.3) * lognormal(random, series, images, 0.01)
