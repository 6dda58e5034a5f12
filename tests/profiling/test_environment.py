"""Planning a study in a container, and where its runs refuse to be measured. No container here."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adscale.config import load_config
from adscale.errors import CollectorError, ConfigError, DeviceError
from adscale.plan import plan_runs
from profiling.launcher import check_container
from profiling.study.environment import (
    Image,
    choose_in_image,
    container_prefix,
    find_image,
    host_prefix,
    prepare_environment,
)

DIGEST = "sha256:" + "0a" * 32
METHODS = {"Small": {"target": "efficientad", "size": "S"}}


def study(**changes: Any) -> Any:
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS, **changes}
    return load_config(config)


def test_runs_in_a_container_are_those_of_a_device_of_their_own() -> None:
    on_host, inside = (plan_runs(study(), "nsys", digest) for digest in (None, DIGEST))
    assert {path.split("/")[0] for path in on_host} == {"local"}
    assert {path.split("/")[0] for path in inside} == {"local-container"}
    assert all(run.request.container == DIGEST for run in inside.values())


def test_another_image_changes_every_run_in_a_container() -> None:
    before, after = (plan_runs(study(), "nsys", d) for d in (DIGEST, "sha256:" + "0b" * 32))
    assert before.keys() == after.keys()
    assert all(before[p].request.as_json() != after[p].request.as_json() for p in before)


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.sif", tmp_path / "b.sif"
    for file in (first, second):
        file.write_bytes(b"an image")
    expected = "sha256:" + hashlib.sha256(b"an image").hexdigest()
    cache = tmp_path / "cache"
    assert find_image(str(first), cache).digest == expected
    assert find_image(str(first), cache).digest == expected  # from the cache
    other = find_image(str(second), cache)
    assert (other.digest, other.url) == (expected, find_image(str(first), cache).url)
    first.write_bytes(b"another image")
    changed = find_image(str(first), cache)
    assert changed.digest != expected
    assert changed.url != other.url
    assert Path(changed.url).read_bytes() == b"another image"


def test_a_damaged_cache_is_not_believed(tmp_path: Path) -> None:
    file, cache = tmp_path / "a.sif", tmp_path / "cache"
    file.write_bytes(b"an image")
    digest = find_image(str(file), cache).digest
    for kept in cache.glob("*.txt"):
        kept.write_text("sha256:half", encoding="utf-8")
    assert find_image(str(file), cache).digest == digest


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"container: there is no image no\.sif; .*make image"):
        find_image("no.sif", tmp_path)


@pytest.mark.parametrize("address", ["docker://a/b:latest", "docker://a/b@sha256:12", "oras://a"])
def test_an_address_without_a_digest_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a tag can move"):
        find_image(address, tmp_path)


def test_an_address_with_a_digest(tmp_path: Path) -> None:
    address = f"docker://ghcr.io/a/b@{DIGEST}"
    assert find_image(address, tmp_path) == Image(address, address, DIGEST, None)
    assert choose_in_image("auto", Image(address, address, DIGEST, None), tmp_path).name == "nsys"


def stand_in(folder: Path, script: str) -> str:
    """A program called apptainer, which answers as an image would; PATH to find it."""
    program = folder / "apptainer"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_the_nsys_of_an_image_is_tested_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    monkeypatch.setenv("PATH", stand_in(tmp_path, f"echo called >>{calls}; echo recorded 7 of 7"))
    image = Image("x.sif", "x.sif", DIGEST, tmp_path / "x.sif")
    for _ in range(2):
        choice = choose_in_image("auto", image, tmp_path / "cache")
        assert (choice.name, choice.reason) == ("nsys", "x.sif: recorded 7 of 7")
    assert calls.read_text() == "called\n"


def test_an_image_whose_nsys_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "echo 'recorded 0 of 7 ranges' >&2; exit 1"
    monkeypatch.setenv("PATH", stand_in(tmp_path, script))
    image = Image("x.sif", "x.sif", DIGEST, tmp_path / "x.sif")
    choice = choose_in_image("auto", image, tmp_path / "cache")
    assert choice.name == "embedded"
    assert "recorded 0 of 7" in choice.reason
    with pytest.raises(CollectorError, match="recorded 0 of 7"):
        choose_in_image("nsys", image, tmp_path / "cache")


def test_without_apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CollectorError, match="no apptainer or singularity"):
        choose_in_image("auto", Image("x.sif", "x.sif", DIGEST, tmp_path / "x.sif"), tmp_path)


def test_jobs_in_a_container_see_the_files_of_the_user(tmp_path: Path) -> None:
    images, weights = tmp_path / "images", tmp_path / "weights.pth"
    images.mkdir()
    weights.touch()
    methods = {"Small": {**METHODS["Small"], "weights": str(weights)}}
    environment = {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}/no/such/folder",
        "APPTAINER_BIND": "/data",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    prepare_environment(study(images=str(images), methods=methods), Path("/checkout"), environment)
    places = ["/checkout", str(images), str(weights), str(tmp_path)]
    assert environment["APPTAINER_BIND"] == ",".join(["/data", *(f"{p}:{p}" for p in places)])
    assert environment["SINGULARITY_BIND"].startswith("/checkout:/checkout,")
    assert environment["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "1"
    assert "APPTAINERENV_ADSCALE_CACHE" not in environment


def test_a_container_sees_where_links_among_images_lead(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / f"store-{number}").mkdir()
        (tmp_path / f"store-{number}" / "i.png").touch()
        (tmp_path / "data" / f"{number}.png").symlink_to(f"../store-{number}/i.png")
    environment: dict[str, str] = {}
    prepare_environment(study(images=str(tmp_path / "data")), Path("/checkout"), environment)
    places = [str(tmp_path / name) for name in ("data", "store-0", "store-1", "store-2")]
    assert environment["APPTAINER_BIND"] == ",".join(f"{p}:{p}" for p in ["/checkout", *places])


def test_of_many_such_folders_it_sees_the_one_around_them(tmp_path: Path) -> None:
    """As in a folder of git-annex or DVC, where each image is a link of its own."""
    (tmp_path / "data").mkdir()
    for number in range(30):
        store = tmp_path / "store" / str(number)
        store.mkdir(parents=True)
        (store / "i.png").touch()
        (tmp_path / "data" / f"{number}.png").symlink_to(store / "i.png")
    environment: dict[str, str] = {}
    prepare_environment(study(images=str(tmp_path / "data")), Path("/checkout"), environment)
    assert environment["APPTAINER_BIND"].endswith(f"{tmp_path / 'store'}:{tmp_path / 'store'}")


def shell(command: str, folder: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", command], env={"PATH": os.environ["PATH"], **environment}, cwd=folder,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_the_environment_in_a_container_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/own methods")
    monkeypatch.chdir(tmp_path)
    prefix = container_prefix(Path("/check out"), Path(".cache"))
    said = shell(
        f'{prefix} echo "$PYTHONPATH"; echo "$XDG_CACHE_HOME"; echo "$TORCH_HOME"; echo "$PATH"',
        tmp_path, PATH="/image/bin:/bin",
    )  # fmt: skip
    cache = tmp_path / ".cache"
    assert said == ["/check out:/own methods", str(cache), str(cache / "torch"), "/image/bin:/bin"]


def test_the_environment_on_the_host_keeps_the_users_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/own methods")
    said = shell(f'{host_prefix(Path("/checkout"), None)} echo "$PYTHONPATH"', tmp_path)
    assert said == ["/checkout:/own methods"]


@pytest.mark.parametrize("variable", ["APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"])
def test_a_run_that_belongs_into_a_container(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    inside = next(iter(plan_runs(study(), "nsys", DIGEST).values())).request
    on_host = next(iter(plan_runs(study(), "nsys").values())).request
    check_container(on_host)
    with pytest.raises(DeviceError, match="call snakemake with --use-singularity"):
        check_container(inside)
    monkeypatch.setenv(variable, "/x.sif")
    check_container(inside)


def test_a_gpu_is_named_by_its_uuid() -> None:
    device = {"type": "cuda", "gpu": "GPU-5fe21a7d-0000-1111-2222-333344445555"}
    run = next(iter(plan_runs(study(device=device), "nsys").values()))
    assert json.loads(run.request.as_json())["gpu"] == device["gpu"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"type": "cuda", "gpu": "0"}, "device.gpu"),
        ({"type": "cpu", "gpu": "GPU-5fe21a7d"}, "a GPU is named, but the device is a CPU"),
    ],
)
def test_a_gpu_that_cannot_be_taken(device: dict[str, str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        study(device=device)
