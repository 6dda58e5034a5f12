"""Energy and power of ranges, from samples that lie in a profile, against closed forms."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.analysis.test_questions import rows
from tests.gpu_profiles import ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]


def sampled(path: Path, watts: Callable[[float], float], name: str, gpus: int = 1) -> Path:
    """A range of 1 ms of work, and samples of power every 0.01 ms around it."""
    writer = ProfileWriter()
    with writer.range("a"):
        writer.submodule("net", 1_000_000)
        with writer.range("empty"):
            pass
    writer.write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "CREATE TABLE GPU_METRICS (timestamp INTEGER, typeId INTEGER, metricId INTEGER, "
            "value REAL); CREATE TABLE TARGET_INFO_GPU_METRICS (typeId INTEGER, sourceId INTEGER, "
            "typeName TEXT, metricId INTEGER, metricName TEXT);"
            "CREATE TABLE TARGET_INFO_GPU (id INTEGER, name TEXT);"
        )
        metric = "INSERT INTO TARGET_INFO_GPU_METRICS VALUES (?, 1, 'gpu', ?, ?)"
        connection.executemany(metric, [(256, 1, "SMs Active [Throughput %]"), (256, 2, name)])
        connection.executemany(
            "INSERT INTO TARGET_INFO_GPU VALUES (?, 'GPU')", [(n,) for n in range(gpus)]
        )
        rows = [(time, 256, kind, watts(time / 1e9) if kind == 2 else 50.0)
                for time in range(900_000, 3_000_000, 10_000) for kind in (1, 2)]  # fmt: skip
        connection.executemany("INSERT INTO GPU_METRICS VALUES (?, ?, ?, ?)", rows)
    return path


def test_energy_is_the_integral_of_power(analysis: Analysis, tmp_path: Path) -> None:
    """Of a line: the span of the work times the power in its middle."""
    path = sampled(tmp_path / "p.sqlite", lambda s: 1e3 * (100 + 2e4 * s), "GPU Power [mW]")
    _, out, _ = analysis("attribute", path, "--json")
    row = rows(out)["adscale:a"]
    with closing(sqlite3.connect(path)) as connection:
        times = "SELECT MIN(start) * 1e-9, MAX(end) * 1e-9 FROM CUPTI_ACTIVITY_KIND_KERNEL"
        ((first, last),) = connection.execute(times)
    power = 100 + 2e4 * (first + last) / 2
    assert row["energy_j"] == pytest.approx((last - first) * power)
    assert row["mean_power_w"] == pytest.approx(power)
    assert row["power_samples"] == pytest.approx((last - first) / 1e-5, abs=1)
    empty = rows(out)["adscale:a > adscale:empty"]
    assert (empty["energy_j"], empty["power_samples"]) == (None, 0)
    assert "samples of power" in empty["unknown"]["energy_j"]


@pytest.mark.parametrize(
    ("name", "gpus", "told"),
    [("GPU Power [W]", 1, 5.0), ("GPU Power [W]", 2, None), ("Power Brake [%]", 1, "absent")],
)
def test_power_of_which_nothing_is_known(
    analysis: Analysis, tmp_path: Path, name: str, gpus: int, told: object
) -> None:
    path = sampled(tmp_path / "p.sqlite", lambda _: 5.0, name, gpus)
    _, out, _ = analysis("attribute", path, "--json")
    found = rows(out)["adscale:a"].get("mean_power_w", "absent")
    assert found == (pytest.approx(told) if isinstance(told, float) else told)
