"""`attribute` on its own: every output of it says the same."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from adscale.progress import progress_bar
from analysis.profiles.kernel_table import KERNEL_COLUMNS
from analysis.profiles.range_table import PROFILE_COLUMNS, profile_columns
from analysis.profiles.text import MOST_ROWS
from analysis.profiles.work import SEPARATOR
from tests.analysis.conftest import FIXTURES
from tests.analysis.reference import THREADS, Call, Events, Operation, Range
from tests.bench.big_profiles import KERNELS_PER_STEP, write_big_profile
from tests.gpu_profiles import SIDE_STREAM, STREAM, GpuRun, ProfileWriter, record, times_of

Analysis = Callable[..., tuple[int, str, str]]
RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 400_000)
TEACHER = "adscale:measure > adscale:image > adscale:teacher"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    record(RUN).write(tmp_path / "p.sqlite")
    return tmp_path / "p.sqlite"


def test_text_csv_json_and_parquet_hold_the_same_rows(analysis: Analysis, profile: Path) -> None:
    _, text, _ = analysis("attribute", profile)
    _, csv, notes = analysis("attribute", profile, "--csv")
    _, document, _ = analysis("attribute", profile, "--json")
    output = profile.with_name("table.parquet")
    assert analysis("attribute", profile, "-o", output) == (0, "", "")
    parquet = pd.read_parquet(output)
    assert list(parquet.columns) == list(PROFILE_COLUMNS)
    found = json.loads(document)
    from_json = pd.DataFrame(found["ranges"]).drop(columns="unknown")
    from_json["path"] = from_json["path"].map(SEPARATOR.join)
    from_json = from_json.astype(dict(PROFILE_COLUMNS))
    from_csv = pd.read_csv(io.StringIO(csv), dtype=dict(PROFILE_COLUMNS))
    for table in (from_json, from_csv):
        pd.testing.assert_frame_equal(table, parquet.astype(dict(PROFILE_COLUMNS)))
    assert all(path in text for path in parquet["path"])
    assert "56 of 56 kernels were launched inside ranges" in notes
    assert json.loads(pq.read_schema(output).metadata[b"coverage"]) == found["coverage"]


def by_text(out: str) -> dict[str, dict[str, Any]]:
    """The rows of JSON by their paths as text."""
    return {SEPARATOR.join(row["path"]): row for row in json.loads(out)["ranges"]}


def test_copies_are_told_apart_from_kernels(analysis: Analysis, profile: Path) -> None:
    _, out, _ = analysis("attribute", profile, "--json")
    by_path = by_text(out)
    copy = by_path["adscale:measure > adscale:copy_to_device"]
    assert (copy["copies"], copy["copy_sum_ms"], copy["projected_ms"]) == (5, 0.1, 0.1)
    assert (copy["kernels"], copy["kernel_sum_ms"], copy["span_ms"]) == (0, 0, None)
    teacher = by_path[TEACHER]
    assert (teacher["copies"], teacher["kernels_per_call"]) == (0, 4)
    times = times_of(400_000)
    assert teacher["launch_bound_share"] == pytest.approx(1 - times.busy_ns / times.span_ns)
    assert teacher["call_busy_p95_ms"] == pytest.approx(times.busy_ns / 1e6)


def test_whole_graphs_are_work_of_the_range_around_their_launch(
    analysis: Analysis, tmp_path: Path
) -> None:
    thread, process = THREADS[0], THREADS[0] >> 24 << 24
    events = Events(
        [Range(thread, 0, 100, 59, "a", 0, False, False)],
        [Call(thread, 1, 2, 5), Call(thread, 200, 201, 6)],
        [
            Operation("graphs", process, 50, 1_000_050, 5, 0, 7, "", None),
            Operation("graphs", process, 2_000_000, 2_500_000, 6, 0, 7, "", None),
            Operation("memsets", process, 3_000_000, 3_250_000, 5, 0, 7, "", None),
        ],
    )
    path = events.write(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", path, "--json")
    row = json.loads(out)["ranges"][0]
    assert (row["graphs"], row["graph_sum_ms"], row["kernels"]) == (1, 1.0, 0)
    assert (row["memsets"], row["memset_sum_ms"]) == (1, 0.25)
    _, out, _ = analysis("attribute", path)
    assert "graph ms" in out
    assert "copy ms" not in out
    assert "2 CUDA graph launches were traced as a whole (1.500 ms)" in out
    assert "1 of 2 whole CUDA graphs were launched inside ranges (66.7% of their time)" in out


def test_kernels_by_name(analysis: Analysis, profile: Path) -> None:
    _, out, _ = analysis("attribute", profile, "--kernels", "2", "--csv")
    table = pd.read_csv(io.StringIO(out), dtype=dict(KERNEL_COLUMNS))
    assert list(table.columns) == list(KERNEL_COLUMNS)
    teacher = table[table["path"] == TEACHER]
    # a half, and one of three quarters of equal length: by name
    assert teacher["kernel"].tolist() == ["teacher_gemm", "teacher_beside"]
    assert teacher["share"].tolist() == pytest.approx([0.4, 0.2])
    assert teacher["mean_us"].tolist() == teacher["median_us"].tolist() == [200, 100]
    _, out, _ = analysis("attribute", profile, "--kernels", "0", "--json")
    paths = [SEPARATOR.join(row["path"]) for row in json.loads(out)["kernels"]]
    assert paths.count(TEACHER) == 4
    _, out, _ = analysis("attribute", profile, "--kernels")
    assert out.count("teacher_gemm") == 6  # in two phases, images and submodules
    output = profile.with_name("kernels.parquet")
    analysis("attribute", profile, "--kernels", "-o", output)
    assert list(pd.read_parquet(output).columns) == list(KERNEL_COLUMNS)


def test_rows_by_stream(analysis: Analysis, profile: Path) -> None:
    _, out, _ = analysis("attribute", profile, "--by", "stream", "--csv")
    table = pd.read_csv(io.StringIO(out), dtype=dict(profile_columns("stream")))
    teacher = table[table["path"] == TEACHER].set_index("stream")
    assert teacher["kernels"].to_dict() == {f"0/{STREAM}": 15, f"0/{SIDE_STREAM}": 5}
    assert teacher["busy_ms"].to_dict() == {f"0/{STREAM}": 2.0, f"0/{SIDE_STREAM}": 0.5}


def test_rows_by_category(analysis: Analysis, tmp_path: Path) -> None:
    writer = ProfileWriter()
    for number in (3, 4, 0):
        with writer.range("step"):
            writer.submodule("a", 4000)
        writer.rows["NVTX_EVENTS"][-1]["category"] = number
    writer.add("NVTX_EVENTS", start=0, eventType=33, text="named", category=3, domainId=1,
               globalTid=writer.rows["NVTX_EVENTS"][0]["globalTid"])  # fmt: skip
    writer.write(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite", "--by", "category", "--json")
    rows = [row for row in json.loads(out)["ranges"] if row["path"] == ["adscale:step"]]
    assert [row["category"] for row in rows] == ["named", "4", ""]
    assert [row["kernels"] for row in rows] == [4, 4, 4]


@pytest.mark.fixtures
@pytest.mark.parametrize("options", [(), ("--kernels",), ("--by", "stream"), ("--by", "thread")])
def test_every_real_profile_gives_a_table(
    analysis: Analysis, real_profile: Path, options: tuple[str, ...]
) -> None:
    code, out, err = analysis("attribute", real_profile, *options)
    assert (code, err) == (0, "")
    assert out.startswith("range")


@pytest.mark.fixtures
def test_two_processes_and_gpus_are_told_apart(analysis: Analysis) -> None:
    path = FIXTURES / "nsys" / "nsysai_mfu2gpu_2proc_2026.2.1.sqlite"
    _, out, _ = analysis("attribute", path, "--json")
    whole = pd.DataFrame(by_text(out)).T
    for by in ("thread", "device", "stream"):
        _, out, _ = analysis("attribute", path, "--by", by, "--json")
        rows = pd.DataFrame(json.loads(out)["ranges"])
        rows["path"] = rows["path"].map(SEPARATOR.join)
        assert len(set(rows[by])) > 1
        summed = rows.groupby("path")[["kernels", "copies", "memsets"]].sum()
        expected = whole.loc[summed.index, summed.columns]
        assert (summed == expected).all(axis=None)


@pytest.mark.parametrize("streams", [1, 2])
def test_a_profile_of_the_bench(analysis: Analysis, tmp_path: Path, streams: int) -> None:
    write_big_profile(tmp_path / "p.sqlite", 3 * KERNELS_PER_STEP, streams=streams)
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite", "--json", "--kernels", "0")
    found = json.loads(out)
    step = found["ranges"][0]
    assert (step["path"], step["calls"], step["kernels"]) == (["step"], 3, 3 * KERNELS_PER_STEP)
    assert len(found["ranges"]) == 1 + 10 + 10
    assert found["coverage"]["share"] == 1.0
    overlap = step["kernel_sum_ms"] - step["busy_ms"]
    assert overlap > 0 if streams == 2 else overlap == 0
    assert sum(r["kernels"] for r in found["kernels"] if r["path"] == ["step"]) == step["kernels"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kernels", "many"), "no number of kernel names"),
        (("--kernels", "--by", "stream"), "not allowed with"),
        (("--csv", "--json"), "not allowed with"),
        (("--by", "colour"), "invalid choice"),
        (("--window", "2:1"), "does not end behind its begin"),
        (("--window", "1h:2h"), "units are s (default), ms, us and ns"),
        (("--window", "5"), "is no window of time"),
        (("--window", ":"), "is no window of time"),
        (("--calls", "3:3"), "holds no call"),
        (("--calls=-1:",), "is no range of calls"),
        (("--calls", "1:2", "--iteration", "1"), "not allowed with"),
        (("--top", "0"), "is no number of rows"),
        (("--copies", "--kernels"), "not allowed with"),
    ],
)
def test_options_that_contradict_each_other(
    analysis: Analysis,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as caught:
        analysis("attribute", "p.sqlite", *options)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_has_a_table_of_its_own(analysis: Analysis) -> None:
    code, _, err = analysis(
        "attribute", "p.sqlite", "--run", "run.json", "-o", "r.parquet", "--by", "stream"
    )
    assert code == 2
    assert "leave one of them out" in err


def test_long_names_go_on_below_and_control_characters_do_not_break_lines(
    analysis: Analysis, tmp_path: Path
) -> None:
    writer = ProfileWriter()
    with writer.range("x" * 500), writer.range("two\nlines\x1b[31m"):
        pass
    writer.write(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite")
    table = out[: out.index("The profile holds no kernels.")]
    assert max(map(len, table.splitlines())) <= 200
    assert table.count("x") >= 1000
    assert "two�lines�[31m" in table.replace("\n", "")
    assert "\x1b" not in out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adscale.progress.SHOWN_AFTER_S", 0.0)
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with progress_bar("reading p.sqlite", stream) as update:
            update(30, 60)
            update(70, 60)
    assert file.getvalue() == ""
    assert "reading p.sqlite" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_no_bar_for_what_is_quick() -> None:
    terminal = Terminal()
    with progress_bar("reading", terminal) as update:
        update(1, 2)
    assert terminal.getvalue() == ""


def test_the_text_of_a_wide_profile_has_the_rows_with_the_most_time(
    analysis: Analysis, tmp_path: Path
) -> None:
    """Without kernels by their time on the host; every other output, and --all, has every row."""
    writer = ProfileWriter()
    for number in range(MOST_ROWS + 50):
        with writer.range(f"step {number:03}"):
            writer.cpu_ns += 1000 * (number + 1 if number % 2 else 10_000)
    writer.write(tmp_path / "wide.sqlite")
    _, text, _ = analysis("attribute", tmp_path / "wide.sqlite")
    shown = [line.split()[0] + line.split()[1] for line in text.splitlines() if "step" in line]
    short = {f"adscale:step{number:03}" for number in range(1, 100, 2)}
    every = [f"adscale:step{number:03}" for number in range(MOST_ROWS + 50)]
    assert shown == [name for name in every if name not in short]
    assert "… and 50 more ranges with less host time: --all prints every row, -o " in text
    _, everything, _ = analysis("attribute", tmp_path / "wide.sqlite", "--all")
    assert everything.count("step") == len(every)
    assert "more ranges" not in everything
    for form in ("--csv", "--json"):
        assert analysis("attribute", tmp_path / "wide.sqlite", form)[1].count("step") == len(every)


def test_kernels_of_a_wide_profile_are_those_with_the_most_time(
    analysis: Analysis, tmp_path: Path
) -> None:
    writer = ProfileWriter()
    for number in range(MOST_ROWS + 7):
        with writer.range(f"step {number}"):
            writer.kernel(f"kernel_{number}", writer.cpu_ns + 10_000, 100 + number)
    writer.write(tmp_path / "wide.sqlite")
    _, text, _ = analysis("attribute", tmp_path / "wide.sqlite", "--kernels")
    assert "… and 7 more ranges with less kernel time" in text
    assert "… and 7 more kernels with less kernel time" in text
    named = {line.split()[2] for line in text.splitlines() if "kernel_" in line}
    assert named == {f"kernel_{number}" for number in range(7, MOST_ROWS + 7)}
