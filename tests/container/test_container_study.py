"""`snakemake --cores 1 --use-singularity`: the same study as on the host, in the image.

Needs the .sif that `test_container.py` builds, or another named by ADSCALE_SIF.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.container.test_container import CACHE, SIF, pytestmark  # noqa: F401 - the same marks
from tests.workflow.conftest import planned, run_study, write_config

IN_CONTAINER = ("--use-singularity", "--cores", "1")


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Apptainer, and for the host the nsys of this kind of machine."""
    assert SIF.is_file(), f"there is no {SIF}; run test_container.py first, or set ADSCALE_SIF"
    os.environ["PATH"] = f"{CACHE / 'apptainer' / 'bin'}:{os.environ['PATH']}"
    os.environ["ADSCALE_NSYS"] = str(CACHE / "nsys" / "bin" / "nsys")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has run on the host, then in the container."""
    folder = tmp_path_factory.mktemp("study")
    configure(folder)
    for arguments, kept in (((), "host"), (IN_CONTAINER, "container")):
        done = run_study(folder, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.copytree(folder / "results" / "tables", folder / "kept" / kept)
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "study"
    shutil.copytree(finished, copy, copy_function=shutil.copy2)
    return copy


def configure(folder: Path, **changes: object) -> None:
    write_config(folder, {"collector": "auto", "container": str(SIF), **changes})


def records(folder: Path, device: str) -> list[dict[str, object]]:
    found = sorted((folder / "results" / device).rglob("run.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def test_both_lie_beside_each_other(finished: Path) -> None:
    host, container = (records(finished, device) for device in ("test", "test-container"))
    assert len(host) == len(container) == 2
    for record in container:
        assert re.fullmatch("sha256:[0-9a-f]{64}", record["request"]["container"])  # type: ignore[index]
    assert all(record["request"]["container"] is None for record in host)  # type: ignore[index]


def test_the_log_shows_the_python_and_nsys_of_the_image(finished: Path) -> None:
    log = finished / "results/logs/profile/test-container/Small/reference-fp32/256.log"
    first = log.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("container sha256:")
    assert "(/opt/adscale/bin/python" in first
    assert "nsys: " in first
    (record, _) = records(finished, "test-container")
    assert record["collector"]["name"] == "nsys"  # type: ignore[index]


@pytest.mark.parametrize("table", ["runtime", "memory", "fits", "implementations"])
def test_the_tables_have_the_same_rows_columns_and_counts(finished: Path, table: str) -> None:
    host, container = (
        pd.read_csv(finished / "kept" / place / f"{table}.csv") for place in ("host", "container")
    )
    assert list(host.columns) == list(container.columns)
    assert len(host) == len(container)
    keys = [
        column
        for column in ("method", "variant", "side_px", "submodule", "role", "clock",
                       "images", "parameters_bytes", "buffers_bytes", "activations_bytes")
        if column in host.columns
    ]  # fmt: skip
    pd.testing.assert_frame_equal(host[keys], container[keys])


def test_nothing_is_done_twice(finished: Path) -> None:
    assert planned(finished, *IN_CONTAINER) == {}


def test_a_changed_setting_measures_its_label_again(study: Path) -> None:
    methods = {
        "Small": {"target": "efficientad", "size": "S", "padding": True},
        "Other": {"target": "efficientad", "size": "S", "resolutions": [256]},
    }
    configure(study, methods={**methods, "Small": {"target": "efficientad", "size": "S"}})
    assert planned(study, *IN_CONTAINER)["profile"] == 1  # the new label
    configure(study, methods=methods)
    assert planned(study, *IN_CONTAINER)["profile"] == 1 + 2


def test_another_image_measures_in_the_container_again_and_not_on_the_host(study: Path) -> None:
    other = study / "other.sif"
    shutil.copyfile(SIF, other)
    with other.open("ab") as stream:
        stream.write(b"\0")  # the content is another, and it runs all the same
    configure(study, container=str(other))
    assert planned(study, *IN_CONTAINER)["profile"] == 2
    other.unlink()
    assert "profile" not in planned(study)


def test_the_same_image_elsewhere_measures_nothing(study: Path) -> None:
    moved = study / "moved.sif"
    moved.symlink_to(SIF)
    configure(study, container=str(moved))
    assert "profile" not in planned(study, *IN_CONTAINER)


def test_a_missing_image_is_found_in_a_dry_run(study: Path) -> None:
    configure(study, container="no.sif")
    done = run_study(study, *IN_CONTAINER, "-n")
    assert done.returncode != 0
    assert "there is no image no.sif" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
