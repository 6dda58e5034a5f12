"""A study plans its figures by name, and files them in Snakemake's report."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adscale.config import load_config
from adscale.figures import FigureKind, planned_figures
from adscale.plan import plan_counts, plan_runs
from adscale.tables import Mark, summary_mark
from analysis.figures.draw import FIGURES
from analysis.registry import TABLES
from tests.conftest import CHECKOUT


def marks(device: str, method: str, *others: str) -> dict[str, Mark]:
    """Of a study of methods in all variants on a GPU."""
    study = load_config({
        "device": {"name": device, "type": "cuda", "threads": 1}, "resolutions": [256],
        "methods": {label: {"target": "efficientad"} for label in (method, *others)},
        "variants": ["reference-fp32", "optimized-fp32", "reference-tf32", "optimized-bf16"],
        "sampling": {"warmup_images": 1, "measured_images": 2, "min_images": 2},
    })  # fmt: skip
    runs, counts = plan_runs(study, "embedded"), plan_counts(study)
    return planned_figures(FIGURES, runs, counts, latency=True, sensors=True)


def test_a_name_is_told_apart_by_what_the_study_has() -> None:
    found = marks("lab_a", "EfficientAD_S")
    mark = found["runtime_share_lab_a_EfficientAD_S_reference-tf32"]
    assert mark["category"] == "Runtime"
    assert mark["labels"] == {
        "device": "lab_a", "method": "EfficientAD_S", "variant": "reference-tf32",
        "quantity": "time per image and submodule",
    }  # fmt: skip
    memory = found["memory_peak_EfficientAD_S_optimized-fp32"]
    assert memory["category"] == "Memory"
    assert list(memory["labels"]) == ["method", "variant", "quantity"]
    ratios = found["implementations_lab_a_EfficientAD_S_fp32"]["labels"]
    assert ratios["precision"] == "fp32"
    scaling = found["scaling_needed_reference-fp32"]
    assert (scaling["category"], scaling["subcategory"]) == ("Scaling", "Memory needed")


NAMES = st.text("ab_", max_size=3).map("a{}".format)


@settings(max_examples=30, deadline=None)
@given(device=NAMES, method=NAMES, other=NAMES)
def test_no_name_of_device_or_method_leaves_a_figure_unfiled(
    device: str, method: str, other: str
) -> None:
    """Names with what separates them, and one within another, too."""
    for name, mark in marks(device, method, other).items():
        labels = dict(mark["labels"])
        labels.pop("quantity")
        assert name.endswith("_".join(labels.values()))
        assert labels.get("method", method) in (method, other)


def test_every_kind_of_figure_is_planned_and_has_a_name_of_its_own() -> None:
    captions = {Path(mark["caption"]).stem for mark in marks("lab", "S").values()}
    assert captions == {kind.begins for kind in FIGURES}
    assert len(captions) == len(FIGURES)


def test_figures_of_one_subcategory_have_the_same_labels() -> None:
    """They are the columns of its list."""
    columns: dict[tuple[str, str], tuple[str, ...]] = {}
    for mark in marks("lab", "S", "M").values():
        place = (mark["category"], mark["subcategory"])
        assert columns.setdefault(place, tuple(mark["labels"])) == tuple(mark["labels"])


@pytest.mark.parametrize("kind", FIGURES, ids=lambda kind: kind.begins)
def test_captions_of_figures_say_by_which_clock(kind: FigureKind) -> None:
    assert "clock" in kind.caption or "busy" in kind.caption


def test_no_caption_is_left_over() -> None:
    used = {Path(table.mark["caption"]).stem for table in TABLES}
    used |= {Path(summary_mark()["caption"]).stem, *(kind.begins for kind in FIGURES), "study"}
    assert {path.stem for path in (CHECKOUT / "workflow/report").iterdir()} == used
