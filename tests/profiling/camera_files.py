"""Files as cameras write them, byte by byte, and what must come of their levels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adscale.errors import ImageFolderError
from adscale.request import Decoding
from profiling.image_reading import decode_as, read_rgb
from profiling.images import ImageSet

GRAY12 = np.array([[0, 1, 8, 9], [1000, 2047, 2048, 3021], [4000, 4094, 4095, 16]], np.uint16)


"""Levels of 12 bits, black and white among them."""


COLOUR12 = np.stack([GRAY12, GRAY12[::-1], GRAY12[:, ::-1]], axis=-1)


def levels8(levels: Any, white: int) -> Any:
    return (510 * np.asarray(levels, np.int64) + white) // (2 * white)


def read(file: Path, **stated: Any) -> Any:
    decode_as(Decoding(**stated))
    return np.asarray(read_rgb(file)).astype(int)


def gray(levels: Any) -> Any:
    return np.repeat(np.asarray(levels)[..., None], 3, axis=-1)


def refused(file: Path, **stated: Any) -> str:
    """The one line of a folder that has only this file."""
    decode_as(Decoding(**stated))
    with pytest.raises(ImageFolderError) as caught:
        ImageSet.open(file.parent)
    line = str(caught.value)
    assert "\n" not in line
    assert file.name in line
    return line


def packed(levels: Any, bits: int) -> bytes:
    """Rows of samples without gaps, the highest bit first, each row filled up to a byte."""
    rows = ["".join(f"{int(v):0{bits}b}" for v in row) for row in np.asarray(levels)]
    filled = [row + "0" * (-len(row) % 8) for row in rows]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in filled)


def tiff(
    data: bytes, width: int, height: int, order: str = "<", **tags: int | tuple[int, ...]
) -> bytes:
    """A TIFF of one strip; tags by their numbers, as ``t258=12``."""
    all_tags: dict[int, int | tuple[int, ...]] = {
        256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: height,
        279: len(data),
    }  # fmt: skip
    all_tags.update({int(name[1:]): value for name, value in tags.items()})
    entries, extra, end = b"", b"", 8 + len(data)
    size = 2 + 12 * len(all_tags) + 4
    for tag, value in sorted(all_tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        word = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            word, extra = struct.pack(f"{order}I", end + size + len(extra)), extra + word
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + word
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    directory = struct.pack(f"{order}H", len(all_tags)) + entries + struct.pack(f"{order}I", 0)
    return head + data + directory + extra


def png(levels: Any, colours: int, bits: int = 16, chunks: bytes = b"") -> bytes:
    """A PNG of unfiltered rows, from samples of 16 bits, shape (height, width[, channels])."""
    levels = np.asarray(levels)
    height, width = levels.shape[:2]
    rows = levels.astype(">u2" if bits == 16 else np.uint8).reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunks + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )  # fmt: skip


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def lzw(data: bytes) -> bytes:
    """Codes of 9 bits, each byte as it is, the table cleared before it can grow."""
    codes = ["100000000"]
    for place, byte in enumerate(data):
        codes += ["100000000"] if place and place % 200 == 0 else []
        codes.append(f"{byte:09b}")
    text = "".join([*codes, "100000001"])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
