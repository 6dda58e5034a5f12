"""The test of nsys on itself, its cache, and the choice that rests on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adscale import nsys_program
from adscale.errors import CollectorError
from profiling.collectors.nsys import choose, nsys_version, self_test, self_test_cached

BROKEN = "#!/bin/sh\nexit 1\n"


@pytest.fixture(scope="module")
def silent_nvtx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a version of nvtx whose ranges nsys 2023.4.4 does not record."""
    folder = tmp_path_factory.mktemp("nvtx")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command = [*pip, "--target", str(folder), "nvtx==0.2.13"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"nvtx 0.2.13 cannot be installed: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture
def no_nsys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ADSCALE_NSYS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nsys_program, "USUAL_PATHS", ())


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.nsys
@pytest.mark.parametrize("adopted", [False, True])
def test_ranges_are_recorded_here(nsys: Path, adopted: bool) -> None:
    test = self_test(nsys, adopted=adopted)
    assert test.ok
    assert test.ranges_found == test.ranges_expected > 0
    assert nsys_version(nsys) in test.reason


@pytest.mark.nsys
def test_a_silent_nvtx_is_found_out(
    nsys: Path, silent_nvtx: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not nsys_version(nsys).startswith("2023.4.4"):
        pytest.skip(f"nsys {nsys_version(nsys)} may record the ranges of nvtx 0.2.13")
    monkeypatch.setenv("PYTHONPATH", str(silent_nvtx))
    assert not self_test(nsys, adopted=True).ok
    test = self_test(nsys)
    assert (test.ok, test.ranges_found) == (False, 0)
    for part in ("nsys 2023.4.4", "nvtx 0.2.13", "incompatible", "nvtx==0.2.11", "nsys-cli"):
        assert part in test.reason
    choice = choose("auto", str(nsys), tmp_path)
    assert (choice.name, choice.nsys) == ("embedded", None)
    assert test.reason in choice.reason
    with pytest.raises(CollectorError, match=r"nvtx 0\.2\.13"):
        choose("nsys", str(nsys), tmp_path)


@pytest.mark.nsys
def test_a_python_without_nvtx_is_an_error_of_its_own(nsys: Path, tmp_path: Path) -> None:
    python = script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    with pytest.raises(CollectorError, match="ModuleNotFoundError"):
        self_test(nsys, str(python))


@pytest.mark.nsys
def test_the_result_is_kept_until_nsys_changes(nsys: Path, tmp_path: Path) -> None:
    wrapper = script(tmp_path / "nsys", f'#!/bin/sh\nexec {nsys} "$@"\n')
    cache = tmp_path / "cache"
    first = self_test_cached(wrapper, sys.executable, cache)
    assert first.ok
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    kept["result"]["reason"] = "read from the file"
    file.write_text(json.dumps(kept))
    assert self_test_cached(wrapper, sys.executable, cache).reason == "read from the file"
    os.utime(wrapper, ns=(1, 1))
    assert self_test_cached(wrapper, sys.executable, cache) == first


@pytest.mark.nsys
def test_a_damaged_cache_is_not_believed(nsys: Path, tmp_path: Path) -> None:
    self_test_cached(nsys, sys.executable, tmp_path)
    (file,) = tmp_path.iterdir()
    other_key = {**json.loads(file.read_text()), "key": {}}
    for damage in ("no json", '{"key": 1}', json.dumps(other_key | {"result": {"ok": False}})):
        file.write_text(damage)
        assert self_test_cached(nsys, sys.executable, tmp_path).ok
        assert json.loads(file.read_text())["result"]["ok"] is True


@pytest.mark.nsys
def test_an_unwritable_cache_is_done_without(nsys: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    assert self_test_cached(nsys, sys.executable, blocked / "cache").ok


@pytest.mark.nsys
@pytest.mark.parametrize("requested", ["auto", "nsys"])
def test_nsys_is_chosen_where_it_works(
    nsys: Path, tmp_path: Path, requested: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADSCALE_NSYS", str(nsys))
    choice = choose(requested, None, tmp_path)  # type: ignore[arg-type]
    assert (choice.name, choice.nsys) == ("nsys", nsys)
    assert str(nsys) in choice.reason


@pytest.mark.usefixtures("no_nsys")
def test_without_nsys_auto_takes_the_embedded_one(tmp_path: Path) -> None:
    choice = choose("auto", None, tmp_path)
    assert (choice.name, choice.nsys) == ("embedded", None)
    assert "no nsys was found" in choice.reason


@pytest.mark.usefixtures("no_nsys")
def test_without_nsys_asking_for_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match="nsys was asked for"):
        choose("nsys", None, tmp_path)


def test_embedded_is_not_questioned(tmp_path: Path) -> None:
    broken = script(tmp_path / "nsys", BROKEN)
    choice = choose("embedded", str(broken), tmp_path / "cache")
    assert (choice.name, choice.nsys) == ("embedded", None)
    assert not (tmp_path / "cache").exists()


def test_a_broken_nsys_is_passed_over_or_an_error(tmp_path: Path) -> None:
    broken = script(tmp_path / "nsys", BROKEN)
    choice = choose("auto", str(broken), tmp_path / "cache")
    assert choice.name == "embedded"
    assert str(broken) in choice.reason
    assert "exit code 1" in choice.reason
    with pytest.raises(CollectorError, match="exit code 1"):
        choose("nsys", str(broken), tmp_path / "cache")


@pytest.mark.parametrize("requested", ["auto", "nsys"])
def test_a_wrong_path_is_an_error_even_for_auto(tmp_path: Path, requested: str) -> None:
    with pytest.raises(CollectorError, match="no such file"):
        choose(requested, str(tmp_path / "absent"), tmp_path)  # type: ignore[arg-type]
