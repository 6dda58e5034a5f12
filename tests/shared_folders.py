"""Folders that tests share: made once in a session, however many workers run it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Fill = Callable[[Path], None]
Share = Callable[[str, Fill], Path]


def share_in(base: Path) -> Share:
    """Gives out folders below a base: a name's first caller fills it, all others wait for that.

    Where filling has failed once it is not tried again: each test that needs the folder fails.
    """

    def share(name: str, fill: Fill) -> Path:
        folder, filled = base / name, base / f"{name}.filled"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                folder.mkdir()
                fill(folder)
                filled.touch()
            elif not filled.exists():
                pytest.fail(f"{folder} could not be made; the first test that needs it says why")
        return folder

    return share


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, where tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def shared_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this session that its workers have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
