"""A small profile in each schema of nsys' exports, and what is compared of it.

All of it is made here: the same generated events in the tables of every version, see
`tests.nsys_schema`, read by ours and by the quadratic reading of `tests.analysis.reference`.
`python -m tests.version_profiles` writes the table of docs/attribution.md, and with a folder behind
it the profiles.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from analysis.nsys.bulk import READERS
from analysis.nsys.reading import read_profile
from analysis.profiles.copy_table import DIRECTIONS, copy_table
from analysis.profiles.work import ProfileWork, work_of
from tests.analysis import reference, test_whole_profiles
from tests.analysis.builders import frame
from tests.analysis.reference import Call, Events, Operation, Range, Reference
from tests.conftest import CHECKOUT
from tests.nsys_schema import EXPORTS, ExportSchema

PAGE = CHECKOUT / "docs" / "attribution.md"
SEED = 23
RANGES, CALLS, OPERATIONS = 24, 36, 60

Check = Callable[[ProfileWork, Reference], None]


def generated(schema: ExportSchema, seed: int = SEED) -> Events:
    """Ranges that nest, overlap, stay open or end elsewhere, and work of every kind.

    No two ranges of a thread have the same start and end, so that the order of rows plays no part.
    """
    draw = random.Random(seed)
    starts = draw.sample(range(-50, 1_000), RANGES)
    ranges = [
        Range(
            draw.choice(reference.THREADS), start,
            None if at == 0 else start + draw.choice((3, 30, 300)),
            draw.choice((reference.PUSH_POP, reference.START_END)), draw.choice(reference.NAMES),
            draw.choice(sorted(reference.DOMAINS)), draw.random() < 0.5, draw.random() < 0.1,
        )
        for at, start in enumerate(starts)
    ]  # fmt: skip
    moments = draw.sample(range(-50, 1_100), CALLS)
    # correlation ids repeat between processes
    calls = [
        Call(draw.choice(reference.THREADS), start, start + draw.randrange(4), at // 2)
        for at, start in enumerate(moments)
    ]
    kinds = [kind for kind, table in reference.TABLES.items() if table in schema.tables]
    return Events(ranges, calls, [_operation(draw, calls, kinds) for _ in range(OPERATIONS)])


def _operation(draw: random.Random, calls: list[Call], kinds: list[str]) -> Operation:
    call, kind = draw.choice(calls), draw.choice(["kernels", "kernels", *kinds])
    is_known = draw.random() < 0.9
    start = call.end + draw.randrange(40)
    is_copy = kind == "copies"
    return Operation(
        kind, call.thread >> 24 << 24, start, start + draw.randrange(1, 30),
        call.correlation if is_known else 999_999, draw.randrange(2), draw.choice((7, 13)),
        draw.choice(reference.KERNEL_NAMES), draw.choice((None, 5)), draw.choice((1, 2)),
        draw.randrange(1, 10_000) if kind != "kernels" else 0,
        draw.choice((1, 2, 8)) if is_copy else 0,
    )  # fmt: skip


def copies_by_direction(work: ProfileWork, expected: Reference) -> None:
    """Copies of each path by direction, and bytes of copies and memory sets."""
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for at, path in enumerate(expected.paths):
        for op in expected.inside(at, "copies"):
            groups[path, DIRECTIONS[op.copy_kind]].append(op)
    found = {
        (row["path"], row["direction"]): (row["copies"], row["copy_bytes"])
        for row in frame(copy_table(work)).to_dict("records")
    }
    assert found == {key: (len(ops), sum(op.size for op in ops)) for key, ops in groups.items()}


def schema_version(work: ProfileWork, version: str) -> None:
    """What the export says of its schema."""
    assert work.profile.capture.schema_version == (version or None)


COMPARED: dict[str, Check] = {
    "ranges, busy and exclusive time": test_whole_profiles.the_table_of_ranges,
    "kernels by name": test_whole_profiles.the_table_of_kernels,
    "copies, bytes": copies_by_direction,
    "streams, devices": test_whole_profiles.rows_by_stream_and_device,
    "threads": test_whole_profiles.rows_by_thread_add_up_to_those_without,
    "work outside of ranges": test_whole_profiles.what_belongs_to_no_range,
}
"""What is compared with the quadratic reading, by its words in the table."""


def write_profile(folder: Path, schema: ExportSchema, shuffled: int | None = None) -> Path:
    """The profile of a version."""
    name = f"{schema.version or 'none'}{'' if shuffled is None else '_shuffled'}.sqlite"
    return generated(schema).write(folder / name, schema, shuffled)


def compare(folder: Path, schema: ExportSchema) -> None:
    """Compares all of it: rows as they are and shuffled, with both readers.

    Raises:
        AssertionError: a number is not the same.
    """
    expected = Reference(generated(schema))
    for shuffled in (None, SEED):
        path = write_profile(folder, schema, shuffled)
        for reader in READERS:
            work = work_of(read_profile(path, reader=reader, with_streams=True))
            schema_version(work, schema.version)
            for check in COMPARED.values():
                check(work, expected)


def matrix() -> str:
    """The versions, and what `compare` finds the same of each; Markdown."""
    columns = [*COMPARED, "rows shuffled"]
    head = f"| schema | nsys | tables | {' | '.join(columns)} |"
    lines = [head, f"{'|---' * (len(columns) + 3)}|"]
    for schema in EXPORTS.values():
        graphs = reference.TABLES["graphs"] in schema.tables
        first = "same, with whole graphs" if graphs else "same"
        cells = [first, *["same"] * (len(columns) - 1)]
        cells = [schema.version or "none", schema.nsys, _origin(schema), *cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _origin(schema: ExportSchema) -> str:
    if len(schema.reconstructed) == len(schema.tables):
        return "*reconstructed*"
    names = [f"`{name.removeprefix('CUPTI_ACTIVITY_KIND_')}`" for name in schema.reconstructed]
    return f"as exported; {', '.join(names)} *reconstructed*" if names else "as exported"


_BLOCK = re.compile(r"(<!-- versions[^>]*-->\n).*?(<!-- end of versions -->)", re.DOTALL)


def page() -> str:
    """docs/attribution.md with the table in it."""
    return _BLOCK.sub(lambda found: f"{found[1]}{matrix()}\n{found[2]}", PAGE.read_text("utf-8"))


def main(arguments: list[str]) -> None:
    """Writes the profiles into a folder, or compares them and writes the table."""
    if arguments:
        for schema in EXPORTS.values():
            print(write_profile(Path(arguments[0]), schema))
        return
    with tempfile.TemporaryDirectory() as folder:
        for schema in EXPORTS.values():
            compare(Path(folder), schema)
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
