"""Profiles of millions of kernels in the true schema of nsys 2023.4.4, written in chunks.

The shape is that of a training or diffusion loop: per thousand kernels one `step`, ten modules in
it and two blocks in each of those, 31 ranges on three levels; every kernel is launched in a block.
The GPU lags behind the CPU, so that most kernels run after their range has ended.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.gpu_profiles import MAIN_THREAD, PROCESS, SIDE_STREAM, STREAM
from tests.nsys_schema import SCHEMA

Int64s = npt.NDArray[np.int64]

KERNELS_PER_STEP = 1000
MODULES_PER_STEP = 10
BLOCKS_PER_MODULE = 2
LAUNCH_EVERY_NS, LAUNCH_NS, QUEUE_NS, GAP_NS = 5_000, 2_500, 5_000, 300
STEPS_PER_CHUNK = 200
MODULES = tuple(f"module_{number}" for number in range(MODULES_PER_STEP))
KERNELS = (
    "ampere_sgemm_128x64_tn",
    "void at::native::vectorized_elementwise_kernel<(int)4, at::native::FillFunctor<float>>()",
    "void cudnn::ops::nchwToNhwcKernel<float>",
    "implicit_convolve_sgemm",
    "void at::native::reduce_kernel<(int)512, (int)1>(T3)",
    "sm80_xmma_fprop_implicit_gemm_f32f32",
)
_LAUNCH, _QUERY = "cudaLaunchKernel_v7000", "cudaStreamIsCapturing_v10000"
STRINGS = (_QUERY, _LAUNCH, "step", "block", *MODULES, *KERNELS)

_RUNTIME = "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (?, ?, 0, ?, ?, ?, 0, NULL)"
_KERNEL = (
    "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, 0, 1, NULL, ?, ?, ?, ?, ?, NULL, 1, 1, "
    "32, 64, 1, 1, 128, 1, 1, 0, 0, 0, 205258752, ?, 32768, NULL, 0)"
)
_RANGE = (
    "INSERT INTO NVTX_EVENTS (start, end, eventType, globalTid, textId, domainId) "
    "VALUES (?, ?, ?, ?, ?, 0)"
)
_TARGETS = """
CREATE TABLE TARGET_INFO_GPU (vmId INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT,
    busLocation TEXT, smMajor INTEGER, smMinor INTEGER);
INSERT INTO TARGET_INFO_GPU VALUES (281474976710656, 0, 'generated GPU', '0000:c1:00.0', 8, 0);
"""


class Chunk(NamedTuple):
    """Some steps of the loop, one element per kernel or per range.

    Attributes:
        launch_ns: starts of the launching calls.
        start_ns: starts of the kernels.
        end_ns: their ends.
        name: position of each kernel's name in `KERNELS`.
        correlation: correlation ids.
        range_start_ns: starts of the ranges, which are in the order of their ends.
        range_end_ns: their ends.
        range_name: position of each range's name in `STRINGS`.
    """

    launch_ns: Int64s
    start_ns: Int64s
    end_ns: Int64s
    name: Int64s
    correlation: Int64s
    range_start_ns: Int64s
    range_end_ns: Int64s
    range_name: Int64s


def chunks(kernels: int, seed: int = 0) -> Iterator[Chunk]:
    """The events of a profile, some steps at a time.

    Args:
        kernels: how many, in whole thousands.
        seed: of the durations.
    """
    generator = np.random.default_rng(seed)
    gpu_free_ns = 0
    for first in range(0, kernels // KERNELS_PER_STEP, STEPS_PER_CHUNK):
        steps = np.arange(first, min(first + STEPS_PER_CHUNK, kernels // KERNELS_PER_STEP))
        number = np.arange(len(steps) * KERNELS_PER_STEP) + first * KERNELS_PER_STEP
        launch_ns = 1_000_000_000 + number * LAUNCH_EVERY_NS
        name = generator.integers(len(KERNELS), size=len(number))
        duration_ns = generator.integers(2_000, 7_000, size=len(number))
        end_ns = queued(launch_ns + QUEUE_NS, duration_ns, gpu_free_ns)
        gpu_free_ns = int(end_ns[-1])
        ranges = _ranges(launch_ns[::KERNELS_PER_STEP])
        yield Chunk(launch_ns, end_ns - duration_ns, end_ns, name, number + 1000, *ranges)


class Writer:
    """Writes rows into the tables of an empty SQLite file, which it makes.

    Args:
        connection: to the file; who made it commits.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names = 0
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA + _TARGETS)
        version = ("EXPORT_SCHEMA_VERSION", "3.7.2")
        connection.execute("INSERT INTO META_DATA_EXPORT VALUES (?, ?)", version)
        self._string_ids = self.strings(STRINGS)

    def strings(self, texts: Sequence[str]) -> Int64s:
        """Register strings; their ids."""
        ids = np.arange(self._names, self._names + len(texts))
        self._names += len(texts)
        pairs = zip(ids.tolist(), texts, strict=True)
        self._connection.executemany("INSERT INTO StringIds VALUES (?, ?)", pairs)
        return ids

    def calls(
        self, start_ns: Int64s, correlation: Int64s, launches: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """API calls of the main thread, of `LAUNCH_NS` each; by default all of them launch."""
        thread = np.full(len(start_ns), MAIN_THREAD)
        name_id = np.full(len(start_ns), self._string_ids[STRINGS.index(_LAUNCH)])
        if launches is not None:
            name_id[~launches] = self._string_ids[STRINGS.index(_QUERY)]
        self._insert(_RUNTIME, start_ns, start_ns + LAUNCH_NS, thread, correlation, name_id)

    def kernels(
        self, start_ns: Int64s, end_ns: Int64s, correlation: Int64s, name: Int64s | None = None,
        stream: Int64s | None = None,
    ) -> None:  # fmt: skip
        """Kernels, by default with the names of `KERNELS` in turn and on one stream."""
        number = np.arange(len(start_ns))
        name = number % len(KERNELS) if name is None else name
        name_id = self._string_ids[name + len(STRINGS) - len(KERNELS)]
        stream = np.full(len(number), STREAM) if stream is None else stream
        process = np.full(len(number), PROCESS)
        columns = (start_ns, end_ns, stream, correlation, process, name_id, name_id, correlation)
        self._insert(_KERNEL, *columns)

    def ranges(self, start_ns: Int64s, end_ns: Int64s, text_id: Int64s, kind: int) -> None:
        """Ranges of the main thread."""
        thread, kinds = np.full(len(start_ns), MAIN_THREAD), np.full(len(start_ns), kind)
        self._insert(_RANGE, start_ns, end_ns, kinds, thread, text_id)

    def _insert(self, statement: str, *columns: Int64s) -> None:
        rows = zip(*(column.tolist() for column in columns), strict=True)
        self._connection.executemany(statement, rows)


def write_big_profile(path: Path, kernels: int, *, streams: int = 1) -> None:
    """Write a profile; one that is there already is replaced.

    Args:
        path: the SQLite file.
        kernels: how many, in whole thousands.
        streams: 1, or 2 for kernels that take turns on two streams and overlap.
    """
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        writer = Writer(connection)
        for chunk in chunks(kernels):
            on_side = np.arange(len(chunk.name)) % streams
            # the other stream starts before its neighbour ends
            start_ns = chunk.start_ns - on_side * 1_500
            stream = np.where(on_side, SIDE_STREAM, STREAM)
            writer.calls(chunk.launch_ns, chunk.correlation)
            writer.kernels(start_ns, chunk.end_ns, chunk.correlation, chunk.name, stream)
            writer.ranges(chunk.range_start_ns, chunk.range_end_ns, chunk.range_name, 59)
        connection.commit()


def queued(ready_ns: Int64s, duration_ns: Int64s, free_ns: int) -> Int64s:
    """Ends of kernels that run one after the other, each no sooner than it is ready."""
    taken_ns = np.cumsum(duration_ns + GAP_NS)
    slack_ns = ready_ns - (taken_ns - duration_ns - GAP_NS)
    slack_ns[0] = max(slack_ns[0], free_ns + GAP_NS)
    queued: Int64s = np.maximum.accumulate(slack_ns) + taken_ns - GAP_NS
    return queued


def _ranges(step_start_ns: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Starts, ends and names of the ranges around some steps, in the order of their ends."""
    starts, ends, names = [], [], []
    parts = (
        (1, 0, 400),
        (MODULES_PER_STEP, 1, 300),
        (MODULES_PER_STEP * BLOCKS_PER_MODULE, 2, 200),
    )
    for count, level, margin_ns in parts:
        every_ns = KERNELS_PER_STEP // count * LAUNCH_EVERY_NS
        at = (step_start_ns[:, None] + np.arange(count) * every_ns).ravel()
        starts.append(at - margin_ns)
        ends.append(at + every_ns - LAUNCH_EVERY_NS + LAUNCH_NS + margin_ns)
        number = np.tile(np.arange(count), len(step_start_ns))
        names.append(number + 4 if level == 1 else np.full(len(at), 2 if level == 0 else 3))
    order = np.argsort(np.concatenate(ends), kind="stable")
    return (
        np.concatenate(starts)[order],
        np.concatenate(ends)[order],
        np.concatenate(names)[order],
    )


def main() -> None:
    """`python -m tests.bench.big_profiles FILE KERNELS [--streams 2]`: writes one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("kernels", type=int)
    parser.add_argument("--streams", type=int, default=1, choices=(1, 2))
    options = parser.parse_args()
    write_big_profile(options.path, options.kernels, streams=options.streams)


if __name__ == "__main__":
    main()
