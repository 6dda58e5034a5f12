from __future__ import annotations

from typing import Any

import pytest

from profiling.errors import ConfigError
from profiling.request import RunRequest
from profiling.study.config import load_config
from profiling.study.plan import plan_counts, plan_runs

METHODS = {
    "Small": {"target": "efficientad", "size": "S"},
    "Medium": {"target": "efficientad", "size": "M"},
}


def runs(**changes: Any) -> dict[str, str]:
    """The parameters of each run, as Snakemake compares them."""
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS, **changes}
    planned = plan_runs(load_config(config), "embedded")
    return {path: run.request.as_json() + run.code_digest for path, run in planned.items()}


def test_a_run_for_each_method_and_resolution_in_a_folder_of_its_own() -> None:
    assert set(runs(resolutions=[256, 300])) == {
        "local/Small/reference-fp32/256",
        "local/Small/reference-fp32/300",
        "local/Medium/reference-fp32/256",
        "local/Medium/reference-fp32/300",
    }


def test_a_changed_setting_changes_the_runs_of_its_label_only() -> None:
    changed = {**METHODS, "Small": {**METHODS["Small"], "padding": True}}
    before, after = runs(), runs(methods=changed)
    differing = {path for path in before if before[path] != after[path]}
    assert differing == {path for path in before if "/Small/" in path}
    assert differing


def test_figure_style_changes_no_run() -> None:
    assert runs() == runs(figures={"width_mm": 180}, extrapolate_to_px=4000)


def test_threads_and_sampling_change_every_run() -> None:
    before = runs(device={"type": "cpu", "threads": 1})
    for after in (
        runs(device={"type": "cpu", "threads": 2}),
        runs(device={"type": "cpu", "threads": 1}, sampling={"measured_images": 5}),
    ):
        assert all(before[path] != after[path] for path in before)


def test_leaving_out_what_cannot_fit_changes_no_run() -> None:
    """What is left out is run again in another way, see ``profiling.study.decisions``."""
    assert runs() == runs(skip_predicted_out_of_memory=True, memory_margin=0.5)


def test_the_same_study_gives_the_same_parameters() -> None:
    reordered = dict(reversed(METHODS.items()))
    assert runs() == runs(methods=reordered)


def test_a_request_survives_its_json() -> None:
    config = load_config({"preset": "paper", "device": {"type": "cpu"}, "methods": METHODS})
    for run in plan_runs(config, "nsys").values():
        assert RunRequest.from_json(run.request.as_json()) == run.request


@pytest.mark.parametrize("text", ["", "{", "[]", '{"device": "local"}'])
def test_a_broken_request_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunRequest.from_json(text)
    assert "\n" not in str(caught.value)


def test_memory_is_counted_at_all_studied_resolutions_and_up_to_the_extrapolation() -> None:
    config = load_config(
        {
            "preset": "smoke",
            "device": {"type": "cpu"},
            "methods": METHODS,
            "resolutions": [256, 300],
            "extrapolate_to_px": 1500,
        }
    )
    counts = plan_counts(config)
    assert set(counts) == {"counts/Small/reference-fp32", "counts/Medium/reference-fp32"}
    small = counts["counts/Small/reference-fp32"]
    assert small.resolutions_px == (256, 300, 512, 1024, 1500)


def test_a_checkpoint_is_an_input_of_its_runs() -> None:
    methods = {"A": {"target": "efficientad", "weights": "a.pt"}, "B": {"target": "efficientad"}}
    config = load_config({"preset": "smoke", "device": {"type": "cpu"}, "methods": methods})
    files = {path.split("/")[1]: run.files for path, run in plan_runs(config, "embedded").items()}
    assert files == {"A": ["a.pt"], "B": []}
