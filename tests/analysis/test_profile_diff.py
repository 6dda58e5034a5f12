"""Diffs of profiles: what changed is named, by numbers that are worked out here anew."""

from __future__ import annotations

import io
import json
import math
import shutil
import sqlite3
import statistics
from collections.abc import Callable, Iterable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.stats import sem
from scipy.stats import t as student

from analysis.comparison.profile_diff import SCHEMA, changes, diff_rows, make_diff
from analysis.comparison.profile_sides import UNITS, align, profile_figures
from analysis.nsys.reading import read_profile
from analysis.profiles.work import work_of
from tests.analysis.brute_profiles import Asked, Brute
from tests.analysis.conftest import FIXTURES
from tests.analysis.reference import Events, events
from tests.gpu_profiles import GpuRun, ProfileWriter, record

Analysis = Callable[..., tuple[int, str, str]]
NSYS = FIXTURES / "nsys"
MFU = NSYS / "nsysai_mfu2gpu_2proc_2026.2.1.sqlite"


def profile(path: Path, work_us: Iterable[int], *, name: str = "net", extra: str = "") -> Path:
    """Images of one submodule, one copy each; the submodule takes so long in each of them."""
    writer = ProfileWriter()
    for one in work_us:
        with writer.range("image"):
            writer.copy(1, 1000, 2000)
            writer.submodule(name, one * 1000)
            if extra:
                writer.submodule(extra, 4000)
    writer.write(path)
    return path


def document(out: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows by path and figure."""
    return {(" > ".join(r["path"]), r["figure"]): r for r in json.loads(out)["rows"]}


NET = "adscale:image > adscale:net"


def test_percentages_and_differences(analysis: Analysis, tmp_path: Path) -> None:
    a = profile(tmp_path / "a.sqlite", [40, 40])
    b = profile(tmp_path / "b.sqlite", [44, 52, 48])
    code, out, err = analysis("diff", a, b, "--json")
    assert (code, err) == (0, "")
    rows = document(out)
    busy = rows[NET, "busy_ms"]
    assert (busy["a"], busy["b"]) == (pytest.approx(0.08), pytest.approx(0.144))
    assert busy["change"] == pytest.approx(0.064)
    assert busy["change_share"] == pytest.approx(0.8)
    for per in ("call", "image"):  # two and three of each
        assert busy[f"a_per_{per}"] == pytest.approx(0.04)
        assert busy[f"b_per_{per}"] == pytest.approx(0.048)
        assert busy[f"change_per_{per}_share"] == pytest.approx(0.2)
    calls = rows[NET, "calls"]
    assert (calls["a"], calls["b"], calls["change_share"]) == (2, 3, 0.5)
    copied = rows["adscale:image", "copy_bytes"]
    assert (copied["a"], copied["b"], copied["change_per_call"]) == (2000, 3000, 0)
    assert busy["verdict"] is None
    assert "processes were not repeated" in busy["unknown"]["verdict"]


def test_what_appeared_and_vanished(analysis: Analysis, tmp_path: Path) -> None:
    a = profile(tmp_path / "a.sqlite", [40], extra="old")
    b = profile(tmp_path / "b.sqlite", [40], extra="new")
    _, out, _ = analysis("diff", a, b, "--json")
    rows = document(out)
    new, old = (rows[f"adscale:image > adscale:{name}", "busy_ms"] for name in ("new", "old"))
    assert (new["presence"], new["a"], new["b"], new["change"]) == ("appeared", None, 0.004, 0.004)
    assert (old["presence"], old["b"], old["change"], old["change_share"]) == (
        "vanished", None, -0.004, -1,
    )  # fmt: skip
    assert new["unknown"]["a"] == new["unknown"]["change_share"] == "A does not have it"
    assert (NET, "busy_ms") not in rows
    _, text, _ = analysis("diff", a, b)
    assert "1 ranges in B only: adscale:image > adscale:new." in text
    assert "1 ranges in A only: adscale:image > adscale:old." in text


def test_every_null_says_why(analysis: Analysis, tmp_path: Path) -> None:
    a = profile(tmp_path / "a.sqlite", [40], extra="old")
    b = profile(tmp_path / "b.sqlite", [44], extra="new")
    for options in ((), ("--kernels",), ("--image", "*:net")):
        _, out, _ = analysis("diff", a, b, "--json", *options)
        for row in json.loads(out)["rows"]:
            assert {key for key, value in row.items() if value is None} == set(row["unknown"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diff")


@settings(max_examples=40)
@given(events(), events())
def test_differences_of_random_profiles(folder: Path, first: Events, second: Events) -> None:
    """By the brute reading of both; and a profile differs from itself in nothing."""
    paths = [events.write(folder / f"{n}.sqlite") for n, events in enumerate((first, second))]
    sides = [[profile_figures(work_of(read_profile(path)), {})] for path in paths]
    brute = [Brute(path).ask(Asked()) for path in paths]
    keys, a, b = align(*sides)
    texts = [{" > ".join(names): row for names, row in side.items()} for side in brute]
    assert {key[0] for key in keys} == {*texts[0], *texts[1]}
    for figure in ("busy_ms", "host_ms", "kernels", "copy_bytes", "exclusive_ms"):
        found = changes(a, b, figure, "call")
        for at, (path,) in enumerate(keys):
            wanted = []
            for side in texts:
                row = side.get(path)
                own = f"{figure.removesuffix('_ms')}_ns" if figure.endswith("_ms") else figure
                factor = 1e-6 if figure.endswith("_ms") else 1
                wanted.append(row[own] * factor / row["calls"] if row else 0.0)
            assert found.change[at] == pytest.approx(wanted[1] - wanted[0], abs=1e-12)
    same = align(sides[0], sides[0])
    assert diff_rows(make_diff(*same, None, "process")) == []


@pytest.mark.fixtures
def test_a_real_profile_differs_from_itself_in_nothing(
    analysis: Analysis, real_profile: Path
) -> None:
    code, out, _ = analysis("diff", real_profile, real_profile, "--json")
    found = json.loads(out)
    assert (code, found["rows"], found["different_besides"]) == (0, [], [])


@pytest.mark.fixtures
def test_the_same_program_on_two_streams(analysis: Analysis) -> None:
    """By hand in SQL: nothing is launched otherwise, kernels run beside each other."""
    plain, two = NSYS / "syn_plain_2k.sqlite", NSYS / "syn_2streams_2k.sqlite"
    work = []
    for path in (plain, two):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            kernel = "SELECT COUNT(*), SUM(end - start) FROM CUPTI_ACTIVITY_KIND_KERNEL"
            work.append(connection.execute(kernel).fetchone())
    _, out, _ = analysis("diff", plain, two, "--json")
    rows = document(out)
    figures = {figure for _, figure in rows}
    assert not figures & {"calls", "kernels", "copies", "memsets"}
    assert work[0] == work[1] == (2000, work[0][1])
    assert not figures & {"kernel_sum_ms", "exclusive_ms"}
    busy = rows["image", "busy_ms"]
    assert busy["a"] == pytest.approx(work[0][1] / 1e6)
    brute = sum(row["busy_ns"] for row in [Brute(two).ask(Asked())["image",]])
    assert busy["b"] == pytest.approx(brute / 1e6)
    assert json.loads(out)["rows"][0]["path"] == ["image"]


@pytest.mark.fixtures
def test_known_changes_of_a_real_profile_are_named(analysis: Analysis, tmp_path: Path) -> None:
    """Of a copy: kernels of one name take 1 µs more, one range is called otherwise, copies grow."""
    other = tmp_path / "other.sqlite"
    shutil.copyfile(MFU, other)
    other.chmod(0o644)
    with closing(sqlite3.connect(other)) as connection, connection:
        ((name_id, name),) = connection.execute(
            "SELECT s.id, s.value FROM CUPTI_ACTIVITY_KIND_KERNEL k JOIN StringIds s ON "
            "s.id = k.demangledName GROUP BY s.id ORDER BY COUNT(*) DESC, s.id LIMIT 1"
        )
        times = "UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET end = end + 1000 WHERE demangledName = ?"
        slower = connection.execute(times, (name_id,)).rowcount
        connection.execute("UPDATE CUPTI_ACTIVITY_KIND_MEMCPY SET bytes = bytes * 2")
    _, out, _ = analysis("diff", MFU, other, "--json", "--kernels", "--figure", "kernel_sum")
    found = json.loads(out)["rows"]
    assert {row["kernel"] for row in found} == {name}
    own = {" > ".join(r["path"]): r for r in json.loads(analysis("attribute", MFU, "--json",
           "--kernels", "0")[1])["kernels"] if r["kernel"] == name}  # fmt: skip
    assert {" > ".join(row["path"]) for row in found} == set(own)
    for row in found:
        kernels = own[" > ".join(row["path"])]["kernels"]
        assert row["change"] == pytest.approx(kernels * 1e-3)
    assert max(row["change"] for row in found) <= slower * 1e-3 + 1e-9
    assert found[0]["change"] == max(row["change"] for row in found)
    _, out, _ = analysis("diff", MFU, other, "--json", "--depth", "2")
    figures = {row["figure"] for row in json.loads(out)["rows"]}
    assert figures <= {"kernel_sum_ms", "exclusive_ms", "busy_ms", "span_ms", "copy_bytes",
                       "projected_ms"}  # fmt: skip
    for row in json.loads(out)["rows"]:
        if row["figure"] == "copy_bytes":
            assert row["b"] == 2 * row["a"]


@pytest.mark.fixtures
def test_profiles_of_other_programs_and_versions(analysis: Analysis) -> None:
    one = NSYS / "pipit_saxpy_mpi_dup_corr_2022.2.1.sqlite"
    two = NSYS / "fuser_h200_2024.6.2.sqlite"
    code, out, _ = analysis("diff", one, two, "--json")
    assert code == 0
    entries = {row["entry"]: (row["a"], row["b"]) for row in json.loads(out)["different_besides"]}
    assert entries["schema"] == ("2.9.1", "3.16.1")
    assert entries["gpu"] == ("NVIDIA A100-SXM4-40GB", "NVIDIA H200")
    assert {row["presence"] for row in json.loads(out)["rows"]} == {"appeared", "vanished"}
    _, text, _ = analysis("diff", one, two)
    assert "schema: 2.9.1 -> 3.16.1" in text


def processes(folder: Path, side: str, works: Iterable[int]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [profile(folder / f"{side}{n}.sqlite", [work]) for n, work in enumerate(works)]


def test_verdicts_over_processes(analysis: Analysis, tmp_path: Path) -> None:
    """Interval and p-value from the formulas of docs/comparison.md, by SciPy."""
    of_a, of_b = [4000, 4040, 3960, 4020], [6000, 6060, 5940, 6020]
    a, b = processes(tmp_path, "a", of_a), processes(tmp_path, "b", of_b)
    _, out, _ = analysis("diff", "--a", *a, "--b", *b, "--json")
    row = document(out)[NET, "busy_ms"]
    assert (row["a_processes"], row["b_processes"], row["verdict"]) == (4, 4, "slower")
    assert row["a"] == pytest.approx(statistics.mean(of_a) / 1000)
    assert row["ratio"] == pytest.approx(statistics.mean(of_b) / statistics.mean(of_a))
    error = math.hypot(*(sem(of) / statistics.mean(of) for of in (of_a, of_b)))
    # of two equal relative scatters Welch's degrees are those of both, and the p-value's of one
    assert row["ratio_ci95_high"] / row["ratio"] == pytest.approx(
        math.exp(student.ppf(0.975, 6) * error), rel=1e-3
    )
    assert row["p_value"] == pytest.approx(2 * student.sf(math.log(row["ratio"]) / error, 3))
    _, text, _ = analysis("diff", "--a", *a, "--b", *b)
    assert "Verdicts rest on 4 and 4 processes" in text
    _, out, _ = analysis("diff", "--a", *a, "--b", *a[::-1], "--json")
    assert {row["verdict"] for row in json.loads(out)["rows"]} <= {"same", "unclear"}


def test_a_side_that_lacks_a_range_in_a_process_is_unclear(
    analysis: Analysis, tmp_path: Path
) -> None:
    a = processes(tmp_path, "a", [4000, 4040])
    b = [
        profile(tmp_path / "b0.sqlite", [8000], extra="new"),
        profile(tmp_path / "b1.sqlite", [8080]),
    ]
    _, out, _ = analysis("diff", "--a", *a, "--b", *b, "--json")
    new = document(out)["adscale:image > adscale:new", "busy_ms"]
    assert (new["verdict"], new["b_processes"]) == ("unclear", 1)
    assert new["reason"] == "A has it in 0 of 2 profiles, B has it in 1 of 2 profiles"


class Text(HTMLParser):
    """The text of a page, and whether its tags are those that it may have."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_all_outputs_have_the_same_rows(analysis: Analysis, tmp_path: Path) -> None:
    a = profile(tmp_path / "a.sqlite", [40], name="<script>alert(1)</script>")
    b = profile(tmp_path / "b.sqlite", [44], name="<script>alert(1)</script>")
    _, out, _ = analysis("diff", a, b, "--json")
    from_json = pd.DataFrame(json.loads(out)["rows"])
    _, csv, _ = analysis("diff", a, b, "--csv")
    from_csv = pd.read_csv(io.StringIO(csv))
    names = [name for name in SCHEMA if name != "kernel"]
    assert list(from_csv.columns) == names
    assert from_csv["figure"].tolist() == from_json["figure"].tolist()
    assert from_csv["change"].tolist() == pytest.approx(from_json["change"].tolist())
    for ending in ("html", "json", "csv", "parquet"):
        assert analysis("diff", a, b, "-o", tmp_path / f"d.{ending}")[0] == 0
    assert (tmp_path / "d.json").read_text() == out
    assert pd.read_parquet(tmp_path / "d.parquet")["figure"].tolist() == from_csv["figure"].tolist()
    page = Text()
    page.feed((tmp_path / "d.html").read_text())
    assert "script" not in page.tags
    assert any("adscale:<script>alert(1)</script>" in text for text in page.text)
    assert any("busy_ms, " in text for text in page.text)


@pytest.mark.parametrize("options", [("--inside", "*net"), ("--depth", "1"), ("--top", "1")])
def test_questions_and_first_rows(
    analysis: Analysis, tmp_path: Path, options: tuple[str, ...]
) -> None:
    a, b = profile(tmp_path / "a.sqlite", [40]), profile(tmp_path / "b.sqlite", [44])
    _, out, _ = analysis("diff", a, b, "--json", *options)
    found = {path for path, _ in document(out)}
    assert found == ({NET} if options[0] == "--inside" else {"adscale:image"})


def test_a_run_of_ours(analysis: Analysis, tmp_path: Path) -> None:
    """Per image: warm-up and measured images each by their own number."""
    for name, work in (("a", 400_000), ("b", 500_000)):
        run = GpuRun("M", 64, ("net",), lambda _name, _image, ns=work: ns)  # type: ignore[misc]
        record(run).write(tmp_path / f"{name}.sqlite")
    _, out, _ = analysis("diff", tmp_path / "a.sqlite", tmp_path / "b.sqlite", "--json")
    rows = document(out)
    for phase in ("warmup", "measure"):
        row = rows[f"adscale:{phase} > adscale:image > adscale:net", "busy_ms"]
        assert (row["a_per_image"], row["change_per_image_share"]) == (
            pytest.approx(0.4), pytest.approx(0.25),
        )  # fmt: skip
    whole = rows["adscale:measure", "busy_ms"]
    assert whole["a_per_image"] is None
    assert whole["unknown"]["a_per_image"] == "it is in no image, see --image"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("a",), "there is nothing to compare A with"),
        ((), "there is no profile"),
        (("a", "b", "--a", "a"), "is given beside --a and --b"),
        (("--a", "a", "./a", "--b", "b"), "A has a profile twice"),
        (("a", "b", "--figure", "speed"), "'speed' is no column"),
        (("a", "b", "--inside", "nothing"), "no range of the profile matches"),
        (("a", "b", "--per", "image", "--image", "nothing"), "--image 'nothing'"),
        (
            ("a", "host", "--figure", "busy"),
            "has no busy_ms: the profile holds no table of kernels",
        ),
        (("a", "b", "--window", "50:60"), "lies behind everything in the profile"),
        (("a", "missing"), "cannot be opened"),
        (("a", "b", "--confident"), "there is no --fail-if"),
    ],
)
def test_faults_end_in_one_line(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    profile(tmp_path / "a", [40])
    profile(tmp_path / "b", [44])
    host = ProfileWriter()
    with host.range("image"):
        pass
    host.write(tmp_path / "host")
    with closing(sqlite3.connect(tmp_path / "host")) as connection, connection:
        for table in ("KERNEL", "RUNTIME", "MEMCPY", "MEMSET"):
            connection.execute(f"DROP TABLE CUPTI_ACTIVITY_KIND_{table}")
    monkeypatch.chdir(tmp_path)
    code, out, err = analysis("diff", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_all_figures_are_columns_of_the_table_of_ranges() -> None:
    from analysis.profiles.range_table import PROFILE_COLUMNS

    assert set(UNITS) <= set(PROFILE_COLUMNS)
