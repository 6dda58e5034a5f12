"""Feasibility: each verdict with its reason, by counts and by what was measured."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.resolution import Resolution, sensor_resolution, square
from analysis.columns import size_values
from analysis.feasibility.devices import same_gpu, targets
from analysis.feasibility.fitting import (
    ALLOCATOR_RESERVE,
    NO_GROWTH,
    between_gib,
    counts_for,
    fits,
    need_at,
    observed,
)
from analysis.feasibility.process import (
    ASSUMED,
    ASSUMED_CONTEXT_BYTES,
    GIB,
    Context,
    ProcessGrowth,
    measured_context,
    measured_growth,
)
from analysis.hardware import Gpu
from analysis.memory_table import MEMORY_METHODS
from analysis.tables import make_table
from tests.analysis.drawings import VARIANT, runtime_table
from tests.analysis.feasibility_tables import (
    counts,
    latency,
    measured,
)

LOW, HIGH = ASSUMED_CONTEXT_BYTES


# the sides of sensors


@pytest.mark.parametrize(("megapixels", "side_px"), [(4.84, 2200), (5.07, 2252), (1.0, 1000)])
def test_a_sensor_is_the_square_with_as_many_pixels_rounded_up(
    megapixels: float, side_px: int
) -> None:
    assert sensor_resolution(megapixels) == square(side_px)


# verdicts by counts


def verdict(needed: dict[int, int], side_px: int, memory: float, **more: Any) -> tuple[str, str]:
    context = more.pop("context", ASSUMED)
    need = need_at(counts(needed, **more), square(side_px), context)
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
    assert found == ("uncertain", f"needs 1.2 to 2.1 of 1.5 GiB: {unknown}")
    # 2.0 of 2 GiB would look as if it fits
    near = between_gib(1.174 * GIB, 2.017 * GIB, 2 * GIB)
    assert near == "1.17 to 2.02"
    known = verdict({1000: GIB}, 1000, 1.51 * GIB, context=Context(GIB // 2, GIB // 2, "measured"))
    assert known[1].endswith("of 1.51 GiB: the allocator's reserve is assumed")


def test_between_two_counted_sides_both_bound_it() -> None:
    needed = {1000: GIB, 2000: 4 * GIB}
    need = need_at(counts(needed), square(1500), ASSUMED)
    assert (need.counted_low, need.counted_high, need.resolution) == (GIB, 4 * GIB, square(1500))
    assert need.basis == "counted between 1000 and 2000 px"
    assert verdict(needed, 1500, 3 * GIB)[1].startswith("needs 1.2 to 5.4 of 3 GiB")
    assert need_at(counts(needed), square(500), ASSUMED).counted_low == 0


def test_a_side_that_the_method_rounds_up_is_that_of_the_sensor() -> None:
    need = need_at(counts({2048: GIB, 2272: 2 * GIB}), square(2252), ASSUMED)
    assert (need.resolution, need.basis) == (square(2272), "counted")
    assert need.counted_high == 2 * GIB
    # or it runs at 2252 px, too, and nobody counted there: no memory grows faster than this
    assert need.counted_low == int(2 * GIB * (2252 / 2272) ** 4)
    assert need_at(counts({2048: GIB, 2252: 2 * GIB}), square(2252), ASSUMED).counted_low == 2 * GIB


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
    need = need_at(counts({1000: GIB}), square(1000), ASSUMED)
    assert fits(need, 100 * GIB, "cpu") == ("uncertain", "counted for a CUDA device only")
    assert fits(need, None, "cuda")[1] == "the memory of the device is not known"


def test_counts_of_runs_on_a_device_of_its_type_hold_for_it() -> None:
    of_gpu = counts({1000: GIB})
    ran = measured(
        [{"method": "M", **size_values(square(1000)), "device_type": "cpu", "counted_bytes": size}
         for size in (2 * GIB, 3 * GIB)]
    )  # fmt: skip
    own = counts_for(of_gpu, ran, "cpu")
    grown = ProcessGrowth(1.5, "")
    assert fits(need_at(own, square(1000), ASSUMED, grown), 100 * GIB, "cpu")[0] == "fits"
    assert own["needed_bytes"].tolist() == [3 * GIB], "the largest of processes that differ"
    for table, device_type in ((ran, "cuda"), (None, "cpu"), (ran.iloc[:0], "cpu")):
        assert counts_for(of_gpu, table, device_type) is of_gpu


def test_a_cpu_has_the_counts_for_it_at_sensors_beside_those_of_its_runs() -> None:
    on_cpu = counts({2000: 8 * GIB, 1000: 2 * GIB}, device_type="cpu")
    other = counts({2000: GIB}, "N", device_type="cpu")
    ran = measured(
        [{"method": "M", **size_values(square(500)), "device_type": "cpu", "counted_bytes": GIB}]
    )
    of_cpu = pd.concat([other, on_cpu])
    found = counts_for(counts({2000: 9 * GIB}), ran, "cpu", of_cpu).set_index("resolution")
    assert found["needed_bytes"].to_dict() == {
        "2000": 8 * GIB, "1000": 2 * GIB, "500": GIB,
    }  # fmt: skip
    assert need_at(found.reset_index(), square(2000), ASSUMED).device_type == "cpu"
    gpu = counts({2000: 9 * GIB})
    assert counts_for(gpu, ran, "cuda", of_cpu) is gpu


def test_what_the_allocator_is_predicted_to_hold_counts_where_it_is_more_than_the_reserve() -> None:
    """Counted 10 GiB at 1000 px and 20 at 2000; with libraries 12 and 21 are held of the driver."""
    of_gpu = counts({1000: 10 * GIB, 2000: 20 * GIB}).assign(
        reserved_bytes=[11 * GIB, 20 * GIB], library_bytes=GIB
    )
    at = {side: need_at(of_gpu, square(side), Context(0, 0, "measured")) for side in (1000, 1500)}
    assert (at[1000].low, at[1000].high) == (10 * GIB, 12 * GIB)
    assert at[1500].high == 24 * GIB, "the largest ratio of those counted"
    exact = need_at(of_gpu, square(2000), Context(0, 0, "measured"))
    assert exact.high == 22 * GIB, "1.05 times is less than the reserve"
    told = "the allocator is predicted to hold 1.20 times the count"
    assert fits(at[1000], 11 * GIB, "cuda") == (
        "uncertain",
        f"needs 10.0 to 12.0 of 11 GiB: {told}",
    )


def test_on_a_cpu_the_count_alone_tells_what_does_not_fit_and_a_measured_ratio_what_fits() -> None:
    """A count of 2 GiB and a process of 0.25 to 1 GiB; the process took 1.5 times the count."""
    of_cpu = counts({1000: 2 * GIB}, device_type="cpu")
    alone, grown = (
        need_at(of_cpu, square(1000), ASSUMED, growth)
        for growth in (None, ProcessGrowth(1.5, "1.50 times the count"))
    )
    assert (alone.low, alone.high) == (2 * GIB, None)
    assert (grown.low, grown.high) == (2 * GIB, 4 * GIB)
    for need in (alone, grown):
        assert fits(need, 2 * GIB - 1, "cpu")[0] == "does_not_fit"
    assert fits(alone, 100 * GIB, "cpu") == ("uncertain", f"counted 2 of 100 GiB: {NO_GROWTH}")
    assert fits(grown, 4 * GIB - 1, "cpu")[0] == "uncertain"
    assert fits(grown, 4 * GIB, "cpu") == (
        "fits", "needs at most 4 of 4 GiB: 1.50 times the count",
    )  # fmt: skip


def test_the_ratio_is_of_this_method_on_this_machine_and_its_largest() -> None:
    rows = [
        {"method": method, **size_values(square(side)), "device_type": kind,
         "hardware": hardware, "measured_to_counted": ratio}
        for method, side, kind, hardware, ratio in (
            ("M", 256, "cpu", "E", 3.6), ("M", 512, "cpu", "E", 1.2), ("M", 640, "cpu", "E", None),
            ("M", 512, "cpu", "F", 9.0), ("N", 512, "cpu", "E", 8.0), ("M", 512, "cuda", "E", 7),
        )
    ]  # fmt: skip
    table = measured(rows)
    found = measured_growth(table, "E", "M", VARIANT)
    assert found == ProcessGrowth(3.6, "3.60 times the count, the most of n = 2 at 256 to 512 px")
    less = measured([{**rows[0], "measured_to_counted": 0.4}])
    assert measured_growth(less, "E", "M", VARIANT) == ProcessGrowth(
        1.0, "1.00 times the count, the most of n = 1 at 256 px"
    )
    assert measured_growth(table, "E", "M", "optimized-fp32") is None
    assert measured_growth(table, None, "M", VARIANT) is None
    assert measured_growth(None, "E", "M", VARIANT) is None


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
    need = need_at(counts(needed), square(side_px), ASSUMED)
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
    assert observed(ran, square(1000)) == ("fits", "ran at 1024 px")
    assert observed(ran, square(1025)) is None
    lost = ran.assign(status=ran["side_px"].map({512: "ok", 1024: "out_of_memory"}))
    assert observed(lost, square(512)) == ("fits", "ran at 512 px")
    assert observed(lost, square(700)) is None
    assert observed(lost, square(2000)) == ("does_not_fit", "ran out of memory at 1024 px")
    swapped = ran.assign(status=ran["side_px"].map({1024: "ok", 512: "out_of_memory"}))
    assert observed(swapped, square(700)) == ("uncertain", "ran at 1024 px, but not at 512 px")
    predicted = ran.assign(status="predicted_out_of_memory")
    assert observed(predicted, square(2000)) is None


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


@pytest.mark.parametrize("text", ["2000x33", "33x2000", "4000x1"])
def test_a_strip_is_bounded_only_by_images_that_hold_it(text: str) -> None:
    # padded to multiples of 32 px, 2000x33 has 2016 * 64 pixels: more than 320 * 320
    rows = counts({side: 1000 * side**2 for side in (64, 256, 320)})
    strip = need_at(rows, Resolution.of(text), ASSUMED)
    assert (strip.counted_low, strip.counted_high) == (0, None)
    assert fits(strip, 100 * GIB, "cuda")[0] == "uncertain"
    assert "holds" in strip.basis
    held = need_at(counts({2048: GIB}), Resolution.of("2000x33"), ASSUMED)
    assert held.counted_high == GIB


@given(st.integers(33, 3000), st.integers(33, 3000), st.sampled_from([1, 8, 32]))
def test_what_is_counted_bounds_any_image_of_a_method_that_pads(
    width_px: int, height_px: int, stride_px: int
) -> None:
    """An exact law: 1000 bytes for each pixel of the image as it is padded."""

    def needed(size: Resolution) -> int:
        sides = [-(-side // stride_px) * stride_px for side in (size.width_px, size.height_px)]
        return 1000 * sides[0] * sides[1]

    sizes = [Resolution.of(one) for one in ("64", "128", "256", "512x384", "1024", "2464x2048")]
    rows = [
        {
            **dict.fromkeys(MEMORY_METHODS.schema), "method": "M", "variant": VARIANT,
            "device_type": "cuda", **size_values(size), "needed_bytes": needed(size),
        }
        for size in sizes
    ]  # fmt: skip
    asked = Resolution(width_px, height_px)
    need = need_at(make_table(rows, MEMORY_METHODS.schema), asked, ASSUMED)
    assert need.counted_low <= needed(asked)
    assert need.counted_high is None or needed(asked) <= need.counted_high
