"""The image files below a folder or of a dataset, and what looks like one and cannot be read."""

from __future__ import annotations

import csv
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.errors import ImageFolderError
from adscale.models import read_json

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
OTHER_FORMATS = frozenset(
    {
        *(".avif", ".dcm", ".exr", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".pbm"),
        *(".pgm", ".pnm", ".ppm", ".tga", ".webp", ".dng", ".nef", ".cr2", ".arw"),
    }
)
"""Images that are not read, which is said of each."""

IGNORED_FOLDERS = frozenset({"__MACOSX", "ground_truth"})
"""macOS's shadow files, and masks of MVTec AD, MVTec AD 2 and BTAD."""

TESTS = ("test", "test_public", "test_private", "test_private_mixed")
"""Folders of images to test: MVTec AD's and BTAD's, and three of MVTec AD 2."""

NORMALS = ("good", "ok")
"""Folders of normal images below ``train``: MVTec AD's (and 2's), and BTAD's."""


class FoundImages(NamedTuple):
    """What a search found."""

    files: list[Path]
    """Sorted by their path in the folder; at least one."""
    skipped: list[tuple[Path, str]]
    """What might be an image, or a folder of images, with the reason why it cannot be read."""


class _Skipped(NamedTuple):
    path: Path
    reason: str


class _Class(NamedTuple):
    """A class of a dataset in a known layout."""

    test: list[Path]
    """Folders of the images to measure; empty: all that is there."""
    normal: list[Path]
    """Folders of the normal ones."""
    split: Path | None = None
    """The file that says instead which images are which."""


def find_images(folder: Path, *, select: Literal["test", "normal"] = "test") -> FoundImages:
    """The image files below a folder.

    In a layout that is known, wherever below the folder it is met, only one of the parts counts:

    - MVTec AD (Bergmann et al. 2019): ``<class>/train/good``, ``<class>/test/*``, and masks in
      ``<class>/ground_truth``; so is BTAD (Mishra et al. 2021), with ``ok`` in place of ``good``;
    - MVTec AD 2 (Heckler-Kram et al. 2025): as MVTec AD, with ``test_public``, ``test_private``
      and ``test_private_mixed`` in place of ``test``;
    - VisA (Zou et al. 2022): ``<class>/Data/Images/Normal`` and ``Anomaly``, masks beside
      ``Images``; ``split_csv/1cls.csv`` beside the classes says which are for training;
    - Real-IAD (Wang et al. 2024): ``<class>/OK`` and ``<class>/NG``, in which a PNG beside a JPEG
      of the same name is its mask; ``realiad_jsons`` above says which are for training.

    Hidden files are left out; links are followed, each folder once.

    Args:
        folder: where to search. Files that say which images are which are not looked for above it.
        select: ``test`` takes the images that are to be tested, and all outside of a known layout;
            without a file that says which they are, normal ones of VisA and Real-IAD are among
            them. ``normal`` takes those for training and nothing else (without such a file: all
            normal ones), or all images where the folder is neither a class nor a dataset.

    Raises:
        ImageFolderError: the folder is missing or cannot be listed, there is no such image, or a
            file that says which images are which cannot be read.
    """
    _check_folder(folder)
    everything = select == "test" or not _is_dataset(folder)
    files: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for one in _walk(folder, select, folder, everything=everything, seen=set()):
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
    for one in _walk(folder, "test", folder, everything=True, seen=set()):
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
    where = "in it" if everything else "in train/good, or where else normal ones are"
    what = f"there is no image {where}"
    if skipped:
        name, reason = skipped[0][0].relative_to(folder).as_posix(), skipped[0][1]
        what += f" that can be read ({name} {reason}"
        what += f", and {len(skipped) - 1} more)" if len(skipped) > 1 else ")"
    remedy = (
        f"give a folder with {', '.join(sorted(SUFFIXES))} files"
        if everything
        else "give a folder laid out as MVTec AD (docs/images.md has others)"
    )
    return ImageFolderError(str(folder), what, remedy)


def _is_dataset(folder: Path) -> bool:
    """Whether it is a class, or the root of a dataset, in a known layout."""
    inner = _folders(folder)
    deeper = [one for entry in inner for one in _folders(entry)]
    return any(_kind(entry / "train") == "folder" for entry in (folder, *inner)) or any(
        _class(entry, folder) is not None for entry in (folder, *inner, *deeper)
    )


def _folders(folder: Path) -> list[Path]:
    entries = _entries(folder)
    return [] if isinstance(entries, _Skipped) else [e for e in entries if _kind(e) == "folder"]


def _class(folder: Path, root: Path) -> _Class | None:
    """A class of a dataset; None: the folder is none. Nothing is looked for above the root."""

    def there(*names: str) -> list[Path]:
        return [folder / name for name in names if _kind(folder / name) == "folder"]

    above = [
        place for place in (folder.parent, folder.parent.parent) if root in (place, *place.parents)
    ]
    tests, normals = there(*TESTS), there(*(f"train/{name}" for name in NORMALS))
    if tests and normals:
        return _Class(tests, normals)
    if normals := there("Data/Images/Normal"):
        splits = [place / "split_csv" / "1cls.csv" for place in above[:1]]
        return _Class(there("Data/Images"), normals, next(filter(_exists, splits), None))
    if len(both := there("OK", "NG")) == 2:
        names = ("realiad_jsons", "realiad_jsons/realiad_jsons")
        splits = [place / name / f"{folder.name}.json" for place in above for name in names]
        return _Class([], both[:1], next(filter(_exists, splits), None))
    return None


def _exists(file: Path) -> bool:
    return _kind(file) == "file"


def _walk(
    folder: Path, select: str, root: Path, *, everything: bool, seen: set[tuple[int, int]]
) -> Iterator[Path | _Skipped]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in seen:  # a link back to a folder above, or twice to the same
        return
    seen.add(identity)
    found = _class(folder, root)
    if found is not None and found.split is not None:
        yield from _listed(folder, found.split, select)
        return
    if found is not None and (found.test or select == "normal"):
        for part in found.test if select == "test" else found.normal:
            yield from _walk(part, select, root, everything=True, seen=seen)
        return
    entries = _entries(folder)
    if isinstance(entries, _Skipped):
        yield entries
        return
    for entry in entries:
        kind = _kind(entry)
        if kind == "folder":
            yield from _walk(entry, select, root, everything=everything, seen=seen)
        elif everything and not _is_mask(entry, entries):
            yield from _if_image(entry, kind)


def _is_mask(entry: Path, beside: list[Path]) -> bool:
    """Whether it is a PNG with a JPEG of the same name beside it, as Real-IAD has them in NG."""
    if entry.suffix != ".png" or entry.with_suffix(".jpg") not in beside:
        return False
    return any(
        above.name == "NG" and _kind(above.with_name("OK")) == "folder" for above in entry.parents
    )


def _listed(folder: Path, split: Path, select: str) -> Iterator[Path | _Skipped]:
    """The images of a class that a file of its dataset lists.

    Raises:
        ImageFolderError: the file is not as its dataset has it.
    """
    wanted = "test" if select == "test" else "train"
    try:
        with split.open(encoding="utf-8", newline="") as stream:
            if split.suffix == ".csv":
                rows = [row for row in csv.DictReader(stream) if row["object"] == folder.name]
                chosen = [row["image"] for row in rows if row["split"] == wanted]
                files = [folder.parent / name for name in chosen]
            else:
                files = [folder / row["image_path"] for row in read_json(stream.read())[wanted]]
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as problem:
        what = f"does not say which images are for {wanted} ({type(problem).__name__}: {problem})"
        remedy = "put the dataset's own file in its place"
        raise ImageFolderError(str(split), what, remedy) from None
    for file in files:
        if folder not in file.parents or ".." in file.parts:
            continue
        kind = _kind(file)
        if kind != "folder":
            yield from _if_image(file, kind)


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
