"""Arrays in one file, of which each is read, and checked, when it is looked at.

For what can be made again: a file that is damaged, or was written by another version, is none.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"adscale arrays 1"
_ALIGNED = 64
_BLOCK_WORDS, _BLOCKS = 512, 2048
_LEFT_OVER_S = 3600.0
"""Age from which on a temporary file belongs to nobody."""

Array = npt.NDArray[Any]


class DamagedError(Exception):
    """A file is not as it was written."""


class ArrayFile(Mapping[str, Array]):
    """The arrays of a file, by their names; they are read-only.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is none of ours, or cut off.
    """

    def __init__(self, path: Path) -> None:
        self._bytes = np.memmap(path, np.uint8, "r")
        head = bytes(self._bytes[: len(_MAGIC) + 16])
        length, crc = (int.from_bytes(head[at : at + 8], "little") for at in (16, 24))
        if head[:16] != _MAGIC or len(head) < 32 or length > len(self._bytes) - 32:
            raise DamagedError(str(path))
        text = bytes(self._bytes[32 : 32 + length])
        if zlib.crc32(text) != crc:
            raise DamagedError(str(path))
        found = json.loads(text)
        self.meta: dict[str, Any] = found["meta"]
        self._places: dict[str, tuple[str, int, int, int]] = found["arrays"]
        self._checked: set[str] = set()
        self._begin = _aligned(32 + length)
        if len(self._bytes) != self._begin + int(found["bytes"]):
            raise DamagedError(str(path))

    def __getitem__(self, name: str) -> Array:
        """An array.

        Raises:
            KeyError: there is no such array.
            DamagedError: it is not as it was written.
        """
        kind, number, offset, checksum = self._places[name]
        begin = self._begin + offset
        dtype = np.dtype(kind)
        found = np.asarray(self._bytes[begin : begin + number * dtype.itemsize]).view(dtype)
        if name not in self._checked and _checksum(found) != checksum:
            raise DamagedError(name)
        self._checked.add(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def write_arrays(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file, whole or not at all; one that is there is replaced.

    It is not forced to the disk: after a crash of the machine it may be damaged, and is found so.

    Args:
        path: the file; its folder is there.
        meta: what JSON can hold.
        arrays: of one axis.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    places, offset = {}, 0
    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in flat.items():
        places[name] = (array.dtype.str, len(array), offset, _checksum(array))
        offset = _aligned(offset + array.nbytes)
    text = json.dumps({"meta": meta, "arrays": places, "bytes": offset}).encode()
    numbers = [number.to_bytes(8, "little") for number in (len(text), zlib.crc32(text))]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(b"".join([_MAGIC, *numbers, text]).ljust(_aligned(32 + len(text)), b"\0"))
            for array in flat.values():
                file.write(array.view(np.uint8).data if len(array) else b"")
                file.write(b"\0" * (_aligned(array.nbytes) - array.nbytes))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _aligned(number: int) -> int:
    return -(-number // _ALIGNED) * _ALIGNED


def _checksum(array: Array) -> int:
    """A checksum that takes no longer than reading: that of the sums of blocks."""
    data = array.view(np.uint8)
    step = _BLOCK_WORDS * 8 * _BLOCKS
    crc = len(data)
    for first in range(0, len(data), step):
        part = data[first : first + step]
        whole = len(part) // (_BLOCK_WORDS * 8) * (_BLOCK_WORDS * 8)
        words = part[:whole].view(np.uint64).reshape(-1, _BLOCK_WORDS)
        crc = zlib.crc32(words.sum(axis=1).data, crc)
        crc = zlib.crc32(part[whole:].tobytes(), crc)
    return crc


class KeptFiles:
    """Files of a folder whose size is bounded: what was used longest ago goes first.

    Args:
        folder: that holds nothing else.
        most_bytes: of all files together.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def find(self, key: str) -> ArrayFile | None:
        """The file of a key; None where there is none, or it is damaged."""
        path = self._folder / key
        try:
            found = ArrayFile(path)
            with suppress(OSError):
                os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, DamagedError):
            self.forget(key)
            return None
        return found

    def keep(self, key: str, write: Callable[[Path], object], expected_bytes: int) -> bool:
        """Write the file of a key; False where it cannot be kept, which harms nobody.

        Args:
            key: of the file.
            write: writes it, whole or not at all.
            expected_bytes: its size.
        """
        if expected_bytes > self._most_bytes:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(expected_bytes)
            write(self._folder / key)
        except OSError:
            return False
        return True

    def forget(self, key: str) -> None:
        """Remove the file of a key."""
        with suppress(OSError):
            (self._folder / key).unlink()

    def _make_room(self, needed_bytes: int) -> None:
        """Remove what was used longest ago, and what a process that was killed has left."""
        found = []
        for path in self._folder.iterdir():
            with suppress(OSError):  # another process may have removed it
                state = path.stat()
                if path.name.startswith(".") and time.time() - state.st_mtime > _LEFT_OVER_S:
                    path.unlink()
                elif not path.name.startswith("."):
                    found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total + needed_bytes <= self._most_bytes:
                return
            with suppress(OSError):
                path.unlink()
                total -= size
