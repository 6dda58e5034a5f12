"""The container image, built for real on a Debian base and without a registry.

What they need is in ../shared/tools: a base made by debootstrap, buildah, Apptainer, and an nsys
that is put into the base. The .sif stays at ADSCALE_SIF (build/adscale.sif) for other tests.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adscale import __version__
from tests.conftest import CHECKOUT

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(
        os.environ.get("ADSCALE_TEST_CONTAINER") != "1",
        reason="builds a container image (ADSCALE_TEST_CONTAINER=1, make test-container)",
    ),
]

TOOLS = CHECKOUT.parent / "shared" / "tools"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "adscale-ci"
SIF = Path(os.environ.get("ADSCALE_SIF", CHECKOUT / "build" / "adscale.sif")).resolve()
BASE = "localhost/adscale-test-base"
PLAIN_BASE = "localhost/adscale-test-plain-base"
IMAGE = "localhost/adscale-test"

HEAVY = ("apt-get install -y -q --no-install-recommends $packages", "command -v nsys", "-m pip")
"""Parts of the steps that take minutes."""

LOSING_NVTX = (
    "nvtx==0.2.12 --hash=sha256:b18cc0e8dcade60621d406ac2c71fcc14bdaa919a0352210760bfc3e92db428f"
)
"""The wheel for the Python 3.11 of the base, of which nsys 2023.4.4 records nothing."""


def succeed(*command: object, environment: dict[str, str] | None = None) -> str:
    done = run(*command, environment=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def run(
    *command: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )


@dataclass
class Built:
    """An image that was built, and the environment in which buildah and Apptainer know it."""

    environment: dict[str, str]
    log: str = ""

    def build(
        self, context: Path, image: str, lock: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return run(
            "sh", "-c", f'cd "{context}" && sh envs/image.sh build',
            environment={**self.environment, "IMAGE": image, "LOCK": lock, **variables},
        )  # fmt: skip

    def inside(self, *command: str) -> str:
        return succeed(
            "apptainer", "exec", "--cleanenv", "--no-home", SIF, *command,
            environment=self.environment,
        )  # fmt: skip


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A place to build, with the base image in it; of its gigabytes nothing stays."""
    for program in ("buildah", "debootstrap"):
        assert shutil.which(program), f"no {program} here: apt-get install -y {program}"
    succeed(TOOLS / "install_apptainer.sh", CACHE / "apptainer")
    succeed(TOOLS / "install_nsys.sh", CACHE / "nsys")
    folder = tmp_path_factory.mktemp("container")
    kept = os.environ.get("ADSCALE_CONTAINER_STORAGE")  # layers for the next time, if wanted
    storage = Path(kept) if kept else folder / "storage"
    configuration = folder / "storage.conf"
    configuration.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{storage}"\nrunroot = "{folder / "run"}"\n'
    )
    environment = {
        "CONTAINERS_STORAGE_CONF": str(configuration),
        "PATH": f"{CACHE / 'apptainer' / 'bin'}:{os.environ['PATH']}",
        "BUILD_COMMAND": str(TOOLS / "build_image.sh"),
        "ENGINE": "buildah",
        "BASE_IMAGE": BASE,
        "SIF": str(SIF),
        "SOURCE": "https://example.org/adscale",
    }
    if run("buildah", "inspect", "--type", "image", BASE, environment=environment).returncode:
        rootfs = folder / "rootfs"
        succeed("debootstrap", "--variant=minbase", "bookworm", rootfs)
        succeed(TOOLS / "image_from_rootfs.sh", rootfs, PLAIN_BASE, environment=environment)
        shutil.copytree(CACHE / "nsys", rootfs / "opt" / "nsys", symlinks=True)
        (rootfs / "usr" / "local" / "bin" / "nsys").symlink_to("/opt/nsys/bin/nsys")
        succeed(TOOLS / "image_from_rootfs.sh", rootfs, BASE, environment=environment)
        shutil.rmtree(rootfs)
    try:
        yield Built(environment)
    finally:
        if not kept:
            run("buildah", "rm", "--all", environment=environment)
            run("buildah", "rmi", "--all", "--force", environment=environment)
            run("umount", storage / "overlay")
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def built(builder: Built) -> Built:
    """The image of this checkout with the packages for a CPU, and its .sif."""
    done = builder.build(CHECKOUT, IMAGE, "envs/container-cpu.txt")
    assert done.returncode == 0, done.stdout[-4000:]
    builder.log = done.stdout
    SIF.unlink(missing_ok=True)
    builder.log += succeed(
        "sh", "envs/image.sh", "sif", environment={**builder.environment, "IMAGE": IMAGE}
    )
    return builder


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of what the build reads, to be edited."""
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    for name in ("envs", "profiling"):
        shutil.copytree(
            CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_its_packages_are_imported_from_the_image(built: Built) -> None:
    code = (
        "import torch, torchvision, faiss, nvtx, pandas, pyarrow, matplotlib, timm, skimage; "
        "print(torch.__version__.split('+')[0], torch.__file__)"
    )
    said = built.inside("python", "-c", code).split()
    pinned = re.search(
        r"^torch==(\S+)", (CHECKOUT / "envs" / "torch.txt").read_text(), re.MULTILINE
    )
    assert pinned is not None
    assert said[-2] == pinned[1]
    assert said[-1].startswith("/opt/adscale/")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["profiling", "methods"], "patchcore: "),
        (["analysis", "--help"], "attribute"),
    ],
)
def test_the_code_of_the_checkout_runs_in_it(
    built: Built, command: list[str], expected: str
) -> None:
    bind = ["--bind", f"{CHECKOUT}:/checkout:ro", "--env", "PYTHONPATH=/checkout"]
    said = succeed(
        "apptainer", "exec", "--cleanenv", "--no-home", *bind, "--pwd", "/checkout", SIF,
        "python", "-B", "-m", *command, environment=built.environment,
    )  # fmt: skip
    assert expected in said


def test_its_nsys_records_the_ranges_of_its_nvtx(built: Built) -> None:
    recorded = "recorded 7 of 7 ranges"
    assert recorded in built.inside("cat", "/opt/adscale/self-test.txt")
    # an nsys that the host's environment names is none of the image's
    environment = {**built.environment, "ADSCALE_NSYS": "/nowhere/nsys"}
    assert recorded in succeed("sh", "envs/image.sh", "check", environment=environment)


def test_it_runs_as_no_root(built: Built) -> None:
    configured = succeed(
        "buildah", "inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}}", IMAGE,
        environment=built.environment,
    )  # fmt: skip
    user = configured.strip()
    assert user == "adscale"
    assert int(built.inside("id", "-u", user)) > 0


def test_it_keeps_no_caches_and_no_code(built: Built) -> None:
    left = built.inside(
        "find", "/var/lib/apt/lists", "/var/cache/apt", "/home/adscale", "/opt", "-xdev",
        "(", "-name", "*.whl", "-o", "-name", "*.deb", "-o", "-name", ".cache",
        "-o", "-name", "*_Packages*", "-o", "-name", "pkgcache.bin",
        "-o", "-name", "self_test.py", ")",
    )  # fmt: skip
    # Python's own test of its bundled pip
    assert [line for line in left.splitlines() if "/ensurepip/" not in line] == []


def test_its_labels_say_what_it_is(built: Built) -> None:
    said = succeed("apptainer", "inspect", "--json", SIF, environment=built.environment)
    labels = json.loads(said)["data"]["attributes"]["labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.source"] == "https://example.org/adscale"
    assert labels["org.opencontainers.image.base.name"] == BASE


def test_its_digest_is_told_without_running_it(built: Built) -> None:
    with SIF.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    assert f"sha256:{digest}" in built.log
    environment = {**built.environment, "PATH": "/usr/bin:/bin"}  # no Apptainer there
    assert f"sha256:{digest}" in succeed("sh", "envs/image.sh", "digest", environment=environment)


def test_an_edit_of_the_code_builds_nothing_again(built: Built, context: Path) -> None:
    before = image_id(built, IMAGE)
    with (context / "profiling" / "collectors" / "nsys" / "find.py").open("a") as stream:
        stream.write("\n# edited\n")
    done = built.build(context, IMAGE, "envs/container-cpu.txt")
    assert done.returncode == 0, done.stdout[-4000:]
    for part in HEAVY:
        assert cached(done.stdout, part), f"{part!r} ran again:\n{done.stdout[-4000:]}"
    assert image_id(built, IMAGE) == before


def test_another_lock_installs_again(builder: Built, context: Path) -> None:
    """The other side of the test above: what has to run again does."""
    small_lock(context, locked_nvtx())
    log = []
    for comment in ("", "# edited\n"):
        with (context / "envs" / "small.txt").open("a") as stream:
            stream.write(comment)
        done = builder.build(context, "localhost/adscale-test-small", "envs/small.txt")
        assert done.returncode == 0, done.stdout[-4000:]
        log.append(done.stdout)
    assert "recorded 7 of 7 ranges" in log[1]
    assert not cached(log[1], "-m pip")


def test_an_nvtx_whose_ranges_its_nsys_loses_fails_the_build(builder: Built, context: Path) -> None:
    small_lock(context, LOSING_NVTX)
    done = builder.build(context, "localhost/adscale-test-bad", "envs/small.txt")
    assert done.returncode != 0
    assert "self-test of nsys failed: nsys 2023.4.4" in done.stdout
    assert "with nvtx 0.2.12 recorded 0 of 7 ranges" in done.stdout
    assert "install nvtx==0.2.11" in done.stdout


def test_nsys_comes_from_a_signed_repository_where_the_base_has_none(
    builder: Built, context: Path, repository: str
) -> None:
    small_lock(context, locked_nvtx())
    done = builder.build(
        context, "localhost/adscale-test-nsys", "envs/small.txt",
        BASE_IMAGE=PLAIN_BASE, BUILD_ARGS=f"--build-arg NSYS_REPOSITORY={repository}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Setting up nsight-systems-cli-2024.6.1" in done.stdout
    assert "recorded 7 of 7 ranges" in done.stdout


@pytest.fixture
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a repository laid out as NVIDIA's, with a package laid out as theirs is."""
    for program in ("gpg", "dpkg-scanpackages", "apt-ftparchive"):
        assert shutil.which(program), f"no {program}: apt-get install -y gpg dpkg-dev apt-utils"
    folder = tmp_path_factory.mktemp("repository")
    package, served = folder / "package", folder / "served"
    served.mkdir()
    nsys = package / "opt" / "nvidia" / "nsight-systems-cli" / "2024.6.1"
    for name in ("host-linux-x64", "target-linux-x64"):
        shutil.copytree(CACHE / "nsys" / name, nsys / name, symlinks=True)
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN" / "control").write_text(
        "Package: nsight-systems-cli-2024.6.1\nVersion: 2024.6.1.90-1\nArchitecture: amd64\n"
        "Maintainer: tests\nDescription: nsys of another version, as the package of this one\n"
    )
    succeed("dpkg-deb", "-Znone", "--root-owner-group", "-b", package, served / "nsys.deb")
    home = folder / "gpg"
    home.mkdir(mode=0o700)
    succeed(
        "sh", "-euc",
        "cd \"$1\"; dpkg-scanpackages . >Packages; apt-ftparchive release . >../Release;"
        " mv ../Release Release;"
        " gpg --batch --passphrase '' --quick-generate-key tests default default never;"
        " gpg --batch --clearsign -o InRelease Release; gpg --armor --export >nvidia.pub",
        "sh", served, environment={"GNUPGHOME": str(home)},
    )  # fmt: skip
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        run("gpgconf", "--kill", "gpg-agent", environment={"GNUPGHOME": str(home)})
        shutil.rmtree(folder)


def small_lock(context: Path, hashes: str) -> None:
    """A lock of nvtx alone: an image in seconds."""
    (context / "envs" / "small.txt").write_text(f"{hashes}\n")


def locked_nvtx() -> str:
    lock = (CHECKOUT / "envs" / "container-cpu.txt").read_text()
    found = re.search(r"^nvtx==.*(?:\n +--hash=.*)+", lock, re.MULTILINE)
    assert found is not None
    return found[0]


def image_id(built: Built, image: str) -> str:
    return succeed(
        "buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", image,
        environment=built.environment,
    )  # fmt: skip


def cached(log: str, part: str) -> bool:
    """Whether buildah took the step with that text from its cache."""
    lines = log.splitlines()
    steps = [number for number, line in enumerate(lines) if "STEP" in line and part in line]
    assert steps, f"no step with {part!r}:\n{log[-4000:]}"
    return all("Using cache" in lines[number + 1] for number in steps)
