"""`memory.csv` and `memory_methods.csv`: what a method takes, counted without running an image.

Of each submodule and of the whole method, at each resolution that was counted. Bytes of one
inference, of all images of its batch, in 32-bit floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adscale.errors import ResultsError
from adscale.files import read_record
from adscale.memory_record import MemoryCount, MemoryRecord
from adscale.resolution import Resolution
from adscale.tables import Argument, Output, Table, TableJob, integer, join, real, text
from adscale.variant import Variant

from .columns import (
    BASIS,
    BATCH,
    INCOMPLETE,
    METHOD,
    SIZE,
    SUBMODULE,
    WHOLE_METHOD,
    size_values,
)

if TYPE_CHECKING:
    import pandas as pd

    from adscale.memory_record import AliveCount, AllocatorCount


_REMEDY = "count again with python -m profiling memory"

MOST_FLOPS = 2**63 - 1
"""What a table holds; a search in a bank that grows with the image goes beyond at 31,000 px."""


class Count(NamedTuple):
    """The counts of one method and variant at one resolution.

    Attributes:
        method: the user's label.
        variant: implementation and precision, and the batch.
        resolution: of the image.
        device_type: where the inference is thought to happen, cpu or cuda.
        content: what was counted.
    """

    method: str
    variant: str
    resolution: Resolution
    device_type: str
    content: MemoryCount

    @property
    def batch(self) -> int:
        """Images of the inference."""
        return Variant.of(self.variant).batch

    @property
    def key(self) -> tuple[str, Variant, Resolution]:
        """The key that tells this count from the others of a study."""
        return self.method, Variant.of(self.variant), self.resolution


def read_counts(paths: Sequence[Path]) -> list[Count]:
    """Read counts, sorted by method, variant and resolution.

    Args:
        paths: `memory.json` files.

    Raises:
        ResultsError: a file is missing or no record of this version, or two files count the
            same method, variant and resolution.
    """
    owner: dict[tuple[str, Variant, Resolution], Path] = {}
    counts: list[Count] = []
    for path in paths:
        for count in _counts(path):
            _check_first(count, path, owner)
            counts.append(count)
    return sorted(counts, key=lambda count: count.key)


def _counts(path: Path) -> Iterator[Count]:
    record = read_record(path, MemoryRecord, _REMEDY)
    for content in record.resolutions:
        yield Count(
            method=record.method,
            variant=str(record.variant),
            resolution=content.resolution,
            device_type=record.device_type,
            content=content,
        )


def _check_first(
    count: Count, path: Path, owner: dict[tuple[str, Variant, Resolution], Path]
) -> None:
    if count.key in owner:
        where = "twice" if owner[count.key] == path else f"in {owner[count.key]} too"
        what = f"{' '.join(map(str, count.key))} px is counted {where}"
        raise ResultsError(path, what, "name one of the two counts only")
    owner[count.key] = path


COUNTED = join(
    METHOD,
    text("device_type", means="where the inference is thought to happen, `cpu` or `cuda`: it "
         "decides which tensors are copied, which lie on the host, and which libraries are used"),
    BATCH,
    SIZE,
)  # fmt: skip
"""Columns of the counts."""


MEMORY = Table(
    name="memory",
    row="counted memory of a submodule at a resolution ([memory.md](memory.md))",
    columns=join(
        COUNTED,
        SUBMODULE,
        integer("parameters_bytes", "buffers_bytes",
                means="of the modules that the submodule calls"),
        integer("activations_bytes", means="outputs of all leaf modules that own parameters, each "
                "module once, not doubled: the paper's equation 3, in the convention that "
                "reproduces its figures. What has no such module (attention matrices, "
                "PatchCore's embedding and search) counts nothing here"),
        integer("total_bytes", means="the sum of the three: the paper's equation 1. No bound of "
                "anything: most of these outputs are not alive at once, and what is alive may be "
                "no output of such a layer. DDAD's attention matrices exceed it from 1536 px on"),
        integer("activations_convolution_bytes",
                means="outputs of convolutions and linear layers, each once"),
        integer("activations_not_in_place_bytes", means="outputs of leaf modules less those of "
                "in-place activations, Dropout and Identity, each once"),
        integer("activations_leaf_bytes", means="outputs of all leaf modules, each once"),
        integer("activations_torchsummary_bytes",
                means="outputs of all modules but containers, each once"),
        integer("activations_allocated_bytes",
                means="every storage that an operator returned newly, each time"),
        integer("peak_bytes", means="the largest sum of tensors on the device that are alive at "
                "once while the submodule runs; parameters, buffers and the input image are not "
                "in it"),
        integer("kept_bytes", means="of that: tensors that were alive when the submodule began, "
                "left by earlier ones"),
        text("peak_operator", "peak_layer", means="whose output completes the peak, and the "
             "innermost module it was called in; null: nothing was allocated, in no module"),
        integer("host_peak_bytes", means="the largest sum of tensors on the host beside a CUDA "
                "device; 0 for `cpu`"),
        integer("library_bytes", means="what libraries that torch does not see take on the device "
                "besides (faiss)"),
        text("complexity", means="how the work of the submodule grows with the image, as the "
             "method declares it: `pixels`, `pixels_squared`, `fixed` or `unknown`; see fits, "
             "below"),
        integer("flops", means="twice the multiply-adds of convolutions, matrix products, "
                "attention and search, over one inference (ten calls of DDAD's U-Net are ten), "
                "of all images of its batch",
                unit="FLOP"),
        BASIS,
        INCOMPLETE,
    ),
    category="Memory",
    contents="counted memory of the submodules",
    caption="""Parameters, activations, peaks and operations of every submodule at every
resolution.

Counted, not measured; no clock.""",
    in_report=True,
)  # fmt: skip

MEMORY_METHODS = Table(
    name="memory_methods",
    row="counted memory of a method at a resolution ([memory.md](memory.md))",
    columns=join(
        COUNTED,
        integer("parameters_bytes", "buffers_bytes", "activations_bytes", "total_bytes",
                means="sums over the submodules"),
        integer("image_bytes", means="the input tensor, of all images of the batch"),
        integer("peak_bytes", means="the largest of the submodules' peaks"),
        text("peak_submodule", "peak_operator", "peak_layer", means="where it is reached"),
        text("peak_alive", means="the three largest groups of tensors that are alive then (how "
             "many, of which operator, in which module, made by which submodule), and the sum of "
             "the rest"),
        integer("host_peak_bytes", means="the largest of the submodules"),
        integer("library_bytes", means="sum over the submodules"),
        integer("needed_bytes", means="what the device must hold: parameters, buffers, image, "
                "`peak_bytes` and libraries"),
        integer("reserved_bytes", "expandable_reserved_bytes", means="what torch's allocator is "
                "predicted to hold of the driver, without libraries: the counted allocations of "
                "two inferences, replayed by its rules; the second with expandable_segments:True. "
                "Null for `cpu`"),
        real("fragmentation", means="share of `reserved_bytes` beyond the most that the "
             "allocator gives out at once", unit=""),
        integer("flops", means="sum over the submodules", unit="FLOP"),
        BASIS,
        text("not_counted", means="what takes memory and is in none of these figures; it comes on "
             "top of `needed_bytes`"),
        INCOMPLETE,
    ),
    category="Memory",
    contents="counted memory of whole methods",
    caption="""The same of whole methods, and what a device must hold.

Counted, not measured; no clock.""",
    in_report=True,
)  # fmt: skip

PAPER_BYTES = ("parameters_bytes", "buffers_bytes", "activations_bytes")
"""The terms of the paper's equation 1."""


MOST_GROUPS = 3
"""Groups of tensors that `peak_alive` names; the rest is summed up."""

_MIB = 2**20


def memory_table(counts: Sequence[Count]) -> pd.DataFrame:
    """Rows of `MEMORY`, in the order of the counts.

    Args:
        counts: see `analysis.memory_table.read_counts`.
    """
    from .tables import make_table

    return make_table([row for count in counts for row in _submodule_rows(count)], MEMORY.schema)


def _submodule_rows(count: Count) -> Iterator[dict[str, Any]]:
    for part in count.content.submodules:
        peak = part.peak
        terms = {name: getattr(part, name) for name in PAPER_BYTES}
        conventions = asdict(part.conventions)
        yield {
            "method": count.method,
            "variant": count.variant,
            "batch": count.batch,
            "device_type": count.device_type,
            **size_values(count.resolution),
            "submodule": part.submodule,
            **terms,
            "total_bytes": sum(terms.values()),
            **{f"activations_{name}_bytes": size for name, size in conventions.items()},
            "peak_bytes": peak.bytes,
            "kept_bytes": peak.kept_bytes,
            "peak_operator": peak.operator,
            "peak_layer": peak.layer,
            "host_peak_bytes": part.host_peak_bytes,
            "library_bytes": part.library_bytes,
            "complexity": part.complexity,
            "flops": _held(part.flops),
            "basis": "counted",
            "incomplete": _incomplete(count.content),
        }


def memory_methods_table(counts: Sequence[Count]) -> pd.DataFrame:
    """Rows of `MEMORY_METHODS`, in the order of the counts.

    Args:
        counts: see `analysis.memory_table.read_counts`.
    """
    from .tables import make_table

    return make_table([_method_row(count) for count in counts], MEMORY_METHODS.schema)


def _method_row(count: Count) -> dict[str, Any]:
    content, parts = count.content, count.content.submodules
    sums = {name: sum(getattr(part, name) for part in parts) for name in PAPER_BYTES}
    peak = content.largest_peak.peak
    return {
        "method": count.method,
        "variant": count.variant,
        "batch": count.batch,
        "device_type": count.device_type,
        **size_values(count.resolution),
        **sums,
        "total_bytes": sum(sums.values()),
        "image_bytes": content.image_bytes,
        "peak_bytes": peak.bytes,
        # where nothing is ever alive, no submodule is the one that decides
        "peak_submodule": content.largest_peak.submodule if peak.bytes else None,
        "peak_operator": peak.operator,
        "peak_layer": peak.layer,
        "peak_alive": _alive_text(peak.alive) or None,
        "host_peak_bytes": max(part.host_peak_bytes for part in parts),
        "library_bytes": sum(part.library_bytes for part in parts),
        "needed_bytes": content.needed_bytes,
        **_allocator_values(content.allocator),
        "flops": _held(sum(part.flops for part in parts)),
        "basis": "counted",
        "not_counted": "; ".join(content.not_counted) or None,
        "incomplete": _incomplete(content),
    }


def _allocator_values(allocator: AllocatorCount | None) -> dict[str, Any]:
    if allocator is None:
        return dict.fromkeys(("reserved_bytes", "expandable_reserved_bytes", "fragmentation"))
    return {
        "reserved_bytes": allocator.reserved_bytes,
        "expandable_reserved_bytes": allocator.expandable_reserved_bytes,
        "fragmentation": 1 - allocator.allocated_bytes / allocator.reserved_bytes,
    }


def _held(flops: int) -> int | None:
    """A number of operations; null where 64 bits of a table do not hold it."""
    return flops if flops <= MOST_FLOPS else None


def _incomplete(content: MemoryCount) -> str | None:
    """What is not in the figures, the numbers among it that a table does not hold."""
    flops = sum(part.flops for part in content.submodules)
    beyond = f"FLOP beyond 2^63 ({flops:.3g} of the whole method)" if flops > MOST_FLOPS else None
    return "; ".join(filter(None, (content.incomplete, beyond))) or None


def _alive_text(groups: Sequence[AliveCount]) -> str:
    """Return words such as `4096.0 MiB: 1 aten::bmm in middle.attention (denoising_unet); …`."""
    texts = [_group_text(group) for group in groups[:MOST_GROUPS]]
    rest = groups[MOST_GROUPS:]
    if rest:
        size_mib = sum(group.bytes for group in rest) / _MIB
        texts.append(f"{size_mib:.1f} MiB: {len(rest)} more group{'s' if len(rest) > 1 else ''}")
    return "; ".join(texts)


def _group_text(group: AliveCount) -> str:
    layer = f" in {group.layer}" if group.layer else ""
    submodule = f" ({group.submodule})" if group.submodule else ""
    size_mib = group.bytes / _MIB
    return f"{size_mib:.1f} MiB: {group.tensors} {group.operator}{layer}{submodule}"


def complexities_of(memory: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    """Return the complexities of the submodules of each method and variant."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in memory.drop_duplicates(["method", "variant", "submodule"]).itertuples():
        of_method = found.setdefault((str(row.method), str(row.variant)), {})
        of_method[str(row.submodule)] = str(row.complexity)
    return found


def counted_parts(
    rows: pd.DataFrame, column: str, together: str
) -> Iterator[tuple[str, dict[Resolution, int]]]:
    """Counted bytes by the resolution, of each submodule and at the end of the whole method.

    Args:
        rows: of `memory.csv`, of one method and variant.
        column: what is counted.
        together: how the submodules are: `sum` or `max`.
    """
    for submodule, part in rows.groupby("submodule", sort=False):
        yield (
            str(submodule),
            dict(zip(map(Resolution.of, part["resolution"]), part[column], strict=True)),
        )
    whole = rows.groupby("resolution")[column].agg(together)
    yield WHOLE_METHOD, dict(zip(map(Resolution.of, whole.index), whole, strict=True))


def read_step(counts: Sequence[Path]) -> tuple[list[Count]]:
    """What the functions of the tables take."""
    return (read_counts(counts),)


MEMORY_JOB = TableJob(
    command="memory",
    rule="memory_table",
    description="Counted bytes at each resolution: of each method's submodules, and of the whole "
    "methods.",
    arguments=(
        Argument("counts", {"type": Path, "nargs": "+", "metavar": "memory.json"}, "counts"),
    ),
    outputs=(
        Output(MEMORY, memory_table),
        Output(
            MEMORY_METHODS,
            memory_methods_table,
            "--methods",
            beside="{stem}_methods.csv",
            help="table of the whole methods (default: beside the other, its name with _methods)",
        ),
    ),
    step=read_step,
)
