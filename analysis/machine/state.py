"""The state of the machine during a run, as sampled every few milliseconds.

In JSON a list per quantity, all of the length of `time_ms`; null where a sample is missing, no list
where the quantity cannot be recorded at all. Proposal for the schema, one object per process:

    {
      "title": "State of the machine, sampled beside the measurement.",
      "type": "object",
      "additionalProperties": false,
      "required": ["interval_ms", "measured_ms", "locked_sm_clock_mhz", "samples"],
      "properties": {
        "interval_ms": {
          "type": "number", "exclusiveMinimum": 0,
          "description": "Time between two samples, as asked for."
        },
        "measured_ms": {
          "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
          "description": "Begin and end of the measured images, on the clock of time_ms."
        },
        "locked_sm_clock_mhz": {
          "type": ["number", "null"],
          "description": "SM clock that the GPU was locked to; null where it was not."
        },
        "samples": {
          "type": "object",
          "additionalProperties": false,
          "required": ["time_ms"],
          "properties": {
            "time_ms": {
              "type": "array", "items": {"type": "number"},
              "description": "Time of each sample since any fixed moment."
            },
            "sm_clock_mhz": {"$ref": "#/$defs/optional_numbers"},
            "memory_clock_mhz": {"$ref": "#/$defs/optional_numbers"},
            "temperature_c": {"$ref": "#/$defs/optional_numbers"},
            "power_w": {"$ref": "#/$defs/optional_numbers"},
            "slowdown_reasons": {
              "$ref": "#/$defs/optional_numbers",
              "description": "Bit mask of nvmlDeviceGetCurrentClocksEventReasons."
            },
            "cpu_frequency_mhz": {
              "$ref": "#/$defs/optional_numbers",
              "description": "Highest frequency of the CPUs that the process may use."
            },
            "others_share": {
              "$ref": "#/$defs/optional_numbers",
              "description": "Share of the GPU, or of the CPUs that the process may use, that other processes used since the sample before; 0 to 1."
            }
          }
        }
      },
      "$defs": {
        "optional_numbers": {"type": "array", "items": {"type": ["number", "null"]}}
      }
    }
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import ResultsError

Floats = npt.NDArray[np.float64]

QUANTITIES = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "slowdown_reasons",
    "cpu_frequency_mhz",
    "others_share",
)
"""What a sample may hold, beside its time."""


@dataclass(frozen=True)
class MachineState:
    """Samples that were taken while images were measured; NaN where a value is missing.

    Attributes:
        time_ms: time of each sample.
        sm_clock_mhz: clock of the GPU's multiprocessors.
        memory_clock_mhz: clock of the GPU's memory.
        temperature_c: of the GPU.
        power_w: that the GPU draws.
        slowdown_reasons: NVML's bit mask of why clocks are not higher.
        cpu_frequency_mhz: highest frequency of the CPUs that the process may use.
        others_share: share of the device that other processes used.
        locked_sm_clock_mhz: clock that the GPU was locked to; None where it was not.
    """

    time_ms: Floats
    sm_clock_mhz: Floats
    memory_clock_mhz: Floats
    temperature_c: Floats
    power_w: Floats
    slowdown_reasons: Floats
    cpu_frequency_mhz: Floats
    others_share: Floats
    locked_sm_clock_mhz: float | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.time_ms)


def read_state(document: Mapping[str, Any], where: object, remedy: str) -> MachineState:
    """Take the samples of the measured images out of a document that its schema has passed.

    Args:
        document: the object described above.
        where: file it comes from.
        remedy: what to do about one that cannot be used.

    Raises:
        ResultsError: the lists differ in length, or time runs backwards.
    """
    samples = document["samples"]
    time_ms = np.array(samples["time_ms"], np.float64)
    if np.any(np.diff(time_ms) < 0):
        raise ResultsError(where, "the machine's samples are not in the order of time", remedy)
    columns = {}
    for name in QUANTITIES:
        values = samples.get(name, [None] * len(time_ms))
        if len(values) != len(time_ms):
            what = f"{name} has {len(values)} samples, time_ms {len(time_ms)}"
            raise ResultsError(where, what, remedy)
        columns[name] = np.array(values, np.float64)  # None becomes NaN
    begin_ms, end_ms = document["measured_ms"]
    inside = (time_ms >= begin_ms) & (time_ms <= end_ms)
    return MachineState(
        time_ms[inside],
        **{name: values[inside] for name, values in columns.items()},
        locked_sm_clock_mhz=document["locked_sm_clock_mhz"],
    )
