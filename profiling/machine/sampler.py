"""Asks a source of quantities at fixed intervals, in a thread beside the measurement."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

INTERVAL_MS = 100.0
"""Time between two samples, as long as there are few."""

MOST_SAMPLES = 2000
"""Beyond it every second sample is dropped, and the interval doubled."""


class Source(Protocol):
    """Quantities of one device.

    Attributes:
        unavailable: why a quantity cannot be had; it has no samples then.
    """

    unavailable: dict[str, str]

    def sample(self) -> Mapping[str, float | None]:
        """The quantities now; None where one is missing for once."""

    def restart(self) -> None:
        """What follows shall not be mixed with what went before: the measured images begin."""


class Sampler:
    """Samples a source from :meth:`start` until :meth:`stop`.

    Args:
        source: what to ask. It is asked by one thread at a time.
    """

    def __init__(self, source: Source) -> None:
        self.interval_ms = INTERVAL_MS
        self._source = source
        self._zero_ns = time.monotonic_ns()
        self._rows: list[tuple[float, Mapping[str, float | None]]] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what was sampled stays."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def now_ms(self) -> float:
        """Time on the clock of the samples."""
        return (time.monotonic_ns() - self._zero_ns) / 1e6

    def restart(self) -> float:
        """The measured images begin; returns the time."""
        with self._lock:
            self._source.restart()
            return self.now_ms()

    def sample(self) -> float:
        """Takes a sample out of turn; returns its time."""
        with self._lock:
            values = self._source.sample()
            time_ms = self.now_ms()
            self._rows.append((time_ms, values))
            if len(self._rows) > MOST_SAMPLES:
                self._rows = self._rows[::2]
                self.interval_ms *= 2
            return time_ms

    def as_dict(self) -> dict[str, Any]:
        """``samples`` of ``machine`` in ``run.json``; without quantities that never had a value."""
        with self._lock:
            rows = list(self._rows)
        names = {name: None for _, values in rows for name in values}
        columns = {name: [values.get(name) for _, values in rows] for name in names}
        known = {
            name: column
            for name, column in columns.items()
            if any(value is not None for value in column)
        }
        return {"time_ms": [round(time_ms, 3) for time_ms, _ in rows], **known}

    def _run(self) -> None:
        while not self._stop.wait(self.interval_ms / 1e3):
            self.sample()
