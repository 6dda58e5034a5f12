"""README.md: each of its commands is run as written, or named here with what it lacks."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.memory_methods_table import memory_methods_table
from analysis.tables import write_csv
from tests.analysis.drawings import count_of, read
from tests.documents import shell_blocks, split_fences
from tests.gpu_profiles import GpuRun, write_gpu_run

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
PYTHON = ".venv/bin/python "

NOT_RUN = {
    "snakemake --cores 1 --use-singularity": "needs Apptainer and an image; tests/container does",
}
"""Commands that are neither of Python, which are run, nor of make, which says what it would run."""

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".snakemake", ".*_cache", "__pycache__", ".hypothesis", "build", "results"
)


def commands(text: str) -> list[str]:
    """The command lines of a page's shell blocks, without comments, each once."""
    lines = "\n".join(shell_blocks(text)).replace("\\\n", " ").splitlines()
    found = (shlex.join(shlex.split(line, comments=True)) for line in lines)
    return [command for command in dict.fromkeys(found) if command]


def inline_code(text: str) -> list[str]:
    """What stands between backticks outside of fenced blocks."""
    return re.findall(r"`([^`]+)`", "\n".join(split_fences(text)[0]))


COMMANDS = commands(README)
OF_PYTHON = [command for command in COMMANDS if command.startswith(PYTHON)]
OF_MAKE = [command for command in COMMANDS if command.startswith("make ")]
OF_SNAKEMAKE = [command for command in COMMANDS if command.startswith("snakemake ")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which a reader might type, set up already."""
    folder = tmp_path_factory.mktemp("readme") / "adscale"
    shutil.copytree(CHECKOUT, folder, ignore=LEFT_OUT, symlinks=True)
    (folder / ".venv").symlink_to(sys.prefix)
    profile = folder / "of-the-reader"
    profile.mkdir()
    write_gpu_run(profile, GpuRun("M", 256, ("teacher",), lambda name, image: 400_000))
    (folder / "PROFILE.sqlite").symlink_to(profile / "profile.sqlite")
    # of a study that was run
    methods = memory_methods_table(read(count_of()))
    write_csv(methods, folder / "results" / "tables" / "memory_methods.csv")
    return folder


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=900,  # others may be measuring on this device
    )  # fmt: skip


def test_commands_are_read_as_a_shell_reads_them() -> None:
    text = 'a\n```sh\nmake x  # why\n\nmake \\\n  y ARGS="-n -q"\n# no\n```\n```\nmake z\n```\n'
    assert commands(text) == ["make x", "make y 'ARGS=-n -q'"]


def test_every_command_is_run_or_said_why_not() -> None:
    rest = {*COMMANDS} - {*OF_PYTHON} - {*OF_MAKE}
    assert rest == {*NOT_RUN}


@pytest.mark.parametrize("command", OF_PYTHON)
def test_a_command_of_python_works(clone: Path, tmp_path: Path, command: str) -> None:
    done = run(clone, command.replace("/tmp/run", str(tmp_path / "run")))
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", OF_MAKE)
def test_a_command_of_make_has_its_target_and_variables(clone: Path, command: str) -> None:
    """What it runs is tested elsewhere: it installs, measures or builds."""
    done = run(clone, command.replace("make ", "make -n ", 1))
    assert done.returncode == 0, done.stderr
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    given = [word.partition("=")[0] for word in shlex.split(command) if "=" in word]
    assert [name for name in given if not re.search(rf"\b{name}\b", makefile)] == []


@pytest.mark.parametrize("command", OF_SNAKEMAKE)
def test_a_command_of_snakemake_has_its_options(clone: Path, command: str) -> None:
    snakemake = Path(sys.executable).with_name("snakemake")
    if not snakemake.exists():
        pytest.skip("no snakemake beside this Python")
    known = run(clone, f"{snakemake} --help").stdout
    options = [word.partition("=")[0] for word in shlex.split(command) if word.startswith("--")]
    assert [option for option in options if not re.search(rf"{option}\b", known)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_targets_of_make_exist(page: Path) -> None:
    """In the README and in docs/, in the text as in the blocks."""
    text = page.read_text(encoding="utf-8")
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    rules = " ".join(re.findall(r"^([\w$()/. -]+):(?!=)", makefile, re.MULTILINE)).split()
    called = [code.split() for code in [*inline_code(text), *commands(text)] if code[:5] == "make "]
    named = {word for words in called for word in words[1:2] if "=" not in word}
    assert named <= {*rules}


def test_files_in_links_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (CHECKOUT / link).exists()] == []


def test_files_in_the_text_exist() -> None:
    """Paths that begin with a folder of the checkout, other than those that are made."""
    made = ("build", "results", ".venv")
    words = [word for code in inline_code(README) for word in code.split()]
    paths = [word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", word)]
    ours = [path for path in paths if (CHECKOUT / path.split("/")[0]).is_dir()]
    named = [path for path in ours if not path.startswith(made)]
    assert [path for path in named if not (CHECKOUT / path).exists()] == []
