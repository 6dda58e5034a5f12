"""The images that are measured: a folder of them, or photographs of an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from adscale.errors import ImageFolderError
from adscale.request import MAX_IMAGE_MEGAPIXELS, Decoding

from . import image_png, image_tiff
from .image_files import find_images
from .image_levels import Converted, DecodingError, Levels, White, converted

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


def check_folder(
    folder: Path,
    max_megapixels: float = MAX_IMAGE_MEGAPIXELS,
    decoding: Decoding = Decoding(),  # noqa: B008 - it is frozen
) -> None:
    """Refuses a folder without an image that can be read, by decoding no more than it takes.

    Args:
        folder: any folder, or one in the layout of a known dataset.
        max_megapixels: larger images count as unreadable, in 10⁶ pixels.
        decoding: what files do not say of themselves.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, or holds no such image.
    """
    limit_images(max_megapixels)
    decode_as(decoding)
    if all(isinstance(_tried(file, decoding), _Fault) for file in find_images(folder).files):
        ImageSet.from_folder(folder)  # says it


NAMED_AT_MOST = 20
"""So many unreadable files are named in the log; ``ImageSet.unreadable`` has all."""


class ImageTooLargeError(Exception):
    """An image has more pixels than the configuration admits."""


class _Fault(NamedTuple):
    """Why a file cannot be read, and what to do about it."""

    reason: str
    remedy: str = "give a folder with intact PNG, JPEG, BMP or TIFF images"

    def sentence(self) -> str:
        """The reason, with the remedy where it is one for this file."""
        usual = self.remedy == _Fault._field_defaults["remedy"]
        return self.reason if usual else f"{self.reason}: {self.remedy}"


class ImageSet:
    """Images in a fixed order, decoded when asked for; index ``i`` means ``i`` modulo the count.

    Args:
        files: in their order; each is decoded once now, and left out where that fails.
        names: of the files, for messages, as many.
        source: where they come from, in words.
        skipped: names of others that cannot be read, with the reasons.
        decoding: what the files do not say of themselves; None: what ``decode_as`` has set.

    Raises:
        ImageFolderError: not one file can be decoded, or memory does not last for one.
    """

    def __init__(
        self,
        files: Sequence[Path],
        names: Sequence[str],
        source: str,
        skipped: Sequence[tuple[str, str]] = (),
        decoding: Decoding | None = None,
    ) -> None:
        self.source = source
        self._decoding = decoding or decoding_in_force()
        tried = [_tried(file, self._decoding) for file in files]
        self.files = [f for f, one in zip(files, tried, strict=True) if not isinstance(one, _Fault)]
        broken = [(n, one) for n, one in zip(names, tried, strict=True) if isinstance(one, _Fault)]
        unread = [*((name, fault.sentence()) for name, fault in broken), *skipped]
        total = len(files) + len(skipped)
        self.unreadable = [name for name, _ in unread]
        if unread:
            _warn(source, unread, total)
        if not self.files:
            name, fault = broken[0]
            what = f"none of {total} images can be read ({name}: {fault.reason})"
            raise ImageFolderError(source, what, fault.remedy)
        read = [one for one in tried if not isinstance(one, _Fault)]
        self.decoded: Mapping[str, int] = dict(
            sorted(Counter(o.how for o in read if o.how).items())
        )
        """How many files were decoded how, those beyond plain 8 bits."""
        _warn_of_dark(source, [one.unused for one in read if one.unused is not None])

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
            folder: any folder, or a class or the root of a dataset that ``find_images`` knows.
            select: ``test`` are the images to measure: those to be tested of a known dataset, else
                all. ``normal`` are its normal ones, to fit a method to.

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
        source = f"scikit-image {importlib.metadata.version('scikit-image')}"
        return cls(files, PHOTOGRAPHS, source, decoding=Decoding())  # whatever the user's files are

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image.Image:
        """The image at ``index`` modulo the count: mode RGB, upright.

        Raises:
            ImageFolderError: the file was changed or removed since it was checked.
        """
        file = self.files[index % len(self.files)]
        try:
            return _read(file, self._decoding).image
        except MemoryError:
            raise
        except Exception as problem:
            raise ImageFolderError(
                str(file), f"cannot be read any more ({problem})", "leave the images in place"
            ) from problem


def read_rgb(file: Path) -> Image.Image:
    """Decodes the image of a file, or the page that was stated: mode RGB, upright.

    Raises:
        ImageTooLargeError: it has more pixels than ``limit_images`` admits.
        DecodingError: what its pixels mean is not defined, or contradicts ``decode_as``.
        Exception: of the decoder's choice (mostly OSError): the file is unreadable, truncated, or
            in no known format.
    """
    return _read(file, decoding_in_force()).image


def _read(file: Path, decoding: Decoding) -> Converted:
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
    with Image.open(file, formats=FORMATS) as image:
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


class _Tried(NamedTuple):
    """What is kept of a file that was decoded to see whether it can be."""

    how: str
    unused: tuple[float, float] | None


def _tried(file: Path, decoding: Decoding) -> _Tried | _Fault:
    try:
        found = _read(file, decoding)
    except MemoryError as problem:
        remedy = "give smaller images, or more memory"
        raise ImageFolderError(str(file), "memory does not last to read it", remedy) from problem
    except UnidentifiedImageError:
        empty = file.stat().st_size == 0
        return _Fault("is empty" if empty else "is no PNG, JPEG, BMP or TIFF")
    except ImageTooLargeError as problem:
        return _Fault(str(problem), "raise max_image_megapixels")
    except DecodingError as problem:
        return _Fault(str(problem), problem.remedy)
    except Exception as problem:  # noqa: BLE001 -- decoders raise anything on damaged files
        words = " ".join(str(problem).split()) or type(problem).__name__
        said = isinstance(problem, (OSError, ValueError, SyntaxError))
        return _Fault(words if said else f"is damaged ({words})")
    return _Tried(found.how, found.unused)


def _warn_of_dark(source: str, unused: Sequence[tuple[float, float]]) -> None:
    """Tells of samples of which no image uses the upper two bits: perhaps white lies lower."""
    if unused and all(largest < white / 4 for largest, white in unused):
        largest = max(unused)[0]
        logger.warning(
            "%s: the largest level of %d images is %.0f, and white is %.0f, since nobody states "
            "fewer bits; set bit_depth if the camera delivers fewer",
            source,
            len(unused),
            largest,
            max(unused)[1],
        )


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
