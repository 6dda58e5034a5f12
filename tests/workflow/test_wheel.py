"""The wheel: all packages under `adscale`, the command `adscale`, and little that it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from adscale import __version__
from adscale.digest import code_digest, run_digest
from adscale.methods.registry import get_spec
from adscale.parts import COMMANDS
from tests.conftest import CHECKOUT
from tests.gpu_profiles import GpuRun, record

Run = Callable[..., subprocess.CompletedProcess[str]]

READING = ("numpy", "pyarrow", "adbc_driver_manager", "adbc_driver_sqlite", "typing_extensions")
"""Modules of the packages that reading profiles needs."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    (found,) = folder.glob("adscale-*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, and beside them what it needs to read profiles."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in READING:
        origin = Path(str(getattr(find_spec(name), "origin", None)))
        module = origin.parent if origin.name == "__init__.py" else origin
        (folder / module.name).symlink_to(module)
        libraries = module.with_name(f"{name}.libs")
        if libraries.is_dir():
            (folder / libraries.name).symlink_to(libraries)
    return folder


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Run:
    """Runs a module of the wheel, where nothing else is installed, in a folder of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-P", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(site)},
        )  # fmt: skip

    return run


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    file = tmp_path / "report.sqlite"
    record(GpuRun("method", 64, ("teacher", "student"), lambda *_: 4_000)).write(file)
    return file


def test_everything_lies_under_adscale(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "adscale",
        f"adscale-{__version__}.dist-info",
    }
    ours = [
        f"adscale/{file.relative_to(CHECKOUT).as_posix().removeprefix('adscale/')}"
        for package in ("adscale", *COMMANDS)
        for file in (CHECKOUT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]
    data = ["config/hardware.yaml", "config/presets/quick.yaml", "schemas/attribute-1.json"]
    assert {*ours, *(f"adscale/data/{name}" for name in data)} <= {*names}


def test_a_profile_is_read_from_another_folder(installed: Run, profile: Path) -> None:
    done = installed("-m", "adscale", "attribute", "report.sqlite", "--json", "--kernels")
    assert (done.returncode, done.stderr) == (0, "")
    here = [sys.executable, "-m", "adscale", "attribute", str(profile), "--json", "--kernels"]
    of_checkout = subprocess.run(here, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(of_checkout.stdout)
    assert len(json.loads(done.stdout)["ranges"]) > 5


@pytest.mark.parametrize(
    "arguments",
    [
        "attribute report.sqlite --kernels 2",
        "attribute report.sqlite --csv --sort busy --top 3",
        "attribute report.sqlite --copies -o copies.parquet",
        "attribute report.sqlite -o table.json",
        "diff report.sqlite report.sqlite --fail-if busy>+5%",
        "diff report.sqlite report.sqlite --kernels -o diff.html",
    ],
)
def test_what_reads_profiles_needs_nothing_else(
    installed: Run, profile: Path, arguments: str
) -> None:
    assert profile.is_file()
    done = installed("-c", "from adscale.__main__ import main; main()", *arguments.split())
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def test_a_package_that_is_not_there_is_named_with_the_extra(installed: Run, profile: Path) -> None:
    assert profile.is_file()
    for arguments, package, extra in (
        ("methods", "pydantic", "profiling"),
        ("feasible --sensor-mp 5", "pydantic", "analysis"),
        ("diff --a report.sqlite report2.sqlite --b report.sqlite report2.sqlite", "scipy",
         "analysis"),
    ):  # fmt: skip
        (profile.with_name("report2.sqlite")).write_bytes(profile.read_bytes())
        done = installed("-m", "adscale", *arguments.split())
        assert done.returncode == 2
        assert done.stderr == (
            f"error: this command needs the Python package {package}, which is not installed; "
            f"pip install 'adscale[{extra}]' installs it\n"
        )


def test_it_lists_what_cannot_run_there(installed: Run) -> None:
    done = installed("-m", "adscale")
    assert done.returncode == 0
    assert "profiling:   not installed: pip install 'adscale[profiling]'" in done.stdout
    assert "    attribute         kernel times of the ranges of a profile" in done.stdout


def test_digests_are_those_of_the_checkout(site: Path, tmp_path: Path) -> None:
    """So that what a wheel has counted or measured is not done again in a checkout."""
    program = (
        "from adscale.digest import code_digest, run_digest; "
        "from adscale.methods.registry import get_spec; "
        "print(run_digest(get_spec('ddad')), code_digest('analysis.nsys.power'))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.stdout.split() == [run_digest(get_spec("ddad")), code_digest("analysis.nsys.power")]


@pytest.mark.slow
def test_it_installs_in_an_empty_environment(wheel: Path, profile: Path) -> None:
    """With pip, from its registry: few packages, and the command is on the path."""
    environment = profile.parent / "environment"
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "pip"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", str(wheel)], check=True)
    listed = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    assert len(listed.split("\n")) - 1 <= 8
    assert not {"torch", "pandas", "matplotlib"} & {line.split("==")[0] for line in listed.split()}
    done = subprocess.run(
        [environment / "bin" / "adscale", "attribute", "report.sqlite"],
        cwd=profile.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "adscale:image > adscale:teacher" in done.stdout
