"""The image files below a folder, and what looks like one and cannot be read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.errors import ImageFolderError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
OTHER_FORMATS = frozenset(
    {
        *(".avif", ".dcm", ".exr", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".pbm"),
        *(".pgm", ".pnm", ".ppm", ".tga", ".webp", ".dng", ".nef", ".cr2", ".arw"),
    }
)
"""Images that are not read, which is said of each."""

IGNORED_FOLDERS = frozenset({"__MACOSX", "ground_truth"})
"""macOS's shadow files, and MVTec AD's masks."""


class FoundImages(NamedTuple):
    """What a search found."""

    files: list[Path]
    """Sorted by their path in the folder; at least one."""
    skipped: list[tuple[Path, str]]
    """What might be an image, or a folder of images, with the reason why it cannot be read."""


class _Skipped(NamedTuple):
    path: Path
    reason: str


def find_images(folder: Path, *, select: Literal["test", "normal"] = "test") -> FoundImages:
    """The image files below a folder.

    In the layout of MVTec AD (Bergmann et al. 2019: ``<class>/train/good``, ``<class>/test/*``,
    ``<class>/ground_truth/*``), wherever below the folder it is met, only one of the parts counts.
    Hidden files are left out; links are followed, each folder once.

    Args:
        folder: where to search.
        select: ``test`` takes ``<class>/test``, and all images outside that layout; ``normal``
            takes ``<class>/train/good`` and nothing else, or all images where the folder is
            neither a class nor the root of a dataset in that layout.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, or there is no such image.
    """
    _check_folder(folder)
    everything = select == "test" or not _is_mvtec(folder)
    files: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for one in _walk(folder, select, everything=everything, seen=set()):
        if isinstance(one, _Skipped):
            skipped.append((one.path, one.reason))
        else:
            files.append(one)
    files.sort(key=lambda file: file.relative_to(folder).parts)
    skipped.sort(key=lambda one: one[0].relative_to(folder).parts)
    if not files:
        raise _without_images(folder, skipped, everything)
    return FoundImages(files, skipped)


def linked_folders(folder: Path) -> list[Path]:
    """Folders elsewhere that links in a folder lead to, as far as the search for images goes.

    Args:
        folder: as for ``find_images``.

    Raises:
        ImageFolderError: it is missing or cannot be listed.
    """
    _check_folder(folder)
    links: dict[Path, None] = {}
    for one in _walk(folder, "test", everything=True, seen=set()):
        if not isinstance(one, _Skipped):
            inner = [part for part in one.parents if folder in part.parents]
            links.update(dict.fromkeys(part for part in (one, *inner) if part.is_symlink()))
    found = dict.fromkeys(place for link in links for place in _places(link))
    own = (folder.absolute(), folder.resolve())
    return [place for place in found if not any(one in (place, *place.parents) for one in own)]


def _places(link: Path) -> Iterator[Path]:
    """The folders that a link leads to, from link to link: those of files, or themselves."""
    while link.is_symlink():
        place = os.path.abspath(link.parent / link.readlink())  # noqa: PTH100 - one link, not all
        link = Path(place)
        yield link if link.is_dir() and not link.is_symlink() else link.parent
    yield link.resolve() if link.is_dir() else link.resolve().parent


def _check_folder(folder: Path) -> None:
    kind = _kind(folder)
    if isinstance(kind, _Skipped):
        denied = kind.reason == os.strerror(errno.EACCES)
        what = f"cannot be read ({kind.reason})" if denied else "no such folder"
        remedy = "make it, and the folders above it, readable" if denied else _NAME_ANOTHER
        raise ImageFolderError(str(folder), what, remedy)
    if kind != "folder":
        raise ImageFolderError(str(folder), "no such folder, it is a file", _NAME_ANOTHER)
    list_folder = _entries(folder)
    if isinstance(list_folder, _Skipped):
        raise ImageFolderError(str(folder), list_folder.reason, "make the folder readable")


_NAME_ANOTHER = "set `images` to a folder of images, or to null"


def _without_images(
    folder: Path, skipped: list[tuple[Path, str]], everything: bool
) -> ImageFolderError:
    where = "in it" if everything else "in train/good"
    what = f"there is no image {where}"
    if skipped:
        name, reason = skipped[0][0].relative_to(folder).as_posix(), skipped[0][1]
        what += f" that can be read ({name} {reason}"
        what += f", and {len(skipped) - 1} more)" if len(skipped) > 1 else ")"
    remedy = (
        f"give a folder with {', '.join(sorted(SUFFIXES))} files"
        if everything
        else "give a folder laid out as MVTec AD"
    )
    return ImageFolderError(str(folder), what, remedy)


def _is_mvtec(folder: Path) -> bool:
    """Whether it is a class, or the root of a dataset, in the layout of MVTec AD."""
    entries = _entries(folder)
    inner = [] if isinstance(entries, _Skipped) else entries
    return any(_kind(entry / "train") == "folder" for entry in (folder, *inner))


def _walk(
    folder: Path, select: str, *, everything: bool, seen: set[tuple[int, int]]
) -> Iterator[Path | _Skipped]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:  # a link back to a folder above, or twice to the same
        return
    seen.add(identity)
    train, test = folder / "train" / "good", folder / "test"
    if _kind(train) == _kind(test) == "folder":
        yield from _walk(test if select == "test" else train, select, everything=True, seen=seen)
        return
    entries = _entries(folder)
    if isinstance(entries, _Skipped):
        yield entries
        return
    for entry in entries:
        kind = _kind(entry)
        if kind == "folder":
            yield from _walk(entry, select, everything=everything, seen=seen)
        elif everything:
            yield from _if_image(entry, kind)


def _if_image(entry: Path, kind: Literal["file"] | _Skipped) -> Iterator[Path | _Skipped]:
    """The entry, where it is or might be an image; a link without an ending may be of a folder."""
    suffix = entry.suffix.lower()
    if isinstance(kind, _Skipped):
        if suffix in SUFFIXES or not suffix:
            yield kind
    elif suffix in SUFFIXES:
        yield entry
    elif suffix in OTHER_FORMATS:
        yield _Skipped(entry, "is of a format that is not read")


def _kind(path: Path) -> Literal["folder", "file"] | _Skipped:
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        return _Skipped(path, _reason(path, problem))
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else _Skipped(path, "is neither file nor folder")


def _reason(path: Path, problem: OSError) -> str:
    if problem.errno == errno.ELOOP:
        return "is a link that leads to itself"
    if problem.errno == errno.ENOENT and path.is_symlink():
        return f"is a link to {path.readlink()}, where there is nothing"
    return problem.strerror or str(problem)


def _entries(folder: Path) -> list[Path] | _Skipped:
    try:
        entries = sorted(folder.iterdir())
    except OSError as problem:
        return _Skipped(folder, f"cannot be listed ({problem.strerror})")
    return [e for e in entries if not e.name.startswith(".") and e.name not in IGNORED_FOLDERS]
