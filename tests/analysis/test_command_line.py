"""The command line: each subcommand, and errors of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.gpu_profiles import GpuRun, ProfileWriter, record, write_gpu_run, write_run_json
from tests.memory_documents import Count, Part, per_pixel

RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 400_000)
Analysis = Callable[..., tuple[int, str, str]]
CHECKOUT = Path(__file__).parents[2]
FIGURES = (
    "figures", "--runtime", "a.csv", "--memory", "b.csv", "--memory-methods", "c.csv",
    "--fits", "d.csv", "--memory-extrapolation", "e.csv", "--fit-models", "f.csv",
    "--fit-curves", "g.csv", "--implementations", "h.csv",
)  # fmt: skip


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    write_gpu_run(tmp_path, RUN)
    return tmp_path


def test_arguments_from_a_file(analysis: Analysis, run_folder: Path) -> None:
    """Thousands of folders are more than Linux takes on a command line."""
    (run_folder / "arguments.txt").write_text(f"{run_folder / 'profile.sqlite'}\n--json\n")
    code, out, err = analysis("attribute", f"@{run_folder / 'arguments.txt'}")
    assert (code, err) == (0, "")
    assert json.loads(out)["ranges"]


def test_attribute_as_a_table(analysis: Analysis, run_folder: Path) -> None:
    code, out, err = analysis("attribute", run_folder / "profile.sqlite")
    assert (code, err) == (0, "")
    teacher = next(line for line in out.splitlines() if "measure" in line and "teacher" in line)
    # five calls: per call a kernel sum of 0.5 ms, 0.4 ms busy, 0.402 ms span, two gaps of 1 µs
    times = ["20", "4.0", "2.500", "2.500", "2.000", "2.010", "0.5%", "0.400", "0.400", "0.000"]
    assert teacher.split()[-11:] == [*times, "0"]  # and nothing was copied
    assert "56 of 56 kernels were launched inside ranges (100.0% of the kernel time)" in out


def test_attribute_as_json(analysis: Analysis, run_folder: Path) -> None:
    code, out, _ = analysis("attribute", run_folder / "profile.sqlite", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["coverage"]["kernels"] == 56
    assert found["coverage"]["share"] == 1.0
    by_path = {tuple(row["path"]): row for row in found["ranges"]}
    teacher = by_path["adscale:measure", "adscale:image", "adscale:teacher"]
    assert (teacher["calls"], teacher["kernels"]) == (5, 20)
    assert teacher["busy_ms"] == pytest.approx(2.0)
    image = by_path["adscale:measure", "adscale:image"]
    assert image["exclusive_ms"] == 0
    assert by_path["adscale:measure", "adscale:load"]["span_ms"] is None


def test_attribute_of_names_with_markup(analysis: Analysis, tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("[bold]x[/bold] $y$"):
        writer.submodule("[/]", 4000)
    writer.write(tmp_path / "p.sqlite")
    code, out, _ = analysis("attribute", tmp_path / "p.sqlite")
    assert code == 0
    assert "[bold]x[/bold] $y$ > adscale:[/]" in out


def test_attribute_without_kernels_shows_no_zeros(analysis: Analysis, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    writer = ProfileWriter()
    with writer.range("alone"):
        pass
    writer.write(tmp_path / "p.sqlite")
    with closing(sqlite3.connect(tmp_path / "p.sqlite")) as connection, connection:
        connection.execute("DROP TABLE CUPTI_ACTIVITY_KIND_KERNEL")
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite", "--json")
    row = json.loads(out)["ranges"][0]
    assert (row["calls"], row["kernels"], row["busy_ms"]) == (1, None, None)
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite")
    assert "GPU times are unknown, not zero" in out


def test_attribute_a_run(analysis: Analysis, run_folder: Path) -> None:
    output = run_folder / "ranges.parquet"
    profile, run = run_folder / "profile.sqlite", run_folder / "run.json"
    assert analysis("attribute", profile, "--run", run, "-o", output) == (0, "", "")
    assert len(pd.read_parquet(output)) == 7 * 8


def test_attribute_warns_of_stray_kernels(analysis: Analysis, tmp_path: Path) -> None:
    run = GpuRun("M", 256, ("teacher",), lambda name, image: 4000, "d", "reference-fp32", 0, 1)
    writer = ProfileWriter()
    with writer.range("measure"), writer.range("image"):
        writer.submodule("teacher", 800)
        for name in ("one", "two", "three", "four"):
            writer.kernel(name, writer.gpu_ns, 1000)
    writer.write(tmp_path / "profile.sqlite")
    write_run_json(tmp_path / "run.json", run)
    output = tmp_path / "ranges.parquet"
    code, _, err = analysis(
        "attribute", tmp_path / "profile.sqlite", "--run", tmp_path / "run.json", "-o", output
    )
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith(
        "warning: d: M reference-fp32 at 256 px: the submodules account for 20.0%"
    )
    assert "and 1 more" in err
    import pyarrow.parquet as pq

    metadata = pq.read_schema(output).metadata
    assert float(metadata[b"kernel_time_coverage"]) == pytest.approx(0.2)
    assert json.loads(metadata[b"stray_kernels"]) == ["one", "two", "three", "four"]


def test_a_run_needs_an_output(analysis: Analysis, run_folder: Path) -> None:
    code, _, err = analysis(
        "attribute", run_folder / "profile.sqlite", "--run", run_folder / "run.json"
    )
    assert code == 2
    assert err.endswith("add -o ranges.parquet\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("attribute", "absent.sqlite"),
        ("attribute", "absent.sqlite", "--run", "absent.json", "-o", "x.parquet"),
        ("summarize", "absent", "-o", "runtime.csv"),
        ("memory", "absent.json", "-o", "memory.csv"),
        ("fit", "--runtime", "absent.csv", "--extrapolate-to", "3000", "-o", "fits.csv"),
        ("fit", "--extrapolate-to", "3000", "-o", "fits.csv"),
        ("flops", "--runtime", "absent.csv", "--memory", "absent.csv", "-o", "flops.csv"),
        ("extrapolation", "--memory", "absent.csv", "--extrapolate-to", "3000", "-o", "x.csv"),
        (*FIGURES, "-o", "d"),
        (*FIGURES, "--style", "absent.json", "-o", "d"),
        (*FIGURES, "--hardware", "absent.json", "-o", "d"),
        (*FIGURES, "--hardware", '{"gpus": 8}', "-o", "d"),
    ],
)
def test_what_is_missing_is_one_line_and_code_2(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = analysis(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_record_of_the_latency_pass_has_no_profile(
    analysis: Analysis, run_folder: Path
) -> None:
    record = json.loads((run_folder / "run.json").read_text())
    record["request"]["collector"] = "none"
    (run_folder / "latency.json").write_text(json.dumps(record))
    code, _, err = analysis(
        "attribute", run_folder / "profile.sqlite", "--run", run_folder / "latency.json",
        "-o", run_folder / "x.parquet",
    )  # fmt: skip
    assert (code, err.count("\n")) == (2, 1)
    assert "is the record of the latency pass, which has no profile; name run.json" in err


def test_runs_that_are_expected_are_named_by_a_text(analysis: Analysis, run_folder: Path) -> None:
    (run_folder / "expected").write_bytes(b"\xff\xfe")
    code, _, err = analysis("verify", run_folder, "--expected", run_folder / "expected")
    assert (code, err.count("\n")) == (2, 1)
    assert "it is no text" in err


@pytest.mark.parametrize("side", ["0", "-3", "3e3", "px"])
def test_side_lengths_are_positive_integers(
    analysis: Analysis, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        analysis("fit", "--extrapolate-to", side, "-o", "fits.csv")
    assert caught.value.code == 2
    assert "side length in px" in capsys.readouterr().err or side.startswith("-")


def test_memory_names_its_second_table_after_the_first_or_as_told(
    analysis: Analysis, tmp_path: Path
) -> None:
    count = Count("M", [Part("a", peak=per_pixel(1))])
    path = count.write(tmp_path / "counts" / "memory.json", [256])
    assert analysis("memory", path, "-o", tmp_path / "mine.csv")[0] == 0
    assert analysis(
        "memory", path, "-o", tmp_path / "b.csv", "--methods", tmp_path / "whole.csv"
    )[0] == 0  # fmt: skip
    names = {path.name for path in tmp_path.glob("*.csv")}
    assert names == {"mine.csv", "mine_methods.csv", "b.csv", "whole.csv"}
    assert len(pd.read_parquet(tmp_path / "whole.parquet")) == 1


def test_a_refused_run_leaves_no_output(analysis: Analysis, tmp_path: Path) -> None:
    writer = record(RUN)
    del writer.rows["NVTX_EVENTS"]
    writer.write(tmp_path / "profile.sqlite")
    write_run_json(tmp_path / "run.json", RUN)
    code, _, err = analysis(
        "attribute", tmp_path / "profile.sqlite", "--run", tmp_path / "run.json",
        "-o", tmp_path / "ranges.parquet",
    )  # fmt: skip
    assert code == 2
    assert "0 of 10 submodule ranges" in err
    assert not (tmp_path / "ranges.parquet").exists()


def test_as_a_program_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analysis", "attribute", str(tmp_path / "absent.sqlite")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "returncode", "told"),
    [
        (">&-", 0, ""),
        (">/dev/full", 1, "error: standard output: No space left on device; free the disk"),
    ],
)
def test_standard_output_that_is_closed_or_full(
    redirection: str, returncode: int, told: str, run_folder: Path
) -> None:
    command = f'"$0" -m analysis attribute "$1" --csv {redirection}'
    shell = ["sh", "-c", command, sys.executable, str(run_folder / "profile.sqlite")]
    done = subprocess.run(shell, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == returncode
    assert "Traceback" not in done.stderr
    assert told in done.stderr


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, analysis.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'pyarrow', 'numpy', 'scipy', 'matplotlib', 'torch', 'profiling'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_analysis_imports_neither_torch_nor_profiling() -> None:
    program = (
        "import importlib, pkgutil, sys, analysis\n"
        "for module in pkgutil.walk_packages(analysis.__path__, 'analysis.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "sys.exit(', '.join({'torch', 'profiling'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_remedy_harms_nothing(analysis: Analysis, run_folder: Path, tmp_path: Path) -> None:
    profile = run_folder / "profile.sqlite"
    (run_folder / "other.json").write_text("{}")
    for run in ("/absent.json", "/", run_folder / "other.json", profile):
        code, _, err = analysis("attribute", profile, "--run", run, "-o", tmp_path / "r.parquet")
        assert (code, err.count("\n")) == (2, 1)
        assert "remove" not in err
    (run_folder / "ranges.parquet").write_text("damaged")
    code, _, err = analysis("summarize", run_folder, "-o", tmp_path / "runtime.csv")
    assert code == 2
    assert f"python -m analysis attribute {profile} --run" in err


@pytest.mark.parametrize(
    ("ending", "magic"), [("csv", "path,calls"), ("json", '{"document": "attribute"')]
)
def test_the_format_follows_the_ending(
    analysis: Analysis, run_folder: Path, tmp_path: Path, ending: str, magic: str
) -> None:
    output = tmp_path / f"x.{ending}"
    assert analysis("attribute", run_folder / "profile.sqlite", "-o", output)[0] == 0
    assert output.read_text().startswith(magic)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (("-o", "p.sqlite"), "is read by this command"),
        (("-o", "x.xlsx"), "does not end in .parquet or .csv or .json"),
        (("--run", "run.json", "-o", "x.csv"), "name the output X.parquet"),
        (
            ("--run", "run.json", "-o", "x.parquet", "--kernel-table", "./x.parquet"),
            "is the name of two outputs",
        ),
    ],
)
def test_outputs_that_are_refused(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: tuple[str, ...],
    told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ProfileWriter().write(tmp_path / "p.sqlite")
    before = (tmp_path / "p.sqlite").read_bytes()
    code, out, err = analysis("attribute", "p.sqlite", *outputs)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert [file.name for file in tmp_path.iterdir()] == ["p.sqlite"]
    assert (tmp_path / "p.sqlite").read_bytes() == before


def test_a_table_beside_a_run_does_not_replace_its_ranges(
    analysis: Analysis, run_folder: Path
) -> None:
    profile, run, ranges = (
        run_folder / name for name in ("profile.sqlite", "run.json", "ranges.parquet")
    )
    analysis("attribute", profile, "--run", run, "-o", ranges)
    before = ranges.read_bytes()
    code, _, err = analysis("summarize", run_folder, "-o", run_folder / "ranges.csv")
    assert code == 2
    assert "is read by this command" in err
    assert ranges.read_bytes() == before


@pytest.mark.parametrize("arguments", ["attribute {0} --kernels", "diff {0} {0} --json"])
def test_reading_a_small_profile_imports_nothing_that_takes_longer(
    run_folder: Path, arguments: str
) -> None:
    program = (
        "import sys, analysis.__main__ as m\n"
        f"assert m.main({arguments.format(run_folder / 'profile.sqlite').split()}) == 0\n"
        "heavy = {'pandas', 'scipy', 'pydantic', 'rich', 'matplotlib', 'plotly', 'jinja2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
