"""README.md: each of its commands is run as written, or named here with what it lacks.

Beside that: what README and docs/ link to and name is there, and the figure has its data.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from adscale import __version__
from analysis.figures.draw import FIGURES as KINDS
from analysis.memory_table import memory_methods_table
from analysis.registry import TABLES
from analysis.tables import write_csv
from tests.analysis.drawings import count_of, read
from tests.documents import shell_blocks, split_fences
from tests.gpu_profiles import GpuRun, write_gpu_run

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
PYTHON = ".venv/bin/python "

NOT_RUN = {
    "make study": "minutes; planned below, a smaller one is run by test_study",
    "xdg-open results/report.html": "needs a desktop; tests/browser opens the page",
    "make gpu-check 'ARGS=--out build/gpu-check'": "needs a GPU; its parts have tests of their own",
    "make image": "builds an image, gigabytes; tests/container does",
    "snakemake --cores 1 --use-singularity": "needs Apptainer and an image; tests/container does",
    "snakemake --workflow-profile profiles/slurm -n": "needs a configuration that names the"
    " cluster's devices; test_profiles has one",
    "snakemake --workflow-profile profiles/slurm": "needs SLURM; tests/slurm does",
    "pip install .": "installs; test_wheel does",
    "adscale attribute report.nsys-rep": "needs the line before, and nsys; test_inputs does",
}
"""Commands that cannot be run here, or would take too long, and why. All others are run."""

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
RUN = [
    pytest.param(command, marks=[pytest.mark.slow] if " profiling run " in command else [])
    for command in COMMANDS
    if command not in NOT_RUN
]
"""A run measures for half a minute."""
OF_MAKE = [command for command in COMMANDS if command.startswith("make ")]
OF_STUDY = [command for command in OF_MAKE if re.match(r"make study( .ARGS|$)", command)]
FIGURES = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "docs/figures/" in link]
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


def test_what_is_not_run_is_in_the_readme() -> None:
    assert [command for command in NOT_RUN if command not in COMMANDS] == []


@pytest.mark.parametrize("command", RUN)
def test_a_command_works(clone: Path, tmp_path: Path, command: str) -> None:
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


@pytest.mark.parametrize("command", OF_STUDY)
def test_a_study_is_planned(clone: Path, command: str) -> None:
    """As written, but for a dry run, and without setting up .venv, which would install."""
    if not Path(sys.executable).with_name("snakemake").exists():
        pytest.skip("no snakemake beside this Python")
    words = shlex.split(command)
    given = next((word for word in words if word.startswith("ARGS=")), "ARGS=")
    rest = [word for word in words[1:] if word != given]
    done = run(clone, shlex.join(["make", "-o", "setup", *rest, f"{given} -n --quiet rules"]))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^report +1$", done.stdout + done.stderr, re.MULTILINE)


def test_commands_of_snakemake_have_their_options(clone: Path) -> None:
    snakemake = Path(sys.executable).with_name("snakemake")
    if not snakemake.exists():
        pytest.skip("no snakemake beside this Python")
    known = run(clone, f"{snakemake} --help").stdout
    words = [word for command in OF_SNAKEMAKE for word in shlex.split(command)]
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert options
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


def local_links(text: str) -> list[str]:
    """What a page links to in the checkout, images included, without the part behind `#`."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", "\n".join(split_fences(text)[0]))
    return [link for link in links if "://" not in link]


def test_local_links_are_found() -> None:
    text = "[a](b.md#c) [![d](e.png)](f.csv)\n```\n[g](h)\n```\n[i](https://j.k) [l](#m)"
    assert local_links(text) == ["b.md", "e.png", "f.csv"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_files_in_links_exist(page: Path) -> None:
    """Headings within docs/ are checked where the site is built (test_site)."""
    links = local_links(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_linked_from_another() -> None:
    links = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in local_links(page.read_text(encoding="utf-8"))
    }
    # the first page of the site, in whose place the README stands here
    assert {*PAGES} - links <= {CHECKOUT / "README.md", CHECKOUT / "docs" / "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_files_in_the_text_exist(page: Path) -> None:
    """Paths that begin with a folder of the checkout, other than those that are made."""
    made = ("build", "results", ".venv")
    text = page.read_text(encoding="utf-8")
    words = [word for code in inline_code(text) for word in code.split()]
    paths = [word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", word)]
    ours = [path for path in paths if (CHECKOUT / path.split("/")[0]).is_dir()]
    named = [path for path in ours if not path.startswith(made)]
    assert [path for path in named if not (CHECKOUT / path).exists()] == []


def test_a_figure_is_small_and_has_its_data_beside_it() -> None:
    images = [CHECKOUT / link for link in FIGURES if link.endswith(".png")]
    assert len(images) == 1
    image, data = images[0], images[0].with_suffix(".csv")
    assert image.read_bytes().startswith(b"\x89PNG")
    assert image.stat().st_size < 200_000
    assert str(data.relative_to(CHECKOUT)) in FIGURES
    assert {*(CHECKOUT / "docs" / "figures").iterdir()} == {image, data}


def test_caption_of_the_figure_tells_on_what_and_how_often() -> None:
    """As its data do: of the times in it the hardware and the sample size, and the variant."""
    data = next(CHECKOUT / link for link in FIGURES if link.endswith(".csv"))
    rows = pd.read_csv(data)
    rows = rows[rows["images"].notna()]
    low, high = int(rows["images"].min()), int(rows["images"].max())
    size = f"n = {low} image" if low == high else f"n = {low} to {high} images"
    caption = README.split(data.name)[1]
    told = [*rows["hardware"].unique(), *rows["variant"].unique(), size, "`make study`"]
    assert [word for word in told if word not in caption] == []


def test_results_page_names_every_table_and_figure() -> None:
    page = (CHECKOUT / "docs" / "results.md").read_text(encoding="utf-8")
    named = {*inline_code(page)}
    assert [table.file for table in TABLES if table.file not in named] == []
    begins = {name.removesuffix("_*") for name in named if name.endswith("_*")}
    assert begins == {kind.begins for kind in KINDS}


def test_page_for_contributors_names_every_marker() -> None:
    page = (CHECKOUT / "docs" / "contributing.md").read_text(encoding="utf-8")
    settings = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    markers = re.findall(r'^  "(\w+): ', settings.split("markers = [")[1], re.MULTILINE)
    assert markers
    assert [marker for marker in markers if f"\n| `{marker}` | " not in page] == []


def test_page_for_contributors_names_what_is_slow() -> None:
    page = (CHECKOUT / "docs" / "contributing.md").read_text(encoding="utf-8")
    files = sorted((CHECKOUT / "tests").rglob("test_*.py"))
    slow = [file.stem for file in files if "pytest.mark" + ".slow" in file.read_text("utf-8")]
    assert slow
    assert [name for name in slow if f"`{name}`" not in page] == []


def test_page_of_faults_names_tests_that_there_are() -> None:
    page = (CHECKOUT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    faults = [row for row in rows if not row.startswith("| fault |")]
    files = {file.stem for file in (CHECKOUT / "tests").rglob("test_*.py")}
    assert len(faults) >= 60
    for row in faults:
        held_by = re.findall(r"`(\w+)`", row.split(" | ")[2])
        assert held_by, row
        assert files.issuperset(held_by), row


def test_citations_agree() -> None:
    """Those of the README, of CITATION.cff and of the package."""
    cited = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    entry = next(block.text for block in split_fences(README)[1] if block.language == "bibtex")
    fields = dict(re.findall(r"^ *(\w+) = \{+(.+?)\}+,$", entry, re.MULTILINE))
    assert fields == {
        "title": cited["title"],
        "author": cited["authors"][0]["name"],
        "version": cited["version"],
        "license": cited["license"],
    }
    assert cited["version"] == __version__
