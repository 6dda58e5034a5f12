#!/usr/bin/env bash
# Pillow looks for decompression bombs in crop(), too: of an image that is decoded already.
#
# Image.open() refuses files of more than twice Image.MAX_IMAGE_PIXELS. One would guess that a program that
# lifts the limit while it opens a file it trusts has passed the check. crop() checks again, with the limit that is
# in force then, and raises DecompressionBombError over pixels that lie in memory; resize(), transpose()
# and convert() do not. So the limit has to be lifted around a crop as well.
#
# Seen: pillow 13.0.0, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0

"$folder/venv/bin/python" - <<'PYTHON'
import PIL
from PIL import Image

Image.MAX_IMAGE_PIXELS = 1000
image = Image.new("L", (60, 60))  # decoded: 3600 pixels in memory
same = image.resize((60, 60)).transpose(Image.Transpose.ROTATE_90).convert("RGB")
try:
    image.crop((0, 0, 60, 59))
    said = "cropped"
except Image.DecompressionBombError as error:
    said = str(error)
print(f"pillow {PIL.__version__}: resize, transpose, convert: {same.size}; crop: {said}")
assert "could be decompression bomb DOS attack" in said
PYTHON
