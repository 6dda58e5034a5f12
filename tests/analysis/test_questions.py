"""Questions to a profile, each against a reading of its tables that shares no code with ours."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.errors import ArgumentError
from analysis.nsys.reading import read_profile
from analysis.profiles.copy_table import copy_table
from analysis.profiles.kernel_table import kernel_table
from analysis.profiles.paths import path_names
from analysis.profiles.questions import Numbers, Question, Window, normalized
from analysis.profiles.range_table import profile_table
from analysis.profiles.work import ProfileWork, work_of
from tests.analysis.brute_profiles import Asked, Brute, Names
from tests.analysis.builders import frame
from tests.analysis.conftest import FIXTURES
from tests.analysis.reference import Events, events
from tests.gpu_profiles import ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
NSYS = FIXTURES / "nsys"
DIRECTIONS = {1: "host to device", 2: "device to host", 8: "device to device"}


def check_ranges(
    table: pa.Table, expected: Mapping[Names, Mapping[str, Any]], knows_kernels: bool
) -> None:
    """The rows of ranges are those of the brute reading."""
    found = {tuple(path_names(row["path"])): row for row in frame(table).to_dict("records")}
    assert set(found) == set(expected)
    for names, row in expected.items():
        own = found[names]
        for column in ("calls", "kernels", "copies", "memsets", "copy_bytes", "memset_bytes"):
            assert own[column] == row[column], (names, column)
        assert own["host_ms"] * 1e6 == pytest.approx(row["host_ns"], abs=0.5)
        if knows_kernels:
            for column in ("kernel_sum", "exclusive", "busy"):
                wanted = row[f"{column}_ns"]
                assert own[f"{column}_ms"] * 1e6 == pytest.approx(wanted, abs=0.5), (names, column)


def check(work: ProfileWork, expected: Mapping[Names, Mapping[str, Any]]) -> None:
    """All tables of the work are those of the brute reading."""
    check_ranges(profile_table(work), expected, work.profile.capture.knows_kernels)
    kernels = frame(kernel_table(work, None))
    copies = frame(copy_table(work))
    for table, key in ((kernels, "kernel"), (copies, "direction")):
        wanted_rows: dict[tuple[Names, str], list[Any]] = defaultdict(list)
        for names, row in expected.items():
            for op in row["ops"] or []:
                name = op.name if key == "kernel" else DIRECTIONS.get(op.copy_kind, "unknown")
                if op.kind == ("kernels" if key == "kernel" else "copies"):
                    wanted_rows[names, name].append(op)
        rows = {(tuple(path_names(r["path"])), r[key]): r for r in table.to_dict("records")}
        assert set(rows) == set(wanted_rows)
        for one, ops in wanted_rows.items():
            count, total = (
                ("kernels", "kernel_sum_ms") if key == "kernel" else ("copies", "copy_sum_ms")
            )
            assert rows[one][count] == len(ops)
            assert rows[one][total] * 1e6 == pytest.approx(
                sum(o.end - o.start for o in ops), abs=0.5
            )
            if key == "direction":
                assert rows[one]["copy_bytes"] == sum(op.size for op in ops)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asked") / "p.sqlite"


PATTERNS: dict[str, Callable[[Names], bool]] = {
    "a": lambda names: names == ("a",),  # where there is one: see `meant`
    "b > a": lambda names: names[-2:] == ("b", "a"),
    "dom:*": lambda names: names[-1].startswith("dom:"),
    "[ab] > *": lambda names: len(names) > 1 and names[-2] in {"a", "b"},
    "> *": lambda names: len(names) == 1,
    "> ** > c": lambda names: names[-1] == "c",
    "c > ** > a": lambda names: names[-1] == "a" and "c" in names[:-1],
    "*:? > **": lambda names: any(name.startswith("dom:") for name in names),
}


def meant(text: str, paths: list[Names]) -> Callable[[Names], bool]:
    """What a text means where a path is called just so, and elsewhere."""
    whole = tuple(text.split(" > "))
    if whole in paths:
        return lambda names: names == whole
    return (lambda names: names[-1] == "a") if text == "a" else PATTERNS[text]


@st.composite
def asked(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A question as we take it, and texts and numbers for the brute reading."""
    text = st.one_of(st.none(), st.sampled_from(sorted(PATTERNS)))
    inside, exclude = draw(text), draw(st.one_of(st.none(), text))
    low = draw(st.one_of(st.none(), st.integers(-4, 12)))
    length = draw(st.one_of(st.none(), st.integers(1, 20)))
    high = None if length is None else (low or 0) + length
    first = draw(st.one_of(st.none(), st.none(), st.integers(0, 2)))
    end = None if first is None else draw(st.one_of(st.none(), st.integers(first + 1, first + 3)))
    question: dict[str, Any] = {
        "inside": (inside,) if inside else (),
        "exclude": (exclude,) if exclude else (),
        "window": None if low is None and high is None else Window(low, high),
        "calls": None if first is None else Numbers(first, end),
    }
    window = (-float("inf") if low is None else low, float("inf") if high is None else high)
    numbers = None if first is None else range(first, 99 if end is None else end)
    return question, {"inside": inside, "exclude": exclude, "window": window, "numbers": numbers}


@given(events(), asked())
def test_questions_to_random_profiles(
    file: Path, drawn: Events, question: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    drawn.write(file)
    brute = Brute(file)
    ours, words = question
    own = Asked(
        **{key: words[key] and meant(words[key], brute.paths) for key in ("inside", "exclude")},
        window=words["window"], numbers=words["numbers"],
    )  # fmt: skip
    expected = brute.ask(own)
    try:
        work = work_of(read_profile(file), question=Question(**ours))
    except ArgumentError:
        for key in ("inside", "exclude"):  # it means no range, or nothing is left
            if words[key] and not any(getattr(own, key)(path) for path in brute.paths):
                return
        assert not expected or not brute.paths
        return
    check(work, expected)


REAL: list[tuple[str, Question, Asked]] = [
    ("syn_plain_2k", Question(), Asked()),
    (
        "syn_plain_2k",
        Question(inside=("step_3 > *", "unet.forward")),
        Asked(inside=lambda n: n[-2:-1] == ("step_3",) or n[-1] == "unet.forward"),
    ),
    (
        "syn_2streams_2k",
        Question(exclude=("vae.decode",), calls=Numbers(1, 2)),
        Asked(exclude=lambda n: n[-1] == "vae.decode", numbers=[1]),
    ),
    (
        "syn_cudagraph_node_2k",
        Question(window=Window(1_002_000_000, 1_006_500_000)),
        Asked(window=(1_002_000_000, 1_006_500_000)),
    ),
    (
        "pipit_saxpy_mpi_dup_corr_2022.2.1",
        Question(window=Window(None, 4_000_000_000)),
        Asked(window=(-float("inf"), 4_000_000_000)),
    ),
    (
        "realcugan_trt_startend_slice_2024.6.1",
        Question(inside=("TensorRT:*",), exclude=("*Reformat*",)),
        Asked(
            inside=lambda n: n[-1].startswith("TensorRT:"), exclude=lambda n: "Reformat" in n[-1]
        ),
    ),
    (
        "torchcodec_a100_2024.4.1",
        Question(calls=Numbers(3, 40)),
        Asked(numbers=range(3, 40)),
    ),
    (
        "fuser_h200_2024.6.2",
        Question(normalize=True),
        Asked(rename=normalized),
    ),
]


@cache
def brute_of(path: Path, rename: Callable[[str], str]) -> Brute:
    return Brute(path, rename)


@pytest.mark.fixtures
@pytest.mark.parametrize(("name", "question", "own"), REAL)
def test_questions_to_real_profiles(name: str, question: Question, own: Asked) -> None:
    path = NSYS / f"{name}.sqlite"
    expected = brute_of(path, own.rename).ask(own)
    assert expected
    check(work_of(read_profile(path), question=question), expected)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "aten::add, op_id = 17, sizes = [[2, 3], [4]]",
            "aten::add, op_id = #, sizes = [[#, #], [#]]",
        ),
        ("step 5", "step #"),
        ("iter_12", "iter_#"),
        ("layer.3.attn", "layer.#.attn"),
        ("lr = -1.5e-3", "lr = #"),
        ("stage-3", "stage-#"),
        ("0x7fe2 and 0x7fe3z", "# and 0x7fe3z"),
        ("conv2d fp16 sm80_gemm layer12", "conv2d fp16 sm80_gemm layer12"),
        ("größe3 ä3", "größe3 ä3"),
        ("", ""),
        ("17", "#"),
    ],
)
def test_numbers_that_stand_alone(name: str, found: str) -> None:
    assert normalized(name) == found
    assert normalized(found) == found


def steps(path: Path) -> Path:
    """Five steps with a number in the name, each a copy of 100 bytes and one submodule."""
    writer = ProfileWriter()
    for number in range(5):
        with writer.range(f"step {number}"):
            writer.copy(1, 100, 2000)
            writer.copy(2, 40, 1000)
            writer.submodule("net", 4000 * (number + 1))
    writer.write(path)
    return path


def rows(out: str, table: str = "ranges") -> dict[str, dict[str, Any]]:
    return {" > ".join(row["path"]): row for row in json.loads(out)[table]}


def test_a_question_on_the_command_line(analysis: Analysis, tmp_path: Path) -> None:
    path = steps(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", path, "--normalize", "--json")
    found = rows(out)
    assert {name: row["calls"] for name, row in found.items()} == {
        "adscale:step #": 5, "adscale:step # > adscale:net": 5,
    }  # fmt: skip
    step = found["adscale:step #"]
    assert (step["copies"], step["copy_bytes"], step["busy_ms"]) == (10, 700, 0.06)
    _, out, _ = analysis("attribute", path, "--normalize", "--iteration", "2", "--json")
    assert rows(out)["adscale:step #"]["busy_ms"] == 0.012
    _, out, _ = analysis(
        "attribute", path, "--inside", "*net", "--calls", "1:", "--normalize", "--json"
    )
    assert rows(out)["adscale:step # > adscale:net"]["busy_ms"] == pytest.approx(0.056)
    assert json.loads(out)["question"] == {
        "inside": ["*net"], "calls": [1, None], "normalize": True,
    }  # fmt: skip
    assert json.loads(out)["coverage"]["outside"] == 4  # kernels of the first call
    _, out, _ = analysis("attribute", path, "--exclude", "*net", "--json")
    assert {row["kernels"] for row in rows(out).values()} == {0}
    assert json.loads(out)["coverage"]["left_out_by_question"]["kernels"] == 20
    _, out, _ = analysis("attribute", path, "--copies", "--inside", "*step 3")
    assert "device to host" in out
    assert "140" in out


def test_order_and_first_rows(analysis: Analysis, tmp_path: Path) -> None:
    path = steps(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", path, "--sort", "busy", "--top", "3", "--json")
    assert [row["busy_ms"] for row in json.loads(out)["ranges"]] == [0.02, 0.02, 0.016]
    _, out, _ = analysis("attribute", path, "--top", "2", "--kernels", "1", "--csv")
    assert out.count("net_gemm") == 2
    _, out, _ = analysis("attribute", path, "--kernels", "--sort", "max_us", "--top", "1", "--json")
    assert [row["max_us"] for row in json.loads(out)["kernels"]] == [10.0]
    assert len(json.loads(out)["ranges"]) == 10
    _, out, _ = analysis("attribute", path, "--sort", "path", "--json")
    paths = [row["path"] for row in json.loads(out)["ranges"]]
    assert paths == sorted(paths)


def test_nulls_say_why(analysis: Analysis, tmp_path: Path) -> None:
    _, out, _ = analysis("attribute", steps(tmp_path / "p.sqlite"), "--exclude", "*net", "--json")
    for row in json.loads(out)["ranges"]:
        assert {name for name, value in row.items() if value is None} == set(row["unknown"])
    assert row["unknown"]["span_ms"] == "no kernel was launched inside"


@pytest.mark.fixtures
@pytest.mark.parametrize("options", [(), ("--kernels", "0"), ("--copies",)])
def test_every_null_of_real_profiles_says_why(
    analysis: Analysis, real_profile: Path, options: tuple[str, ...]
) -> None:
    _, out, _ = analysis("attribute", real_profile, "--json", *options)
    found = json.loads(out)
    for name in {"ranges", "kernels", "copies"} & set(found):
        for row in found[name]:
            assert {key for key, value in row.items() if value is None} == set(row["unknown"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--inside", "nothing*"), "no range of the profile matches"),
        (("--inside", "step 3"), "'adscale:step 3'"),
        (("--exclude", "x"), "--exclude 'x': no range of the profile matches"),
        (("--exclude", "*"), "leaves no range of the profile"),
        (("--window", "100:200"), "lies behind everything in the profile"),
        (("--window=-2:-1",), "lies before everything in the profile"),
        (("--calls", "1:"), "the outermost ranges are called at most 1 times on a thread, 0 to 0"),
        (("--iteration", "7", "--inside", "*net"), "no call has such a number"),
        (("--sort", "speed"), "'speed' is no column"),
    ],
)
def test_a_question_that_means_nothing_ends_in_one_line(
    analysis: Analysis, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    code, out, err = analysis("attribute", steps(tmp_path / "p.sqlite"), *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_bytes_that_the_export_does_not_tell(analysis: Analysis, tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("a"):
        writer.copy(8, 5, 1000)
    path = tmp_path / "p.sqlite"
    writer.write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in ("bytes", "copyKind"):
            connection.execute(f"ALTER TABLE CUPTI_ACTIVITY_KIND_MEMCPY DROP COLUMN {column}")
    _, out, _ = analysis("attribute", path, "--copies", "--json")
    found = json.loads(out)
    assert found["ranges"][0]["copy_bytes"] is None
    assert "does not say how many bytes" in found["ranges"][0]["unknown"]["copy_bytes"]
    assert found["copies"][0]["direction"] == "unknown"


def test_a_table_of_nothing_has_its_columns(tmp_path: Path) -> None:
    writer = ProfileWriter()
    writer.write(tmp_path / "p.sqlite")
    table = frame(copy_table(work_of(read_profile(tmp_path / "p.sqlite"))))
    assert isinstance(table, pd.DataFrame)
    assert table.empty
