from __future__ import annotations

import logging
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adscale.config import load_config
from adscale.errors import ImageFolderError
from adscale.plan import plan_runs
from adscale.request import MAX_IMAGE_MEGAPIXELS
from profiling.image_reading import limit_images, read_rgb, to_rgb
from profiling.images import PHOTOGRAPHS, ImageSet

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """Blue, with a red corner at the top left."""
    levels = np.full((height, width, 3), BLUE, dtype=np.uint8)
    levels[: height // 2, : width // 2] = RED
    return Image.fromarray(levels)


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return tuple(int(level) for level in np.asarray(image)[y, x])


def close(found: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 24) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))


def test_images_come_in_the_order_of_their_paths_and_begin_again(tmp_path: Path) -> None:
    for index, name in enumerate(["b.png", "a/z.png", "a.png", "c.bmp"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / name)
    images = ImageSet.open(str(tmp_path))
    assert len(images) == 4
    names = [file.relative_to(tmp_path).as_posix() for file in images.files]
    assert names == ["a/z.png", "a.png", "b.png", "c.bmp"]
    assert [pixel(images[i], 0, 0)[0] for i in range(-1, 10)] == [3, 1, 2, 0] * 2 + [3, 1, 2]
    assert images.source == str(tmp_path)
    assert images.unreadable == []


@pytest.mark.parametrize("name", ["i.PNG", "i.Jpg", "i.JPEG", "i.bmp", "i.tif", "i.TIFF"])
def test_formats(tmp_path: Path, name: str) -> None:
    picture().save(tmp_path / name)
    image = ImageSet.from_folder(tmp_path)[0]
    assert image.size == (48, 32)
    assert close(pixel(image, 5, 5), RED)
    assert close(pixel(image, 40, 5), BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / f"i.{suffix}")
    assert pixel(read_rgb(tmp_path / f"i.{suffix}"), 3, 3) == (255, 255, 255)


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    picture().convert("CMYK").save(tmp_path / "i.jpg")
    image = read_rgb(tmp_path / "i.jpg")
    assert close(pixel(image, 5, 5), RED)
    assert close(pixel(image, 40, 28), BLUE)


def test_a_palette_with_transparency_keeps_its_colours(tmp_path: Path) -> None:
    picture().quantize(4).save(tmp_path / "i.png", transparency=b"\x00\x80")
    image = read_rgb(tmp_path / "i.png")
    assert close(pixel(image, 5, 5), RED)
    assert close(pixel(image, 40, 28), BLUE)


@pytest.mark.parametrize("name", ["i.png", "i.tif"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    levels = np.linspace(0, 65535, 64 * 16).astype(np.uint16).reshape(16, 64)
    Image.fromarray(levels).save(tmp_path / name)
    found = np.asarray(read_rgb(tmp_path / name)).astype(float)
    for channel in range(3):
        assert np.abs(found[..., channel] - levels / 257).max() <= 0.5


def tiff_of_12_bits(levels: list[int], width: int, orientation: int = 1) -> bytes:
    """A TIFF as cameras write it: two samples in three bytes."""
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
        for a, b in zip(levels[::2], levels[1::2], strict=True)
    )
    height = len(levels) // width
    tags = {
        256: width,
        257: height,
        258: 12,
        259: 1,
        262: 1,
        273: 8,
        274: orientation,
        277: 1,
        278: height,
        279: len(packed),
    }
    start = 8 + len(packed)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\x00" + struct.pack("<I", start) + packed + directory


@pytest.mark.parametrize("orientation", [1, 3])
def test_12_bit_gray_is_scaled_by_its_own_white(tmp_path: Path, orientation: int) -> None:
    levels = [0, 1000, 2000, 4095] * 4
    file = tmp_path / "camera.tif"
    file.write_bytes(tiff_of_12_bits(levels, width=4, orientation=orientation))
    row = [pixel(read_rgb(file), x, 0)[0] for x in range(4)]
    expected = [0, round(1000 * 255 / 4095), round(2000 * 255 / 4095), 255]
    assert row == (expected if orientation == 1 else expected[::-1])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_defined_white_are_not_guessed(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4), 100).save(tmp_path / "i.tif")
    with pytest.raises(ImageFolderError, match=r"no defined white level|white is 1 ") as caught:
        ImageSet.from_folder(tmp_path)
    assert "i.tif" in str(caught.value)
    assert "set bit_depth" in str(caught.value)


@pytest.mark.parametrize("name", ["i.jpg", "i.png", "i.tif"])
@pytest.mark.parametrize(
    ("orientation", "size", "red", "blue"),
    [
        (1, (48, 32), (5, 5), (40, 28)),
        (3, (48, 32), (40, 28), (5, 5)),
        (6, (32, 48), (28, 5), (5, 40)),
        (8, (32, 48), (5, 40), (28, 5)),
    ],
)
def test_images_are_turned_upright(
    tmp_path: Path,
    name: str,
    orientation: int,
    size: tuple[int, int],
    red: tuple[int, int],
    blue: tuple[int, int],
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture().save(tmp_path / name, exif=exif)
    image = read_rgb(tmp_path / name)
    assert image.size == size
    assert close(pixel(image, *red), RED)
    assert close(pixel(image, *blue), BLUE)


def test_broken_images_are_left_out_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("good.png", "cut.png", "cut.jpg", "cut.tif"):
        Image.fromarray(noise).save(tmp_path / name)
        if name.startswith("cut"):
            content = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
    (tmp_path / "empty.bmp").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "text.jpg").write_text("no image")
    with caplog.at_level(logging.WARNING):
        images = ImageSet.from_folder(tmp_path)
    bad = ["cut.jpg", "cut.png", "cut.tif", "empty.bmp", "sub/text.jpg"]
    assert images.unreadable == bad
    assert [file.name for file in images.files] == ["good.png"]
    (record,) = caplog.records
    assert "skipped 5 of 6 images" in record.getMessage()
    assert [name for name in bad if name not in record.getMessage()] == []


def test_links_to_nowhere_are_counted_and_named_like_broken_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.png"):
        picture().save(tmp_path / name)
    for number in range(4):
        (tmp_path / f"link-{number}.png").symlink_to("/nowhere/image.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    picture().save(tmp_path / "other.webp")
    images = ImageSet.from_folder(tmp_path)
    assert len(images) == 2
    assert sorted(images.unreadable) == [
        "empty.png", *(f"link-{number}.png" for number in range(4)), "other.webp", "text.png",
    ]  # fmt: skip
    for words in (
        "skipped 7 of 9 images", "empty.png (is empty)", "text.png (is no PNG, JPEG, BMP or TIFF)",
        "link-0.png (is a link to /nowhere/image.png", "other.webp (is of a format that is not",
    ):  # fmt: skip
        assert words in caplog.text


def large_png(file: Path, side_px: int) -> None:
    """A gray square, a few kilobytes on disk, written without holding it."""
    rows = zlib.compressobj()
    row = b"\0" * (side_px + 1)
    data = b"".join([*(rows.compress(row) for _ in range(side_px)), rows.flush()])
    head = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
    )


def test_large_images_are_read_up_to_the_limit_that_is_named_beyond_it(tmp_path: Path) -> None:
    large_png(tmp_path / "large.png", 20_000)  # beyond what Pillow takes for an attack
    limit_images(399)
    try:
        with pytest.raises(ImageFolderError) as caught:
            ImageSet.from_folder(tmp_path)
    finally:
        limit_images(MAX_IMAGE_MEGAPIXELS)
    line = str(caught.value)
    assert "has 400 megapixels, more than max_image_megapixels (399)" in line
    assert line.endswith("raise max_image_megapixels")
    large_png(tmp_path / "large.png", 13_500)
    assert read_rgb(tmp_path / "large.png").size == (13_500, 13_500)
    assert Image.MAX_IMAGE_PIXELS is not None, "what the user's own code opens is still checked"


def test_the_limit_of_the_configuration_reaches_the_run() -> None:
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": {"M": {"target": "ddad"}}}
    plan = plan_runs(load_config({**config, "max_image_megapixels": 2500}), "embedded")
    assert {run.request.max_image_megapixels for run in plan.values()} == {2500}


def test_nothing_is_said_where_nothing_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture().save(tmp_path / "i.png")
    ImageSet.from_folder(tmp_path)
    assert caplog.records == []


def test_only_broken_images_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").touch()
    with pytest.raises(ImageFolderError, match="none of 2 images can be read") as caught:
        ImageSet.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_image_that_vanishes_is_an_error_not_another_image(tmp_path: Path) -> None:
    picture().save(tmp_path / "i.png")
    images = ImageSet.open(tmp_path)
    (tmp_path / "i.png").unlink()
    with pytest.raises(ImageFolderError, match=r"i\.png: cannot be read any more"):
        images[0]


def test_photographs_of_the_package() -> None:
    images = ImageSet.open(None)
    assert len(images) == len(PHOTOGRAPHS) >= 8
    assert images.source.startswith("scikit-image 0.")
    for index in range(len(images)):
        image = images[index]
        assert image.mode == "RGB"
        assert min(image.size) >= 250, images.files[index]
        assert np.asarray(image).std() > 10, "a photograph has contrast"


def test_photographs_are_found_without_importing_scikit_image(
    checkout_environment: dict[str, str],
) -> None:
    code = (
        "import sys; from profiling.images import ImageSet; ImageSet.open(None)[0]\n"
        "heavy = {'skimage', 'scipy', 'torch'} & set(sys.modules); sys.exit(str(heavy or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=checkout_environment
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16", "YCbCr"])
def test_images_made_in_memory_are_converted(mode: str) -> None:
    assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


@settings(deadline=None, max_examples=80)
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "bmp", "tif"]))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    file = folder / f"i.{suffix}"
    picture(12, 9).save(file)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    shutil.copy(file, folder / f"copy.{suffix}")
    picture().save(folder / "z.png")
    images = ImageSet.from_folder(folder)
    assert len(images) + len(images.unreadable) == 3
    assert all(images[index].mode == "RGB" for index in range(len(images)))


@settings(deadline=None, max_examples=40)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_no_image(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("random")
    (folder / "i.png").write_bytes(content)
    with pytest.raises(ImageFolderError):
        ImageSet.from_folder(folder)
