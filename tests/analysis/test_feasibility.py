"""Feasibility: each verdict with its reason, latency and its limits, the command, the figure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from adscale.names import sensor_side_px
from analysis.feasibility.answer import keeps_cycle
from analysis.feasibility.fitting import (
    ALLOCATOR_RESERVE,
    ASSUMED,
    ASSUMED_CONTEXT_BYTES,
    GIB,
    Context,
    fits,
    measured_context,
    measured_devices,
    need_at,
    observed,
    on_device,
    same_gpu,
    targets,
)
from analysis.feasibility.rows import Latencies, Speed, feasibility_rows
from analysis.feasibility.tables import (
    FEASIBILITY,
    FEASIBILITY_LIMITS,
    FeasibilityTables,
    feasibility_table,
    limits_table,
)
from analysis.figures.canvas import Style, rc_parameters
from analysis.figures.feasibility import LOOKS, feasibility, rate_text
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.measured_memory_table import MEASURED_MEMORY
from analysis.memory_table import MEMORY_METHODS
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table, read_csv, write_csv
from tests.analysis.drawings import VARIANT, caption, latency_table, runtime_table

LOW, HIGH = ASSUMED_CONTEXT_BYTES
SIDES_PX = (256, 384, 512, 640, 768, 896, 1024)
Analysis = Callable[..., tuple[int, str, str]]


def counts(needed: dict[int, int], method: str = "M", **more: Any) -> pd.DataFrame:
    """Rows of `memory_methods.csv`: needed bytes by side in px."""
    rows = [
        {
            **dict.fromkeys(MEMORY_METHODS.schema), "method": method, "variant": VARIANT,
            "device_type": "cuda", "resolution_px": side_px, "needed_bytes": size, **more,
        }
        for side_px, size in needed.items()
    ]  # fmt: skip
    return make_table(rows, MEMORY_METHODS.schema)


def measured(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `memory_measured.csv` of whole runs on a GPU."""
    about = {"hardware": "G", "role": "run", "device_type": "cuda", "variant": VARIANT}
    empty = dict.fromkeys(MEASURED_MEMORY.schema)
    return make_table([{**empty, **about, **row} for row in rows], MEASURED_MEMORY.schema)


def latency(
    sides_px: tuple[int, ...] = SIDES_PX, wobble: float = 0.01, **more: Any
) -> pd.DataFrame:
    """Latency of 20 ms and 60 ms per megapixel, p99 a tenth above, intervals of ±2 %."""
    table = latency_table(sides_px=sides_px)
    is_whole = table["submodule"] == "end_to_end"
    sign = table["resolution_px"].map({side: (-1) ** k for k, side in enumerate(sides_px)})
    mean_ms = (20 + 60 * table["pixels"] / 1e6) * (1 + wobble * sign)
    for name, factor in (("mean", 1.0), ("p99", 1.1)):
        low, high = (
            ("ci95_low_ms", "ci95_high_ms") if name == "mean" else ("p99_low_ms", "p99_high_ms")
        )
        for column, share in ((f"{name}_ms", 1.0), (low, 0.98), (high, 1.02)):
            table.loc[is_whole, column] = mean_ms[is_whole] * factor * share
    return table.assign(**more)


# the sides of sensors


@pytest.mark.parametrize(("megapixels", "side_px"), [(4.84, 2200), (5.07, 2252), (1.0, 1000)])
def test_a_sensor_is_the_square_with_as_many_pixels_rounded_up(
    megapixels: float, side_px: int
) -> None:
    assert sensor_side_px(megapixels) == side_px


# verdicts by counts


def verdict(needed: dict[int, int], side_px: int, memory: float, **more: Any) -> tuple[str, str]:
    context = more.pop("context", ASSUMED)
    need = need_at(counts(needed, **more), side_px, context)
    return fits(need, int(memory), "cuda")


def test_it_fits_where_count_context_and_reserve_are_within() -> None:
    largest = math.ceil(GIB * (1 + ALLOCATOR_RESERVE)) + HIGH
    assert verdict({1000: GIB}, 1000, largest) == ("fits", "needs at most 2.1 of 2.1 GiB")
    assert verdict({1000: GIB}, 1000, largest - 1)[0] == "uncertain"


def test_it_does_not_fit_where_count_and_smallest_context_are_beyond() -> None:
    found = verdict({1000: GIB}, 1000, GIB + LOW - 1)
    assert found == ("does_not_fit", "needs at least 1.25 of 1.25 GiB")
    assert verdict({1000: GIB}, 1000, GIB + LOW)[0] == "uncertain"


def test_in_between_it_says_what_is_not_known() -> None:
    found = verdict({1000: GIB}, 1000, 1.5 * GIB)
    unknown = "CUDA's context is assumed; the allocator's reserve is assumed"
    assert found == ("uncertain", f"needs 1.25 to 2.1 of 1.5 GiB: {unknown}")
    known = verdict({1000: GIB}, 1000, 1.51 * GIB, context=Context(GIB // 2, GIB // 2, "measured"))
    assert known[1].endswith("of 1.51 GiB: the allocator's reserve is assumed")


def test_between_two_counted_sides_both_bound_it() -> None:
    needed = {1000: GIB, 2000: 4 * GIB}
    need = need_at(counts(needed), 1500, ASSUMED)
    assert (need.counted_low, need.counted_high, need.side_px) == (GIB, 4 * GIB, 1500)
    assert need.basis == "counted between 1000 and 2000 px"
    assert verdict(needed, 1500, 3 * GIB)[1].startswith("needs 1.25 to 5.4 of 3 GiB")
    assert need_at(counts(needed), 500, ASSUMED).counted_low == 0


def test_a_side_that_the_method_rounds_up_is_that_of_the_sensor() -> None:
    need = need_at(counts({2048: GIB, 2272: 2 * GIB}), 2252, ASSUMED)
    assert (need.side_px, need.basis) == (2272, "counted")
    assert need.counted_high == 2 * GIB
    # or it runs at 2252 px, too, and nobody counted there: no memory grows faster than this
    assert need.counted_low == int(2 * GIB * (2252 / 2272) ** 4)
    assert need_at(counts({2048: GIB, 2252: 2 * GIB}), 2252, ASSUMED).counted_low == 2 * GIB


def test_beyond_what_was_counted_it_may_not_fit_and_never_fits() -> None:
    needed = {1000: GIB, 2000: 4 * GIB}
    assert verdict(needed, 3000, 4 * GIB)[0] == "does_not_fit"
    found = verdict(needed, 3000, 1000 * GIB)
    assert found == ("uncertain", "not counted at this size: counted up to 2000 px")


def test_an_incomplete_count_holds_from_below_only() -> None:
    assert verdict({1000: GIB}, 1000, GIB, incomplete="no search")[0] == "does_not_fit"
    found = verdict({1000: GIB}, 1000, 100 * GIB, incomplete="no search")
    assert found == ("uncertain", "the count is incomplete: no search")


def test_a_count_for_a_gpu_says_nothing_of_a_cpu_nor_one_without_memory() -> None:
    need = need_at(counts({1000: GIB}), 1000, ASSUMED)
    assert fits(need, 100 * GIB, "cpu") == ("uncertain", "counted for a CUDA device only")
    assert fits(need, None, "cuda")[1] == "the memory of the device is not known"


ORDER = {"fits": 0, "uncertain": 1, "does_not_fit": 2}
GROWING = st.dictionaries(
    st.integers(64, 4000), st.integers(0, 10**11), min_size=1, max_size=8
).map(lambda given: dict(zip(sorted(given), sorted(given.values()), strict=True)))
MEMORY = st.integers(1, 10**11)
SIDE = st.integers(1, 6000)


@given(GROWING, SIDE, MEMORY, MEMORY)
def test_more_memory_never_makes_it_fit_less(
    needed: dict[int, int], side_px: int, one: int, other: int
) -> None:
    less, more = (verdict(needed, side_px, size)[0] for size in sorted((one, other)))
    assert ORDER[more] <= ORDER[less]


@given(GROWING, SIDE, SIDE, MEMORY)
def test_a_larger_sensor_never_fits_better(
    needed: dict[int, int], one: int, other: int, memory: int
) -> None:
    small, large = (verdict(needed, side_px, memory)[0] for side_px in sorted((one, other)))
    assert ORDER[small] <= ORDER[large]


@given(GROWING, SIDE, MEMORY)
def test_a_verdict_is_certain_only_if_it_holds_at_both_ends(
    needed: dict[int, int], side_px: int, memory: int
) -> None:
    """Whatever lies between the ends, the true need included, gives the same verdict."""
    need = need_at(counts(needed), side_px, ASSUMED)
    assert need.high is None or need.low <= need.high
    found = fits(need, memory, "cuda")[0]
    if found == "fits":
        assert need.high is not None
        assert need.high <= memory
    assert (found == "does_not_fit") == (need.low > memory)


# the context


def test_a_context_is_that_of_the_methods_runs_on_the_same_gpu() -> None:
    table = measured(
        [
            {"method": "M", "outside_allocator_bytes": 500},
            {"method": "M", "outside_allocator_bytes": 700},
            {"method": "N", "outside_allocator_bytes": 900},
            {"method": "M", "outside_allocator_bytes": 100, "hardware": "H"},
            {"method": "M", "outside_allocator_bytes": None},
        ]
    )
    assert measured_context(table, "G", "M", VARIANT) == Context(500, 700, "measured")
    assert measured_context(table, "G", "other", VARIANT) == Context(500, 900, "measured")
    for hardware in ("absent", None):
        assert measured_context(table, hardware, "M", VARIANT) == ASSUMED
    assert measured_context(None, "G", "M", VARIANT) == ASSUMED


def test_what_libraries_took_is_in_the_count_and_not_again_in_the_context() -> None:
    row = {"method": "M", "outside_allocator_bytes": 900, "moved_outside_bytes": 600}
    assert measured_context(measured([row]), "G", "M", VARIANT).low == 900
    row["measured_as"] = "allocator and libraries"
    assert measured_context(measured([row]), "G", "M", VARIANT).low == 300


def test_on_a_cpu_the_process_before_the_method_takes_the_place_of_the_context() -> None:
    row = {"method": "M", "device_type": "cpu", "host_resident_before_build_bytes": 321}
    assert measured_context(measured([row]), "G", "M", VARIANT) == Context(321, 321, "measured")


# what runs have shown


def test_a_run_at_the_size_or_a_larger_one_fits_and_one_that_ran_out_does_not() -> None:
    ran = runtime_table(sides_px=(512, 1024))
    assert observed(ran, 1000) == ("fits", "ran at 1024 px")
    assert observed(ran, 1025) is None
    lost = ran.assign(status=ran["resolution_px"].map({512: "ok", 1024: "out_of_memory"}))
    assert observed(lost, 512) == ("fits", "ran at 512 px")
    assert observed(lost, 700) is None
    assert observed(lost, 2000) == ("does_not_fit", "ran out of memory at 1024 px")
    swapped = ran.assign(status=ran["resolution_px"].map({1024: "ok", 512: "out_of_memory"}))
    assert observed(swapped, 700) == ("uncertain", "ran at 1024 px, but not at 512 px")
    predicted = ran.assign(status="predicted_out_of_memory")
    assert observed(predicted, 2000) is None


# which device is which GPU


@pytest.mark.parametrize(
    ("name", "gib", "hardware", "same"),
    [
        ("RTX 4090", 24, "NVIDIA GeForce RTX 4090", True),
        ("RTX4090", 24, "NVIDIA GeForce RTX 4090", True),
        ("RTX 4090", 16, "NVIDIA GeForce RTX 4090 Laptop GPU", False),
        ("RTX 4080", 16, "NVIDIA GeForce RTX 4080 SUPER", False),
        ("RTX 3060", 12, "NVIDIA GeForce RTX 3060 Ti", False),
        ("RTX 6000 Ada", 48, "NVIDIA RTX 6000 Ada Generation", True),
        ("H100", 80, "NVIDIA H100 80GB HBM3", True),
        ("H100", 80, "NVIDIA H100 PCIe", False),
        ("H100 PCIe", 80, "NVIDIA H100 PCIe", True),
        ("H100", 80, "NVIDIA H100 80GB HBM3 MIG 1g.10gb", False),
        ("A100 SXM4", 80, "NVIDIA A100-SXM4-40GB", False),
        ("A100 SXM4", 40, "NVIDIA A100-SXM4-40GB", True),
        ("A100", 80, "NVIDIA A100-SXM4-80GB", True),
        ("A100", 80, "NVIDIA A100 80GB PCIe", False),
        ("T4", 16, "Tesla T4", True),
    ],
)
def test_a_gpu_is_the_hardware_of_its_whole_name(
    name: str, gib: float, hardware: str, same: bool
) -> None:
    assert same_gpu(Gpu(name, gib), hardware) is same


def test_targets_are_the_gpus_and_what_else_was_measured() -> None:
    runtime = pd.concat(
        [
            latency(device="a", hardware="NVIDIA GeForce RTX 4090", device_memory_bytes=25 * 10**9),
            latency(device="b", hardware="NVIDIA GeForce RTX 4090", device_memory_bytes=25 * 10**9),
            latency(device="c", hardware="NVIDIA L4", device_memory_bytes=23 * 10**9),
            latency(device="d", hardware="EPYC", device_type="cpu", device_memory_bytes=10**9),
            latency(device="e", hardware="EPYC", device_type="cpu"),
        ],
        ignore_index=True,
    )
    found = targets([Gpu("RTX 4090", 24), Gpu("RTX 4060", 8)], runtime)
    assert [(one.name, one.device, one.memory_bytes) for one in found] == [
        ("RTX 4090 (a)", "a", 25 * 10**9),
        ("RTX 4090 (b)", "b", 25 * 10**9),
        ("RTX 4060", None, 8 * GIB),
        ("c (NVIDIA L4)", "c", 23 * 10**9),
        ("d (CPU)", "d", 10**9),
        ("e (CPU)", "e", None),
    ]
    assert [one.name for one in targets([Gpu("RTX 4090", 24)], None)] == ["RTX 4090"]


# latency


def truth_ms(side_px: int) -> float:
    return 20 + 60 * side_px**2 / 1e6


def at(runtime: pd.DataFrame, side_px: int) -> Speed:
    found = Latencies(runtime).at(side_px)
    assert isinstance(found, Speed)
    return found


def test_latency_is_measured_where_it_was() -> None:
    speed = at(latency(wobble=0), 512)
    assert (speed.basis, speed.factor, speed.images, speed.verdict) == ("measured", 1, 5, "steady")
    assert tuple(speed.mean) == pytest.approx([truth_ms(512) * k for k in (1, 0.98, 1.02)])
    assert speed.p99 is not None
    assert tuple(speed.p99) == pytest.approx([truth_ms(512) * 1.1 * k for k in (1, 0.98, 1.02)])


@pytest.mark.parametrize(("side_px", "basis"), [(700, "interpolated"), (2252, "extrapolated")])
def test_elsewhere_it_is_predicted_with_a_band_around_the_truth(side_px: int, basis: str) -> None:
    speed = at(latency(), side_px)
    assert speed.basis == basis
    assert speed.factor == pytest.approx((side_px / 1024) ** 2)
    assert speed.images == 5
    assert speed.mean.value == pytest.approx(truth_ms(side_px), rel=0.1)
    assert speed.p99 is not None
    for estimate, factor in ((speed.mean, 1), (speed.p99, 1.1)):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < truth_ms(side_px) * factor < estimate.high


def test_a_p99_that_has_no_interval_where_it_was_measured_has_none_elsewhere() -> None:
    few = latency()
    few.loc[few["resolution_px"] == 256, "p99_high_ms"] = pd.NA
    p99 = at(few, 2000).p99
    assert p99 is not None
    assert (p99.low, p99.high) == (None, None)
    assert at(few.assign(p99_ms=pd.NA), 2000).p99 is None


def test_points_known_better_weigh_more() -> None:
    """One point is far off; with a wide interval of its own it hardly counts."""
    off = latency(wobble=0)
    is_last = off["resolution_px"] == 1024
    off.loc[is_last, "mean_ms"] *= 1.15
    wide = off.copy()
    wide.loc[is_last, "ci95_low_ms"] = wide.loc[is_last, "mean_ms"] * 0.5
    wide.loc[is_last, "ci95_high_ms"] = wide.loc[is_last, "mean_ms"] * 1.5
    errors = [abs(at(table, 960).mean.value - truth_ms(960)) for table in (off, wide)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("runtime", "side_px", "reason"),
    [
        (runtime_table(), 512, "no latency was measured"),
        (latency((256, 512, 1024)), 2000, "extrapolation refused: 3 resolutions"),
        (latency(), 4000, "extrapolation refused: 15.3 times the pixels"),
        (latency(), 100, "extrapolation refused: below the smallest measured resolution, 256 px"),
    ],
)
def test_latency_is_refused_with_a_reason(runtime: pd.DataFrame, side_px: int, reason: str) -> None:
    found = Latencies(runtime).at(side_px)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_runs_that_were_not_steady_are_told() -> None:
    runtime = latency()
    runtime.loc[runtime["resolution_px"] == 512, "verdict"] = "throttled"
    assert at(runtime, 512).verdict == "throttled"
    assert at(runtime, 2000).verdict == "throttled"
    assert at(runtime, 256).verdict == "steady"


@pytest.mark.parametrize(
    ("p99", "low", "high", "kept"),
    [
        (40, 38, 50, "yes"),
        (40, 38, 51, "uncertain"),
        (52, 50, 54, "uncertain"),
        (52, 51, 54, "no"),
        (52, None, None, "no"),
        (40, None, None, "uncertain"),
        (None, None, None, "unknown"),
    ],
)
def test_a_cycle_time_is_kept_if_the_whole_interval_of_p99_is_within(
    p99: float | None, low: float | None, high: float | None, kept: str
) -> None:
    row = {"latency_p99_ms": p99, "latency_p99_low_ms": low, "latency_p99_high_ms": high}
    row |= {"latency_ms": 30, "latency_low_ms": 29}
    assert keeps_cycle(row, 50) == kept


@pytest.mark.parametrize(
    ("mean", "low", "kept"),
    [(51, 50, "unknown"), (52, 51, "no"), (51, None, "no"), (50, None, "unknown")],
)
def test_without_p99_a_mean_beyond_the_cycle_time_does_not_keep_it(
    mean: float, low: float | None, kept: str
) -> None:
    row = {f"latency_p99{end}_ms": None for end in ("", "_low", "_high")}
    assert keeps_cycle(row | {"latency_ms": mean, "latency_low_ms": low}, 50) == kept


# the table


NEEDED = {side_px: side_px**2 * 1000 for side_px in (256, 1000, 2252, 3518)}
"""0.93 GiB per megapixel."""
HARDWARE = Hardware(
    (Gpu("small", 2), Gpu("RTX 4090", 24), Gpu("middle", 8)),
    (Sensor("IMX304", 12.37), Sensor("one", 1.0), Sensor("IMX264", 5.07)),
)


def tables(**more: Any) -> FeasibilityTables:
    on_gpu = {
        "device": "lab",
        "hardware": "NVIDIA GeForce RTX 4090",
        "device_memory_bytes": 24 * GIB,
    }
    return FeasibilityTables(counts(NEEDED), runtime=latency(**{**on_gpu, **more}))


def test_every_gpu_sensor_and_method_has_a_row_and_latency_is_of_its_own_gpu_only() -> None:
    both = tables()
    both = FeasibilityTables(pd.concat([both.counts, counts(NEEDED, "N")]), runtime=both.runtime)
    table = feasibility_table(both, HARDWARE)
    assert list(table) == list(FEASIBILITY.schema)
    assert len(table) == 2 * 3 * 3
    known = table[table["latency_ms"].notna()]
    assert {(*pair,) for pair in known[["gpu", "method"]].to_numpy()} == {("RTX 4090", "M")}
    others = table[table["gpu"] != "RTX 4090"]
    assert others["latency_problem"].str.contains("never taken from another GPU").all()
    assert others[["device", "images_per_second"]].isna().all(axis=None)
    assert known["images_per_second"].to_numpy() == pytest.approx(1e3 / known["latency_ms"])


def test_a_run_that_was_measured_outweighs_the_count() -> None:
    table = feasibility_table(tables(), HARDWARE).set_index(["gpu", "sensor"])
    ran = table.loc[("RTX 4090", "one")]
    assert (ran["verdict"], ran["verdict_basis"]) == ("fits", "measured")
    assert ran["reason"] == "ran at 1024 px on lab"
    lost = tables(status="out_of_memory", mean_ms=pd.NA)
    found = feasibility_table(lost, HARDWARE).set_index(["gpu", "sensor"])
    assert found.loc[("RTX 4090", "IMX264"), "reason"] == "ran out of memory at 1024 px on lab"
    assert found.loc[("middle", "one"), "verdict_basis"] == "counted"


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
def test_more_memory_than_the_measured_device_never_fits_less(status: str) -> None:
    """What ran out with 24 GiB does not fit with 22, whatever its count says."""
    order = {"does_not_fit": 0, "uncertain": 1, "fits": 2}
    seen = tables(status=status, **({} if status == "ok" else {"mean_ms": pd.NA}))
    (device,) = measured_devices(seen.runtime)
    found = []
    for gib in (1, 2, 4, 8, 12, 20, 22, 24, 26, 40, 80, 200):
        target = on_device(device, f"{gib} GiB", gib * GIB)
        (row,) = feasibility_rows(seen, [target], [Sensor("one", 1.0)])
        found.append(order[row["verdict"]])
    assert found == sorted(found)
    assert len(set(found)) > 1


def test_a_cpu_is_judged_by_what_ran_there() -> None:
    cpu = {"device": "local", "device_type": "cpu", "hardware": "EPYC"}
    table = feasibility_table(tables(**cpu), HARDWARE).set_index(["gpu", "sensor"])
    assert table.loc[("local (CPU)", "one"), "verdict"] == "fits"
    large = table.loc[("local (CPU)", "IMX264")]
    assert (large["verdict"], large["reason"]) == ("uncertain", "counted for a CUDA device only")
    assert pd.isna(large["needed_low_bytes"])
    assert large["latency_basis"] == "extrapolated"


def test_limits_are_the_largest_sensor_and_the_smallest_gpu_that_fit_for_certain() -> None:
    """1 MP needs 1.27 to 2.02 GiB, 5.07 MP 4.97 to 6.2 GiB, 12.37 MP 11.8 to 13.7 GiB."""
    cpu = {"device": "local", "device_type": "cpu", "hardware": "EPYC"}
    limits = limits_table(feasibility_table(tables(**cpu), HARDWARE))
    assert list(limits) == list(FEASIBILITY_LIMITS.schema)
    found = {
        limit: rows.set_index(by)[other].to_dict()
        for (limit, rows), by, other in zip(
            limits.groupby("limit", sort=False), ("gpu", "sensor"), ("sensor", "gpu"), strict=True
        )
    }
    largest = found["largest sensor"]
    assert pd.isna(largest.pop("small"))
    assert largest == {"RTX 4090": "IMX304", "middle": "IMX264", "local (CPU)": "one"}
    assert found["smallest GPU"] == {"IMX304": "RTX 4090", "one": "middle", "IMX264": "middle"}


def test_without_sensors_the_tables_are_empty() -> None:
    table = feasibility_table(tables(), Hardware(HARDWARE.gpus))
    assert (len(table), len(limits_table(table))) == (0, 0)
    assert list(limits_table(table)) == list(FEASIBILITY_LIMITS.schema)


# the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of a study, as a user has them: two methods, latency of one of them."""
    written = tables()
    assert written.runtime is not None
    both = pd.concat([written.counts, counts(NEEDED, "N")])
    write_csv(both, tmp_path / "memory_methods.csv")
    write_csv(written.runtime, tmp_path / "runtime.csv")
    return tmp_path


def test_the_command_answers_in_a_line_for_each_method(analysis: Analysis, folder: Path) -> None:
    asked = ("--sensor-mp", 5.07, "--vram-gib", 24, "--cycle-ms", 50)
    code, out, err = analysis("feasible", "--tables", folder, "--method", "all", *asked)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    fits_in = "5.07 MP (2252 px), 24 GiB: fits, needs at most 6.196 of 24 GiB; 4.723 GiB counted, "
    assert first.startswith(f"M {VARIANT}, {fits_in}context assumed; ")
    assert "on NVIDIA GeForce RTX 4090 (device lab), extrapolated, 4.84 times the largest" in first
    assert first.endswith(", n = 5, does not keep 50 ms")
    assert second == (
        f"N {VARIANT}, {fits_in}context assumed; no runtime on NVIDIA GeForce RTX 4090 "
        "(device lab): no latency was measured, whether it keeps 50 ms is not known"
    )


def test_without_a_device_each_measured_one_tells_its_latency(
    analysis: Analysis, folder: Path
) -> None:
    lab = read_csv(folder / "runtime.csv", RUNTIME.schema)
    slow = lab.assign(device="slow", hardware="Tesla T4")
    for column in ("mean_ms", "p99_ms", "p99_low_ms", "p99_high_ms"):
        slow[column] *= 3
    write_csv(pd.concat([lab, slow]), folder / "runtime.csv")
    asked = ("feasible", "--tables", folder, "--method", "M", "--vram-gib", 24, "--cycle-ms", 50)
    _, out, _ = analysis(*asked, "--sensor-mp", 0.262144)
    assert out.count("\n") == 1
    _, on_lab, on_slow = out.split("; ")[-3:]
    assert "(device lab), measured, n = 5, keeps 50 ms" in on_lab
    assert "Tesla T4 (device slow), measured, n = 5, does not keep 50 ms" in on_slow


def test_without_measurements_the_command_says_so(analysis: Analysis, folder: Path) -> None:
    (folder / "runtime.csv").unlink()
    asked = ("feasible", "--tables", folder, "--method", "M", "--vram-gib", 24, "--cycle-ms", 50)
    code, out, _ = analysis(*asked, "--sensor-mp", 5.07)
    assert code == 0
    assert out.endswith("context assumed; no runtime: nothing was measured\n")


def test_with_a_device_its_latency_and_cycle_are_judged(analysis: Analysis, folder: Path) -> None:
    asked = ("feasible", "--tables", folder, "--method", "M", "--device", "lab", "--sensor-mp")
    _, out, _ = analysis(*asked, 0.262144, "--cycle-ms", 50)
    assert "M reference-fp32, 0.262144 MP (512 px), lab: fits, ran at 512 px on lab" in out
    assert "NVIDIA GeForce RTX 4090 (device lab), measured, n = 5, keeps 50 ms" in out
    _, out, _ = analysis(*asked, 5.07, "--cycle-ms", 50)
    assert "extrapolated, 4.84 times the largest pixels measured, n = 5" in out
    assert out.endswith("does not keep 50 ms\n")
    # the same speed in a GPU with less memory: what ran says nothing there
    _, out, _ = analysis(*asked, 1.0, "--vram-gib", 1)
    assert "1 GiB: does not fit, needs at least" in out


def test_the_command_writes_the_table_and_its_limits(
    analysis: Analysis, folder: Path, tmp_path: Path
) -> None:
    hardware = {
        "gpus": [{"name": "RTX 4090", "memory_gib": 24}],
        "sensors": [{"name": "A", "megapixels": 5.07}],
    }
    text = json.dumps(hardware)
    (tmp_path / "hardware.json").write_text(text)
    out, limits = tmp_path / "out" / "feasibility.csv", tmp_path / "out" / "limits.csv"
    named = ("feasible", "--tables", folder, "-o", out, "--limits", limits, "--hardware")
    for given_as in (text, tmp_path / "hardware.json"):
        assert analysis(*named, given_as) == (0, "", "")
        assert read_csv(out, FEASIBILITY.schema)["method"].tolist() == ["M", "N"]
        assert read_csv(limits, FEASIBILITY_LIMITS.schema)["sensor"].tolist() == ["A"] * 4
    assert {path.suffix for path in out.parent.iterdir()} == {".csv", ".parquet"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vram-gib", 24], "--sensor-mp: missing"),
        (["--sensor-mp", 5], "--vram-gib: missing"),
        (
            ["--sensor-mp", 5, "--vram-gib", 24, "--method", "X"],
            "X was not counted; choose from: M",
        ),
        (["--sensor-mp", 5, "--vram-gib", 24, "--variant", "X"], "X was not counted"),
        (["--sensor-mp", 5, "--device", "X"], "X was not measured; choose from: lab"),
        (["-o", "x.csv"], "--hardware: no GPUs and sensors"),
        (["-o", "x.csv", "--hardware", "{}"], "--hardware: is not what config.yaml has"),
        (["-o", "x.csv", "--hardware", "/no/file"], "/no/file cannot be read"),
        (["--limits", "x.csv"], "--limits: comes with a table"),
    ],
)
def test_errors_are_one_line(
    analysis: Analysis, folder: Path, arguments: list[object], said: str
) -> None:
    code, out, err = analysis("feasible", "--tables", folder, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_tables_that_are_absent_are_named(analysis: Analysis, tmp_path: Path) -> None:
    asked = ("--sensor-mp", 5, "--vram-gib", 24)
    code, _, err = analysis("feasible", "--tables", tmp_path, *asked)
    assert code == 2
    assert "memory_methods.csv" in err


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "x"])
def test_numbers_have_to_be_positive(
    analysis: Analysis, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        analysis("feasible", "--sensor-mp", number)
    assert caught.value.code == 2
    assert "is no positive number" in capsys.readouterr().err


# the figure


@pytest.mark.parametrize("style", [Style(), Style(width_mm=88, font_pt=7)])
def test_the_figure_has_a_cell_for_each_row_and_frames_what_was_measured(style: Style) -> None:
    table = feasibility_table(tables(sides_px=(*SIDES_PX[:-1], 1000)), HARDWARE)
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        drawing = feasibility(table, style)
        drawing.figure.draw_without_rendering()
    axes = drawing.figure.axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    sensors = ["one", "IMX264", "IMX304"]  # by their pixels
    gpus = ["small", "RTX 4090", "middle"]  # as given
    cells = table.set_index(["gpu", "sensor"])
    assert len(written) == len(table)
    for (x, y), text in written.items():
        row = cells.loc[(gpus[int(y)], sensors[int(x)])]
        rate = row["images_per_second"]
        known = pd.notna(rate) and row["verdict"] != "does_not_fit"
        assert text == (rate_text(rate) if known else LOOKS[row["verdict"]].symbol)
    frames = [box for box in axes.patches if isinstance(box, Rectangle) and not box.get_fill()]
    centres = [box.get_center().round(3).tolist() for box in frames]
    assert centres == [[0, 1]]
    assert "NVIDIA GeForce RTX 4090 (device “lab”)" in caption(drawing)
    drawn = drawing.figure.get_tightbbox()
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= drawing.figure.get_figwidth() + 0.01


def test_numbers_stay_in_their_cells_with_four_methods_and_ten_sensors() -> None:
    style = Style()
    hardware = Hardware(
        (*(Gpu(f"RTX {4000 + k}", 24) for k in range(11)), Gpu("RTX 4090", 24)),
        tuple(Sensor(f"IMX{k}", 0.07 + k / 2.5) for k in range(10)),
    )
    names = ("A", "B", "C", "D")
    fast = {"device": "lab", "hardware": "NVIDIA GeForce RTX 4090"}
    runtime = pd.concat([latency(method=name, **fast) for name in names], ignore_index=True)
    all_counts = pd.concat([counts(NEEDED, name) for name in names])
    table = feasibility_table(FeasibilityTables(all_counts, runtime=runtime), hardware)
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        figure = feasibility(table, style).figure
        figure.draw_without_rendering()
        for axes in figure.axes:
            cell = axes.get_window_extent().width / len(hardware.sensors)
            assert len(axes.texts) == 120
            assert max(Text.get_window_extent(text).width for text in axes.texts) < cell


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (14_400, "14k"), (1440, "1.4k"), (999.6, "1.0k"), (144, "144"), (14.4, "14"), (1.44, "1.4"),
        (0.06, "0.1"), (0.04, "<0.1"),
    ],
)  # fmt: skip
def test_rates_have_at_most_four_characters(rate: float, text: str) -> None:
    assert rate_text(rate) == text
