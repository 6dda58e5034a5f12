"""Reads one image file, whatever a camera put into it, as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from adscale.request import MAX_IMAGE_MEGAPIXELS, Decoding

from . import image_png, image_tiff
from .image_levels import Converted, Levels, White, converted

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")

_max_megapixels = ContextVar("max_megapixels", default=MAX_IMAGE_MEGAPIXELS)
_decoding: ContextVar[Decoding | None] = ContextVar("decoding", default=None)


def limit_images(max_megapixels: float) -> None:
    """Sets how large images may be, for all that are read in this process from now on.

    Args:
        max_megapixels: in 10⁶ pixels.
    """
    _max_megapixels.set(max_megapixels)


def decode_as(decoding: Decoding) -> None:
    """Sets what files do not say of themselves, for all that are read from now on.

    Args:
        decoding: as the user states it.
    """
    _decoding.set(decoding)


def decoding_in_force() -> Decoding:
    """What ``decode_as`` has set."""
    return _decoding.get() or Decoding()


class ImageTooLargeError(Exception):
    """An image has more pixels than the configuration admits."""


def read_rgb(file: Path) -> Image.Image:
    """Decodes the image of a file, or the page that was stated: mode RGB, upright.

    Raises:
        ImageTooLargeError: it has more pixels than ``limit_images`` admits.
        DecodingError: what its pixels mean is not defined, or contradicts ``decode_as``.
        Exception: of the decoder's choice (mostly OSError): the file is unreadable, truncated, or
            in no known format.
    """
    return read_image(file, decoding_in_force()).image


def read_image(file: Path, decoding: Decoding) -> Converted:
    """Decodes the image of a file: mode RGB, upright.

    Args:
        file: in one of ``FORMATS``.
        decoding: what the file does not say of itself.

    Raises:
        Exception: as ``read_rgb``.
    """
    with any_size(), file.open("rb") as stream:
        if stream.read(4) in image_tiff.MAGIC:
            found = _read_tiff(file, decoding)
        else:
            found = _read_other(file, decoding)
        how = found.how
        if decoding.page is not None:
            how = f"{how}, page {decoding.page}" if how else f"page {decoding.page}"
        return found._replace(image=to_rgb(found.image), how=how)


def _read_tiff(file: Path, decoding: Decoding) -> Converted:
    with image_tiff.opened_page(file, decoding.page) as (index, page):
        _check_size(page.imagewidth, page.imagelength)
        if not image_tiff.is_for_pillow(page, decoding):
            return converted(image_tiff.read_levels(page, decoding), decoding.bayer)
    try:
        image = Image.open(file, formats=["TIFF"])
    except UnidentifiedImageError:
        raise image_tiff.unknown_pixels(page) from None
    with image:
        image.seek(index)
        image.load()  # which turns it upright
        return converted_8_bit(image, decoding)


def _read_other(file: Path, decoding: Decoding) -> Converted:
    with Image.open(file, formats=FORMATS) as image:
        _seek(image, decoding.page)
        _check_size(image.width, image.height)
        bits, colours = image_png.bits_and_colours(file)
        if bits != 16:
            image.load()
            return converted_8_bit(image, decoding)
        levels = image_png.read_levels(image, file, decoding, colours)
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return converted(levels._replace(orientation=orientation), decoding.bayer)


def _seek(image: Image.Image, page: int | None) -> None:
    """Goes to the frame that was stated; of a JPEG with previews (MPO) the first is the image."""
    count = getattr(image, "n_frames", 1)
    if page is None and (count == 1 or image.format == "MPO"):
        return
    if page is None or page > count:
        raise image_tiff.page_error(count, page)
    image.seek(page - 1)


def converted_8_bit(image: Image.Image, decoding: Decoding) -> Converted:
    """What Pillow has decoded of a file of up to 8 bits, upright.

    Args:
        image: as it was loaded.
        decoding: as the user states it.

    Raises:
        DecodingError: it is in colour, but was said to be a Bayer mosaic.
    """
    if decoding.bayer is None:
        return Converted(ImageOps.exif_transpose(image), "", None)
    samples = np.asarray(image)
    gray = image.mode == "L" and samples.ndim == 2
    levels = Levels(samples, "gray" if gray else "RGB", 8, White(255, "8 bits"))
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return converted(levels._replace(orientation=orientation), decoding.bayer)


def _check_size(width: int, height: int) -> None:
    megapixels, most = width * height / 1e6, _max_megapixels.get()
    if megapixels > most:
        what = f"has {megapixels:,.4g} megapixels, more than max_image_megapixels ({most:g})"
        raise ImageTooLargeError(what)


@contextmanager
def any_size() -> Iterator[None]:
    """Within, Pillow takes no image for an attack: of files ``limit_images`` is the limit."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts any decoded image to 8-bit RGB.

    Gray of 16 bits is scaled to 8 bits (Pillow's own conversion would clip it to white). An alpha
    channel is dropped, as the reference implementations do.

    Args:
        image: of any mode.

    Raises:
        ValueError: a pixel format whose white is not defined: 32-bit integers and floats.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint16)
        whole = Levels(levels, "gray", 16, White(2**16 - 1, "16 bits"))
        return converted(whole, None).image.convert("RGB")
    if image.mode in {"I", "F"}:
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no defined white level")
    if image.mode in {"P", "PA"}:
        return image.convert("RGBA").convert("RGB")
    if image.mode in {"La", "RGBa"}:  # colours multiplied by alpha
        return image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode]).convert("RGB")
    return image.convert("RGB")
