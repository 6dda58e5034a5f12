#!/usr/bin/env bash
# A TIFF of 12-bit gray is read by Pillow in one byte order, and is "no image" in the other.
#
# TIFF packs samples of 12 bits as a stream of bits, the same in both byte orders; only the tags differ. One
# would guess that Pillow reads both or neither. It reads II (little-endian), and of the same pixels in MM
# (big-endian), which is as valid, it says "cannot identify image file". So does it of 10 and 14 bits in both.
#
# Seen: pillow 13.0.0, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy

"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError


def tiff(bits: int, order: str, levels: list[int]) -> bytes:
    """A TIFF of one row of gray."""
    data = int("".join(f"{level:0{bits}b}" for level in levels), 2).to_bytes(bits * len(levels) // 8, "big")
    tags = {256: len(levels), 257: 1, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(data)}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


def said(bits: int, order: str) -> str:
    try:
        with Image.open(io.BytesIO(tiff(bits, order, [0, 1, 1000, 1023]))) as image:
            return str(np.asarray(image)[0].tolist())
    except UnidentifiedImageError as error:
        return str(error).partition(" <")[0]


print(f"pillow {PIL.__version__}")
found = {(bits, order): said(bits, order) for bits in (10, 12, 14) for order in "<>"}
for (bits, order), text in found.items():
    print(f"{bits} bits, {'II' if order == '<' else 'MM'}: {text}")
assert found.pop((12, "<")) == "[0, 1, 1000, 1023]"
assert set(found.values()) == {"cannot identify image file"}
PYTHON
