#!/usr/bin/env bash
# A BigTIFF is read by Pillow in little-endian byte order, and is "no image" in big-endian.
#
# Pillow lists the first bytes of both (b"II\x2b\x00" and b"MM\x00\x2b") among those that it takes for TIFF.
# One would guess that it reads both. Of the same 8-bit gray pixels it reads the first, and says "cannot identify
# image file" of the second, which tifffile has written and reads.
#
# Seen: pillow 13.0.0, tifffile 2026.3.3, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3

"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import PIL
import tifffile
from PIL import Image, UnidentifiedImageError

pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
said = {}
for order, name in (("<", "little-endian"), (">", "big-endian")):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="minisblack", bigtiff=True, byteorder=order)
    assert (tifffile.imread(io.BytesIO(file.getvalue())) == pixels).all()
    try:
        with Image.open(io.BytesIO(file.getvalue())) as image:
            said[name] = "read" if (np.asarray(image) == pixels).all() else "wrong"
    except UnidentifiedImageError as error:
        said[name] = str(error).partition(" <")[0]
    print(f"pillow {PIL.__version__}, BigTIFF {name}: {said[name]}")
assert said == {"little-endian": "read", "big-endian": "cannot identify image file"}
PYTHON
