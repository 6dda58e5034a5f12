"""Our JSON documents: they keep to their published schemas, of every version so far."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adscale.errors import ResultsError
from adscale.memory_record import MemoryRecord
from adscale.models import adapter
from analysis.json_output import SCHEMA_VERSIONS, read_document
from analysis.memory_table import MEMORY_METHODS
from analysis.runtime_table import RUNTIME
from analysis.tables import write_csv
from tests.analysis.comparisons import Measured, times
from tests.analysis.feasibility_tables import tables
from tests.conftest import CHECKOUT
from tests.gpu_profiles import GpuRun, record
from tests.memory_documents import Count, Part

Analysis = Callable[..., tuple[int, str, str]]
SCHEMAS = CHECKOUT / "docs" / "schemas"
KEPT = Path(__file__).parent / "documents"
"""A document of each version that there was, as it was written then."""


def validate(document: Any, name: str, version: int) -> None:
    schema = json.loads((SCHEMAS / f"{name}-{version}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)


def objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from objects(one)


def check(text: str, name: str) -> dict[str, Any]:
    """It has its name and version, keeps to the schema, and each row tells of its nulls."""
    found: dict[str, Any] = json.loads(text)
    assert (found["document"], found["schema_version"]) == (name, SCHEMA_VERSIONS[name])
    validate(found, name, SCHEMA_VERSIONS[name])
    for row in objects(found):
        if "unknown" in row:
            assert {key for key, value in row.items() if value is None} - {"gate"} == {
                *row["unknown"]
            }, row
            assert all(row["unknown"].values())
    return found


@pytest.fixture
def profiles(tmp_path: Path) -> list[Path]:
    found = []
    for number in range(3):
        path = tmp_path / f"p{number}.sqlite"
        record(GpuRun("M", 64, ("net",), lambda _n, _i, ns=400_000 + 4000 * number: ns)).write(path)  # type: ignore[misc]
        found.append(path)
    return found


@pytest.mark.parametrize(
    "options", [(), ("--kernels",), ("--copies",), ("--by", "stream"), ("--window", "0.001:1")]
)
def test_attribute(analysis: Analysis, profiles: list[Path], options: tuple[str, ...]) -> None:
    check(analysis("attribute", profiles[0], "--json", *options)[1], "attribute")


def test_diff(analysis: Analysis, profiles: list[Path]) -> None:
    one, two, three = profiles
    gate = ("--fail-if", "busy > 0 %", "--json")
    for sides in ((one, two), ("--a", one, two, "--b", two, three, "--kernels", "--confident")):
        given = ("--fail-if", "kernel_sum > 0 %", "--json") if "--kernels" in sides else gate
        check(analysis("diff", *sides, *given)[1], "diff")


def test_compare(analysis: Analysis, tmp_path: Path) -> None:
    a = Measured().write(tmp_path / "a", 1)
    lost = {"status": "out_of_memory", "mean_ms": None, "median_ms": None}
    for number, b in enumerate((Measured(ms=times(1.2)), Measured(row=lost))):
        _, out, _ = analysis("compare", a, b.write(tmp_path / f"b{number}", 2), "--json")
        assert len(check(out, "compare")["rows"]) == 9
    output = tmp_path / "c.json"
    assert analysis("compare", a, tmp_path / "b0", "-o", output)[0] == 0
    check(output.read_text(), "compare")


@pytest.mark.parametrize(
    "asked",
    [
        ("--vram-gib", "24", "--sensor-mp", "5"),
        ("--vram-gib", "1", "--sensor", "2448x2048", "--cycle-ms", "400"),
        ("--gpu", "RTX 4090", "--sensor-mp", "200", "--cycle-ms", "50"),
        ("--device", "lab", "--sensor-mp", "0.7"),
    ],
)
def test_feasible(analysis: Analysis, tmp_path: Path, asked: tuple[str, ...]) -> None:
    known = tables()
    write_csv(known.counts, tmp_path / MEMORY_METHODS.file)
    assert known.runtime is not None
    write_csv(known.runtime, tmp_path / RUNTIME.file)
    code, out, err = analysis("feasible", "--tables", tmp_path, *asked, "--json")
    assert (code, err) == (0, "")
    rows = check(out, "feasible")["rows"]
    words = analysis("feasible", "--tables", tmp_path, *asked)[1]
    assert all(str(row["reason"]) in words for row in rows[:1])
    if "--cycle-ms" in asked:
        assert {row["keeps_cycle"] for row in rows} <= {"yes", "no", "uncertain", "unknown"}


def test_memory() -> None:
    """A record; its schema is that of the model that checks it."""
    document = Count("M", [Part("net")]).document([256, 512])
    validate(document, "memory", document["schema_version"])
    adapter(MemoryRecord).validate_python(document)


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_documents_of_all_versions_are_read(path: Path) -> None:
    """To keep one: write it as NAME-VERSION.json before the version rises."""
    name, version = path.stem.split("-")
    if version != "0":
        validate(json.loads(path.read_text()), name, int(version))
    check(json.dumps(read_document(path)), name)


def test_every_version_has_a_kept_document_and_a_schema() -> None:
    for name, latest in SCHEMA_VERSIONS.items():
        for version in range(1, latest + 1):
            assert (KEPT / f"{name}-{version}.json").is_file()
            assert (SCHEMAS / f"{name}-{version}.json").is_file()
    page = (CHECKOUT / "docs" / "json.md").read_text()
    linked = set(re.findall(r"schemas/([a-z]+-\d+\.json)", page))
    assert {f"{name}-{version}.json" for name, version in SCHEMA_VERSIONS.items()} <= linked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"document": "attribute", "schema_version": 99}', "has version 99 of attribute"),
        ('{"document": "tree", "schema_version": 1}', "is an unknown document, 'tree'"),
        ("[1]", "is no document of adscale"),
        ("{", "is no JSON"),
    ],
)
def test_what_is_no_document(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(ResultsError) as caught:
        read_document(tmp_path / "d.json")
    assert message in str(caught.value)
