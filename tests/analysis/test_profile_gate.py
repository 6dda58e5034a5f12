"""The gate: which rows moved too far, by other arithmetic, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from adscale.errors import ArgumentError
from analysis.comparison.profile_gate import parse_condition
from analysis.comparison.profile_sides import UNITS
from tests.gpu_profiles import ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
PASSES, FAULT, FAILS = 0, 2, 3


def profile(path: Path, **work_us: int) -> Path:
    """One image with submodules of such times."""
    writer = ProfileWriter()
    with writer.range("image"):
        writer.copy(1, 1000, 2000)
        for name, one in work_us.items():
            writer.submodule(name, one * 1000)
    writer.write(path)
    return path


@pytest.mark.parametrize(
    ("condition", "code", "named"),
    [
        ("busy > +5 %", FAILS, ["adscale:image", "adscale:image > adscale:slow"]),
        ("busy > 11 %", FAILS, ["adscale:image > adscale:slow"]),
        ("busy > 20 %", PASSES, []),
        ("busy >= 20 %", FAILS, ["adscale:image > adscale:slow"]),
        ("busy > 0.0799 ms", FAILS, ["adscale:image > adscale:slow"]),
        ("busy > 0.07 ms", FAILS, ["adscale:image", "adscale:image > adscale:slow"]),
        ("busy > 81 us", PASSES, []),
        ("busy > 5 % and busy > 1 ms", PASSES, []),
        ("busy > 11 % and busy > 1us", FAILS, ["adscale:image > adscale:slow"]),
        ("busy < -1 %", FAILS, ["adscale:image > adscale:fast"]),
        ("kernels > 0", PASSES, []),
        ("copy_bytes > +0 B", PASSES, []),
        ("busy_ms per image > 5 %", FAILS, ["adscale:image", "adscale:image > adscale:slow"]),
        ("host per call > 1 s", PASSES, []),
    ],
)
def test_a_change_as_measured(
    analysis: Analysis, tmp_path: Path, condition: str, code: int, named: Sequence[str]
) -> None:
    """In µs: slow 400 to 480, fast 400 to 392, the image 840 to 912, by 8.6 %."""
    a = profile(tmp_path / "a.sqlite", slow=400, fast=400, same=40)
    b = profile(tmp_path / "b.sqlite", slow=480, fast=392, same=40)
    found, out, err = analysis("diff", a, b, "--fail-if", condition, "--json")
    assert (found, json.loads(out)["gate"]["passes"]) == (code, code == PASSES)
    rows = json.loads(out)["gate"]["rows"]
    assert sorted(" > ".join(row["path"]) for row in rows) == list(named)
    assert [row["change"] for row in rows] == sorted((r["change"] for r in rows), key=abs)[::-1]
    assert {row["outcome"] for row in rows} <= {"fails"}
    assert "It rests on changes as measured, from 1 process of A and 1 of B." in err
    found, out, _ = analysis("diff", a, b, "--fail-if", condition)
    assert found == code
    assert out.count("fails: ") == len(named)


def test_what_appears_moved_further_than_any_share(analysis: Analysis, tmp_path: Path) -> None:
    a, b = profile(tmp_path / "a.sqlite", net=400), profile(tmp_path / "b.sqlite", net=400, new=4)
    code, out, _ = analysis("diff", a, b, "--fail-if", "busy > 50 %")
    assert code == FAILS
    assert "fails: adscale:image > adscale:new: – -> 0.004" in out
    assert analysis("diff", b, a, "--fail-if", "busy > 50 %")[0] == PASSES
    assert analysis("diff", b, a, "--fail-if", "busy < -50 %")[0] == FAILS


def test_several_conditions_each_fail(analysis: Analysis, tmp_path: Path) -> None:
    a, b = profile(tmp_path / "a.sqlite", net=400), profile(tmp_path / "b.sqlite", net=480)
    options = ("--fail-if", "kernels > 0", "--fail-if", "busy > 5 %")
    code, out, _ = analysis("diff", a, b, *options)
    assert code == FAILS
    assert "fail if kernels > 0 or busy > 5 %: 2 of 2 rows fail" in out


def sides(folder: Path, of_a: Sequence[int], of_b: Sequence[int]) -> list[object]:
    a = [profile(folder / f"a{n}.sqlite", net=us) for n, us in enumerate(of_a)]
    b = [profile(folder / f"b{n}.sqlite", net=us) for n, us in enumerate(of_b)]
    return ["--a", *a, "--b", *b]


@pytest.mark.parametrize(
    ("of_a", "of_b", "outcome"),
    [
        ((4000, 4040, 3960, 4008), (6000, 6040, 5960, 6008), "fails"),
        ((4000, 4040, 3960, 4008), (4004, 4040, 3960, 4008), "passes"),
        ((4000, 5000, 3000, 4800), (4400, 5400, 3400, 5200), "unclear"),
        ((4000, 4000), (4240, 4240), "fails"),  # nothing scatters
        ((4000, 4000), (4000, 4000), "passes"),
        ((4000, 4000), (4200, 4200), "passes"),  # just the limit
    ],
)
def test_intervals(
    analysis: Analysis, tmp_path: Path, of_a: tuple[int, ...], of_b: tuple[int, ...], outcome: str
) -> None:
    options = sides(tmp_path, of_a, of_b)
    gate = ("--fail-if", "busy > +5 %", "--confident")
    code, out, err = analysis("diff", *options, *gate, "--json")
    rows = {" > ".join(r["path"]): r for r in json.loads(out)["gate"]["rows"]}
    assert code == (PASSES if outcome == "passes" else FAILS)
    found = rows.get("adscale:image > adscale:net", {"outcome": "passes"})["outcome"]
    assert found == outcome
    code, _, _ = analysis("diff", *options, *gate, "--unclear-passes")
    assert code == (FAILS if outcome == "fails" else PASSES)
    assert f"95 % intervals over {len(of_a)} processes of A and {len(of_b)} of B" in err


def test_an_interval_is_that_of_a_paired_sum_of_equal_scatter(
    analysis: Analysis, tmp_path: Path
) -> None:
    """With A without scatter the excess is one sample: SciPy's t-test says where it turns."""
    of_b = (4400, 4440, 4360, 4420)
    excess = np.array(of_b) - 4000
    low = ttest_1samp(excess, 0).confidence_interval(0.95).low
    options = sides(tmp_path, (4000, 4000, 4000, 4000), of_b)
    for limit, outcome in ((low - 4, "fails"), (low + 4, "unclear")):
        condition = f"busy > {limit / 1000:.6f} ms"
        _, out, _ = analysis("diff", *options, "--fail-if", condition, "--confident", "--json",
                             "--inside", "*net")  # fmt: skip
        assert [row["outcome"] for row in json.loads(out)["gate"]["rows"]] == [outcome]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "busy > 5 parsec",
            "the unit 'parsec' of busy_ms is unknown; choose from: %, ns, us, µs, ms",
        ),
        ("busy > 5", "busy_ms has a unit; choose from"),
        ("kernels > 5 ms", "the unit 'ms' of kernels is unknown; choose from: %, none"),
        ("speed > 5 %", "'speed' is no column"),
        ("busy 5 %", "is no condition"),
        ("busy > fast", "is no condition"),
        ("", "is no condition"),
        ("busy > 1e999 %", "not finite"),
        ("busy per frame > 5 %", "'frame' is nothing to divide by"),
        ("busy > 5 % and", "is no condition"),
    ],
)
def test_what_is_no_condition(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_condition(text, UNITS, "process")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gate_without_its_grounds_is_no_pass(analysis: Analysis, tmp_path: Path) -> None:
    a, b = profile(tmp_path / "a.sqlite", net=400), profile(tmp_path / "b.sqlite", net=400)
    other = ProfileWriter()
    with other.range("elsewhere"):
        other.submodule("net", 4000)
    other.write(tmp_path / "o.sqlite")
    for options, message in (
        ((a, tmp_path / "o.sqlite"), "have no range in common"),
        ((a, b, "--confident"), "intervals need several profiles on each side"),
        (("--a", a, b, "--b", tmp_path / "o.sqlite", "--confident"), "no range in common"),
    ):
        code, out, err = analysis("diff", *options, "--fail-if", "busy > 5 %")
        assert (code, out) == (FAULT, "")
        assert message in err
    code, _, err = analysis("diff", tmp_path / "o.sqlite", tmp_path / "o.sqlite", "--fail-if",
                            "busy per image > 5 %")  # fmt: skip
    assert code == FAULT
    assert "has no range called image" in err
