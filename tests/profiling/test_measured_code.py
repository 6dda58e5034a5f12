"""The list of what a measurement depends on: it is complete, and what it says comes true."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from adscale import digest
from adscale.digest import PACKAGES, ROOT, listed_modules, run_digest, run_modules
from adscale.measured_code import FOREIGN, MEASURED, METHODS, NOT_MEASURED
from adscale.methods.registry import all_specs, get_spec
from adscale.methods.spec import MethodSpec
from adscale.request import Sampling
from adscale.resolution import square
from tests.study_requests import plain_request

ENTRIES = ("profiling.launcher", "profiling.cli.measure")
UNMEASURED = set(listed_modules(NOT_MEASURED))
ADVICE = "add it to MEASURED, METHODS or, with the reason, NOT_MEASURED in adscale/measured_code.py"


def ours(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in PACKAGES}


def imported(spec: MethodSpec) -> set[str]:
    """What the modules that are measured import from ours, at once or through one another."""
    seen: set[str] = set()
    waiting = [*ENTRIES, *(FOREIGN if spec.foreign else [spec.factory.partition(":")[0]])]
    while waiting:
        name = waiting.pop()
        if name not in seen and digest._file(name, ROOT).is_file():
            seen.add(name)
            if name not in UNMEASURED:
                waiting.extend(digest._imports(name, ROOT, PACKAGES))
    return seen


SPECS = [*all_specs(), get_spec("json:JSONDecoder")]


@pytest.mark.parametrize("spec", SPECS, ids=[spec.target for spec in SPECS])
def test_what_a_run_imports_is_listed(spec: MethodSpec) -> None:
    assert imported(spec) - run_modules(spec) - UNMEASURED == set(), ADVICE


@pytest.mark.parametrize("spec", SPECS, ids=[spec.target for spec in SPECS])
def test_what_is_listed_is_there_and_listed_once(spec: MethodSpec) -> None:
    absent = [
        name for name in run_modules(spec) | UNMEASURED if not digest._file(name, ROOT).is_file()
    ]
    assert absent == []
    assert run_modules(spec) & UNMEASURED == set()


def test_each_method_is_listed() -> None:
    assert set(METHODS) == {spec.target for spec in all_specs()}


def test_what_a_run_has_imported_is_listed(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """Also what no statement names: that of the process itself."""
    program = (
        "import sys, json; from profiling.__main__ import main; main(sys.argv[1:]);"
        "json.dump(sorted(sys.modules), open('modules.json', 'w'))"
    )
    request = plain_request(
        Sampling(1, 2, 2, None), resolution=square(256), threads=2, device_type="cpu",
        collector="embedded",
    ).as_json()  # fmt: skip
    command = [sys.executable, "-c", program, "measure", "--request", request, "--out", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env=checkout_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "ok"
    found = ours(json.loads((tmp_path / "modules.json").read_text()))
    assert "profiling.collectors.embedded" in found
    named = [*METHODS.values(), *MEASURED.values(), FOREIGN, tuple(NOT_MEASURED)]
    listed = set(listed_modules(name for names in named for name in names))
    assert found - listed == set(), ADVICE


def digests() -> dict[str, str]:
    return {spec.target: run_digest(spec) for spec in all_specs()}


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """The digests of all methods, were one text in one file another."""

    def edit(name: str, before: str, after: str) -> dict[str, str]:
        text = (ROOT / name).read_text()
        assert before in text, f"{name} does not say {before!r} any more: adapt this test"
        copy = tmp_path / "copy.py"
        copy.write_text(text.replace(before, after))
        file = digest._file
        monkeypatch.setattr(
            digest, "_file",
            lambda module, root: copy if (found := file(module, root)) == ROOT / name else found,
        )  # fmt: skip
        return digests()

    return edit


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        pytest.param("profiling/images.py", "cannot be read", "is damaged", id="error"),
        pytest.param("profiling/methods/patchcore/bank.py", '"features"', '"vectors"',
                     id="progress of a method"),
        pytest.param("adscale/progress.py", "} px", "} pixels", id="progress of a run"),
        pytest.param("adscale/progress.py", "s left", "seconds left", id="progress line"),
        pytest.param("profiling/sampling.py", "Estimate of", "Guess of", id="docstring"),
        pytest.param("adscale/methods/efficientad.py", "small or medium", "of two sizes",
                     id="description of a setting"),
        pytest.param("adscale/methods/efficientad.py", "that ends", "which ends",
                     id="reason against a resolution"),
        pytest.param("profiling/memory/counting.py", "None", "0", id="counting"),
    ],
)  # fmt: skip
def test_rewording_measures_nothing_again(
    edited: Callable[..., dict[str, str]], name: str, before: str, after: str
) -> None:
    unchanged = digests()
    assert edited(name, before, after) == unchanged


EVERY = {spec.target for spec in all_specs()}


@pytest.mark.parametrize(
    ("name", "before", "after", "again"),
    [
        pytest.param("profiling/methods/efficientad/networks.py", "nn.ReLU", "nn.GELU",
                     {"efficientad"}, id="kernel of a method"),
        pytest.param("profiling/methods/wide_resnet.py", "import", "import sys, ",
                     {"patchcore", "ddad"}, id="network of two methods"),
        pytest.param("profiling/sampling.py", ">= self.least_images", "> self.least_images",
                     EVERY, id="sampling rule"),
        pytest.param("adscale/methods/efficientad.py", 'default="M"', 'default="S"',
                     {"efficientad"}, id="default of a setting"),
        pytest.param("adscale/request.py", "default=False", "default=True", EVERY,
                     id="default of the request"),
        pytest.param("profiling/switches.py", '"tf32"', '"fp32"', EVERY, id="a text that decides"),
        pytest.param("profiling/collectors/nsys/run.py", "cuda", "none", EVERY,
                     id="what nsys records"),
    ],
)  # fmt: skip
def test_changing_what_is_measured_measures_again(
    edited: Callable[..., dict[str, str]], name: str, before: str, after: str, again: set[str]
) -> None:
    unchanged = digests()
    changed = edited(name, before, after)
    assert {target for target in EVERY if changed[target] != unchanged[target]} == again
