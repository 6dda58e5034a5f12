"""The images that are measured: a folder of them, or photographs of an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from adscale.errors import ImageFolderError
from adscale.request import MAX_IMAGE_MEGAPIXELS

from .image_files import find_images

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")

PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
"""Photographs in every wheel of scikit-image; its drawings and microscopy are left out."""

_max_megapixels = ContextVar("max_megapixels", default=MAX_IMAGE_MEGAPIXELS)


def limit_images(max_megapixels: float) -> None:
    """Sets how large images may be, for all that are read in this process from now on.

    Args:
        max_megapixels: in 10⁶ pixels.
    """
    _max_megapixels.set(max_megapixels)


def check_folder(folder: Path, max_megapixels: float = MAX_IMAGE_MEGAPIXELS) -> None:
    """Refuses a folder without an image that can be read, by decoding no more than it takes.

    Args:
        folder: any folder, or one in the layout of MVTec AD.
        max_megapixels: larger images count as unreadable, in 10⁶ pixels.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, or holds no such image.
    """
    limit_images(max_megapixels)
    if all(_unreadable_because(file) is not None for file in find_images(folder).files):
        ImageSet.from_folder(folder)  # says it


class ImageTooLargeError(Exception):
    """An image has more pixels than the configuration admits."""


NAMED_AT_MOST = 20
"""So many unreadable files are named in the log; ``ImageSet.unreadable`` has all."""


class ImageSet:
    """Images in a fixed order, decoded when asked for; index ``i`` means ``i`` modulo the count.

    Args:
        files: in their order; each is decoded once now, and left out where that fails.
        names: of the files, for messages, as many.
        source: where they come from, in words.
        skipped: names of others that cannot be read, with the reasons.

    Raises:
        ImageFolderError: not one file can be decoded, or memory does not last for one.
    """

    def __init__(
        self,
        files: Sequence[Path],
        names: Sequence[str],
        source: str,
        skipped: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.source = source
        reasons = [_unreadable_because(file) for file in files]
        self.files = [f for f, reason in zip(files, reasons, strict=True) if reason is None]
        broken = [(n, r) for n, r in zip(names, reasons, strict=True) if r is not None]
        unread = [*broken, *skipped]
        total = len(files) + len(skipped)
        self.unreadable = [name for name, _ in unread]
        if unread:
            _warn(source, unread, total)
        if not self.files:
            large = any("max_image_megapixels" in reason for _, reason in broken)
            raise ImageFolderError(
                source,
                f"none of {total} images can be read ({broken[0][0]}: {broken[0][1]})",
                "raise max_image_megapixels"
                if large
                else "give a folder with intact PNG, JPEG, BMP or TIFF images",
            )

    @classmethod
    def open(cls, folder: str | Path | None) -> ImageSet:
        """The images of a folder, or the photographs where none is given.

        Raises:
            ImageFolderError: see ``from_folder`` and ``photographs``.
        """
        return cls.photographs() if folder is None else cls.from_folder(Path(folder))

    @classmethod
    def from_folder(cls, folder: Path, *, select: Literal["test", "normal"] = "test") -> ImageSet:
        """The images below a folder, sorted by path.

        Args:
            folder: any folder, or a class or the root of a dataset in the layout of MVTec AD.
            select: ``test`` are the images to measure: those below ``test`` in the layout of
                MVTec AD, else all. ``normal`` are those of ``train/good``, to fit a method to.

        Raises:
            ImageFolderError: the folder is missing, holds no image, or none that can be read.
        """
        files, skipped = find_images(folder, select=select)
        absolute = [file.absolute() for file in files]  # a method may change the working directory
        names = [file.relative_to(folder).as_posix() for file in files]
        others = [(path.relative_to(folder).as_posix(), reason) for path, reason in skipped]
        return cls(absolute, names, str(folder), others)

    @classmethod
    def photographs(cls) -> ImageSet:
        """A fixed list of photographs that scikit-image ships.

        Raises:
            ImageFolderError: scikit-image is absent, or lacks one of them.
        """
        # find_spec does not run the package, whose import costs more than all its photographs.
        spec = importlib.util.find_spec("skimage")
        if spec is None or spec.origin is None:
            raise ImageFolderError(
                "images", "scikit-image is not installed", "install it, or give a folder of images"
            )
        files = [Path(spec.origin).parent / "data" / name for name in PHOTOGRAPHS]
        for file in files:
            if not file.is_file():
                raise ImageFolderError(
                    "images", f"scikit-image lacks {file.name}", "give a folder of images"
                )
        return cls(files, PHOTOGRAPHS, f"scikit-image {importlib.metadata.version('scikit-image')}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image.Image:
        """The image at ``index`` modulo the count: mode RGB, upright.

        Raises:
            ImageFolderError: the file was changed or removed since it was checked.
        """
        file = self.files[index % len(self.files)]
        try:
            return read_rgb(file)
        except MemoryError:
            raise
        except Exception as problem:
            raise ImageFolderError(
                str(file), f"cannot be read any more ({problem})", "leave the images in place"
            ) from problem


def read_rgb(file: Path) -> Image.Image:
    """Decodes the first image of a file: mode RGB, upright.

    Raises:
        ImageTooLargeError: it has more pixels than ``limit_images`` admits.
        Exception: of the decoder's choice (mostly OSError): the file is unreadable, truncated, in
            no known format, or in a pixel format that ``to_rgb`` refuses.
    """
    with _opened(file) as image:
        megapixels, most = image.width * image.height / 1e6, _max_megapixels.get()
        if megapixels > most:
            what = f"has {megapixels:,.4g} megapixels, more than max_image_megapixels ({most:g})"
            raise ImageTooLargeError(what)
        image.load()
        white_level = _white_level(image)  # turning the image loses what the file says of it
        return to_rgb(ImageOps.exif_transpose(image), white_level=white_level)


def _opened(file: Path) -> Image.Image:
    """A file of which only the head was read, whatever Pillow thinks of its size."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        return Image.open(file, formats=FORMATS)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def to_rgb(image: Image.Image, *, white_level: int | None = None) -> Image.Image:
    """Converts any decoded image to 8-bit RGB.

    Gray of 9 to 16 bits is scaled to 8 bits (Pillow's own conversion would clip it to white). An
    alpha channel is dropped, as the reference implementations do.

    Args:
        image: of any mode.
        white_level: the gray level that is white; None: what the image's own file says.

    Raises:
        ValueError: a pixel format whose white is not defined: 32-bit integers and floats.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        white_level = white_level or _white_level(image)
        if white_level is None:
            raise ValueError(f"32-bit pixels (mode {image.mode}) have no defined white level")
        return _scale_gray(image, white_level).convert("RGB")
    if image.mode in {"P", "PA"}:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _white_level(image: Image.Image) -> int | None:
    """The gray level that is white, for more than 8 bits where the file defines it."""
    if image.mode.startswith("I;16"):
        bits_per_sample_tag = 258
        tags = getattr(image, "tag_v2", {})  # a TIFF may hold 12 bits, which Pillow does not widen
        return int(2 ** tags.get(bits_per_sample_tag, (16,))[0]) - 1
    # older releases of Pillow read a PNG of 16 bits as 32-bit integers
    return 2**16 - 1 if image.mode == "I" and image.format == "PNG" else None


def _scale_gray(image: Image.Image, white_level: int) -> Image.Image:
    levels = np.asarray(image).astype(np.float64) * (255 / white_level)
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def _unreadable_because(file: Path) -> str | None:
    try:
        read_rgb(file)
    except MemoryError as problem:
        remedy = "give smaller images, or more memory"
        raise ImageFolderError(str(file), "memory does not last to read it", remedy) from problem
    except UnidentifiedImageError:
        empty = file.stat().st_size == 0
        return "is empty" if empty else "is no PNG, JPEG, BMP or TIFF"
    except Exception as problem:  # noqa: BLE001 -- decoders raise anything on damaged files
        return " ".join(str(problem).split()) or type(problem).__name__
    return None


def _warn(source: str, skipped: Sequence[tuple[str, str]], total: int) -> None:
    named = "; ".join(f"{name} ({reason})" for name, reason in skipped[:NAMED_AT_MOST])
    more = f"; and {len(skipped) - NAMED_AT_MOST} more" if len(skipped) > NAMED_AT_MOST else ""
    logger.warning(
        "%s: skipped %d of %d images that cannot be read: %s%s",
        source,
        len(skipped),
        total,
        named,
        more,
    )
