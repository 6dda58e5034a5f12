"""`claims`: what the paper claims, from counts whose sizes are closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.memory_documents import Count, Part, constant, per_pixel

Analysis = Callable[..., tuple[int, str, str]]
SIDES_PX = (256, 384, 512, 640, 768, 896, 1024, 2048)
MIB = 2**20
GIB = 2**30


def quartic(side_px: int) -> int:
    return side_px**4


DIFFUSION = Count(
    "D",
    (
        Part(
            "denoising_unet",
            activations=per_pixel(16), peak=quartic, flops=lambda s: 3 * 10**9,
        ),
        Part("feature_extraction", activations=per_pixel(4), flops=lambda s: 10**9),
    ),
)  # fmt: skip
BANK = Count("B", (Part("feature_extraction", activations=per_pixel(8)),))


def rows(printed: str) -> list[list[str]]:
    """The cells of each line below the title; no cell of these tables has two spaces in it."""
    return [line.replace(" %", "%").split() for line in printed.splitlines()[1:]]


def test_ratios_are_of_one_pass_at_one_resolution(analysis: Analysis, tmp_path: Path) -> None:
    first = DIFFUSION.write(tmp_path / "d.json", [256, 512])
    second = BANK.write(tmp_path / "b.json", [512, 1024])
    code, out, _ = analysis("claims", "ratios", first, second)
    assert code == 0
    found = [(row[0], row[1], row[3], row[4]) for row in rows(out)[1:]]
    assert found == [
        ("D", "D", "256", "4.000"), ("D", "B", "512", "2.000"), ("D", "D", "512", "4.000"),
    ]  # fmt: skip


def test_a_ratio_is_of_one_variant(analysis: Analysis, tmp_path: Path) -> None:
    other = Count("B", BANK.parts, variant="optimized-fp32").write(tmp_path / "b.json", [256])
    _, out, _ = analysis("claims", "ratios", DIFFUSION.write(tmp_path / "d.json", [256]), other)
    assert [row[1] for row in rows(out)[1:]] == ["D"]


def test_the_parabola_misses_what_is_quartic_and_nothing_else(
    analysis: Analysis, tmp_path: Path
) -> None:
    _, out, _ = analysis("claims", "growth", DIFFUSION.write(tmp_path / "d.json", SIDES_PX))
    found = {(row[0], row[3]): row[4:] for row in rows(out)[1:]}
    flat = ["1.0000", "2048", "0.0%", "0.0%", "2.00"]
    assert found["activations", "denoising_unet"] == flat
    assert found["activations", "feature_extraction"] == flat
    # least squares of s⁴ at 256, 384, …, 1024 px, by an independent solver
    assert found["peak", "denoising_unet"] == ["0.9937", "2048", "-58.9%", "0.0%", "4.00"]
    assert found["flops", "denoising_unet"][3:] == ["0.0%", "0.00"]


def test_a_submodule_that_is_there_at_some_sides_only_is_compared_with_itself(
    analysis: Analysis, tmp_path: Path
) -> None:
    """As what a network does between its children, padding of odd sides, may be."""
    first = Part("between", activations=per_pixel(1000))
    document = Count("D", (first, *DIFFUSION.parts)).document(SIDES_PX)
    for count in document["resolutions"][1::2]:
        del count["submodules"][0]
    (path := tmp_path / "d.json").write_text(json.dumps(document))
    code, out, _ = analysis("claims", "growth", path)
    found = {(row[0], row[3]): row[4:] for row in rows(out)[1:]}
    assert code == 0
    assert found["activations", "denoising_unet"] == ["1.0000", "2048", "0.0%", "0.0%", "2.00"]
    assert ("activations", "between") not in found  # nothing of it lies beyond


def test_nothing_counted_at_a_side_has_no_power(analysis: Analysis, tmp_path: Path) -> None:
    part = Part("a", activations=lambda side_px: 0 if side_px == 2048 else side_px**2)
    path = Count("D", (part,)).write(tmp_path / "d.json", [*SIDES_PX, 4096])
    code, out, _ = analysis("claims", "growth", path)
    assert code == 0
    found = [row[5:] for row in rows(out)[1:] if row[0] == "activations"]
    assert found == [["2048", "–", "–", "–"], ["4096", "0.0%", "0.0%", "2.00"]]


@pytest.mark.parametrize(
    ("change", "arguments", "told"),
    [
        ({"resolutions": []}, ["--at", "256"], "no resolution could be counted"),
        ({"resolutions": []}, [], "no resolution could be counted"),
        ({"resolutions": [256]}, ["--at", "256"], "resolutions.0"),
        ({"method": 5}, [], "method violates memory.schema.json"),
    ],
)
def test_odd_counts_end_in_one_line(
    analysis: Analysis, tmp_path: Path, change: dict[str, object], arguments: list[str], told: str
) -> None:
    (path := tmp_path / "d.json").write_text(json.dumps({**DIFFUSION.document([256]), **change}))
    code, out, err = analysis("claims", "flops", path, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_a_number_that_nothing_counts_is_refused(analysis: Analysis, tmp_path: Path) -> None:
    huge = Count("D", (Part("a", activations=constant(10**400)),)).write(tmp_path / "d.json", [8])
    code, _, err = analysis("claims", "totals", huge)
    assert code == 2
    assert "activations_bytes violates memory.schema.json" in err


def test_without_a_side_beyond_nothing_is_judged(analysis: Analysis, tmp_path: Path) -> None:
    _, out, _ = analysis("claims", "growth", DIFFUSION.write(tmp_path / "d.json", SIDES_PX[:-1]))
    assert len(rows(out)) == 1


def test_variants_are_judged_apart(analysis: Analysis, tmp_path: Path) -> None:
    other = Count("D", DIFFUSION.parts[1:], variant="optimized-fp32")
    files = [
        DIFFUSION.write(tmp_path / "d.json", SIDES_PX), other.write(tmp_path / "o.json", SIDES_PX),
    ]  # fmt: skip
    _, out, _ = analysis("claims", "growth", *files)
    found = [row[2] for row in rows(out)[1:] if row[3] == "feature_extraction"]
    assert sorted(set(found)) == ["optimized-fp32", "reference-fp32"]


def test_shares_of_operations_and_the_least_time(analysis: Analysis, tmp_path: Path) -> None:
    path = DIFFUSION.write(tmp_path / "d.json", [256, 512])
    _, out, _ = analysis("claims", "flops", path, "--at", "512", "--tflops", "0.5")
    assert "at 0.5 TFLOP/s" in out
    assert [row[2:] for row in rows(out)[1:]] == [
        ["512", "denoising_unet", "3.00", "75.0%", "6.00"],
        ["512", "feature_extraction", "1.00", "25.0%", "2.00"],
        ["512", "method", "4.00", "100.0%", "8.00"],
    ]


def test_layers_are_told_where_they_were_counted(analysis: Analysis, tmp_path: Path) -> None:
    path = DIFFUSION.write(tmp_path / "d.json", [256])
    document = json.loads(path.read_text())
    document["resolutions"][0]["submodules"][0]["leaf_modules"] = 39
    path.write_text(json.dumps(document))
    _, out, _ = analysis("claims", "layers", path)
    assert [row[2:] for row in rows(out)[1:]] == [
        ["denoising_unet", "39", "250,000"], ["feature_extraction", "–", "250,000"],
    ]  # fmt: skip


def test_totals_are_equation_1_and_what_is_needed(analysis: Analysis, tmp_path: Path) -> None:
    part = Part(
        "a", parameters=constant(GIB), buffers=constant(GIB), activations=constant(GIB),
        peak=constant(3 * GIB),
    )  # fmt: skip
    path = Count("M", (part, part)).write(tmp_path / "m.json", [256])
    _, out, _ = analysis("claims", "totals", path)
    assert rows(out)[1][2:] == ["256", "4.00", "2.00", "6.00", "7.00"]


def test_activations_have_every_convention(analysis: Analysis, tmp_path: Path) -> None:
    part = Part("a", activations=constant(MIB))
    _, out, _ = analysis("claims", "activations", Count("M", (part,)).write(tmp_path / "m", [256]))
    assert rows(out)[1][4:] == ["1.00", "2.00", "3.00", "4.00", "5.00"]


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "inf"])
def test_a_rate_that_is_none_is_refused(analysis: Analysis, tmp_path: Path, rate: str) -> None:
    with pytest.raises(SystemExit) as caught:
        analysis("claims", "flops", tmp_path / "d.json", f"--tflops={rate}")
    assert caught.value.code == 2
