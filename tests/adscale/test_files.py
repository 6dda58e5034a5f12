"""Files that are written: devices stay, inputs stay, and no two outputs are one file."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from adscale.command_line import run_command
from adscale.errors import OutputError
from adscale.files import (
    OutputFile,
    files_of_command,
    note_input,
    output_file,
    write_atomically,
    write_output,
    write_text,
)
from analysis.__main__ import main as analysis
from profiling.__main__ import main as profiling
from tests.analysis.comparisons import Measured
from tests.memory_documents import Count, Part
from tests.shared_folders import as_nobody


def fill(text: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(text)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_output(pipe, fill("text"))
    reader.join()
    assert (got, pipe.is_fifo(), [*tmp_path.iterdir()]) == (["text"], True, [pipe])


def test_a_device_stays(tmp_path: Path) -> None:
    """A device of one's own, since a fault would replace that of the machine."""
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | 0o020000, Path("/dev/null").stat().st_rdev)
        device.open("ab").close()
    except OSError:
        pytest.skip("devices cannot be made here")
    write_text(device, "text")
    assert device.is_char_device()
    (tmp_path / "link").symlink_to(device)
    write_output(tmp_path / "link", fill("text"))
    assert device.is_char_device()


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_descriptor_is_written_to_and_what_was_there_is_kept(tmp_path: Path, name: str) -> None:
    with (tmp_path / "log").open("a+") as log:
        log.write("before, ")
        log.flush()
        path = tmp_path / "link" if name == "link" else Path(name.format(log.fileno()))
        if name == "link":
            path.symlink_to(f"/dev/fd/{log.fileno()}")
        write_output(path, fill("after"))
        assert path.is_symlink()
    assert (tmp_path / "log").read_text() == "before, after"


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "link.csv", tmp_path / "elsewhere" / "file.csv"
    link.symlink_to(file)
    for text in ("once", "twice"):
        write_output(link, fill(text))
        assert (link.is_symlink(), file.read_text()) == (True, text)


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_folder_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_output(Path(name), fill(""))


def named(path: Path, *endings: str) -> OutputFile:
    return output_file(*endings or (".csv",))(str(path))


def test_an_input_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("input")
    (tmp_path / "hard.csv").hardlink_to(file)
    (tmp_path / "soft.csv").symlink_to(file)
    for name in ("p.csv", "hard.csv", "soft.csv", "../" + tmp_path.name + "/p.csv"):
        for given in (file, [tmp_path, file], str(file)):
            output = named(tmp_path / name)
            with (
                pytest.raises(OutputError, match="is read by this command"),
                files_of_command({"input": given, "output": output}),
            ):
                raise AssertionError("the command began")
    assert file.read_text() == "input"


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    for other in ("a.csv", "link.csv"):
        options = {"one": named(tmp_path / "a.csv"), "two": named(tmp_path / other)}
        with pytest.raises(OutputError, match="two outputs"), files_of_command(options):
            raise AssertionError("the command began")
    with files_of_command({}):
        write_output(tmp_path / "a.csv", fill("first"))
        with pytest.raises(OutputError, match="two outputs"):
            write_output(tmp_path / "link.csv", fill("second"))
    assert (tmp_path / "a.csv").read_text() == "first"
    with files_of_command({}):  # another command
        write_output(tmp_path / "a.csv", fill("second"))


@pytest.mark.parametrize(
    ("name", "ending"),
    [("x.csv", ".csv"), ("x.PARQUET", ".parquet"), ("x.xlsx", None), ("x", None), ("csv", None)],
)
def test_the_ending_says_the_format(tmp_path: Path, name: str, ending: str | None) -> None:
    output = named(tmp_path / name, ".parquet", ".csv")
    if ending is None:
        told = r"does not end in \.parquet or \.csv"
        with pytest.raises(OutputError, match=told), files_of_command({"output": output}):
            raise AssertionError("the command began")
    else:
        with files_of_command({"output": output}):
            assert output.ending == ending


def test_a_pipe_needs_no_ending(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    output = named(tmp_path / "pipe", ".parquet", ".csv")
    with files_of_command({"output": output}):
        assert output.ending == ".parquet"


def test_a_refused_output_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: 0, {"output": named(tmp_path)}) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: is a folder; name a file\n"


def test_what_a_command_reads_on_its_way_is_an_input(tmp_path: Path) -> None:
    file = tmp_path / "kernels.parquet"
    file.write_text("input")
    with files_of_command({"folder": tmp_path}):
        note_input(file)
        with pytest.raises(OutputError, match="is read by this command"):
            write_output(file, fill("output"))


def test_a_full_disk_of_a_file_is_told_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system names no file where it is a stream that takes no more."""

    def fill_the_disk(_temporary: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as stream:
            stream.write(b"x")

    file = tmp_path / "table"
    assert run_command(lambda: write_atomically(file, fill_the_disk), {}) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}: No space left on device; free the disk")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        "profiling plan --config shut",
        "profiling run --method efficientad --resolution 256 --collector embedded --out new",
        "analysis attribute shut",
        "analysis attribute profile.sqlite --run shut -o new.parquet",
        "analysis claims flops shut",
        "analysis compare results results-shut",
        "analysis memory memory.json -o new.csv",
        "analysis report results -o new.html",
    ],
)
def test_what_is_forbidden_is_told_with_a_remedy_that_helps(
    open_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
) -> None:
    """Neither to measure again nor to free a disk makes a folder writable, or a file readable."""
    monkeypatch.chdir(open_folder)
    Measured().write(open_folder / "results")
    shutil.copytree("results", "results-shut")
    Count("M", (Part("a"),)).write(open_folder / "memory.json", [256])
    for name in ("shut", "results-shut/tables/runtime.csv"):
        Path(name).touch()
        Path(name).chmod(0)
    before = sorted(open_folder.rglob("*"))
    part, *rest = arguments.split()
    with as_nobody():
        code = {"profiling": profiling, "analysis": analysis}[part](rest)
    said = capsys.readouterr().err
    assert code != 0
    assert said.count("\n") == 1
    assert "Permission denied" in said
    assert "permissions" in said or "name another" in said
    assert not re.search("again|free the disk|measure|count", said)
    assert sorted(open_folder.rglob("*")) == before
