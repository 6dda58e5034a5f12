from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from adscale.errors import ConfigError, OutputError, UnsupportedResolutionError, UserError
from adscale.files import read_record, write_record
from adscale.memory_record import MemoryRecord
from adscale.methods.registry import check_settings, get_spec, parse_variant
from adscale.methods.spec import ResolutionProblem
from adscale.models import jsonable
from adscale.resolution import Resolution, square
from profiling.cli import memory
from profiling.cli.memory import count_report, format_table
from profiling.memory.counting import is_gpu_imaginable
from profiling.methods.base import Method

SPEC = get_spec("efficientad")
DEVICE_TYPE = "cuda" if is_gpu_imaginable() else "cpu"


@pytest.fixture(scope="module")
def record() -> MemoryRecord:
    variant = parse_variant("reference-tf32", SPEC)
    return count_report(
        "Mine",
        SPEC,
        check_settings(SPEC, {"size": "S"}),
        variant,
        list(map(square, (512, 256, 512))),
        DEVICE_TYPE,
    )


@pytest.fixture(scope="module")
def report(record: MemoryRecord) -> dict[str, Any]:
    return jsonable(record)


def run_cli(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    memory.add_parser(parser.add_subparsers())
    args = parser.parse_args(["memory", *arguments])
    returncode: int = args.main(args)
    return returncode


def test_a_report_says_what_was_counted(report: dict[str, Any]) -> None:
    assert report["method"] == "Mine"
    assert report["target"] == "efficientad"
    assert report["settings"] == {
        "size": "S",
        "autoencoder": "adaptive",
        "padding": False,
        "weights": None,
    }
    assert report["variant"] == "reference-tf32"
    assert report["device_type"] == DEVICE_TYPE
    assert [entry["resolution"] for entry in report["resolutions"]] == ["512", "256"]
    teacher = report["resolutions"][1]["submodules"][0]
    assert teacher["submodule"] == "teacher"
    assert teacher["complexity"] == "pixels"
    assert teacher["parameters_bytes"] == 4 * 2_694_144
    assert teacher["layers"][0] == {
        "name": "teacher.0",
        "type": "Conv2d",
        "output_shape": [1, 128, 253, 253],
        "parameters_bytes": 4 * (128 * 3 * 16 + 128),
        "activations_bytes": 4 * 128 * 253 * 253,
    }


def test_a_report_is_read_as_it_was_written(
    tmp_path: Path, record: MemoryRecord, report: dict[str, Any]
) -> None:
    file = tmp_path / "new" / "memory.json"
    write_record(file, record)
    assert json.loads(file.read_text()) == report
    assert read_record(file, MemoryRecord, "count again") == record
    assert [entry.name for entry in file.parent.iterdir()] == ["memory.json"]


def test_an_invalid_count_cannot_be_made(record: MemoryRecord) -> None:
    with pytest.raises(ValidationError, match="activations_bytes"):
        dataclasses.replace(record.resolutions[0].submodules[0], activations_bytes=-1)


def test_the_table_has_sums_and_the_largest_peak(record: MemoryRecord) -> None:
    lines = format_table(record).splitlines()
    assert lines[0] == "Mine (efficientad), reference-tf32, batch 1, counted for " + DEVICE_TYPE
    rows = [line.split() for line in lines[1 : lines.index("")]]
    assert rows[0][0] == "resolution"
    teacher = ["256", "teacher", "10.28", "<0.01", "54.02", "39.01", "0.00", "0.00", "30.62"]
    student = ["256", "student", "16.28", "0.00", "58.62", "43.60", "4.59", "0.00", "40.49"]
    assert teacher in rows
    assert student in rows
    whole = next(row for row in rows if row[:2] == ["256", "method"])
    assert whole[2:8] == ["30.74", "<0.01", "126.18", "43.60", "4.59", "0.00"]
    assert float(whole[8]) == pytest.approx(30.62 + 40.49 + 4.79, abs=0.05)
    assert len(rows) == 1 + 2 * 5


def test_the_table_tells_what_makes_the_peak(record: MemoryRecord) -> None:
    lines = format_table(record).splitlines()
    words = next(line for line in lines if line.startswith("256 px: needs "))
    assert words.endswith("peak 43.60 MiB in student, aten::avg_pool2d in student.2")
    alive = lines[lines.index(words) + 1]
    assert alive.startswith("  alive in MiB: 1 x aten::convolution of student.0 31.25, ")
    assert lines[-1].startswith("not counted: ")


def test_the_json_says_what_the_device_must_hold(report: dict[str, Any]) -> None:
    entry = report["resolutions"][1]
    held = sum(part["parameters_bytes"] + part["buffers_bytes"] for part in entry["submodules"])
    peak = max(part["peak"]["bytes"] for part in entry["submodules"])
    assert entry["image_bytes"] == 4 * 3 * 256**2
    assert entry["needed_bytes"] == held + peak + entry["image_bytes"]
    alive = entry["submodules"][1]["peak"]["alive"]
    assert alive[0] == {
        "submodule": "student",
        "operator": "aten::convolution",
        "layer": "student.0",
        "tensors": 1,
        "bytes": 4 * 128 * 253**2,
    }


def test_one_unsupported_resolution_refuses_all() -> None:
    variant = parse_variant("reference-fp32", SPEC)
    with pytest.raises(UnsupportedResolutionError, match="200 px"):
        count_report(
            "Mine", SPEC, check_settings(SPEC, {}), variant, [square(256), square(200)], "cpu"
        )


def test_cli_prints_a_table_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "memory.json"
    arguments = ["--method", "efficientad", "--set", "size=S", "--resolution", "256", "300"]
    assert run_cli(*arguments, "-o", str(file)) == 0
    assert "  teacher " in capsys.readouterr().out
    written = json.loads(file.read_text())
    assert written["settings"]["size"] == "S"
    assert [entry["resolution"] for entry in written["resolutions"]] == ["256", "300"]


def test_cli_takes_a_label_and_settings_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = '{"size": "S", "padding": true}'
    named = ["--method", "efficientad", "--label", "Mine", "--settings", settings]
    assert run_cli(*named, "--resolution", "256", "--json", "--variant", "reference-tf32") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["method"] == "Mine"
    expected = {"size": "S", "autoencoder": "adaptive", "padding": True, "weights": None}
    assert printed["settings"] == expected
    assert printed["variant"] == "reference-tf32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "efficientad", "--resolution", "128"], "128 px"),
        (["--method", "effcientad", "--resolution", "256"], "did you mean efficientad?"),
        (["--resolution", "256"], "--method: missing"),
        (["--label", "Mine", "--resolution", "256"], "--method: missing"),
        (["--method", "efficientad", "--variant", "x", "--resolution", "256"], "--variant"),
        (["--method", "efficientad", "--settings", "{", "--resolution", "256"], "is no JSON"),
        (["--method", "efficientad", "--settings", "[]", "--resolution", "256"], "no JSON object"),
        (
            ["--method", "efficientad", "--settings", "{}", "--set", "size=S", "--resolution", "9"],
            "do not go with --set",
        ),
    ],
)
def test_cli_faults_end_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        run_cli(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cli_says_where_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "memory.json"
    with pytest.raises(OutputError, match=r"memory\.json: cannot be written"):
        run_cli("--method", "efficientad", "--resolution", "256", "-o", str(target))


NETWORKS = "tests.profiling.networks"


def test_one_size_that_a_network_refuses_does_not_end_the_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes = ["--resolution", "64", "224", "256"]
    assert run_cli("--method", f"{NETWORKS}:Fixed", *sizes, "--json") == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    (count,) = found["resolutions"]
    assert (count["resolution"], count["incomplete"]) == ("224", None)
    assert [one["resolution"] for one in found["refused"]] == ["64", "256"]
    assert {one["by_method"] for one in found["refused"]} == {True}
    assert told.err.count("warning: Fixed at ") == 2
    assert "Traceback" not in told.err


class Sized(Method):
    """A user's method that says itself where it runs."""

    submodules = ("all",)

    @classmethod
    def resolution_problem(
        cls, _settings: Mapping[str, Any], resolution: Resolution
    ) -> ResolutionProblem | None:
        wanted = square(32)
        return None if resolution == wanted else ResolutionProblem("it is for 32 px", (wanted,))

    @classmethod
    def build(cls, *_args: Any, **_more: Any) -> Sized:
        made = cls()
        made.layer = torch.nn.Conv2d(3, 3, 1)
        return made

    def prepare(self, image: Any) -> torch.Tensor:
        raise NotImplementedError

    def infer(self, image: torch.Tensor, annotate: Any) -> Any:
        with annotate("all"):
            return self.layer(image)


def test_sizes_that_a_users_method_refuses_are_rows_with_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "memory.json"
    target = f"{__name__}:Sized"
    assert run_cli("--method", target, "--resolution", "16", "32", "-o", str(file)) == 0
    told = capsys.readouterr()
    assert ["16", "refused"] in [line.split() for line in told.out.splitlines()]
    assert "warning: Sized at 16 px: not counted: " in told.err
    found = read_record(file, MemoryRecord, "count again")
    assert [count.resolution for count in found.resolutions] == [square(32)]
    (refused,) = found.refused
    assert (refused.resolution, "32 px" in refused.reason) == (square(16), True)
    with pytest.raises(UnsupportedResolutionError, match="16 px"):
        run_cli("--method", target, "--resolution", "16")


def test_a_record_of_an_earlier_version_has_no_refused_sizes(
    tmp_path: Path, report: dict[str, Any]
) -> None:
    earlier = {key: value for key, value in report.items() if key != "refused"}
    file = tmp_path / "memory.json"
    file.write_text(json.dumps(earlier))
    assert read_record(file, MemoryRecord, "count again").refused == ()
    earlier["refused"] = [{"resolution_px": 64, "reason": "exit code 3"}]
    file.write_text(json.dumps(earlier))
    (one,) = read_record(file, MemoryRecord, "count again").refused
    assert not one.by_method


def test_a_network_that_cannot_be_built_ends_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"Failing cannot be built \(KeyError: 'no such thing'\)"):
        run_cli("--method", f"{NETWORKS}:Failing", "--resolution", "64")
