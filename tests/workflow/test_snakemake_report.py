"""Snakemake's own report of a study, and what a study says while it runs and at its end."""

from __future__ import annotations

import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.figures.draw import FIGURES
from analysis.registry import TABLES
from tests.workflow.conftest import CHECKOUT, planned, run_study

pytestmark = pytest.mark.study

NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
"""Where nobody listens: whatever were downloaded would fail."""


@pytest.fixture(scope="session")
def page(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the finished study, which stays as it is."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    upper = {name.upper(): address for name, address in NO_NETWORK.items()}
    done = run_study(finished_study, "--report", str(path), environment={**NO_NETWORK, **upper})
    assert done.returncode == 0, done.stdout + done.stderr
    return path.read_text(encoding="utf-8")


@cache
def variable(page: str, name: str) -> Any:
    """A JSON value that the page defines."""
    start = f"var {name} = "
    return json.JSONDecoder().raw_decode(page, page.index(f"{start}{{") + len(start))[0]


def category_of(page: str) -> dict[str, str]:
    """Category by path."""
    return {
        path: category
        for category, subcategories in variable(page, "categories").items()
        for paths in subcategories.values()
        for path in paths
    }


def test_every_figure_is_in_it_once_with_category_labels_and_caption(
    page: str, finished_study: Path
) -> None:
    results, filed = variable(page, "results"), category_of(page)
    figures = {str(path.relative_to(finished_study))
               for path in (finished_study / "results/figures").glob("*.png")}  # fmt: skip
    assert {path for path in results if path.startswith("results/figures/")} == figures
    for path in figures:
        (kind,) = (kind for kind in FIGURES if Path(path).name.startswith(f"{kind.begins}_"))
        assert filed[path] == kind.category
        assert list(results[path]["labels"]) == [*kind.labels, "quantity"]
        assert words(results[path]["caption"]) == words(caption(kind.begins))
        assert results[path]["mime_type"] == "image/png"


def test_every_table_is_in_it_with_category_and_caption(page: str, finished_study: Path) -> None:
    results, filed = variable(page, "results"), category_of(page)
    made = {path.stem for path in (finished_study / "results/tables").glob("*.csv")}
    assert made == {table.name for table in TABLES}
    for table in TABLES:
        path = f"results/tables/{table.file}"
        assert filed[path] == table.category
        assert results[path]["labels"] == {"table": table.file, "contents": table.contents}
        assert words(results[path]["caption"]) == words(caption(f"table_{table.name}"))
    assert filed["results/summary.txt"] == "Summary"


def caption(name: str) -> str:
    return (CHECKOUT / "workflow/report" / f"{name}.rst").read_text(encoding="utf-8")


def words(text: str) -> list[str]:
    """Those of a caption, in reStructuredText or as it is in the page."""
    return re.sub(r"<[^>]*>|``", "", text).replace("&amp;", "&").split()


def test_it_says_what_was_studied_and_names_our_own_page(page: str) -> None:
    """The description is a part of the page's scripts, in which / may be escaped."""
    text = re.sub(r"<[^>]*>", "", page.replace("\\/", "/"))
    assert "results/report.html" in text
    assert "Methods: Small." in text


def test_a_caption_that_changes_causes_no_job(finished_study: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    hidden = shutil.ignore_patterns(".*", "results", "tests", "__pycache__")
    shutil.copytree(CHECKOUT, checkout, ignore=hidden)
    for file in (checkout / "workflow/report").iterdir():
        file.write_text(f"{file.read_text()}\nMore.\n")
        os.utime(file)
    assert planned(finished_study, "--snakefile", str(checkout / "Snakefile")) == {}


def test_each_measurement_says_how_far_the_study_has_come(finished_study: Path) -> None:
    logs = finished_study / "results/logs"
    told = [
        line
        for name in ("profile", "latency")
        for log in (logs / name).rglob("*.log")
        for line in log.read_text().splitlines()
        if line.startswith("study: ")
    ]
    line = re.compile(
        r"study: (\d) of 4 measurements, Small reference-fp32 (256|288) px( latency)? took \d+ "
        r"(s|min); (about \d+ (s|min) of measuring left \(from \1 measured\)|nothing left to "
        r"measure)"
    )
    found = [line.fullmatch(each) for each in told]
    assert all(found), told
    # one that ends while another waits to say so may be counted by both
    numbers = sorted(int(each[1]) for each in found if each)
    assert len(numbers) == 4
    assert all(place <= number <= 4 for place, number in enumerate(numbers, start=1))


def test_the_end_is_three_lines_of_what_the_tables_say(
    finished_study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished_study)
    assert main(["conclude", "results/tables"]) == 0
    printed = capsys.readouterr().out
    assert (finished_study / "results/summary.txt").read_text() == printed
    assert len(printed.splitlines()) == 3


def test_a_study_begins_and_ends_with_what_a_user_wants_to_know(
    finished_study: Path, tmp_path: Path
) -> None:
    """Of a study that is complete but for its three lines, which take a second to make."""
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy, copy_function=shutil.copy2)
    summary = copy / "results/summary.txt"
    lines = summary.read_text()
    summary.unlink()
    done = run_study(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "study: 4 of 4 measurements; nothing left to measure" in said
    assert lines.rstrip() in said
