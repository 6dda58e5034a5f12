"""A study from its configuration to what the rules work on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adscale.config import load_config
from adscale.devices import detect_device_type
from adscale.errors import ConfigError, UserError
from adscale.methods.registry import check_files
from adscale.plan_file import VARIABLE
from adscale.resolution import square
from profiling.collectors.nsys import find_nsys
from profiling.study.checks import check_folders
from profiling.study.setup import Call, set_up
from tests.gpu_profiles import GpuRun, run_document
from tests.shared_folders import as_nobody

CONFIG = {
    "preset": "smoke", "device": {"type": "cpu", "threads": 2}, "collector": "embedded",
    "methods": {"S": {"target": "efficientad", "size": "S"}}, "resolutions": [256],
    "variants": ["reference-fp32"],
}  # fmt: skip
HERE = Call(in_container=False, is_job=False, is_submitted=False)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "")  # which is put back afterwards
    for program in ("APPTAINER", "SINGULARITY"):
        monkeypatch.setenv(f"{program}_BIND", "")


def config(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, **changes}


def test_the_runs_are_planned_and_decided_on(tmp_path: Path) -> None:
    setup = set_up(config(), HERE)
    assert list(setup.plan.runs) == ["local/S/reference-fp32/256"]
    assert setup.collector.name == "embedded"
    for run in setup.plan.runs:
        for name in ("run.json", "latency.json"):
            assert setup.decisions.file(f"{run}/{name}").is_file()
    assert f"--plan {os.environ[VARIABLE]}" in setup.prefix
    assert (tmp_path / os.environ[VARIABLE]).is_file()


def test_a_job_carries_out_the_plan_that_was_made() -> None:
    """Whatever has become of the configuration."""
    planned = set_up(config(), HERE).plan
    job = set_up(config(resolutions=[512]), HERE._replace(is_job=True))
    assert job.plan == planned


def test_variants_that_this_machine_lacks_something_for_are_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    wanted = ["reference-fp32", "optimized-fp32-compile", "reference-bf16"]
    setup = set_up(config(variants=wanted), HERE)
    runs = [f"local/S/{name}/256" for name in ("reference-fp32", "reference-bf16")]
    assert list(setup.plan.runs) == runs
    (note,) = setup.study.notes
    assert "optimized-fp32-compile" in note
    assert "install g++" in note
    # what is counted needs no compiler, and jobs, which do not ask, plan the same
    assert [str(one) for one in setup.study.methods[0].variants] == wanted
    job = set_up(config(variants=wanted), HERE._replace(is_job=True))
    assert (job.plan, job.study.methods) == (setup.plan, setup.study.methods)
    with pytest.raises(UserError, match=r"methods\.S: .*needs a C\+\+ compiler"):
        set_up(config(variants=["optimized-fp32-compile"]), HERE)
    # of machines that others are, nothing is known here
    submitted = HERE._replace(is_submitted=True)
    assert len(set_up(config(variants=wanted), submitted).plan.runs) == 3


def test_options_are_told_where_snakemake_does_not_compare() -> None:
    before = set_up(config(), HERE)
    after = set_up(config(skip_predicted_out_of_memory=True), HERE)
    assert "--skip-predicted-out-of-memory" in after.prefix
    assert after.plan == before.plan


def test_in_a_container_runs_are_those_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "x.sif").write_bytes(b"an image")
    call = HERE._replace(in_container=True)
    setup = set_up(config(container="x.sif"), call)
    assert list(setup.plan.runs) == ["local-container/S/reference-fp32/256"]
    assert (tmp_path / setup.container).read_bytes() == b"an image"
    assert os.environ["APPTAINER_BIND"]


def test_a_cluster_needs_a_configuration_that_means_the_same_there() -> None:
    with pytest.raises(UserError, match="auto"):
        set_up(config(collector="auto"), HERE._replace(is_submitted=True))


def refused(changes: dict[str, Any], call: Call = HERE) -> str:
    """The refusal, before which no plan was made."""
    with pytest.raises(UserError) as caught:
        set_up(config(**changes), call)
    assert not list(Path(".snakemake").rglob("decided"))
    return str(caught.value)


@pytest.mark.parametrize("call", [HERE, HERE._replace(is_dry=True)])
@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"weights": "nowhere.pth"}, "methods.S.weights: no such file nowhere.pth"),
        ({"weights": "."}, "methods.S.weights: no such file"),
        (
            {"target": "patchcore", "normal_images": "nowhere"},
            "methods.S.normal_images: no such folder nowhere",
        ),
        (
            {"target": "torch.nn:Flatten", "weights": "a/b.pt"},
            "methods.S.weights: no such file a/b.pt",
        ),
    ],
)
def test_files_of_a_method_that_are_not_there_are_told(
    settings: dict[str, Any], place: str, call: Call
) -> None:
    methods = {"S": {"target": "efficientad", **settings}}
    assert refused({"methods": methods}, call).startswith(place)


def test_what_is_no_path_of_a_foreign_method_is_left_to_it() -> None:
    methods = {"S": {"target": "torch.nn:Flatten", "weights": "DEFAULT"}}
    spec = load_config(config(methods=methods)).methods[0]
    check_files(spec.spec, spec.settings)


@pytest.mark.parametrize(
    ("content", "what"),
    [({}, "there is no image in it"), ({"a.png": b"broken"}, "none of 1 images can be read")],
)
def test_a_folder_without_images_is_told_before_any_job(
    content: dict[str, bytes], what: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    told = refused({"images": str(folder)})
    assert told.startswith("images: ")
    assert what in told


GPU = {"device": {"type": "cuda", "threads": 2}}
no_gpu = pytest.mark.skipif(detect_device_type() == "cuda", reason="an NVIDIA driver is here")


@no_gpu
def test_a_gpu_that_is_not_there_is_told_before_any_job() -> None:
    assert refused(GPU).startswith("device.type: cuda was asked for")
    set_up(config(**GPU), HERE._replace(is_dry=True))  # only to look
    set_up(config(**GPU, latency=False), HERE._replace(is_submitted=True))  # it is elsewhere


@no_gpu
def test_what_was_measured_on_a_gpu_needs_none_for_its_tables(tmp_path: Path) -> None:
    plan = set_up(config(**GPU, latency=False), HERE._replace(is_dry=True)).plan
    (run,) = plan.runs.values()
    document = run_document(GpuRun("S", 256, ("a",), lambda _name, _image: 4),
                            request=run.request.as_dict())  # fmt: skip
    file = tmp_path / "results" / run.path / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(document))
    set_up(config(**GPU, latency=False), HERE)


def test_another_collector_than_before_is_taken_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ADSCALE_NSYS", raising=False)
    if find_nsys(None) is not None:
        pytest.skip("nsys is installed here")
    file = tmp_path / "results/local/S/reference-fp32/256/run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"status": "ok", "request": {"collector": "nsys"}}))
    assert "was measured with nsys, which is not found" in refused({"collector": "auto"})
    set_up(config(collector="embedded"), HERE)


def test_keys_named_twice_and_lists_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("methods:\n  S: {target: ddad}\n  S: {target: efficientad}\n")
    assert "'S' is named twice" in refused({}, HERE._replace(files=[file]))
    # Snakemake leaves texts in lists, and has put them over the file's already
    given = {"resolutions": ["256", "288"], "device": {"threads": "1"}}
    setup = set_up(config(resolutions=["256", "288"]), HERE._replace(given=given))
    assert setup.study.methods[0].resolutions == (square(256), square(288))
    assert setup.study.devices[0].threads == 1
    assert setup.study.devices[0].type == "cpu"


@pytest.mark.parametrize("closed", [".", "results", "results/a"])
def test_folders_that_cannot_be_written_are_told_before_anything(
    open_folder: Path, closed: str
) -> None:
    (open_folder / "results" / "a").mkdir(parents=True)
    folders = (open_folder, open_folder / "results", open_folder / "results" / "a")
    written = [open_folder / "new", folders[1] / "b" / "c", folders[2]]
    for folder in folders:
        folder.chmod(0o777)
    with as_nobody():
        check_folders(written)
    (open_folder / closed).chmod(0o555)
    with as_nobody(), pytest.raises(ConfigError, match="can be written; see to its") as refused:
        check_folders(written)
    assert Path(refused.value.where) == open_folder / closed


def test_a_file_in_place_of_a_folder_is_told_before_anything(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(ConfigError, match="results: is no folder that can be written"):
        set_up(config(), HERE)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
