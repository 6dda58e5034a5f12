from __future__ import annotations

import dataclasses
import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.config import load_config
from adscale.errors import ConfigError
from adscale.figures import planned_figures
from adscale.methods.registry import get_spec
from adscale.methods.spec import ResolutionProblem
from adscale.names import PAPER_SIDES_PX
from adscale.plan import (
    first_processes,
    plan_counts,
    plan_cpu_counts,
    plan_runs,
    planned_records,
    process_pattern,
    supported_at_or_above,
)
from adscale.request import RunRequest
from adscale.resolution import Resolution, sensor_resolution, square
from analysis import memory_extrapolation
from analysis.figures.canvas import Style
from analysis.figures.draw import FIGURES, study_figures
from analysis.hardware import Hardware
from tests.analysis.drawings import (
    count_of,
    latency_table,
    read,
    runs_table,
    runtime_table,
    study_tables,
)

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


def test_each_process_of_a_run_has_its_folder_and_the_first_ones_come_first() -> None:
    one, three = runs(), runs(processes=3)
    assert list(three) == [
        *one,
        *(f"{path}/process-2" for path in one),
        *(f"{path}/process-3" for path in one),
    ]
    assert {path: three[path] for path in one} == one, "more processes measure none again"
    assert runs(processes=2).items() <= three.items()


def test_processes_of_a_run_differ_in_their_number_only() -> None:
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS, "processes": 3}
    planned = plan_runs(load_config(config), "embedded")
    for path in first_processes(planned):
        requests = [planned[f"{path}{suffix}"].request for suffix in ("", "/process-2")]
        assert [request.process for request in requests] == [1, 2]
        assert dataclasses.replace(requests[1], process=1) == requests[0]


def test_every_path_is_of_one_process_by_its_pattern() -> None:
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS, "processes": 11}
    for path, run in plan_runs(load_config(config), "embedded").items():
        found = [n for n in range(1, 12) if re.fullmatch(process_pattern(n), path)]
        assert found == [run.request.process]


def test_the_latency_pass_asks_for_the_same_without_a_profiler() -> None:
    config = load_config({"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS})
    for run in plan_runs(config, "embedded").values():
        assert run.latency.collector == "none"
        assert dataclasses.replace(run.latency, collector="embedded") == run.request
        sampling = dataclasses.replace(run.request.sampling, measured_images=9, profiled_share=0.5)
        asked = dataclasses.replace(run.request, sampling=sampling)
        latency = dataclasses.replace(run.latency, sampling=sampling)
        images = [one.own_sampling.measured_images for one in (asked, latency)]
        assert images == [5, 9]


def test_the_records_of_a_study() -> None:
    paths = ["d/m/v/256", "d/m/v/256/process-2"]
    profiled = [f"{path}/run.json" for path in paths]
    assert planned_records(paths, latency=False) == profiled
    latency = [f"{path}/latency.json" for path in paths]
    assert planned_records(paths, latency=True) == [*profiled, *latency]


@pytest.mark.parametrize(
    "execution", [{"cudnn_benchmark": True}, {"deterministic": True}, {"cache": "cold"}]
)
def test_settings_of_the_execution_change_every_run(execution: dict[str, Any]) -> None:
    before, after = runs(), runs(execution=execution)
    assert all(before[path] != after[path] for path in before)


def test_what_others_on_the_gpu_lead_to_and_the_latency_pass_change_no_run() -> None:
    changed = {"device": {"type": "cpu", "foreign_processes": "error"}, "latency": False}
    assert runs() == runs(**changed)


def test_a_changed_setting_changes_the_runs_of_its_label_only() -> None:
    changed = {**METHODS, "Small": {**METHODS["Small"], "padding": True}}
    before, after = runs(), runs(methods=changed)
    differing = {path for path in before if before[path] != after[path]}
    assert differing == {path for path in before if "/Small/" in path}
    assert differing


def test_figure_style_changes_no_run() -> None:
    assert runs() == runs(figures={"width_mm": 180}, extrapolate_to_px=4000)
    assert runs() == runs(gpus=[], sensors=[{"name": "A", "megapixels": 5}])


def test_gpus_change_no_count() -> None:
    config = {"preset": "smoke", "device": {"type": "cpu"}, "methods": METHODS}
    others = {"gpus": [{"name": "A", "memory_gib": 8}]}
    assert plan_counts(load_config(config)) == plan_counts(load_config({**config, **others}))


def test_threads_and_sampling_change_every_run() -> None:
    before = runs(device={"type": "cpu", "threads": 1})
    for after in (
        runs(device={"type": "cpu", "threads": 2}),
        runs(device={"type": "cpu", "threads": 1}, sampling={"measured_images": 5}),
    ):
        assert all(before[path] != after[path] for path in before)


def test_leaving_out_what_cannot_fit_changes_no_run() -> None:
    """What is left out is run again in another way, see ``profiling.study.setup``."""
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


def counted_at(extrapolate_to_px: int | str, *sensors_mp: float, **entry: Any) -> tuple[int, ...]:
    """The resolutions at which the memory of one method is counted."""
    config = load_config(
        {
            "preset": "smoke",
            "device": {"type": "cpu"},
            "methods": {"A": entry},
            "extrapolate_to_px": extrapolate_to_px,
            "sensors": [{"name": f"{size} MP", "megapixels": size} for size in sensors_mp],
        }
    )
    (count,) = plan_counts(config).values()
    assert count.path == "counts/A/reference-fp32"
    assert list(map(str, count.resolutions)) == count.arguments[-len(count.resolutions) :]
    return tuple(int(str(one)) for one in count.resolutions)


GRID_PX = (256, 384, 512, 640, 768, 896, 1024, 1536, 2048, 2560)


def test_memory_is_counted_at_the_methods_resolutions_the_studys_and_the_largest() -> None:
    small = {"target": "efficientad", "resolutions": [256, 300]}
    assert counted_at(3000, **small) == (256, 300, *GRID_PX[1:], 3000)
    # what the paper's extrapolation is judged by is counted however far is extrapolated
    assert counted_at(1500, **small) == (256, 300, *GRID_PX[1:7], 1500, *GRID_PX[7:])
    assert counted_at(4000, **small) == (256, 300, *GRID_PX[1:], 3072, 3584, 4000)
    # 5,013,504 pixels lie between the squares of 2239 and 2240 px
    assert counted_at("2448x2048", **small) == (256, 300, *GRID_PX[1:9], 2240, 2560)


def test_memory_is_counted_at_the_next_resolution_that_the_method_supports() -> None:
    ddad = {"target": "ddad", "resolutions": [32, 64]}
    assert counted_at(3000, **ddad) == (32, 64, *GRID_PX, 3008)


def test_memory_is_counted_at_the_squares_of_sensors_rounded_up_to_what_a_method_admits() -> None:
    """5.07 MP are 2251.7 px; 4.84 MP are 2200 px exactly; 20.48 MP are 4525.5 px."""
    sizes = (5.07, 4.84, 20.48)
    small = {"target": "efficientad", "resolutions": [256]}
    assert {*counted_at(3000, *sizes, **small)} == {*GRID_PX, 3000, 2252, 2200, 4526}
    ddad = {"target": "ddad", "resolutions": [256]}
    found = {*counted_at(3000, *sizes, **ddad)} - {*GRID_PX, 3008}
    assert found == {2208, 2272, 4544}
    assert all(side_px % 32 == 0 for side_px in found)


@pytest.mark.parametrize("sensors_mp", [(), (1.0, 5.07)])
@pytest.mark.parametrize(
    ("devices", "has_cpu"),
    [
        (("cpu",), True),
        (("cuda", "cpu"), True),
        (("cuda",), False),
    ],
)
def test_memory_is_counted_for_a_cpu_at_the_sensors_where_the_study_has_one(
    devices: tuple[str, ...], has_cpu: bool, sensors_mp: tuple[float, ...]
) -> None:
    sensors = [{"name": f"{size} MP", "megapixels": size} for size in sensors_mp]
    listed = [{"name": kind, "type": kind, "threads": 2, "hardware": kind} for kind in devices]
    methods = {"D": {"target": "ddad"}}
    config = load_config(
        {"preset": "smoke", "devices": listed, "sensors": sensors, "methods": methods}
    )
    found = plan_cpu_counts(config)
    assert list(found) == ["counts/D/reference-fp32/cpu"] * (has_cpu and len(sensors_mp) > 0)
    assert set(found) & set(plan_counts(config)) == set()
    for count in found.values():
        assert count.resolutions == (square(1024), square(2272)), "1000 and 2252, padded to 32 px"
        place = count.arguments.index("--device-type")
        assert count.arguments[place + 1] == "cpu"
        assert count.arguments[-3:] == ["--resolution", "1024", "2272"]


@given(st.floats(0.01, 500))
def test_a_sensor_of_megapixels_is_the_next_larger_square(megapixels: float) -> None:
    side_px = sensor_resolution(megapixels).width_px
    assert (side_px - 1) ** 2 < round(megapixels * 1e6) <= side_px**2


def test_where_a_method_does_not_run_at_the_studys_resolutions_they_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs at 257 and 300 px only, and is extrapolated no farther."""

    def problem(_settings: Any, resolution: Resolution) -> ResolutionProblem | None:
        if resolution in {square(257), square(300)}:
            return None
        side_px = resolution.width_px
        nearest = tuple(square(side) for side in (257, 300) if abs(side - side_px) < 100)
        return ResolutionProblem("it is so", nearest)

    spec = dataclasses.replace(get_spec("efficientad"), counting_problem=problem)
    asked = {"methods": {"A": {"target": "efficientad"}}, "extrapolate_to_px": 300, "sensors": []}
    config = load_config(asked)
    method = dataclasses.replace(config.methods[0], spec=spec, resolutions=(square(257),))
    counts = plan_counts(dataclasses.replace(config, methods=(method,)))
    assert {count.resolutions for count in counts.values()} == {(square(257), square(300))}
    with pytest.raises(ConfigError, match=r"runs at no resolution from 1024 px on \(it is so\)"):
        supported_at_or_above(method, 1024)


def test_the_counted_resolutions_are_those_that_the_analysis_fits_and_judges() -> None:
    assert PAPER_SIDES_PX == memory_extrapolation.PAPER_SIDES_PX
    assert memory_extrapolation.JUDGED_FROM_PX in GRID_PX


def test_a_checkpoint_is_an_input_of_its_runs() -> None:
    methods = {"A": {"target": "efficientad", "weights": "a.pt"}, "B": {"target": "efficientad"}}
    config = load_config({"preset": "smoke", "device": {"type": "cpu"}, "methods": methods})
    files = {path.split("/")[1]: run.files for path, run in plan_runs(config, "embedded").items()}
    assert files == {"A": ["a.pt"], "B": []}
    runs = list(plan_runs(config, "embedded").values())
    for target, key in (("anomalib:Padim", "checkpoint"), ("mine:Net", "weights")):
        of_another = {"target": target, "settings": {key: "b.ckpt", "other": 1}}
        request = dataclasses.replace(runs[0].request, **of_another)
        assert dataclasses.replace(runs[0], request=request).files == ["b.ckpt"]


@pytest.mark.parametrize("latency", [False, True])
@pytest.mark.parametrize(
    ("device_type", "clock", "variants"),
    [
        ("cpu", "host", ["reference-fp32"]),
        ("cuda", "busy", ["optimized-fp32", "reference-fp32", "reference-tf32"]),
    ],
)
def test_the_figures_planned_are_those_that_the_analysis_draws(
    device_type: str, clock: str, variants: list[str], latency: bool
) -> None:
    device = {"type": device_type}
    config = load_config(
        {"preset": "smoke", "device": device, "methods": METHODS, "variants": variants}
    )
    runs, counted = plan_runs(config, "embedded"), plan_counts(config)
    planned = planned_figures(FIGURES, runs, counted, latency=latency, sensors=True)
    names = [(method, variant) for method in METHODS for variant in variants]
    more = {"device": "local", "device_type": device_type}
    runtime = [
        runtime_table(method, variant=variant, clock=clock, **more) for method, variant in names
    ]
    if latency:
        runtime += [latency_table(method, variant=variant, **more) for method, variant in names]
    counts = [
        count for method, variant in names for count in read(count_of(method, variant=variant))
    ]
    times = pd.concat(runtime, ignore_index=True)
    tables = study_tables(times, counts, runs_table(times))
    drawn = study_figures(tables, Hardware(), Style())
    assert sorted(planned) == sorted(drawn)
