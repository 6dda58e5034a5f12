"""What industrial cameras deliver: TIFF.

Files are written by tifffile, by Pillow, or byte by byte; the expected levels are whole numbers,
``(510 · v + white) // (2 · white)``, which is ``255 · v / white`` rounded to the nearest.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from adscale.request import Decoding
from profiling.image_reading import decode_as, read_rgb
from profiling.images import ImageSet
from tests.profiling.camera_files import (
    COLOUR12,
    GRAY12,
    gray,
    levels8,
    lzw,
    packed,
    png,
    read,
    refused,
    tiff,
)


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
@pytest.mark.parametrize("bits", [8, 16])
def test_layouts_of_tiff(
    tmp_path: Path, options: dict[str, Any], bits: int, colours: str, order: str
) -> None:
    height, width = 37, 43  # no multiple of a strip or tile
    levels = (np.arange(height * width * 3) * 37 % 2**bits).astype(f"uint{bits}")
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
    expected = levels8(levels, 2**bits - 1)
    assert (read(tmp_path / "i.tif") == (expected if colours == "rgb" else gray(expected))).all()


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


def test_what_the_file_says_of_packed_and_of_32_bits(tmp_path: Path) -> None:
    file, levels = tmp_path / "i.tif", GRAY12 // 4
    file.write_bytes(tiff(packed(levels, 12), 4, 3, t258=12, t281=1023))
    assert (read(file) == gray(levels8(levels, 1023))).all()
    file.write_bytes(tiff(GRAY12.astype("<u4").tobytes(), 4, 3, t258=32, t281=4095))
    assert (read(file) == gray(levels8(GRAY12, 4095))).all()


def test_colours_that_alpha_was_multiplied_into(tmp_path: Path) -> None:
    file = tmp_path / "i.tif"
    pixels = np.concatenate([COLOUR12, np.full((3, 4, 1), 4095, np.uint16)], axis=-1)
    tifffile.imwrite(file, pixels, photometric="rgb", extrasamples=["assocalpha"])
    assert "has pixels that are not read" in refused(file)
    halves = np.array([[[100, 50, 0, 128], [7, 8, 9, 255]]], np.uint8)
    tifffile.imwrite(file, halves, photometric="rgb", extrasamples=["assocalpha"])
    assert read(file).tolist() == [[[199, 99, 0], [7, 8, 9]]]  # 255 / 128 times, rounded down


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


def test_images_behind_one_page(tmp_path: Path) -> None:
    """ImageJ and tifffile write large stacks so: only the description tells of the others."""
    stack, file = np.stack([GRAY12, GRAY12 * 0]), tmp_path / "i.tif"
    tifffile.imwrite(file, stack, photometric="minisblack", truncate=True)
    assert "has several images behind the one page" in refused(file)
    assert (read(file, page=1, bit_depth=12) == gray(levels8(GRAY12, 4095))).all()
    many = b"ImageJ=1.53t\nimages=2\nslices=2\n\0"
    content = tiff(stack.tobytes() + many, 4, 3, t270=0)
    start = content.index(struct.pack("<HHI", 270, 4, 1))
    words = struct.pack("<HHII", 270, 2, len(many), 8 + stack.nbytes)
    content = content[:start] + words + content[start + len(words) :]
    file.write_bytes(content)
    assert "has several images behind the one page" in refused(file)
    depth = np.zeros((16, 16, 16), np.uint16)
    tifffile.imwrite(file, depth, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    assert "has pixels that are not read" in refused(file)


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
    (tmp_path / "few.tif").write_bytes(tiff(b"\0" * 32, 4, 400, t278=4))
    for name in ("raw.tif", "zip.tif", "i.png", "c.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
    Image.new("L", (2, 2)).save(tmp_path / "good.png")
    images = ImageSet.open(tmp_path)
    assert [file.name for file in images.files] == ["good.png"]
    assert len(images.unreadable) == 9


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
