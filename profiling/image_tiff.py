"""TIFF by tifffile, which hands out every tag and sample as the file has them.

Pillow reads palettes, JPEG and the like. Beyond 8 bits it keeps the upper 8 bits of colours,
ignores which end of gray is white, and refuses 10 or 14 bits; it refuses BigTIFF in one byte order.
tifffile comes with scikit-image, which needs it, and is small; OpenCV would be one more library of
60 MB, and does not tell of tags. Two things tifffile has in a further package only (imagecodecs):
LZW, which Pillow's libtiff does here, and samples that end inside of a byte, unpacked here.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from adscale.request import Decoding

from .image_levels import (
    Colours,
    DecodingError,
    Levels,
    Samples,
    White,
    white_of_floats,
    white_of_integers,
)

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first four bytes of TIFF and BigTIFF."""

LZW, ZSTD = 5, 50000
BY_LIBTIFF = (LZW, ZSTD)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, CFA = 0, 1, 2, 5, 32803
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
MAX_SAMPLE_VALUE, ORIENTATION = 281, 274
MULTIPLIED = 1
"""ExtraSamples: an alpha channel, by which colours are multiplied."""

REDUCED, MASK = 1, 4
"""Bits of NewSubfileType: a smaller copy, and a mask, are no pages."""

UNPACKED = (8, 16, 32, 64)
"""Bits of samples that fill their bytes."""

BYTEWISE = (1, 8, 32773, 32946, 34925, *BY_LIBTIFF)
"""Compressions of bytes, whatever these mean: none, Deflate, PackBits, LZMA, LZW, ZSTD."""


@contextmanager
def opened_page(file: Path, page: int | None) -> Iterator[tuple[int, TiffPage]]:
    """A page of a TIFF, and where it is in the file, from 0; the pixels are not read yet.

    Args:
        file: a TIFF or BigTIFF.
        page: which one, from 1; smaller copies and masks do not count. None: there is one only.

    Raises:
        DecodingError: there are several pages, or not so many.
        Exception: of tifffile's choice: the file is damaged.
    """
    from tifffile import TiffFile

    logger = logging.getLogger("tifffile")
    was_disabled, logger.disabled = logger.disabled, True  # it tells of odd tags
    try:
        with TiffFile(file) as tiff:
            yield _page(tiff, page)
    finally:
        logger.disabled = was_disabled


def _page(tiff: TiffFile, page: int | None) -> tuple[int, TiffPage]:
    pages = _pages(tiff)
    if page is None:
        first = next(pages, None)
        if first is not None and next(pages, None) is None:
            described = tiff.is_imagej or tiff.is_shaped  # ImageJ and tifffile leave out pages
            if described and tiff.series[0].size > first[1].size:
                what = "has several images behind the one page that it names"
                raise DecodingError(what, "set page: 1 to take the first, or save each as a page")
            return first
    else:
        found = next(itertools.islice(pages, page - 1, None), None)
        if found is not None:
            return found
    raise page_error(sum(1 for _ in _pages(tiff)), page)


def page_error(count: int, page: int | None) -> DecodingError:
    """What to say of a file whose page is not clear.

    Args:
        count: of its pages.
        page: the one that was asked for.
    """
    if count == 0:
        return DecodingError("is damaged (no page)", "give intact files")
    has = f"has {count} page{'' if count == 1 else 's'}"
    if page is None:
        return DecodingError(f"{has}, and it is not stated which", f"set page: 1 to {count}")
    return DecodingError(f"{has}, not {page}", "set page to one that every file has")


def _pages(tiff: TiffFile) -> Iterator[tuple[int, TiffPage]]:
    for index in itertools.count():
        try:
            page: Any = tiff.pages[index]
        except IndexError:
            return
        if not int(page.subfiletype) & (REDUCED | MASK):
            yield index, page


def is_for_pillow(page: TiffPage, decoding: Decoding) -> bool:
    """Whether Pillow is to read a page: palettes, JPEG and what else needs more than samples.

    Not a Bayer mosaic: Pillow turns it upright first, which changes its pattern.
    """
    bits = set(_bits(page))
    if max(bits) > 8 or page.sampleformat in (SIGNED, FLOAT) or page.photometric == CFA:
        return False
    plain = page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK) and bits == {8}
    ours = plain and int(page.compression) in BYTEWISE and MULTIPLIED not in page.extrasamples
    return not ours and (decoding.bayer is None or bits != {8})


def read_levels(page: TiffPage, decoding: Decoding) -> Levels:
    """The samples of a page, whatever their number of bits.

    Args:
        page: of an open file.
        decoding: as the user states it.

    Raises:
        DecodingError: their meaning is not defined.
        Exception: of tifffile's or libtiff's choice: the file is damaged.
    """
    bits, format_ = _bits(page), int(page.sampleformat or UNSIGNED)
    flat = page.imagedepth == 1
    if len(set(bits)) > 1 or format_ not in (UNSIGNED, SIGNED, FLOAT) or not flat:
        raise unknown_pixels(page)
    colours, channels = _colours(page)
    if page.photometric == CFA and decoding.bayer is None:
        raise DecodingError("is a Bayer mosaic", "set bayer to the colours of its first two rows")
    white = _white(page, bits[0], format_, decoding)
    samples = _samples(page, bits[0], format_)[..., :channels]
    tag = page.tags.get(ORIENTATION)
    return Levels(
        samples if channels > 1 else samples[..., 0],
        colours,
        bits[0],
        white,
        inverted=page.photometric == WHITE_IS_ZERO,
        orientation=int(tag.value) if tag is not None else 1,
    )


def _bits(page: TiffPage) -> tuple[int, ...]:
    tag = page.tags.get(258)
    value = 1 if tag is None else tag.value
    return tuple(value) if isinstance(value, tuple) else (int(value),)


def unknown_pixels(page: TiffPage) -> DecodingError:
    """What to say of pixels that nobody here reads."""
    bits = "+".join(map(str, _bits(page)))
    what = (
        f"has pixels that are not read (PhotometricInterpretation {int(page.photometric)}, "
        f"{page.samplesperpixel} samples of {bits} bits)"
    )
    return DecodingError(what, "save it as gray or RGB of 8 or 16 bits")


def _colours(page: TiffPage) -> tuple[Colours, int]:
    """What the samples are, and how many of each pixel count: alpha is left out."""
    known: dict[int, tuple[Colours, int]] = {
        WHITE_IS_ZERO: ("gray", 1),
        BLACK_IS_ZERO: ("gray", 1),
        CFA: ("gray", 1),
        RGB: ("RGB", 3),
        CMYK: ("CMYK", 4),
    }
    colours, channels = known.get(int(page.photometric), (None, 0))
    extra = page.samplesperpixel - channels
    if colours is None or not 0 <= extra <= 1 or (extra and MULTIPLIED in page.extrasamples):
        raise unknown_pixels(page)
    return colours, channels


def _white(page: TiffPage, bits: int, format_: int, decoding: Decoding) -> White:
    if format_ == FLOAT:
        return white_of_floats(decoding)
    tag, told = page.tags.get(MAX_SAMPLE_VALUE), None
    if tag is not None:
        values = set(tag.value) if isinstance(tag.value, tuple) else {tag.value}
        largest = int(max(values))
        # TIFF 6.0 has it for statistics: the largest value that occurs is no white level
        if len(values) == 1 and largest + 1 in (2**n for n in range(8, bits)):
            told = White(float(largest), "MaxSampleValue")
    return white_of_integers(bits, decoding, told, signed=format_ == SIGNED)


def _samples(page: TiffPage, bits: int, format_: int) -> Samples:
    """Shape (height, width, samples of a pixel)."""
    compression = int(page.compression)
    if compression not in BYTEWISE:
        what = f"is compressed as {getattr(page.compression, 'name', compression)}, {bits} bits"
        raise DecodingError(what, "save it with LZW, Deflate or no compression")
    rows, columns = _segment_shape(page)
    planes, _, height, width, _ = page.shaped
    needed = planes * math.ceil(height / rows) * math.ceil(width / columns)
    counts = page.databytecounts
    if not needed == len(counts) == len(page.dataoffsets) or not all(counts):
        raise OSError("lacks strips or tiles")  # which tifffile would take for black
    if bits in UNPACKED and compression not in BY_LIBTIFF:
        samples = page.asarray(squeeze=False, maxworkers=1)[:, 0]
    else:
        samples = _decoded(page, bits, format_)
    return samples[0] if planes == 1 else np.moveaxis(samples[..., 0], 0, -1)


def _segment_shape(page: TiffPage) -> tuple[int, int]:
    """Rows and columns of a strip or tile."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _decoded(page: TiffPage, bits: int, format_: int) -> Samples:
    """Shape (planes, height, width, samples of a pixel and plane), from strips or tiles."""
    planes, _, height, width, contiguous = page.shaped
    if bits > 16 and bits not in UNPACKED:
        raise unknown_pixels(page)
    kind = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[format_]
    dtype = np.dtype(f"{page.parent.byteorder}{kind}{bits // 8 if bits in UNPACKED else 2}")
    out = np.zeros((planes, height, width, contiguous), dtype.newbyteorder("="))
    rows, columns = _segment_shape(page)
    across, down = math.ceil(width / columns), math.ceil(height / rows)
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    places = itertools.product(range(planes), range(0, down * rows, rows), range(across))
    for (plane, top, left), (offset, count) in zip(places, segments, strict=True):
        here = rows if page.is_tiled else min(rows, height - top)
        part = _segment(page, (offset, count), (here, columns, contiguous), dtype, bits)
        target = out[plane, top : top + here, left * columns : (left + 1) * columns]
        target[:] = part[: target.shape[0], : target.shape[1]]
    return out


def _segment(
    page: TiffPage,
    place: tuple[int, int],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    bits: int,
) -> Samples:
    """A strip or tile: bytes to samples of its shape."""
    rows, columns, contiguous = shape
    row_bytes = math.ceil(columns * contiguous * bits / 8)
    size = rows * row_bytes
    source = page.parent.filehandle
    source.seek(place[0])
    data = source.read(place[1])
    if len(data) < place[1] or not data:
        raise OSError("is truncated")
    if page.fillorder == 2:
        data = data.translate(_REVERSED)
    data = _uncompressed(page, data, size)
    if len(data) < size:
        raise OSError("is truncated")
    lines = np.frombuffer(data, np.uint8, size).reshape(rows, row_bytes)
    predictor = int(page.predictor)
    if bits not in UNPACKED:
        if predictor != 1:
            raise unknown_pixels(page)
        return unpacked(lines, bits)[:, : columns * contiguous].reshape(shape)
    if predictor == 3:
        steps = lines.reshape(rows, -1, contiguous)
        summed = np.add.accumulate(steps, axis=1, dtype=np.uint8)
        joined = summed.reshape(rows, dtype.itemsize, -1).swapaxes(1, 2)
        return np.ascontiguousarray(joined).view(dtype.newbyteorder(">")).reshape(shape)
    samples = lines.view(dtype).reshape(shape)
    if predictor == 2:
        return np.add.accumulate(samples, axis=1, dtype=dtype.newbyteorder("="))
    return samples


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse: FillOrder 2."""


def unpacked(lines: Samples, bits: int) -> Samples:
    """Samples of 9 to 15 bits that follow each other without a gap, the highest bit first.

    Args:
        lines: bytes, shape (rows, bytes of a row).
        bits: of a sample.

    Returns:
        Shape (rows, samples), 16-bit: as many samples as a row's bytes hold, or some more.
    """
    period = math.lcm(bits, 8)
    in_bytes, in_samples = period // 8, period // bits
    rows = len(lines)
    groups = math.ceil(lines.shape[1] / in_bytes)
    padded = np.zeros((rows, groups * in_bytes + 2), np.uint32)
    padded[:, : lines.shape[1]] = lines
    out = np.empty((rows, groups, in_samples), np.uint16)
    for index in range(in_samples):
        byte, bit = divmod(index * bits, 8)
        three = [padded[:, byte + k :: in_bytes][:, :groups] for k in range(3)]
        joined = (three[0] << 16) | (three[1] << 8) | three[2]
        out[..., index] = (joined >> (24 - bits - bit)) & (2**bits - 1)
    return out.reshape(rows, -1)


def _uncompressed(page: TiffPage, data: bytes, size: int) -> bytes:
    from tifffile import TIFF

    compression = int(page.compression)
    if compression in BY_LIBTIFF:
        return _by_libtiff(data, compression, size)
    return bytes(TIFF.DECOMPRESSORS[compression](data))


def _by_libtiff(data: bytes, compression: int, size: int) -> bytes:
    """Decompresses bytes as a TIFF of one row of 8-bit gray, whatever they mean."""
    start = 8 + len(data)
    tags = {256: size, 257: 1, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: 1, 279: start}
    tags[279] = len(data)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    row = io.BytesIO(b"II*\0" + struct.pack("<I", start) + data + directory)
    with Image.open(row, formats=["TIFF"]) as image:
        return image.tobytes()
