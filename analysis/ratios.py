"""`flops.csv` and `implementations.csv`: counted work over time, and optimized over reference.

Both set rows of `runtime.csv` by the main clock of the device beside counts of `memory.csv`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.tables import (
    Argument,
    Output,
    Table,
    TableJob,
    integer,
    join,
    names_of,
    pick,
    real,
    table_argument,
    text,
)
from adscale.variant import Variant

from .columns import BATCH, CLOCK, INCOMPLETE, MEAN, PART, SAMPLE, SIZE, STATUS
from .deviations import COLUMNS as DEVIATION
from .deviations import Bounds, Key, deviations, read_outputs
from .memory_table import MEMORY
from .runtime_table import RUNTIME

if TYPE_CHECKING:
    import pandas as pd

FLOPS = Table(
    name="flops",
    row="the rate at which a device does the counted work of a submodule, or of the whole image",
    columns=join(
        PART,
        CLOCK,
        STATUS,
        pick(SAMPLE, "images"),
        integer("flops", means="counted, per image: of a batch the count over its images; of the "
                "whole image the sum over its submodules; null where this resolution was not "
                "counted", unit="FLOP"),
        MEAN,
        real("gflop_per_s", means="`flops` over `mean_ms`. Null without a time and where no FLOP "
             "is counted: copying is work, too, but not of this kind", unit="10⁹ FLOP/s"),
        real("gflop_per_s_ci95_low", "gflop_per_s_ci95_high",
             means="`flops` over the ends of the 95 % interval of the mean time; the count has no "
             "error", unit="10⁹ FLOP/s"),
        INCOMPLETE,
    ),
    category="Runtime",
    contents="rates: counted work over measured time",
    caption="""Operations per second of every submodule: counted work over measured time.

Times are measured, by the main clock of the device (``busy`` on a GPU, ``host`` on a CPU); work is
counted.""",
)  # fmt: skip

IMPLEMENTATIONS = Table(
    name="implementations",
    row="a variant against its reference, in time and memory, of a submodule or of the whole image",
    columns=join(
        pick(PART, "device", "hardware", "method"),
        text("precision", means="of optimized, with its engine and options behind it as in its "
             "variant: `fp32`, `fp32-b8`, `bf16-openvino`; of another implementation the whole "
             "variant"),
        text("variant", "reference_variant", means="that is compared, called `optimized` in the "
             "other columns, and with which: of fp32 and TF32 in eager torch `reference` in the "
             "same, of all others `reference-fp32`; in the same batch where that was measured"),
        BATCH,
        integer("reference_batch", means="of the reference: the same where it was measured in that "
                "batch, else 1. Then the ratio of times per image tells what implementation and "
                "batch gain together"),
        pick(PART, *names_of(SIZE), "submodule", "role"),
        CLOCK,
        integer("reference_images", "optimized_images", means="sizes of the two samples"),
        text("reference_verdict", "optimized_verdict",
             means="on the two runs, as in `runtime.csv`"),
        text("statistic", means="what is compared: `median`, or `mean` where a side's median has "
             "no interval"),
        real("reference_ms", "optimized_ms", means="these of the times per image by the main clock "
             "of the device: host on a CPU, busy on a GPU; in batches the time of a batch over its "
             "images"),
        real("time_ratio", "time_ratio_ci95_low", "time_ratio_ci95_high",
             means="optimized over reference, with the 95 % interval of "
             "[comparison.md](comparison.md#the-ratio); null where a side has none. The two runs "
             "follow each other, so a drift of the machine is in the ratio and not in the "
             "interval; `make bench` interleaves them", unit=""),
        text("time_verdict", "time_reason", means="`same`, `faster`, `slower` or `unclear`, and "
             "why: as [comparison.md](comparison.md#the-verdict) says of A = reference and B = "
             "optimized, among all rows of the table"),
        integer("reference_held_bytes", "optimized_held_bytes",
                means="parameters and buffers, counted"),
        integer("reference_activations_bytes", "optimized_activations_bytes",
                means="as in `memory.csv`, counted: each of its own batch"),
        DEVIATION,
    ),
    category="Runtime",
    contents="optimized over reference",
    in_report=True,
    caption="""Time and memory of each variant over those of its reference, with the 95 % interval
of the ratio of the times.

Times are measured, by the main clock of the device (``busy`` on a GPU, ``host`` on a CPU); memory
is counted.""",
)  # fmt: skip

_FLOP_PER_MS = 1e-6
"""In 10⁹ FLOP per second."""
_OF_COUNT = ["method", "variant", "resolution"]
_COPIED = [
    *("device", "device_type", "hardware", "method", "variant", "batch", *names_of(SIZE)),
    *("submodule", "role", "clock", "status", "images", "mean_ms", "ci95_low_ms", "ci95_high_ms"),
]
_CURVE = ["device", "method", "variant"]
_PAIRED = ["device", "method", "resolution", "submodule"]
_OF_BOTH = [name for name in names_of(SIZE) if name not in _PAIRED]
_OF_BOTH += ["hardware", "role", "clock"]
_SIDES = ("_reference", "_optimized")
_Counts = Mapping[Hashable, Mapping[Hashable, Any]]
"""Counted numbers by method, variant, resolution and submodule."""


def flops_table(runtime: pd.DataFrame, memory: pd.DataFrame) -> pd.DataFrame:
    """Set counted work and measured time side by side.

    Args:
        runtime: `runtime.csv`.
        memory: `memory.csv`.

    Returns:
        Rows of `FLOPS`, in the order of `runtime`.
    """
    import pandas as pd

    from .tables import make_table

    by_count = memory.groupby(_OF_COUNT, as_index=False)
    whole = by_count.agg({"flops": _whole, "incomplete": "first"})
    columns = [*_OF_COUNT, "submodule", "flops", "incomplete"]
    counts = pd.concat([memory[columns], whole.assign(submodule="image")[columns]])
    both = _by_main_clock(runtime)[_COPIED].merge(counts, on=[*_OF_COUNT, "submodule"], how="left")
    return make_table(list(_rates(both)), FLOPS.schema)


def _whole(parts: pd.Series[Any]) -> Any:
    """The sum; null where a part is."""
    return parts.sum(skipna=False)


def _by_main_clock(runtime: pd.DataFrame) -> pd.DataFrame:
    """Rows of submodules and whole images by the clock that counts as the runtime."""
    from .profiles.times import MAIN_CLOCK

    main = runtime["clock"] == runtime["device_type"].map(MAIN_CLOCK)
    return runtime[main & runtime["role"].isin(["submodule", "image"])]


def _rates(both: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in both.assign(flops=_per_image(both)).to_dict("records"):
        yield {
            **{name: row[name] for name in (*_COPIED, "flops", "incomplete")},
            "gflop_per_s": _rate(row, "mean_ms"),
            # the longest time gives the lowest rate
            "gflop_per_s_ci95_low": _rate(row, "ci95_high_ms"),
            "gflop_per_s_ci95_high": _rate(row, "ci95_low_ms"),
        }


def _per_image(counted: pd.DataFrame) -> pd.Series[int]:
    """The FLOP of a batch over its images, which all are given the same work; whole numbers."""
    batches = counted["variant"].map(lambda text: Variant.of(text).batch)
    whole: pd.Series[int] = counted["flops"].astype("Int64") // batches.astype("Int64")
    return whole


def _rate(row: Mapping[Hashable, Any], column: str) -> float | None:
    """Rate by one of the times; None where that is unknown or not positive, or nothing is done."""
    import pandas as pd

    flops, time_ms = row["flops"], row[column]
    if pd.isna(flops) or pd.isna(time_ms) or not flops or time_ms <= 0:
        return None
    return float(flops / time_ms * _FLOP_PER_MS)


def implementations_table(
    runtime: pd.DataFrame,
    memory: pd.DataFrame,
    runs: Sequence[Path] = (),
    bounds: str | None = None,
) -> pd.DataFrame:
    """Sets each variant beside its reference.

    Args:
        runtime: `runtime.csv`.
        memory: `memory.csv`.
        runs: folders with the records of runs, which tell what these have found; without them
            there are no deviations.
        bounds: of deviations, as JSON; see `deviations.Bounds`.

    Returns:
        Rows of `IMPLEMENTATIONS`, in the order of `runtime`; none where no method was measured in
        a variant and its reference. A reference of the same batch goes before one of batch 1.
    """
    from .tables import make_table

    counts = _held(memory).set_index([*_OF_COUNT, "submodule"]).to_dict("index")
    pairs = list(_pairs(_by_main_clock(runtime)))
    found = deviations(read_outputs(runs), Bounds.from_json(bounds))
    rows = [{**row, **_deviation(row, found)} for row in _ratios(pairs, counts)]
    return make_table(rows, IMPLEMENTATIONS.schema)


def _deviation(row: Mapping[str, Any], found: Mapping[Key, Mapping[str, Any]]) -> dict[str, Any]:
    """Of whole images; nothing where no record tells it."""
    key = row["device"], row["method"], row["variant"], row["resolution"]
    own = found.get(key, {}) if row["role"] == "image" else {}
    return {name: own.get(name) for name in names_of(DEVIATION)}


def _pairs(table: pd.DataFrame) -> Iterator[dict[Hashable, Any]]:
    """Rows of a variant, each with the columns of the reference that it is compared with."""
    for (device, method, name), rows in table.groupby(_CURVE, sort=False):
        variant = Variant.of(str(name))
        of_method = table[(table["device"] == device) & (table["method"] == method)]
        for reference in variant.references:
            of_reference = of_method[of_method["variant"] == str(reference)]
            both = of_reference.merge(rows, on=_PAIRED, how="inner", suffixes=_SIDES)
            yield from both.assign(precision=variant.comparison).to_dict("records")
            is_told = rows["resolution"].isin(both["resolution"])
            rows = rows[~is_told]  # noqa: PLW2901 - what is left for the next reference


def _held(memory: pd.DataFrame) -> pd.DataFrame:
    """The counts with a row for the whole image: the sum of its submodules."""
    import pandas as pd

    held = memory.assign(held_bytes=memory["parameters_bytes"] + memory["buffers_bytes"])
    numbers = ["held_bytes", "activations_bytes"]
    whole = held.groupby(_OF_COUNT, as_index=False)[numbers].sum().assign(submodule="image")
    return pd.concat([held[[*_OF_COUNT, "submodule", *numbers]], whole], ignore_index=True)


def _ratios(pairs: Sequence[dict[Hashable, Any]], counts: _Counts) -> Iterator[dict[str, Any]]:
    from .comparison.table import judge_pairs

    judged = judge_pairs(pairs, _SIDES, names=("reference", "optimized"))
    for pair, found in zip(pairs, judged, strict=True):
        yield {
            **{name: pair[name] for name in (*_PAIRED, "precision")},
            **{name: pair[f"{name}_reference"] for name in _OF_BOTH},
            "variant": pair["variant_optimized"],
            "reference_variant": pair["variant_reference"],
            "batch": Variant.of(pair["variant_optimized"]).batch,
            "reference_batch": Variant.of(pair["variant_reference"]).batch,
            "reference_images": pair["images_reference"],
            "optimized_images": pair["images_optimized"],
            "reference_verdict": pair["verdict_reference"],
            "optimized_verdict": pair["verdict_optimized"],
            "statistic": found.statistic,
            "reference_ms": pair[f"{found.statistic}_ms_reference"],
            "optimized_ms": pair[f"{found.statistic}_ms_optimized"],
            "time_ratio": None if found.ratio is None else found.ratio.value,
            "time_ratio_ci95_low": None if found.ratio is None else found.ratio.low,
            "time_ratio_ci95_high": None if found.ratio is None else found.ratio.high,
            "time_verdict": found.verdict.name,
            "time_reason": found.verdict.reason,
            **_counted(pair, counts, "reference"),
            **_counted(pair, counts, "optimized"),
        }


def _counted(pair: Mapping[Hashable, Any], counts: _Counts, side: str) -> dict[str, int | None]:
    key = pair["method"], pair[f"variant_{side}"], pair["resolution"], pair["submodule"]
    found = counts.get(key, {})
    return {f"{side}_{what}_bytes": found.get(f"{what}_bytes") for what in ("held", "activations")}


FLOPS_JOB = TableJob(
    command="flops",
    rule="flops_table",
    description="GFLOP/s of each submodule: FLOP counted over time measured.",
    arguments=(table_argument(RUNTIME), table_argument(MEMORY)),
    outputs=(Output(FLOPS, flops_table),),
)

IMPLEMENTATIONS_JOB = TableJob(
    command="implementations",
    rule="implementations_table",
    description="Sets each variant beside its reference, per submodule, with its deviation.",
    arguments=(
        table_argument(RUNTIME),
        table_argument(MEMORY),
        Argument(
            "--runs",
            {
                "type": Path,
                "nargs": "*",
                "default": (),
                "metavar": "RUN_DIR",
                "help": "folders with run.json, for deviations",
            },
            "runs",
        ),
        Argument(
            "--bounds",
            {"metavar": "JSON", "help": "admitted deviations by variant or precision"},
            "setting",
        ),
    ),
    outputs=(Output(IMPLEMENTATIONS, implementations_table),),
)
