"""What envs/image.sh asks of docker, podman, buildah and Apptainer, shown with stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from adscale import __version__
from tests.conftest import CHECKOUT

TOOLS = (
    "sh",
    "sed",
    "git",
    "mkdir",
    "dirname",
    "basename",
    "mktemp",
    "rm",
    "mv",
    "cut",
    "sha256sum",
)
"""All of a system that the script may use beside what it looks for."""

STAND_IN = """#!/bin/sh
echo "{name} $*" >>"$CALLS"
case "$*" in
    "build --help") echo "--mksquashfs-args string" ;;
    *inspect*) echo sha256:of-the-image ;;
    build*new.sif*) for word; do case $word in *.sif) echo sif >"$word" ;; esac; done ;;
esac
"""


class Machine:
    """A machine with these programs and no others, and a checkout."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.calls = folder / "calls"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)
        for name in programs:
            program = self.bin / name
            program.write_text(STAND_IN.format(name=name))
            program.chmod(0o755)
        self.checkout = folder / "checkout"
        self.checkout.mkdir()
        for name in ("envs", "adscale"):
            (self.checkout / name).symlink_to(CHECKOUT / name)

    def image(self, what: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "envs/image.sh", what],
            cwd=self.checkout,
            env={"PATH": str(self.bin), "CALLS": str(self.calls), **variables},
            capture_output=True,
            text=True,
        )

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("programs", "what", "parts"),
    [
        ([], "build", ["docker, podman or buildah", "apt-get install -y podman"]),
        ([], "sif", ["docker, podman or buildah"]),
        (["docker"], "sif", ["no apptainer or singularity", "https://"]),
        (["apptainer"], "check", ["there is no build/adscale.sif", "make image"]),
        ([], "digest", ["there is no build/adscale.sif", "make image"]),
        ([], "other", ["usage"]),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    tmp_path: Path, programs: list[str], what: str, parts: list[str]
) -> None:
    done = Machine(tmp_path, *programs).image(what)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    for part in parts:
        assert part in line


@pytest.mark.parametrize("lock", ["envs/nowhere.txt", "profiling/__init__.py"])
def test_a_lock_that_the_build_does_not_see_is_named(tmp_path: Path, lock: str) -> None:
    done = Machine(tmp_path, "docker").image("build", LOCK=lock)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert lock in line


@pytest.mark.parametrize(
    ("engine", "begin"),
    [("docker", "docker build"), ("podman", "podman build"), ("buildah", "buildah bud --layers")],
)
def test_variables_become_build_arguments(tmp_path: Path, engine: str, begin: str) -> None:
    machine = Machine(tmp_path, engine)
    done = machine.image(
        "build", BASE_IMAGE="base@sha256:0", LOCK="envs/container-cpu.txt", IMAGE="mine",
        SOURCE="https://example.org", BUILD_ARGS="--build-arg NSYS_PACKAGE=other",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    build = machine.called()[0]
    assert build.startswith(f"{begin} -t mine ")
    for argument in (
        "LOCK=envs/container-cpu.txt",
        "BASE_IMAGE=base@sha256:0",
        "NSYS_PACKAGE=other",
        "SOURCE=https://example.org",
        f"VERSION={__version__}",
    ):
        assert f"--build-arg {argument} " in build
    assert build.endswith(" .")
    assert "image: mine is sha256:of-the-image" in done.stdout


def test_another_command_builds_where_one_is_given(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "buildah", "builder")
    done = machine.image("build", BUILD_COMMAND="builder --option", IMAGE="mine")
    assert done.returncode == 0, done.stderr
    assert machine.called()[0].startswith("builder --option mine --build-arg ")
    assert machine.called()[0].endswith(" .")


def test_no_password_of_the_remote_gets_into_the_image(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "docker")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    for command in (
        ["git", "init", "-q"],
        ["git", "remote", "add", "origin", "https://me:secret@example.org/adscale.git"],
    ):
        subprocess.run(command, cwd=machine.checkout, env=environment, check=True)
    assert machine.image("build").returncode == 0
    assert "SOURCE=https://example.org/adscale.git" in machine.called()[0]


@pytest.mark.parametrize(
    ("engine", "saves", "archive"),
    [
        ("docker", "docker save -o", "docker-archive:"),
        ("podman", "podman save -q --format oci-archive -o", "oci-archive:"),
        ("buildah", "buildah push -q", "oci-archive:"),
    ],
)
def test_a_sif_is_made_of_what_the_engine_saved(
    tmp_path: Path, engine: str, saves: str, archive: str
) -> None:
    machine = Machine(tmp_path, engine, "singularity")
    done = machine.image("sif", SIF="deep/adscale.sif")
    assert done.returncode == 0, done.stderr
    save, _, convert = machine.called()
    assert save.startswith(saves)
    assert archive in convert
    assert (machine.checkout / "deep" / "adscale.sif").read_text() == "sif\n"
    assert [path.name for path in (machine.checkout / "deep").iterdir()] == ["adscale.sif"]
    assert "deep/adscale.sif is sha256:" in done.stdout


def test_a_failed_conversion_leaves_the_former_sif(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "docker", "apptainer")
    (machine.bin / "apptainer").write_text("#!/bin/sh\nexit 1\n")
    former = machine.checkout / "adscale.sif"
    former.write_text("former")
    done = machine.image("sif", SIF="adscale.sif")
    assert done.returncode == 1
    assert "image: apptainer could not make adscale.sif" in done.stderr
    assert former.read_text() == "former"
    assert sorted(path.name for path in machine.checkout.iterdir()) == [
        "adscale", "adscale.sif", "envs",
    ]  # fmt: skip
