"""`memory_methods.csv`: what a whole method takes in memory, counted without running an image.

One row per method × variant × resolution, sorted by these. Bytes of one inference at batch 1 in
32-bit floats. Columns, in this order:

- `method`, `variant`, `device_type`, `resolution_px`, `pixels`: as in `memory.csv`.
- `parameters_bytes`, `buffers_bytes`, `activations_bytes`: sums over the submodules;
  `total_bytes`: the sum of the three, the study's equation 1.
- `image_bytes`: the input tensor.
- `peak_bytes`: the largest peak of a submodule; `peak_submodule`: which; `peak_operator`,
  `peak_layer`: what completes it; `peak_alive`: the largest groups of tensors alive then.
- `host_peak_bytes`: the largest of the submodules on the host, beside a CUDA device.
- `library_bytes`: what libraries take on the device besides.
- `needed_bytes`: what the device must hold: parameters, buffers, image, peak and libraries.
- `flops`: the sum over the submodules.
- `basis`: always `counted`.
- `not_counted`: what takes memory and is in none of these figures; null: nothing is known of.
- `incomplete`: as in `memory.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from adscale.memory_record import AliveCount

from .memory_counts import Count
from .memory_table import STUDY_BYTES
from .tables import Schema, make_table

MEMORY_METHODS_COLUMNS: Schema = {
    "method": "string",
    "variant": "string",
    "device_type": "string",
    "resolution_px": "Int64",
    "pixels": "Int64",
    "parameters_bytes": "Int64",
    "buffers_bytes": "Int64",
    "activations_bytes": "Int64",
    "total_bytes": "Int64",
    "image_bytes": "Int64",
    "peak_bytes": "Int64",
    "peak_submodule": "string",
    "peak_operator": "string",
    "peak_layer": "string",
    "peak_alive": "string",
    "host_peak_bytes": "Int64",
    "library_bytes": "Int64",
    "needed_bytes": "Int64",
    "flops": "Float64",
    "basis": "string",
    "not_counted": "string",
    "incomplete": "string",
}
"""Columns of `memory_methods.csv`."""

MOST_GROUPS = 3
"""Groups of tensors that `peak_alive` names; the rest is summed up."""

_MIB = 2**20


def memory_methods_table(counts: Sequence[Count]) -> pd.DataFrame:
    """Rows of `MEMORY_METHODS_COLUMNS`, in the order of the counts.

    Args:
        counts: see `analysis.memory_counts.read_counts`.
    """
    return make_table([_row(count) for count in counts], MEMORY_METHODS_COLUMNS)


def _row(count: Count) -> dict[str, Any]:
    content, parts = count.content, count.content.submodules
    sums = {name: sum(getattr(part, name) for part in parts) for name in STUDY_BYTES}
    peak = content.largest_peak.peak
    return {
        "method": count.method,
        "variant": count.variant,
        "device_type": count.device_type,
        "resolution_px": count.resolution_px,
        "pixels": count.resolution_px**2,
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
        "flops": sum(part.flops for part in parts),
        "basis": "counted",
        "not_counted": "; ".join(content.not_counted) or None,
        "incomplete": content.incomplete,
    }


def _alive_text(groups: Sequence[AliveCount]) -> str:
    """Such as `4096.0 MiB: 1 aten::bmm in middle.attention (denoising_unet); …`."""
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
