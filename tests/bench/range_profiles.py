"""Profiles whose ranges, not kernels, are many: `heavy`, as of a traced training, and `crossing`.

`heavy` has seven ranges per kernel on six levels: a step, 31 modules in it, 8 blocks in each, 4
operators in each of those, 2 inner ranges in each, and 2 leaves in each of these, of which one
launches the operator's kernel. `crossing` has start/end ranges of requests, each begun before and
ended after others; half of them are open at any launch, and none is inside another one.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.bench.big_profiles import LAUNCH_NS, Writer, queued

Int64s = npt.NDArray[np.int64]

MODULES, BLOCKS, OPERATORS, INNER, LEAVES = 31, 8, 4, 2, 2
KERNELS_PER_STEP = MODULES * BLOCKS * OPERATORS
LEAVES_PER_STEP = KERNELS_PER_STEP * INNER * LEAVES
STEPS = 2_208
"""Of the whole mix: 2.19 million kernels, 7.1 million API calls, 15.9 million ranges."""
MANY_LEAVES = 47
"""Names of each leaf, one after the other, that make 186,000 of all leaves."""
_STEPS_PER_CHUNK = 100
_PUSH_POP, _START_END = 59, 60
_UNIT_NS = 1_000
FIRST_NS = 1_000_000_000


class Step(NamedTuple):
    """The ranges and calls of a step, by their starts; times are since its begin, in ns.

    Attributes:
        start_ns: starts of the ranges.
        end_ns: their ends.
        name: position of each range's name in `names`; of leaves their number.
        is_leaf: whether each range is a leaf.
        call_ns: starts of the API calls.
        launches: whether each call launches a kernel.
        length_ns: of the whole step.
    """

    start_ns: Int64s
    end_ns: Int64s
    name: Int64s
    is_leaf: npt.NDArray[np.bool_]
    call_ns: Int64s
    launches: npt.NDArray[np.bool_]
    length_ns: int


def one_step() -> tuple[Step, list[str]]:
    """A step of `heavy`, and the names of its ranges besides leaves."""
    names: dict[str, int] = {}
    ranges: list[tuple[int, int, int, bool]] = []
    calls: list[tuple[int, bool]] = []
    now = 0

    def opened(name: str) -> int:
        nonlocal now
        now += 100
        ranges.append((now, 0, names.setdefault(name, len(names)), False))
        return len(ranges) - 1

    def closed(at: int) -> None:
        nonlocal now
        now += 100
        start, _, name, is_leaf = ranges[at]
        ranges[at] = (start, now, name, is_leaf)

    def call(*, launches: bool) -> None:
        nonlocal now
        now += 200
        calls.append((now, launches))
        now += LAUNCH_NS

    leaves = 0
    step = opened("step")
    for module in range(MODULES):
        in_module = opened(f"module_{module}")
        for block in range(BLOCKS):
            in_block = opened(f"block_{block}")
            call(launches=False)
            for operator in range(OPERATORS):
                in_operator = opened(f"aten::op_{operator}")
                for inner in range(INNER):
                    in_inner = opened(f"inner_{inner}")
                    for leaf in range(LEAVES):
                        at = opened("leaf")
                        ranges[at] = (ranges[at][0], 0, leaves, True)
                        leaves += 1
                        if leaf or inner:
                            call(launches=bool(leaf and inner))
                        closed(at)
                    closed(in_inner)
                closed(in_operator)
            closed(in_block)
        closed(in_module)
    closed(step)
    columns = [np.array(column) for column in zip(*ranges, strict=True)]
    call_ns, launches = (np.array(column) for column in zip(*calls, strict=True))
    return Step(*columns, call_ns, launches, now + 10 * _UNIT_NS), list(names)


def write_heavy(path: Path, steps: int, *, leaf_names: int = 1, by_end: bool = False) -> None:
    """Write the range-heavy mix; a file that is there already is replaced.

    Args:
        path: the SQLite file.
        steps: how many; `STEPS` make the whole mix.
        leaf_names: names that each leaf has in turn, from step to step.
        by_end: rows of ranges in the order of their ends, not of their starts.
    """
    step, names = one_step()
    order = np.argsort(step.end_ns) if by_end else np.arange(len(step.name))
    with _writer(path) as writer:
        leaf_ids = writer.strings(
            [f"leaf_{at % 4}" for at in range(LEAVES_PER_STEP)]
            if leaf_names == 1
            else [f"leaf_{at}" for at in range(LEAVES_PER_STEP * leaf_names)]
        ).reshape(leaf_names, LEAVES_PER_STEP)
        ids = writer.strings(names)
        free_ns, generator = 0, np.random.default_rng(0)
        for first in range(0, steps, _STEPS_PER_CHUNK):
            number = np.arange(first, min(first + _STEPS_PER_CHUNK, steps))
            begin_ns = (FIRST_NS + number * step.length_ns)[:, None]
            call_ns = (begin_ns + step.call_ns).ravel()
            correlation = 1 + first * len(step.call_ns) + np.arange(len(call_ns))
            launches = np.tile(step.launches, len(number))
            writer.calls(call_ns, correlation, launches)
            duration_ns = generator.integers(1_000, 6_000, size=int(launches.sum()))
            ready_ns = call_ns[launches] + 2 * LAUNCH_NS
            end_ns = queued(ready_ns, duration_ns, free_ns)
            free_ns = int(end_ns[-1])
            writer.kernels(end_ns - duration_ns, end_ns, correlation[launches])
            leaf = leaf_ids[number % leaf_names][:, np.where(step.is_leaf, step.name, 0)]
            name = np.where(step.is_leaf, leaf, ids[np.where(step.is_leaf, 0, step.name)])
            writer.ranges(
                (begin_ns + step.start_ns)[:, order].ravel(),
                (begin_ns + step.end_ns)[:, order].ravel(),
                name[:, order].ravel(),
                _PUSH_POP,
            )


def write_crossing(path: Path, requests: int, launches: int) -> None:
    """Write the crossing mix; a file that is there already is replaced.

    Args:
        path: the SQLite file.
        requests: start/end ranges, an even number.
        launches: kernels, each launched while half of the requests are open.
    """
    every_ns = 2 * LAUNCH_NS * (2 * launches // requests + 1)
    with _writer(path) as writer:
        ids = writer.strings([f"request {number}" for number in range(requests)])
        start_ns = FIRST_NS + np.arange(requests, dtype=np.int64) * every_ns
        writer.ranges(start_ns, start_ns + requests // 2 * every_ns, ids, _START_END)
        window_ns = np.linspace(start_ns[requests // 2], start_ns[-1], launches).astype(np.int64)
        call_ns = window_ns + LAUNCH_NS // 10
        correlation = np.arange(1, launches + 1)
        writer.calls(call_ns, correlation)
        end_ns = queued(call_ns + LAUNCH_NS, np.full(launches, LAUNCH_NS), 0)
        writer.kernels(end_ns - LAUNCH_NS, end_ns, correlation)


@contextmanager
def _writer(path: Path) -> Iterator[Writer]:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        yield Writer(connection)
        connection.commit()


def main() -> None:
    """`python -m tests.bench.range_profiles FILE heavy|many-names|crossing NUMBER`: writes one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("mix", choices=("heavy", "many-names", "crossing"))
    parser.add_argument("number", type=int, help="steps, or requests (with 10 launches each)")
    parser.add_argument("--by-end", action="store_true", help="rows of ranges by their ends")
    options = parser.parse_args()
    if options.mix == "crossing":
        write_crossing(options.path, options.number, 10 * options.number)
    else:
        leaf_names = MANY_LEAVES if options.mix == "many-names" else 1
        write_heavy(options.path, options.number, leaf_names=leaf_names, by_end=options.by_end)


if __name__ == "__main__":
    main()
