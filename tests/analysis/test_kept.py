"""Further questions to a profile, answered from what is kept of it: as from the profile itself."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adscale.errors import ArgumentError
from adscale.files import cache_folder
from analysis.array_files import ArrayFile, DamagedError, KeptFiles, write_arrays
from analysis.nsys.reading import read_profile
from analysis.profiles import kept
from analysis.profiles.coverage import ProfileCoverage
from analysis.profiles.kept import find, is_kept, keep, key_of
from analysis.profiles.kept_answers import answer
from analysis.profiles.kernel_table import shown_kernels
from analysis.profiles.questions import Question, Window
from analysis.profiles.range_table import path_columns, profile_table
from analysis.profiles.text import json_text, reasons_of
from analysis.profiles.work import work_of
from tests.analysis.brute_profiles import Asked, Brute
from tests.analysis.conftest import FIXTURES
from tests.analysis.reference import Events, events
from tests.analysis.test_inputs import generated
from tests.analysis.test_questions import PATTERNS, check_ranges, meant

Analysis = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small profiles that were just written are kept, too."""
    monkeypatch.setattr(kept, "LEAST_BYTES", 0)
    monkeypatch.setattr(kept, "SETTLED_S", -1e9)
    monkeypatch.setenv("ADSCALE_CACHE", str(tmp_path / "cache"))


def store(path: Path) -> str:
    """Keep what is attributed of a profile."""
    key = key_of(path)
    assert key is not None
    work = work_of(read_profile(path))
    assert is_kept(work.profile)
    assert keep(key, path, work, path_columns(work), shown_kernels(work)[0])
    return key


def same(path: Path, key: str, question: Question) -> bool:
    """Whether the answer is kept; it is that of the profile then."""
    found = find(key)
    assert found is not None
    own = answer(found, question, None, None)
    if own is None:
        return False
    work = work_of(read_profile(path), question=question)
    tables, coverage = own
    wanted = ProfileCoverage.of(work)
    expected = json_text({"ranges": profile_table(work)}, wanted, reasons_of(wanted))
    assert json.loads(json_text(tables, coverage, reasons_of(coverage))) == json.loads(expected)
    return True


@st.composite
def questions(draw: st.DrawFn) -> tuple[str | None, int | None, int | None]:
    """A text for `inside`, and a window."""
    text = draw(st.one_of(st.none(), st.sampled_from(sorted(PATTERNS))))
    low = draw(st.one_of(st.none(), st.integers(-4, 12)))
    length = draw(st.one_of(st.none(), st.integers(1, 20)))
    return text, low, None if length is None else (low or 0) + length


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events(), questions())
def test_random_profiles(
    tmp_path: Path, drawn: Events, question: tuple[str | None, int | None, int | None]
) -> None:
    drawn.ranges = [row._replace(ends_elsewhere=False) for row in drawn.ranges]
    path = drawn.write(tmp_path / "p.sqlite")
    text, low, high = question
    brute = Brute(path)
    own = Asked(
        inside=meant(text, brute.paths) if text else None,
        window=(-np.inf if low is None else low, np.inf if high is None else high),
    )
    expected = brute.ask(own)
    asked = Question(
        inside=(text,) if text else (),
        window=None if low is None and high is None else Window(low, high),
    )
    found = find(store(path))
    assert found is not None
    try:
        answered = answer(found, asked, None, None)
    except ArgumentError:
        assert not expected
        return
    if answered is not None:
        check_ranges(answered[0]["ranges"], expected, True)
        work = work_of(read_profile(path), question=asked)
        assert answered[1].as_dict() == ProfileCoverage.of(work).as_dict()


@pytest.mark.fixtures
def test_real_profiles(real_profile: Path) -> None:
    """Windows of a third, half and nearly all of a profile, alone and inside of paths."""
    profile = read_profile(real_profile)
    if not is_kept(profile) or not len(profile.ranges):
        return
    key = store(real_profile)
    low, high = int(profile.ranges.start_ns.min()), int(profile.ranges.end_ns.max()) + 1
    third = (high - low) // 3
    windows = [Window(low + third, high - third), Window(None, low + third), Window(low + 7, None)]
    few = len(profile.ranges) > 2000
    for window in windows[:1] if few else [None, *windows]:
        assert same(real_profile, key, Question(window=window))
    label = work_of(profile).paths.label[0]
    same(real_profile, key, Question(inside=(f"> {label}",), window=windows[2]))


def asked(analysis: Analysis, path: Path, *options: object) -> Any:
    code, out, _ = analysis("attribute", path, "--json", *options)
    assert code == 0
    return json.loads(out)


def entries() -> list[Path]:
    folder = cache_folder() / "attributed"
    return sorted(folder.iterdir()) if folder.is_dir() else []


SECOND: list[tuple[object, ...]] = [
    ("--depth", "1"),
    ("--sort", "busy"),
    ("--top", "1"),
    ("--inside", "*:net"),
    ("--window", "0:1.2ms"),
    ("--inside", "*:net", "--window", "0:1.2ms"),
    ("--kernels", "1"),
    ("--normalize",),
]


def test_on_the_command_line(analysis: Analysis, tmp_path: Path) -> None:
    path = generated(tmp_path / "p.sqlite", steps=40)
    wanted = {question: asked(analysis, path, "--no-cache", *question) for question in SECOND}
    assert not entries()
    asked(analysis, path, "--kernels")
    (entry,) = entries()
    written = entry.stat().st_ino
    for question, document in wanted.items():
        assert asked(analysis, path, *question) == document
    assert [one.stat().st_ino for one in entries()] == [written]
    assert [one.name for one in tmp_path.iterdir() if "p.sqlite" in one.name] == ["p.sqlite"]


def test_a_profile_that_changes(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = generated(tmp_path / "p.sqlite")
    before = asked(analysis, path)
    state = path.stat()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET end = end + 1")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    after = asked(analysis, path)
    assert after != before
    assert after == asked(analysis, path, "--no-cache")
    monkeypatch.setattr(kept, "SETTLED_S", 60.0)
    assert key_of(path) is None  # it may change again within the same tick of the clock


def test_damaged_entries_are_made_again(analysis: Analysis, tmp_path: Path) -> None:
    path = generated(tmp_path / "p.sqlite", steps=10)
    wanted = asked(analysis, path)
    (entry,) = entries()
    whole = entry.read_bytes()
    damages = [b"", whole[:100], whole[:-64], b"x" + whole[1:], whole + b"more"]
    middle = bytearray(whole)
    for at in range(len(whole) // 4, len(whole), 997):
        middle[at] ^= 0x5A
    for damaged in [*damages, bytes(middle)]:
        entry.write_bytes(damaged)
        assert asked(analysis, path, "--window", "0:1s")["ranges"] == wanted["ranges"]
        assert asked(analysis, path) == wanted
        assert entry.read_bytes()[:16] == whole[:16]
        assert len(entry.read_bytes()) == len(whole)


def test_the_size_is_bounded(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "kept", 3000)
    array = {"a": np.arange(100)}
    for number in range(5):
        key = f"key{number}"
        assert files.keep(key, lambda path: write_arrays(path, {}, array), 1000)
        os.utime(tmp_path / "kept" / key, (number, number))
        if number == 2:
            assert files.find("key0") is not None  # used again: the last to go
    assert {path.name for path in (tmp_path / "kept").iterdir()} >= {"key0", "key4"}
    assert len(list((tmp_path / "kept").iterdir())) <= 3
    assert not files.keep("large", lambda path: write_arrays(path, {}, array), 4000)
    (tmp_path / "file").write_text("")
    unwritable = KeptFiles(tmp_path / "file", 3000)
    assert not unwritable.keep("key", lambda path: write_arrays(path, {}, array), 100)


def test_arrays_come_back(tmp_path: Path) -> None:
    arrays = {
        "none": np.empty(0), "bytes": np.arange(13, dtype=np.int8),
        "long": np.arange(1 << 17) * 3, "reals": np.array([0.5, np.nan]),
    }  # fmt: skip
    write_arrays(tmp_path / "a", {"b": [1, "ü"]}, arrays)
    found = ArrayFile(tmp_path / "a")
    assert found.meta == {"b": [1, "ü"]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    text = bytearray((tmp_path / "a").read_bytes())
    text[-64] ^= 1  # of the last array
    (tmp_path / "a").write_bytes(text)
    damaged = ArrayFile(tmp_path / "a")
    np.testing.assert_array_equal(damaged["long"], arrays["long"])
    with pytest.raises(DamagedError):
        damaged["reals"]


def test_processes_at_once(tmp_path: Path) -> None:
    """Each of them writes and reads the same key."""
    script = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from analysis.array_files import KeptFiles, write_arrays\n"
        "files = KeptFiles(Path(sys.argv[1]), 10**7)\n"
        "for n in range(60):\n"
        "    a = {'a': np.full(20000, n)}\n"
        "    assert files.keep('key', lambda path: write_arrays(path, {}, a), 160000)\n"
        "    found = files.find('key')\n"
        "    assert found is not None and len(set(found['a'].tolist())) == 1\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "kept")]
    root = Path(__file__).parents[2]
    processes = [Popen(command, cwd=root) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["key"]


@pytest.mark.fixtures
def test_what_is_not_kept() -> None:
    crossing = read_profile(FIXTURES / "corner" / "cross_thread_startend.sqlite")
    assert not is_kept(crossing)
