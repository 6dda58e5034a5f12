"""The images that are measured: a folder of them, or photographs of an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, UnidentifiedImageError

from adscale.errors import ImageFolderError
from adscale.request import MAX_IMAGE_MEGAPIXELS, Decoding

from .image_files import find_images
from .image_levels import DecodingError
from .image_reading import (
    ImageTooLargeError,
    decode_as,
    decoding_in_force,
    limit_images,
    read_image,
)

logger = logging.getLogger(__name__)

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
            return read_image(file, self._decoding).image
        except MemoryError:
            raise
        except Exception as problem:
            raise ImageFolderError(
                str(file), f"cannot be read any more ({problem})", "leave the images in place"
            ) from problem


class _Tried(NamedTuple):
    """What is kept of a file that was decoded to see whether it can be."""

    how: str
    unused: tuple[float, float] | None


def _tried(file: Path, decoding: Decoding) -> _Tried | _Fault:
    try:
        found = read_image(file, decoding)
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
        said = isinstance(problem, (OSError, ValueError, SyntaxError, ImportError))
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
