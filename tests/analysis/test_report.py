"""`report.html`: what is in the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.fit_tables import FITS
from analysis.html import packed
from analysis.report.page import SHOWN, read_content
from analysis.report.summary import study_warnings
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table
from tests.analysis.report_study import unpacked, write_study

SIDES = (256, 384, 512, 640, 768)
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("tables"), ["M", HOSTILE], SIDES, kernel=HOSTILE)


@pytest.fixture(scope="module")
def page(tables: Path) -> str:
    output = tables / "report.html"
    assert main(["report", str(tables), "-o", str(output)]) == 0
    return output.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(unpacked(page, "study"))
    return content


def test_every_table_of_the_study_is_in_the_page(page: str, tables: Path) -> None:
    found = data_of(page)["tables"]
    assert set(found) == set(SHOWN)
    for name, table in found.items():
        rows = pd.read_csv(tables / f"{name}.csv")
        assert len(table["rows"]) == len(rows) > 0, name
        assert table["file"] == str(tables / f"{name}.csv")
        assert table["command"].startswith("python -m analysis ")


def test_numbers_are_those_of_the_tables(page: str, tables: Path) -> None:
    table = data_of(page)["tables"]["runtime"]
    shown = pd.DataFrame(table["rows"], columns=table["columns"])
    written = pd.read_csv(tables / "runtime.csv")
    assert shown["mean_ms"].tolist() == pytest.approx(written["mean_ms"].tolist(), rel=1e-5)
    assert shown["p99_ms"].isna().tolist() == written["p99_ms"].isna().tolist()


def test_names_of_users_are_text(page: str) -> None:
    assert "<img" not in page
    assert "<script>document" not in page
    # ours, plotly's and the data, each ended once, and the two that are packed hold no mark-up
    assert len(re.findall(r"</script>", page)) == 3
    methods = {row[3] for row in data_of(page)["tables"]["runtime"]["rows"]}
    assert HOSTILE in methods, "the name itself is kept"


def test_the_page_asks_for_nothing_from_elsewhere(page: str) -> None:
    assert "plotly.js" in unpacked(page, "plotly")[:200], "it brings its library along"
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "default-src 'none'" in page


def test_what_is_wrong_is_said_first(page: str) -> None:
    assert "Not steady but drifting, see the table of runs: M reference-fp32 at 384 px" in page
    assert "Runtimes are extrapolated to 3,000 px, up to 15.3 times the pixels" in page


def test_no_prediction_is_warned_of_where_all_were_refused() -> None:
    fits = make_table(
        [{**dict.fromkeys(FITS.schema), "quantity": "runtime", "extrapolate_to_px": 3000,
          "extrapolation_factor_pixels": 61.0, "refused": refused}
         for refused in ("too far", None)], FITS.schema)  # fmt: skip
    tables = {"runtime": make_table([], RUNTIME.schema)}
    assert "up to 61 times" in " ".join(study_warnings({**tables, "fits": fits}))
    assert "extrapolated" not in " ".join(study_warnings({**tables, "fits": fits.iloc[:1]}))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_packed_text_is_itself_and_ends_no_element(text: str) -> None:
    shown = packed(text)
    assert unpacked(f'<script type="text/plain" id="t">{shown}</script>', "t") == text
    assert not set(shown) & {"<", ">", "&", '"', "'"}
    assert packed(text) == shown, "the same page each time"


@pytest.mark.slow
def test_a_large_study_stays_below_three_megabytes(tmp_path: Path) -> None:
    methods = ["PatchCore-10", "EfficientAD-S", "EfficientAD-M", "DDAD-10"]
    sides = tuple(range(256, 256 + 12 * 64, 64))
    folder = write_study(tmp_path, methods, sides, kernel="a_kernel<with, types>" * 4)
    assert main(["report", str(folder), "-o", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").stat().st_size < 3e6


def test_without_runtimes_there_is_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "report.html")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/runtime.csv: cannot be opened")


def test_tables_that_are_not_there_are_left_out(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "runtime.csv").write_bytes((tables / "runtime.csv").read_bytes())
    assert set(read_content(tmp_path, "t").tables) == {"runtime"}
