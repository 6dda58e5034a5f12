"""What cameras deliver beside 8 bits: more bits, floats and Bayer mosaics, as 8-bit images.

A level ``v`` becomes ``round(255 · v / white)``. White is stated by the user or by the file, never
guessed from the levels that occur, and a level above it is an error: nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from adscale.request import Bayer, Decoding

Colours = Literal["gray", "RGB", "CMYK"]
Samples = npt.NDArray[Any]

CHUNK_SAMPLES = 2**22
"""So many are converted at once: a line scan of 300 megapixels would take gigabytes otherwise."""

FLOAT_WHITE = 1.0
"""White of floats, where the user states no bit depth: they are from 0 to 1."""


class DecodingError(Exception):
    """The pixels of a file have no one meaning.

    Args:
        what: is wrong with the file.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


class White(NamedTuple):
    """The level that is white, and who says so."""

    level: float
    told_by: str
    by_container: bool = False
    """Whether it is only the largest that the file's samples could hold."""


class Levels(NamedTuple):
    """Decoded samples, with what they mean."""

    samples: Samples
    """Shape (height, width) where they are gray, else (height, width, channels)."""
    colours: Colours
    bits: int
    """Of each sample in the file."""
    white: White
    inverted: bool = False
    """Whether 0 is white, as TIFF admits."""
    orientation: int = 1
    """EXIF's number: 1 is upright."""


class Converted(NamedTuple):
    """An 8-bit image, and how it came to be."""

    image: Image.Image
    """Mode L, RGB or CMYK."""
    how: str
    """In words, with the white level and who states it; empty of plain 8 bits."""
    unused: tuple[float, float] | None
    """Largest level and white, where white is only the largest that the samples could hold."""


def white_of_integers(
    bits: int, decoding: Decoding, told: White | None = None, *, signed: bool = False
) -> White:
    """The white level of integers; what is stated or told is of those of more than 8 bits.

    Args:
        bits: of each sample in the file.
        decoding: as the user states it, which comes before all else.
        told: what the file says beside the bits.
        signed: whether they have a sign.

    Raises:
        DecodingError: the user states more bits than there are, or nobody states any.
    """
    stated, room = decoding.bit_depth, bits - signed
    if bits <= 8 and not signed:
        return White(2.0**bits - 1, "8 bits")
    if stated is not None:
        if stated > room:
            what = f"has {room} bits per sample, fewer than bit_depth {stated}"
            raise DecodingError(what, f"set bit_depth to {room} or less, or leave it out")
        return White(2.0**stated - 1, "bit_depth")
    if told is not None:
        return told
    if signed or bits > 16:
        what = f"{'signed ' if signed else ''}{bits}-bit integers have no defined white level"
        raise DecodingError(what, "set bit_depth to the bits that the camera delivers")
    return White(2.0**bits - 1, "BitsPerSample", by_container=True)


def white_of_floats(decoding: Decoding) -> White:
    """The white level of floats: 1, or that of the bits that the user states."""
    if decoding.bit_depth is None:
        return White(FLOAT_WHITE, "floats are from 0 to 1")
    return White(2.0**decoding.bit_depth - 1, "bit_depth")


def converted(levels: Levels, bayer: Bayer | None) -> Converted:
    """Scales levels to 8 bits, as a colour image where they are a Bayer mosaic.

    Args:
        levels: the samples of one image.
        bayer: colours of the sensor's first two rows, row by row; None: gray is gray.

    Raises:
        DecodingError: a level is not between black and white, or colours are no mosaic.
    """
    samples, white = levels.samples, levels.white
    largest = _check_range(samples, white)
    rgb = bayer is not None
    if bayer is not None:
        if levels.colours != "gray" or min(samples.shape) < 2:
            what = "is no mosaic of gray pixels, as `bayer` says"
            raise DecodingError(what, "leave out bayer, or give Bayer-raw images only")
        channels: tuple[int, ...] = (3,)
    else:
        channels = samples.shape[2:]
    out = np.empty((*samples.shape[:2], *channels), np.uint8)
    table = _table(samples.dtype, white.level) if bayer is None else None
    for begin, end in _chunks(samples.shape):
        if bayer is not None:
            part = np.rint(demosaiced(samples, begin, end, bayer) * (255 / white.level))
        elif table is not None:
            part = table[samples[begin:end]]
        else:
            part = np.rint(samples[begin:end].astype(np.float64) * (255 / white.level))
        out[begin:end] = 255 - part if levels.inverted else part
    modes = {"gray": "RGB" if rgb else "L", "RGB": "RGB", "CMYK": "CMYK"}
    height, width = out.shape[:2]
    mode = modes[levels.colours]
    image = Image.frombuffer(mode, (width, height), out, "raw", mode, 0, 1)
    unused = (largest, white.level) if white.by_container else None
    return Converted(_upright(image, levels.orientation), _words(levels, bayer), unused)


def _check_range(samples: Samples, white: White) -> float:
    """The largest level.

    Raises:
        DecodingError: one is below 0, above white, or no number.
    """
    least, largest = float(samples.min()), float(samples.max())  # float16 rounds what it meets
    if not (least >= 0 and largest <= white.level):  # no number is neither
        what = (
            f"has levels from {least:.6g} to {largest:.6g}, but white is "
            f"{white.level:.6g} ({white.told_by})"
        )
        if samples.dtype.kind == "f":
            remedy = "scale it to 0 to 1, or set bit_depth (8 if white is 255, 12 if it is 4095)"
            raise DecodingError(what, remedy)
        raise DecodingError(what, "set bit_depth to the bits that the camera delivers")
    return largest


def _table(dtype: np.dtype[Any], white: float) -> npt.NDArray[np.uint8] | None:
    """The 8-bit level of each level, for samples of 16 bits at most."""
    if dtype.kind != "u" or dtype.itemsize > 2:
        return None
    return np.rint(np.arange(white + 1) * (255 / white)).astype(np.uint8)


def _chunks(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Rows from an even one to an even one, or to the last."""
    rows = max(CHUNK_SAMPLES // max(int(np.prod(shape[1:])), 1) // 2 * 2, 2)
    for begin in range(0, shape[0], rows):
        yield begin, min(begin + rows, shape[0])


def demosaiced(samples: Samples, begin: int, end: int, bayer: Bayer) -> Samples:
    """Some rows of a Bayer mosaic in colour, by bilinear interpolation.

    What a pixel lacks is the mean of the two or four nearest pixels that have it; at the border
    those inside count for those outside (mirrored at the border's pixel). There is no white balance
    and no gamma.

    Args:
        samples: the whole mosaic, shape (height, width), at least 2 × 2.
        begin: first row, even.
        end: behind the last row.
        bayer: colours of the first two rows.

    Returns:
        Shape (end − begin, width, 3), floats.
    """
    height, width = samples.shape
    rows = np.pad(np.arange(height), 1, mode="reflect")[begin : end + 2]
    columns = np.pad(np.arange(width), 1, mode="reflect")
    exact = np.float32 if samples.dtype.itemsize <= 2 else np.float64
    around = samples[np.ix_(rows, columns)].astype(exact)
    out = np.empty((end - begin, width, 3), exact)
    for channel, name in enumerate("rgb"):
        plane = np.zeros_like(around)
        for place in (place for place, colour in enumerate(bayer) if colour == name):
            y, x = 1 - place // 2, 1 - place % 2  # the border of one pixel shifts the pattern
            plane[y::2, x::2] = around[y::2, x::2]
        sides = plane[:, :-2] + plane[:, 2:]
        cross = plane[:-2, 1:-1] + plane[2:, 1:-1] + sides[1:-1]
        diagonal = 0 if name == "g" else (sides[:-2] + sides[2:]) / 4
        weight = 4 if name == "g" else 2
        out[..., channel] = plane[1:-1, 1:-1] + cross / weight + diagonal
    return out


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _words(levels: Levels, bayer: Bayer | None) -> str:
    kind = {"f": " float", "i": " signed"}.get(levels.samples.dtype.kind, "")
    colours = levels.colours if bayer is None else f"Bayer {bayer}"
    if levels.bits <= 8:
        return f"{levels.bits}-bit {colours}" if bayer else ""
    white = levels.white
    return f"{levels.bits}-bit{kind} {colours}, white {white.level:.10g} ({white.told_by})"
