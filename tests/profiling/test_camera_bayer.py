"""What industrial cameras deliver: the mosaic of a colour sensor.

Files are written by tifffile, by Pillow, or byte by byte; the expected levels are whole numbers,
``(510 · v + white) // (2 · white)``, which is ``255 · v / white`` rounded to the nearest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from profiling.images import ImageSet
from tests.profiling.camera_files import (
    GRAY12,
    levels8,
    packed,
    read,
    refused,
    tiff,
)

BAYER = {"r": 0, "g": 1, "b": 2}


def mosaic(colours: Any, pattern: str) -> Any:
    """One level of each pixel's three, as a sensor sees it."""
    height, width, _ = colours.shape
    return np.array(
        [
            [colours[y, x, BAYER[pattern[y % 2 * 2 + x % 2]]] for x in range(width)]
            for y in range(height)
        ],
        colours.dtype,
    )


def by_hand(raw: Any, pattern: str) -> Any:
    """Bilinear interpolation pixel by pixel: the mean of those nearest that have the colour."""
    height, width = raw.shape
    out = np.zeros((height, width, 3))

    def colour(y: int, x: int) -> str:
        return pattern[y % 2 * 2 + x % 2]

    def inside(at: int, size: int) -> int:
        return -at if at < 0 else 2 * (size - 1) - at if at >= size else at

    rings: tuple[tuple[tuple[int, int], ...], ...] = (
        ((0, 0),),
        ((0, 1), (0, -1), (1, 0), (-1, 0)),
        ((1, 1), (1, -1), (-1, 1), (-1, -1)),
    )
    for y in range(height):
        for x in range(width):
            for name, channel in BAYER.items():
                for ring in rings:
                    places = [(inside(y + dy, height), inside(x + dx, width)) for dy, dx in ring]
                    found = [int(raw[place]) for place in places if colour(*place) == name]
                    if found:
                        out[y, x, channel] = sum(found) / len(found)
                        break
    return out


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "grbg", "gbrg"])
@pytest.mark.parametrize("name", ["8.png", "8.bmp", "8.tif", "16.png", "12.tif", "float.tif"])
def test_bayer(tmp_path: Path, pattern: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiling.image_levels.CHUNK_SAMPLES", 20)  # two rows at a time
    file, kind = tmp_path / name, name.partition(".")[0]
    white = {"8": 255, "16": 65535, "12": 4095, "float": 1}[kind]
    raw = np.random.default_rng(1).integers(0, max(white, 256), (7, 6))
    if kind == "12":
        file.write_bytes(tiff(packed(raw, 12), 6, 7, t258=12))
    elif kind == "float":
        raw = raw / 256
        tifffile.imwrite(file, raw.astype(np.float32))
    else:
        Image.fromarray(raw.astype(np.uint16 if kind == "16" else np.uint8)).save(file)
    expected = by_hand(raw * 256 if kind == "float" else raw, pattern) * (
        255 / white / (256 if kind == "float" else 1)
    )
    found = read(file, bayer=pattern)
    assert np.abs(found - expected).max() <= 0.5 + 1e-3
    assert next(iter(ImageSet.open(tmp_path).decoded)).find(f"Bayer {pattern}") > 0


def test_bayer_of_plain_colours_gives_them_back(tmp_path: Path) -> None:
    colours = np.zeros((6, 8, 3), np.uint16)
    colours[:] = (4095, 1000, 17)
    tifffile.imwrite(tmp_path / "i.tif", mosaic(colours, "grbg"))
    found = read(tmp_path / "i.tif", bayer="grbg", bit_depth=12)
    assert (found == levels8(colours, 4095)).all()


@pytest.mark.parametrize("name", ["i.tif", "i.png"])
def test_bayer_is_read_before_it_is_turned(tmp_path: Path, name: str) -> None:
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[:] = (250, 100, 3)
    colours[:2, :2] = 0
    raw = Image.fromarray(mosaic(colours, "rggb"))
    raw.save(tmp_path / name)
    upright = read(tmp_path / name, bayer="rggb")
    exif = Image.Exif()
    exif[0x0112] = 6
    raw.save(tmp_path / name, exif=exif)
    assert (read(tmp_path / name, bayer="rggb") == np.rot90(upright, -1)).all()


def test_colours_are_no_mosaic(tmp_path: Path) -> None:
    for name in ("i.png", "i.tif", "i.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
        assert "is no mosaic" in refused(tmp_path / name, bayer="rggb")
        (tmp_path / name).unlink()
    tifffile.imwrite(tmp_path / "i.tif", GRAY12, photometric="cfa")
    assert "is a Bayer mosaic); set bayer" in refused(tmp_path / "i.tif")
    assert read(tmp_path / "i.tif", bayer="rggb", bit_depth=12).shape == (3, 4, 3)
