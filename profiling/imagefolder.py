"""Which files of a folder are images to use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

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


def _is_mvtec(folder: Path) -> bool:
    """Whether it is a class, or the root of a dataset, in the layout of MVTec AD."""
    return any((place / "train").is_dir() for place in (folder, *_entries(folder)))


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
