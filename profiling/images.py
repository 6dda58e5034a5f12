"""The images that are measured: a folder of them, or photographs of an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from adscale.errors import ImageFolderError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
IGNORED_FOLDERS = frozenset({"__MACOSX", "ground_truth"})
"""macOS's shadow files, and MVTec AD's masks."""


def find_images(folder: Path, *, select: Literal["test", "normal"] = "test") -> list[Path]:
    """The image files below a folder, sorted by their path in it.

    In the layout of MVTec AD (Bergmann et al. 2019: ``<class>/train/good``, ``<class>/test/*``,
    ``<class>/ground_truth/*``), wherever below the folder it is met, only one of the parts counts.
    Hidden files are left out; links are followed, each folder once.

    Args:
        folder: where to search.
        select: ``test`` takes ``<class>/test``, and all images outside that layout; ``normal``
            takes ``<class>/train/good`` and nothing else, or all images where the folder is
            neither a class nor the root of a dataset in that layout.

    Returns:
        At least one file.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, or there is no such image.
    """
    if not folder.is_dir():
        raise ImageFolderError(
            str(folder), "no such folder", "set `images` to a folder of images, or to null"
        )
    everything = select == "test" or not _is_mvtec(folder)
    found = sorted(
        _walk(folder, select, everything=everything, seen=set()),
        key=lambda file: file.relative_to(folder).parts,
    )
    if found:
        return found
    if not everything:
        raise ImageFolderError(
            str(folder), "there is no image in train/good", "give a folder laid out as MVTec AD"
        )
    raise ImageFolderError(
        str(folder),
        "there is no image in it",
        f"give a folder with {', '.join(sorted(SUFFIXES))} files",
    )


def check_folder(folder: Path) -> None:
    """Refuses a folder without an image that can be read, by decoding no more than it takes.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, or holds no such image.
    """
    files = find_images(folder)
    if all(_unreadable_because(file) is not None for file in files):
        ImageSet.from_folder(folder)  # says it


def _is_mvtec(folder: Path) -> bool:
    """Whether it is a class, or the root of a dataset, in the layout of MVTec AD."""
    return any((entry / "train").is_dir() for entry in (folder, *_entries(folder)))


def _walk(
    folder: Path, select: str, *, everything: bool, seen: set[tuple[int, int]]
) -> Iterator[Path]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:  # a link back to a folder above, or twice to the same
        return
    seen.add(identity)
    train, test = folder / "train" / "good", folder / "test"
    if train.is_dir() and test.is_dir():
        yield from _walk(test if select == "test" else train, select, everything=True, seen=seen)
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(entry, select, everything=everything, seen=seen)
        elif everything and entry.suffix.lower() in SUFFIXES and entry.is_file():
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as problem:
        raise ImageFolderError(
            str(folder), f"cannot be listed ({problem.strerror})", "make the folder readable"
        ) from problem
    return [e for e in entries if not e.name.startswith(".") and e.name not in IGNORED_FOLDERS]


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

NAMED_AT_MOST = 20
"""So many unreadable files are named in the log; ``ImageSet.unreadable`` has all."""


class ImageSet:
    """Images in a fixed order, decoded when asked for; index ``i`` means ``i`` modulo the count.

    Args:
        files: in their order; each is decoded once now, and left out where that fails.
        names: of the files, for messages, as many.
        source: where they come from, in words.

    Raises:
        ImageFolderError: not one file can be decoded.
    """

    def __init__(self, files: Sequence[Path], names: Sequence[str], source: str) -> None:
        self.source = source
        reasons = [_unreadable_because(file) for file in files]
        self.files = [f for f, reason in zip(files, reasons, strict=True) if reason is None]
        skipped = [(n, r) for n, r in zip(names, reasons, strict=True) if r is not None]
        self.unreadable = [name for name, _ in skipped]
        if skipped:
            _warn(source, skipped, len(files))
        if not self.files:
            raise ImageFolderError(
                source,
                f"none of {len(files)} images can be read ({skipped[0][0]}: {skipped[0][1]})",
                "give a folder with intact PNG, JPEG, BMP or TIFF images",
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
        found = find_images(folder, select=select)
        return cls(found, [f.relative_to(folder).as_posix() for f in found], str(folder))

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
        Exception: of the decoder's choice (mostly OSError): the file is unreadable, truncated, in
            no known format, or in a pixel format that ``to_rgb`` refuses.
    """
    with Image.open(file, formats=FORMATS) as image:
        image.load()
        white_level = _white_level(image)  # turning the image loses what the file says of it
        return to_rgb(ImageOps.exif_transpose(image), white_level=white_level)


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
    except MemoryError:
        raise
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
