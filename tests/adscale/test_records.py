"""The models of the records: their schemas on disk, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adscale.describe import MODELS, SCHEMA_FOLDER, schema_text
from adscale.errors import ConfigError, ResultsError
from adscale.files import read_record, write_record
from adscale.models import checked, jsonable
from adscale.request import RunRequest, Sampling
from adscale.run_record import RunRecord
from tests.gpu_profiles import GpuRun, run_document

RUN = run_document(GpuRun("M", 256, ("a",), lambda _name, _image: 4))
REQUEST = RUN["request"]


@pytest.mark.parametrize("name", MODELS)
def test_the_schemas_on_disk_are_those_of_the_models(name: str) -> None:
    """If not: `make docs`, or `python -m adscale.describe`."""
    file = SCHEMA_FOLDER / f"{name}.schema.json"
    assert file.read_text(encoding="utf-8") == schema_text(name)


def described(part: Any, path: str) -> list[str]:
    """Paths of the properties without a description."""
    if isinstance(part, list):
        return [found for one in part for found in described(one, path)]
    if not isinstance(part, dict):
        return []
    missing = [
        f"{path}.{key}" for key, inner in part.get("properties", {}).items()
        if not inner.get("description")
    ]  # fmt: skip
    below = [found for key, inner in part.items() for found in described(inner, f"{path}.{key}")]
    return [*missing, *below]


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_described(name: str) -> None:
    assert described(json.loads(schema_text(name)), name) == []


def test_a_record_is_written_and_read_without_a_change(tmp_path: Path) -> None:
    record = checked(RunRecord, RUN)
    write_record(tmp_path / "run.json", record)
    assert json.loads((tmp_path / "run.json").read_text()) == RUN
    assert read_record(tmp_path / "run.json", RunRecord, "again") == record
    assert list(jsonable(record)) == list(RUN), "keys keep their order on disk"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"schema_version": 2, "clock": "sun"}, "schema_version violates run.schema.json"),
        ({"clock": "sun"}, "clock violates run.schema.json"),
        ({"more": 1}, "more violates run.schema.json"),
        ({"submodules": ["a", "a"]}, "submodules violates run.schema.json"),
        ({"sampling": {**RUN["sampling"], "measured_images": True}}, "sampling.measured_images"),
    ],
)
def test_a_record_that_is_none_is_refused_in_a_line(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**RUN, **changes}))
    with pytest.raises(ResultsError) as caught:
        read_record(file, RunRecord, "measure again")
    message = str(caught.value)
    assert message.startswith(f"{file}: {line}")
    assert message.endswith("; measure again")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"device": "a/b"}, "device: 'a/b' is not a usable name; allowed: letters, digits"),
        ({"processs": 1}, "processs: unknown key; allowed here: collector, container, decoding, "),
        ({"seed": "0"}, "seed: '0' cannot be used; expected: integer"),
        ({"gpu": 1}, "gpu: 1 cannot be used; expected: string or null"),
        ({"sampling": {"warmup_images": 1}}, "sampling.measured_images: missing; add it: "),
    ],
)
def test_a_request_that_is_none_is_refused_in_a_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunRequest.from_json(json.dumps({**REQUEST, **changes}))
    assert str(caught.value).startswith(line)


def test_a_request_is_the_same_text_whoever_wrote_its_numbers() -> None:
    request = checked(RunRequest, {**REQUEST, "skip_margin": 1})
    assert request.as_json() == checked(RunRequest, {**REQUEST, "skip_margin": 1.0}).as_json()
    assert Sampling(1, 2, 2, 20) == Sampling(1, 2, 2, 20.0)
