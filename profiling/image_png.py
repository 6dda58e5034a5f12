"""PNG of 16 bits: Pillow has them whole of gray only, of colours it keeps the upper 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from adscale.request import Decoding

from .image_levels import DecodingError, Levels, White, white_of_integers

GRAY, RGB, GRAY_ALPHA, RGB_ALPHA = 0, 2, 4, 6


def bits_and_colours(file: Path) -> tuple[int, int]:
    """Bits of a sample, and PNG's colour type; (0, 0) where the file is no PNG."""
    with file.open("rb") as stream:
        head = stream.read(26)
    is_png = head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and len(head) == 26
    return (head[24], head[25]) if is_png else (0, 0)


def read_levels(image: Image.Image, file: Path, decoding: Decoding, colours: int) -> Levels:
    """The samples of a PNG of 16 bits, without alpha.

    Args:
        image: the file as Pillow has opened it, nothing of it loaded.
        file: the same.
        decoding: as the user states it.
        colours: PNG's colour type.

    Raises:
        DecodingError: the levels are not as the file says.
        OSError: it is damaged.
    """
    white = white_of_integers(16, decoding)
    samples = _samples(image, file, colours)
    if decoding.bit_depth is None:
        with file.open("rb") as stream:
            significant = significant_bits(stream)
        if significant is not None and significant < 16:
            _check_scaled(samples, significant)
        white = White(white.level, "PNG", by_container=significant is None)
    return Levels(samples, "gray" if samples.ndim == 2 else "RGB", 16, white)


def _samples(image: Image.Image, file: Path, colours: int) -> npt.NDArray[np.uint16]:
    if colours == GRAY:
        return np.asarray(image).astype(np.uint16, copy=False)
    if colours == GRAY_ALPHA:  # two samples of 16 bits are as long as four of 8
        _take_as(image, "RGBA")
        both = np.asarray(image)
        samples = both[..., 0].astype(np.uint16)
        samples <<= 8
        samples |= both[..., 1]
        return samples
    # Pillow takes the first of two bytes as the upper one (B), or the second (L)
    layout = "RGBA" if colours == RGB_ALPHA else "RGB"
    with Image.open(file, formats=["PNG"]) as again:
        _take_as(again, f"{layout};16L")
        lower = np.asarray(again)[..., :3]
    _take_as(image, f"{layout};16B")
    samples = np.asarray(image)[..., :3].astype(np.uint16)
    samples <<= 8
    samples |= lower
    return samples


def _take_as(image: Image.Image, raw_mode: str) -> None:
    assert isinstance(image, PngImagePlugin.PngImageFile)
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]


def significant_bits(stream: BinaryIO) -> int | None:
    """The most bits of a colour that chunk sBIT declares; None: there is no such chunk.

    Args:
        stream: of a PNG, at its start.
    """
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"sBIT":
            declared = stream.read(length)
            return max(declared[: 1 if length <= 2 else 3], default=None)
        if kind in (b"IDAT", b"IEND"):
            break
        stream.seek(length + 4, 1)
    return None


def _check_scaled(samples: npt.NDArray[np.uint16], bits: int) -> None:
    """Levels of fewer bits are scaled to 16 (PNG specification, sample depth scaling).

    Raises:
        DecodingError: they are not: what white is, the file then does not say.
    """
    levels = np.arange(2**16)
    exact = np.rint((levels >> (16 - bits)) * ((2**16 - 1) / (2**bits - 1)))
    # shifted up, or shifted up with the highest bits repeated below, or scaled
    allowed = (levels % 2 ** (16 - bits) == 0) | (np.abs(levels - exact) <= 1)
    if not all(allowed[row].all() for row in samples):
        what = f"declares {bits} significant bits (sBIT), but its levels are not scaled to 16 bits"
        raise DecodingError(what, f"set bit_depth: {bits} if white is {2**bits - 1}")
