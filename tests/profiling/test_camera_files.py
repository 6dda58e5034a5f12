"""What industrial cameras deliver: other files, and what of them reaches a run.

Files are written by tifffile, by Pillow, or byte by byte; the expected levels are whole numbers,
``(510 · v + white) // (2 · white)``, which is ``255 · v / white`` rounded to the nearest.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from adscale.config import StudyConfigError, load_config
from adscale.errors import ConfigError, ImageFolderError
from adscale.plan import plan_runs
from adscale.request import Decoding, RunRequest
from adscale.resolution import square
from profiling.image_reading import decode_as, limit_images, read_rgb
from profiling.images import ImageSet, check_folder
from profiling.methods.patchcore.bank import _key, normal_images
from profiling.methods.preparation import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    centre_crop_tensor,
    imagenet_tensor,
    symmetric_tensor,
)
from profiling.study.checks import check_images
from tests.profiling.camera_files import (
    COLOUR12,
    GRAY12,
    chunk,
    gray,
    levels8,
    packed,
    png,
    read,
    refused,
    tiff,
)


def test_10_bits_in_16_of_png(tmp_path: Path) -> None:
    levels = GRAY12 // 4
    Image.fromarray(levels).save(tmp_path / "i.png")
    assert (read(tmp_path / "i.png", bit_depth=10) == gray(levels8(levels, 1023))).all()
    assert (read(tmp_path / "i.png") == gray(levels8(levels, 65535))).all()


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


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1))  # fmt: skip
"""First row and column of each pass of an interlaced PNG, and the steps from there."""


@pytest.mark.parametrize(("colours", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_interlaced_png_of_16_bits(tmp_path: Path, colours: int, channels: int) -> None:
    levels = np.random.default_rng(2).integers(0, 65536, (9, 11, channels)).astype(np.uint16)
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for top, left, down, right in ADAM7
        for row in levels[top::down, left::right]
    )
    head = struct.pack(">IIBBBBB", 11, 9, 16, colours, 0, 0, 1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "i.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    expected = levels8(levels, 65535)
    expected = expected[..., :3] if channels > 2 else gray(expected[..., 0])
    assert (read(tmp_path / "i.png") == expected).all()


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
    assert centre_crop_tensor(images[0], square(8)).shape == (1, 3, 8, 8)
    decode_as(Decoding(page=2))
    assert centre_crop_tensor(read_rgb(tmp_path / "j.tif"), square(8)).shape == (1, 3, 8, 8)
    assert Image.MAX_IMAGE_PIXELS == 50
    decode_as(Decoding(bit_depth=12, page=1))
    limit_images(0.001)
    with pytest.raises(ImageFolderError, match=r"0\.0012 megapixels.*raise max_image_megapixels"):
        ImageSet.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "stated"),
    [("12.tif", {}), ("16.tif", {"bit_depth": 12}), ("16.png", {"bit_depth": 12})],
)
def test_the_tensor_that_comes_of_it(tmp_path: Path, name: str, stated: Any) -> None:
    levels = np.array([[0, 1000], [2048, 4095]], np.uint16)
    if name == "12.tif":
        (tmp_path / name).write_bytes(tiff(packed(levels, 12), 2, 2, t258=12))
    else:
        Image.fromarray(levels).save(tmp_path / name)
    decode_as(Decoding(**stated))
    image = ImageSet.open(tmp_path)[0]
    shares = torch.tensor([[0, 62], [128, 255]], dtype=torch.float64) / 255  # of 4095 by hand
    for channel in range(3):
        expected = (shares - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        torch.testing.assert_close(
            imagenet_tensor(image, square(2))[0, channel].double(), expected, atol=1e-6, rtol=0
        )
    torch.testing.assert_close(
        symmetric_tensor(image, square(2))[0, 0].double(), 2 * shares - 1, atol=1e-6, rtol=0
    )


STUDY = {"preset": "smoke", "device": {"type": "cpu"}, "methods": {"M": {"target": "ddad"}}}


def test_what_is_stated_reaches_the_run_and_older_records_are_read() -> None:
    stated = {"bit_depth": 12, "bayer": "gbrg", "page": 2, "fit": "pad"}
    plan = plan_runs(load_config({**STUDY, **stated}), "embedded")
    assert {run.request.decoding for run in plan.values()} == {Decoding(**stated)}
    request = next(iter(plan_runs(load_config(STUDY), "nsys").values())).request.as_json()
    data = json.loads(request)
    assert data.pop("decoding") == dict.fromkeys(("bit_depth", "bayer", "page", "fit"))
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


def test_a_study_is_checked_with_what_it_states(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", GRAY12.astype(np.int32))
    with pytest.raises(ConfigError, match="no defined white level"):
        check_images(load_config({**STUDY, "images": str(tmp_path)}))
    check_images(load_config({**STUDY, "images": str(tmp_path), "bit_depth": 12}))


def test_a_fitted_bank_is_that_of_what_was_stated(tmp_path: Path) -> None:
    """The same files are other images: their bank must not come from the cache."""
    tifffile.imwrite(tmp_path / "i.tif", GRAY12)
    keys = set()
    for depth in (12, 13):
        decode_as(Decoding(bit_depth=depth))
        images = normal_images(str(tmp_path))
        keys.add(_key(images, torch.nn.Identity(), torch.empty(2, 3), "64 0"))
    assert len(keys) == 2
