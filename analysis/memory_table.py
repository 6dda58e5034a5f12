"""`memory.csv`: what each submodule takes in memory, counted without running an image.

One row per method × variant × resolution × submodule, sorted by these; submodules in the order of
inference. Bytes of one inference at batch 1 in 32-bit floats. Columns, in this order:

- `method`, `variant`, `device_type` (where the inference is thought to happen: it decides what is
  copied and what lies on the host), `resolution_px`, `pixels`, `submodule`.
- `parameters_bytes`, `buffers_bytes`: of the modules that the submodule calls.
- `activations_bytes`: outputs of the layers that own parameters (the study's equation 3).
- `total_bytes`: the sum of the three (the study's equation 1).
- `activations_…_bytes`: the same by the other conventions in use, `memory.schema.json` has them.
- `peak_bytes`: the largest sum of tensors on the device that are alive at once while the submodule
  runs; `kept_bytes`: those of them that earlier submodules have left.
- `peak_operator`, `peak_layer`: what completes the peak, and in which module; null: nothing does.
- `host_peak_bytes`: the same of tensors on the host, beside a CUDA device.
- `library_bytes`: what libraries take on the device besides.
- `complexity`: how its work grows with the image, as the method declares it: `pixels`,
  `pixels_squared`, `fixed` or `unknown`.
- `flops`: twice the multiply-adds of convolutions, matrix products, attention and search.
- `basis`: always `counted`: exact, neither measured nor extrapolated.
- `incomplete`: up to where a method of the user's was counted, and why not further; null:
  everything is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from .memory_counts import Count
from .tables import Schema, make_table

MEMORY_COLUMNS: Schema = {
    "method": "string",
    "variant": "string",
    "device_type": "string",
    "resolution_px": "Int64",
    "pixels": "Int64",
    "submodule": "string",
    "parameters_bytes": "Int64",
    "buffers_bytes": "Int64",
    "activations_bytes": "Int64",
    "total_bytes": "Int64",
    "activations_convolution_bytes": "Int64",
    "activations_not_in_place_bytes": "Int64",
    "activations_leaf_bytes": "Int64",
    "activations_torchsummary_bytes": "Int64",
    "activations_allocated_bytes": "Int64",
    "peak_bytes": "Int64",
    "kept_bytes": "Int64",
    "peak_operator": "string",
    "peak_layer": "string",
    "host_peak_bytes": "Int64",
    "library_bytes": "Int64",
    "complexity": "string",
    "flops": "Float64",
    "basis": "string",
    "incomplete": "string",
}
"""Columns of `memory.csv`."""

STUDY_BYTES = ("parameters_bytes", "buffers_bytes", "activations_bytes")
"""The terms of the study's equation 1."""


def memory_table(counts: Sequence[Count]) -> pd.DataFrame:
    """Rows of `MEMORY_COLUMNS`, in the order of the counts.

    Args:
        counts: see `analysis.memory_counts.read_counts`.
    """
    return make_table([row for count in counts for row in _rows(count)], MEMORY_COLUMNS)


def _rows(count: Count) -> Iterator[dict[str, Any]]:
    for part in count.content.submodules:
        peak = part.peak
        study = {name: getattr(part, name) for name in STUDY_BYTES}
        conventions = asdict(part.conventions)
        yield {
            "method": count.method,
            "variant": count.variant,
            "device_type": count.device_type,
            "resolution_px": count.resolution_px,
            "pixels": count.resolution_px**2,
            "submodule": part.submodule,
            **study,
            "total_bytes": sum(study.values()),
            **{f"activations_{name}_bytes": size for name, size in conventions.items()},
            "peak_bytes": peak.bytes,
            "kept_bytes": peak.kept_bytes,
            "peak_operator": peak.operator,
            "peak_layer": peak.layer,
            "host_peak_bytes": part.host_peak_bytes,
            "library_bytes": part.library_bytes,
            "complexity": part.complexity,
            "flops": part.flops,
            "basis": "counted",
            "incomplete": count.content.incomplete,
        }
