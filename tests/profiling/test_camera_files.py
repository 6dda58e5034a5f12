"""What industrial cameras deliver: each kind of file with known levels, and what must come of it.

Files are written by tifffile, by Pillow, or byte by byte; the expected levels are whole numbers,
``(510 · v + white) // (2 · white)``, which is ``255 · v / white`` rounded to the nearest.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from adscale.config import StudyConfigError, load_config
from adscale.errors import ImageFolderError
from adscale.plan import plan_runs
from adscale.request import Decoding, RunRequest
from profiling.image_reading import decode_as, limit_images, read_rgb
from profiling.images import ImageSet, check_folder
from profiling.methods.preparation import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    centre_crop_tensor,
    imagenet_tensor,
    symmetric_tensor,
)

GRAY12 = np.array([[0, 1, 8, 9], [1000, 2047, 2048, 3021], [4000, 4094, 4095, 16]], np.uint16)
"""Levels of 12 bits, black and white among them."""
COLOUR12 = np.stack([GRAY12, GRAY12[::-1], GRAY12[:, ::-1]], axis=-1)


@pytest.fixture(autouse=True)
def nothing_stated() -> Iterator[None]:
    yield
    decode_as(Decoding())
    limit_images(1000)


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
def test_packed_gray_tells_its_bits(tmp_path: Path, bits: int, order: str) -> None:
    levels = (GRAY12.astype(int) * (2**bits - 1)) // 4095
    levels = levels[:, :3]  # rows that end within a byte
    (tmp_path / "i.tif").write_bytes(tiff(packed(levels, bits), 3, 3, order, t258=bits))
    assert (read(tmp_path / "i.tif") == gray(levels8(levels, 2**bits - 1))).all()
    told = {f"{bits}-bit gray, white {2**bits - 1} (BitsPerSample)": 1}
    assert ImageSet.open(tmp_path).decoded == told


@pytest.mark.parametrize("order", ["<", ">"])
def test_packed_colours_and_bits_in_reverse(tmp_path: Path, order: str) -> None:
    data = packed(COLOUR12.reshape(3, 12), 12)
    content = tiff(data, 4, 3, order, t258=(12, 12, 12), t262=2, t277=3)
    (tmp_path / "i.tif").write_bytes(content)
    assert (read(tmp_path / "i.tif") == levels8(COLOUR12, 4095)).all()
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in packed(GRAY12, 12))
    (tmp_path / "r.tif").write_bytes(tiff(reverse, 4, 3, order, t258=12, t266=2))
    assert (read(tmp_path / "r.tif") == gray(levels8(GRAY12, 4095))).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tags", "stated", "white", "told_by"),
    [
        ({}, {}, 65535, "BitsPerSample"),
        ({}, {"bit_depth": 12}, 4095, "bit_depth"),
        ({"t281": 4095}, {}, 4095, "MaxSampleValue"),
        ({"t281": 4095}, {"bit_depth": 16}, 65535, "bit_depth"),
        ({"t281": 65535}, {}, 65535, "BitsPerSample"),
        ({"t281": 4094}, {}, 65535, "BitsPerSample"),  # the largest that occurs, says TIFF 6.0
    ],
)
def test_12_bits_in_16(
    tmp_path: Path, tags: Any, stated: Any, white: int, told_by: str, order: str
) -> None:
    file = tmp_path / "i.tif"
    file.write_bytes(tiff(GRAY12.astype(f"{order}u2").tobytes(), 4, 3, order, **tags))
    assert (read(file, **stated) == gray(levels8(GRAY12, white))).all()
    assert ImageSet.open(tmp_path).decoded == {f"16-bit gray, white {white} ({told_by})": 1}


def test_10_bits_in_16_of_png(tmp_path: Path) -> None:
    levels = GRAY12 // 4
    Image.fromarray(levels).save(tmp_path / "i.png")
    assert (read(tmp_path / "i.png", bit_depth=10) == gray(levels8(levels, 1023))).all()
    assert (read(tmp_path / "i.png") == gray(levels8(levels, 65535))).all()


def test_levels_above_white_are_refused_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(GRAY12).save(tmp_path / "i.tif")
    line = refused(tmp_path / "i.tif", bit_depth=10)
    assert "levels from 0 to 4095, but white is 1023 (bit_depth)" in line
    (tmp_path / "i.tif").write_bytes(tiff(GRAY12.tobytes(), 4, 3, t281=1023))
    line = refused(tmp_path / "i.tif")
    assert "white is 1023 (MaxSampleValue)); set bit_depth" in line
    (tmp_path / "i.tif").write_bytes(tiff(packed(GRAY12, 12), 4, 3, t258=12))
    assert "has 12 bits per sample, fewer than bit_depth 16" in refused(
        tmp_path / "i.tif", bit_depth=16
    )


def test_files_of_8_bits_are_as_they_are_whatever_is_stated(tmp_path: Path) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    for name in ("i.png", "i.tif", "i.bmp"):
        Image.fromarray(levels).save(tmp_path / name)
        assert (read(tmp_path / name, bit_depth=12) == gray(levels)).all()
    assert ImageSet.open(tmp_path).decoded == {}


def test_dark_images_that_nobody_tells_of_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY12 // 2)
    tifffile.imwrite(tmp_path / "b.tif", GRAY12)
    ImageSet.open(tmp_path)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the largest level of 2 images is 4095, and white is 65535" in record.getMessage()
    assert "set bit_depth" in record.getMessage()
    caplog.clear()
    decode_as(Decoding(bit_depth=12))
    ImageSet.open(tmp_path)
    assert caplog.records == []


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"compression": "zlib", "predictor": True, "rowsperstrip": 5},
        {"compression": "lzma", "tile": (16, 32)},
        {"planarconfig": "separate"},
        {"bigtiff": True, "tile": (16, 16), "compression": "zlib", "planarconfig": "separate"},
    ],
    ids=lambda options: "-".join(map(str, options)) or "plain",
)
@pytest.mark.parametrize("colours", ["gray", "rgb"])
def test_layouts_of_tiff(tmp_path: Path, options: dict[str, Any], colours: str, order: str) -> None:
    height, width = 37, 43  # no multiple of a strip or tile
    levels = (np.arange(height * width * 3) * 37 % 65536).astype(np.uint16)
    shape = (height, width, 3) if colours == "rgb" else (height, width)
    levels = levels[: int(np.prod(shape))].reshape(shape)
    if colours == "gray":
        options = {key: value for key, value in options.items() if key != "planarconfig"}
        given = levels
    else:
        separate = "planarconfig" in options
        given = np.moveaxis(levels, -1, 0) if separate else levels
    photometric = "rgb" if colours == "rgb" else "minisblack"
    tifffile.imwrite(tmp_path / "i.tif", given, photometric=photometric, byteorder=order, **options)
    expected = levels8(levels, 65535)
    assert (read(tmp_path / "i.tif") == (expected if colours == "rgb" else gray(expected))).all()


def lzw(data: bytes) -> bytes:
    """Codes of 9 bits, each byte as it is, the table cleared before it can grow."""
    codes = ["100000000"]
    for place, byte in enumerate(data):
        codes += ["100000000"] if place and place % 200 == 0 else []
        codes.append(f"{byte:09b}")
    text = "".join([*codes, "100000001"])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize("order", ["<", ">"])
def test_lzw(tmp_path: Path, order: str) -> None:
    file = tmp_path / "i.tif"
    file.write_bytes(tiff(lzw(GRAY12.astype(f"{order}u2").tobytes()), 4, 3, order, t259=5))
    assert (read(file, bit_depth=12) == gray(levels8(GRAY12, 4095))).all()
    difference = np.diff(COLOUR12.astype(f"{order}u2"), axis=1, prepend=np.uint16(0))
    data = lzw(difference.astype(f"{order}u2").tobytes())
    file.write_bytes(tiff(data, 4, 3, order, t258=(16, 16, 16), t259=5, t262=2, t277=3, t317=2))
    assert (read(file, bit_depth=12) == levels8(COLOUR12, 4095)).all()
    file.write_bytes(tiff(lzw(packed(GRAY12, 12)), 4, 3, order, t258=12, t259=5))
    assert (read(file) == gray(levels8(GRAY12, 4095))).all()
    shares = GRAY12.astype(np.float32) / 4095
    planes = shares.astype(">f4").view(np.uint8).reshape(3, 4, 4).swapaxes(1, 2).reshape(3, 16)
    steps = np.diff(planes, axis=1, prepend=np.uint8(0)).astype(np.uint8)
    file.write_bytes(tiff(lzw(steps.tobytes()), 4, 3, order, t258=32, t259=5, t317=3, t339=3))
    assert (read(file) == gray(np.rint(shares.astype(float) * 255))).all()


@pytest.mark.parametrize("bits", [12, 16])
def test_packbits(tmp_path: Path, bits: int) -> None:
    data = packed(GRAY12, bits)
    runs = b"".join(bytes([3]) + data[at : at + 4] for at in range(0, len(data) // 4 * 4, 4))
    rest = data[len(data) // 4 * 4 :]
    runs += bytes([len(rest) - 1]) + rest if rest else b""
    (tmp_path / "i.tif").write_bytes(tiff(runs, 4, 3, ">", t258=bits, t259=32773))
    assert (read(tmp_path / "i.tif", bit_depth=12) == gray(levels8(GRAY12, 4095))).all()


def test_pillow_reads_the_same_of_lzw(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (70, 90)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "i.tif", compression="tiff_lzw")
    assert (read(tmp_path / "i.tif") == gray(levels8(levels, 65535))).all()


@pytest.mark.parametrize("depth", [None, 12])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_from_0_to_1_or_to_the_bits_that_are_stated(
    tmp_path: Path, dtype: str, depth: int | None
) -> None:
    white = 1 if depth is None else 4095
    levels = np.array([[0, 0.125, 0.25], [0.5, 0.75, 1]]) * white
    tifffile.imwrite(tmp_path / "i.tif", levels.astype(dtype))
    stored = levels.astype(dtype).astype(float)
    expected = np.rint(stored * 255 / white)
    if stored.max() > white:  # float16 has no 4095
        assert "to 4096, but white is 4095" in refused(tmp_path / "i.tif", bit_depth=depth)
        return
    assert (read(tmp_path / "i.tif", bit_depth=depth) == gray(expected)).all()
    bits = dtype.removeprefix("float")
    said = "bit_depth" if depth else "floats are from 0 to 1"
    assert list(ImageSet.open(tmp_path).decoded) == [
        f"{bits}-bit float gray, white {white} ({said})"
    ]


@pytest.mark.parametrize("wrong", [-0.001, 1.001, 255.0, float("nan"), float("inf")])
def test_floats_outside_are_refused_with_the_remedy(tmp_path: Path, wrong: float) -> None:
    tifffile.imwrite(tmp_path / "i.tif", np.array([[0, 0.5], [1, wrong]], np.float32))
    line = refused(tmp_path / "i.tif")
    assert "but white is 1 (floats are from 0 to 1)); scale it to 0 to 1, or set bit_depth" in line


def test_signs_and_32_bits_need_a_stated_depth(tmp_path: Path) -> None:
    for dtype in ("int16", "uint32", "int32"):
        tifffile.imwrite(tmp_path / "i.tif", GRAY12.astype(dtype))
        assert "integers have no defined white level); set bit_depth" in refused(tmp_path / "i.tif")
        expected = gray(levels8(GRAY12, 4095))
        assert (read(tmp_path / "i.tif", bit_depth=12) == expected).all()
    tifffile.imwrite(tmp_path / "i.tif", GRAY12.astype("int16") - 1)
    assert "levels from -1 to 4094" in refused(tmp_path / "i.tif", bit_depth=12)
    tifffile.imwrite(tmp_path / "i.tif", np.array([[-1, 1]], np.int8))
    assert "signed 8-bit" in refused(tmp_path / "i.tif")


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", GRAY12, photometric="miniswhite")
    assert (read(tmp_path / "i.tif", bit_depth=12) == 255 - gray(levels8(GRAY12, 4095))).all()
    tifffile.imwrite(tmp_path / "i.tif", np.array([[0, 9, 255]], np.uint8), photometric=0)
    assert (read(tmp_path / "i.tif") == gray([[255, 246, 0]])).all()


def test_alpha_and_ink_of_16_bits(tmp_path: Path) -> None:
    alpha = np.full((3, 4, 1), 7, np.uint16)
    with_alpha = np.concatenate([COLOUR12, alpha], axis=-1)
    tifffile.imwrite(tmp_path / "i.tif", with_alpha, photometric="rgb", extrasamples=["unassalpha"])
    assert (read(tmp_path / "i.tif", bit_depth=12) == levels8(COLOUR12, 4095)).all()
    both = np.concatenate([GRAY12[..., None], alpha], axis=-1)
    tifffile.imwrite(
        tmp_path / "i.tif", both, photometric="minisblack", planarconfig="contig",
        extrasamples=["unassalpha"],
    )  # fmt: skip
    assert (read(tmp_path / "i.tif", bit_depth=12) == gray(levels8(GRAY12, 4095))).all()
    ink = np.array([[[0, 0, 0, 0], [65535, 0, 0, 0], [0, 0, 0, 65535]]], np.uint16)
    tifffile.imwrite(tmp_path / "i.tif", ink, photometric="separated")
    assert read(tmp_path / "i.tif").tolist() == [[[255] * 3, [0, 255, 255], [0] * 3]]


def test_pages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "i.tif"
    small = np.zeros((1, 2), np.uint16)
    with tifffile.TiffWriter(file) as writer:
        writer.write(GRAY12)
        writer.write(small, subfiletype=1)  # a smaller copy is no page
        writer.write((GRAY12 // 256).astype(np.uint8))
    assert "i.tif: has 2 pages, and it is not stated which" in refused(file)
    assert refused(file).endswith("set page: 1 to 2")
    Image.new("L", (2, 2)).save(tmp_path / "one.png")
    decode_as(Decoding())
    assert ImageSet.open(tmp_path).unreadable == ["i.tif"]
    assert "i.tif (has 2 pages, and it is not stated which: set page: 1 to 2)" in caplog.text
    (tmp_path / "one.png").unlink()
    assert "has 2 pages, not 3" in refused(file, page=3)
    assert (read(file, page=1, bit_depth=12) == gray(levels8(GRAY12, 4095))).all()
    assert (read(file, page=2) == gray(GRAY12 // 256)).all()
    assert ImageSet.open(tmp_path).decoded == {"page 2": 1}
    tifffile.imwrite(file, GRAY12)
    assert (read(file, page=1, bit_depth=12) == gray(levels8(GRAY12, 4095))).all()


def test_frames_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("L", (3, 2), level) for level in (10, 20, 30)]
    frames[0].save(tmp_path / "i.png", save_all=True, append_images=frames[1:])
    assert "has 3 pages" in refused(tmp_path / "i.png")
    assert read(tmp_path / "i.png", page=2)[0, 0, 0] == 20


def test_previews_within_a_photograph_are_no_pages(tmp_path: Path) -> None:
    image, preview = Image.new("RGB", (32, 16), (200, 0, 0)), Image.new("RGB", (8, 4))
    image.save(tmp_path / "i.jpg", format="MPO", save_all=True, append_images=[preview])
    assert read(tmp_path / "i.jpg").shape == (16, 32, 3)
    assert read(tmp_path / "i.jpg", page=2).shape == (4, 8, 3)


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


@pytest.mark.parametrize("name", ["i.tif", "i.png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_upright(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GRAY12).save(tmp_path / name, exif=exif)
    seen = levels8(GRAY12, 4095)  # by the table of EXIF: which sides are row 0 and column 0
    turned = {
        1: seen, 2: seen[:, ::-1], 3: seen[::-1, ::-1], 4: seen[::-1], 5: seen.T,
        6: seen[::-1].T, 7: seen[::-1, ::-1].T, 8: seen[:, ::-1].T,
    }[orientation]  # fmt: skip
    assert (read(tmp_path / name, bit_depth=12) == gray(turned)).all()


@pytest.mark.parametrize(("colours", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize(("depth", "white"), [(None, 65535), (12, 4095)])
def test_png_of_16_bits(
    tmp_path: Path, colours: int, channels: int, depth: int | None, white: int
) -> None:
    levels = np.concatenate([COLOUR12, np.full((3, 4, 1), 3, np.uint16)], axis=-1)
    given = levels[..., [0, 3]] if colours == 4 else levels[..., :channels]
    (tmp_path / "i.png").write_bytes(png(given, colours))
    expected = levels8(COLOUR12 if channels > 2 else gray(GRAY12), white)
    assert (read(tmp_path / "i.png", bit_depth=depth) == expected).all()


def test_png_of_16_bits_with_filters(tmp_path: Path) -> None:
    """Rows as the difference to what stands left of them (Sub) and above (Up)."""
    rows = COLOUR12.astype(">u2").view(np.uint8).reshape(3, 24).astype(int)
    left = np.concatenate([np.zeros(6, int), rows[0, :-6]])
    filtered = [(1, rows[0] - left), (2, rows[1] - rows[0]), (2, rows[2] - rows[1])]
    data = zlib.compress(b"".join(bytes([kind, *(row % 256)]) for kind, row in filtered))
    head = struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "i.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert (read(tmp_path / "i.png", bit_depth=12) == levels8(COLOUR12, 4095)).all()


@pytest.mark.parametrize("colours", [0, 2])
def test_significant_bits_of_png_are_scaled_levels(tmp_path: Path, colours: int) -> None:
    """PNG: white is 65535 whatever sBIT declares; levels that are not scaled contradict it."""
    levels = (COLOUR12 if colours else GRAY12).astype(np.uint32)
    declared = chunk(b"sBIT", bytes([12] * (3 if colours else 1)))
    expected = levels8(levels, 4095)
    expected = expected if colours else gray(expected)
    for scaled in (levels * 65535 // 4095, levels << 4 | levels >> 8, levels << 4):
        (tmp_path / "i.png").write_bytes(png(scaled, colours, chunks=declared))
        assert np.abs(read(tmp_path / "i.png") - expected).max() <= 1
        assert read(tmp_path / "i.png").max() == 255
        assert next(iter(ImageSet.open(tmp_path).decoded)).endswith("white 65535 (PNG)")
    (tmp_path / "i.png").write_bytes(png(levels, colours, chunks=declared))
    line = refused(tmp_path / "i.png")
    assert "declares 12 significant bits (sBIT), but its levels are not scaled to 16 bits" in line
    assert line.endswith("set bit_depth: 12 if white is 4095")
    assert (read(tmp_path / "i.png", bit_depth=12) == expected).all()


def test_few_bits_palettes_and_transparency(tmp_path: Path) -> None:
    for bits, row, levels in (
        (1, 0b10100000, [255, 0, 255]), (2, 0b00011011, [0, 85, 170, 255]),
        (4, 0b00001111, [0, 255]),
    ):  # fmt: skip
        (tmp_path / "i.tif").write_bytes(tiff(bytes([row]), len(levels), 1, t258=bits))
        assert (read(tmp_path / "i.tif") == gray([levels])).all()
        head = struct.pack(">IIBBBBB", len(levels), 1, bits, 0, 0, 0, 0)
        data = chunk(b"IDAT", zlib.compress(bytes([0, row])))
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")
        (tmp_path / "i.png").write_bytes(content)
        assert (read(tmp_path / "i.png") == gray([levels])).all()
    palette = [(200, 10, 20), (0, 0, 0), (1, 2, 3), (255, 255, 254)]
    indices = np.array([[0, 1, 2, 3]], np.uint8)
    table = b"".join(bytes((*reversed(colour), 0)) for colour in palette)
    head = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, 0, 4, 0, 0, 4, 0)
    start = 14 + len(head) + len(table)
    bmp = b"BM" + struct.pack("<IHHI", start + 4, 0, 0, start) + head + table + indices.tobytes()
    (tmp_path / "i.bmp").write_bytes(bmp)
    assert read(tmp_path / "i.bmp").tolist() == [[list(colour) for colour in palette]]
    plte = chunk(b"PLTE", b"".join(map(bytes, palette))) + chunk(b"tRNS", bytes([0, 255, 128]))
    (tmp_path / "p.png").write_bytes(png(indices, 3, 8, plte))
    assert read(tmp_path / "p.png").tolist() == [[list(colour) for colour in palette]]
    (tmp_path / "la.png").write_bytes(png([[[7, 0], [9, 200]]], 4, 8))
    assert read(tmp_path / "la.png").tolist() == [[[7] * 3, [9] * 3]]
    (tmp_path / "rgba.png").write_bytes(png([[[7, 8, 9, 0], [9, 1, 2, 200]]], 6, 8))
    assert read(tmp_path / "rgba.png").tolist() == [[[7, 8, 9], [9, 1, 2]]]


def test_ink_of_8_bits(tmp_path: Path) -> None:
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 255, 0]]], np.uint8)
    tifffile.imwrite(tmp_path / "i.tif", ink, photometric="separated")
    assert read(tmp_path / "i.tif").tolist() == [[[255] * 3, [0, 255, 255], [0] * 3, [255, 0, 0]]]


def test_damaged_files_of_16_bits_are_named(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "raw.tif", levels)
    tifffile.imwrite(tmp_path / "zip.tif", levels, compression="zlib", rowsperstrip=16)
    (tmp_path / "lzw.tif").write_bytes(tiff(lzw(levels.tobytes())[:5000], 64, 64, t259=5))
    (tmp_path / "bits.tif").write_bytes(tiff(packed(levels >> 4, 12)[:5000], 64, 64, t258=12))
    (tmp_path / "i.png").write_bytes(png(levels, 0))
    (tmp_path / "c.png").write_bytes(png(np.stack([levels] * 3, -1), 2))
    (tmp_path / "jpeg.tif").write_bytes(tiff(b"\xff\xd8" * 9, 4, 3, t258=12, t259=7))
    (tmp_path / "sparse.tif").write_bytes(
        tiff(b"\0" * 32, 4, 4, t273=(8, 24), t278=2, t279=(16, 0))
    )
    for name in ("raw.tif", "zip.tif", "i.png", "c.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
    Image.new("L", (2, 2)).save(tmp_path / "good.png")
    images = ImageSet.open(tmp_path)
    assert [file.name for file in images.files] == ["good.png"]
    assert len(images.unreadable) == 8


def test_large_images_are_cut_to_squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow looks for attacks at each step: when it opens, goes to a page, loads and crops."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    levels = np.full((30, 40), 4095, np.uint16)
    tifffile.imwrite(tmp_path / "i.tif", levels, photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "j.tif") as writer:
        for _ in range(2):
            writer.write((levels // 256).astype(np.uint8))
    decode_as(Decoding(bit_depth=12, page=1))
    images = ImageSet.open(tmp_path)
    assert len(images) == 2
    assert centre_crop_tensor(images[0], 8).shape == (1, 3, 8, 8)
    decode_as(Decoding(page=2))
    assert centre_crop_tensor(read_rgb(tmp_path / "j.tif"), 8).shape == (1, 3, 8, 8)
    assert Image.MAX_IMAGE_PIXELS == 50
    decode_as(Decoding(bit_depth=12, page=1))
    limit_images(0.001)
    with pytest.raises(ImageFolderError, match=r"0\.0012 megapixels.*raise max_image_megapixels"):
        ImageSet.open(tmp_path)


@pytest.mark.slow
def test_line_scans_of_300_megapixels(tmp_path: Path) -> None:
    rows = np.arange(36_800, dtype=np.uint16) % 4096
    levels = np.repeat(rows[:, None], 8192, axis=1)  # 301 megapixels
    tifffile.imwrite(tmp_path / "i.tif", levels, compression="zlib", rowsperstrip=64)
    decode_as(Decoding(bit_depth=12))
    image = read_rgb(tmp_path / "i.tif")
    assert image.size == (8192, 36_800)
    for row in (0, 1000, 4095, 36_799):
        expected = int(levels8(rows[row], 4095))
        assert image.getpixel((8191, row)) == (expected,) * 3


@pytest.mark.parametrize(
    ("name", "stated"),
    [("12.tif", {}), ("16.tif", {"bit_depth": 12}), ("16.png", {"bit_depth": 12})],
)
def test_the_tensor_that_comes_of_it(tmp_path: Path, name: str, stated: Any) -> None:
    square = np.array([[0, 1000], [2048, 4095]], np.uint16)
    if name == "12.tif":
        (tmp_path / name).write_bytes(tiff(packed(square, 12), 2, 2, t258=12))
    else:
        Image.fromarray(square).save(tmp_path / name)
    decode_as(Decoding(**stated))
    image = ImageSet.open(tmp_path)[0]
    shares = torch.tensor([[0, 62], [128, 255]], dtype=torch.float64) / 255  # of 4095 by hand
    for channel in range(3):
        expected = (shares - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        torch.testing.assert_close(
            imagenet_tensor(image, 2)[0, channel].double(), expected, atol=1e-6, rtol=0
        )
    torch.testing.assert_close(
        symmetric_tensor(image, 2)[0, 0].double(), 2 * shares - 1, atol=1e-6, rtol=0
    )


STUDY = {"preset": "smoke", "device": {"type": "cpu"}, "methods": {"M": {"target": "ddad"}}}


def test_what_is_stated_reaches_the_run_and_older_records_are_read() -> None:
    stated = {"bit_depth": 12, "bayer": "gbrg", "page": 2}
    plan = plan_runs(load_config({**STUDY, **stated}), "embedded")
    assert {run.request.decoding for run in plan.values()} == {Decoding(**stated)}
    request = next(iter(plan_runs(load_config(STUDY), "nsys").values())).request.as_json()
    data = json.loads(request)
    assert data.pop("decoding") == {"bit_depth": None, "bayer": None, "page": None}
    assert RunRequest.from_dict(data).as_json() == request


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("bit_depth", 7, "at least 8"),
        ("bit_depth", 33, "at most 32"),
        ("bit_depth", "12", "expected: integer or null"),
        ("bayer", "rgbg", "allowed: rggb, bggr, grbg, gbrg"),
        ("page", 0, "at least 1"),
    ],
)
def test_what_cannot_be_stated(key: str, value: object, remedy: str) -> None:
    with pytest.raises(StudyConfigError, match=remedy):
        load_config({**STUDY, key: value})


def test_photographs_of_the_package_are_what_they_are() -> None:
    decode_as(Decoding(bayer="rggb", page=2))
    images = ImageSet.photographs()
    assert images.unreadable == []
    assert images.decoded == {}
    pixels = np.asarray(images[1])  # brick.png, which is gray
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_a_folder_is_checked_as_it_will_be_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", GRAY12.astype(np.int32))
    with pytest.raises(ImageFolderError, match="set bit_depth"):
        check_folder(tmp_path)
    check_folder(tmp_path, 1000, Decoding(bit_depth=12))
