"""A folder that tests share is filled once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.shared_folders import share_in


def test_of_all_who_ask_at_once_one_fills_it(tmp_path: Path) -> None:
    filled = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        time.sleep(0.1)
        (folder / "file").touch()

    def ask(_number: int) -> bool:
        return (share_in(tmp_path)("study", fill) / "file").exists()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
    assert filled == [tmp_path / "study"]


def test_a_folder_that_could_not_be_made_fails_whoever_needs_it(tmp_path: Path) -> None:
    def fill(_folder: Path) -> None:
        raise OSError("no room")

    share = share_in(tmp_path)
    with pytest.raises(OSError, match="no room"):
        share("study", fill)
    with pytest.raises(pytest.fail.Exception, match="could not be made"):
        share("study", Path.touch)
