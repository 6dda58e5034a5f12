"""Options of a study that must not cause a measurement when they are switched. No torch.

They are told to ``python -m profiling run`` besides the request, which Snakemake compares: what has
been measured stays measured, with any option. One kind of run does depend on one of them: that
which was left out for its memory. Each record has a small file among its job's inputs, its
decision. It is as old as can be, so it causes nothing, unless the run was left out and would not be
now: then it is new, and Snakemake runs the job again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from adscale.config import StudyConfig
from adscale.digest import source_digest
from adscale.files import write_text
from adscale.run_record import Prediction


def run_options(study: StudyConfig) -> str:
    """Return the options of every run, for a shell.

    Args:
        study: its configuration.
    """
    options = []
    if study.skip_margin is not None:
        options.append(f"--skip-predicted-out-of-memory --memory-margin {study.skip_margin!r}")
    if study.foreign_processes != "flag":
        options.append(f"--foreign-processes {study.foreign_processes}")
    return " ".join(options)


STANDS = "What was recorded of this run, if anything, stands.\n"


class Decisions:
    """The decisions of a study, as files.

    Args:
        margin: share of the device's memory by which a count must exceed it for a run to be left
            out; None: no run is left out.
        results: folder of the records.
        folder: where the decisions lie.
    """

    def __init__(self, margin: float | None, results: Path, folder: Path) -> None:
        self._margin = margin
        self._results = results
        self._folder = folder
        self._counting = source_digest("profiling.prediction")

    def file(self, record: str) -> Path:
        """The decision on a record.

        Args:
            record: below the results: a run's folder/run.json, or latency.json.
        """
        return self._folder / record

    def write(self, records: Iterable[str]) -> None:
        """Brings the files up to date. They follow from the records: doing it twice is the same.

        Raises:
            OSError: the folder cannot be written.
        """
        for record in records:
            file = self.file(record)
            if self._is_outdated(record):
                # Snakemake takes a new file for an old one where its content is
                _write(file, f"Decide anew: margin {self._margin}, counting {self._counting}.\n")
            else:
                _write(file, STANDS)
                os.utime(file, (0, 0))

    def _is_outdated(self, record: str) -> bool:
        """Whether a run was left out, and by the present option or counting might not be."""
        prediction = _left_out(self._results / record)
        if prediction is None:
            return False
        return prediction.counted_by != self._counting or not prediction.rules_out(self._margin)


def _left_out(path: Path) -> Prediction | None:
    """Why a run was left out; None where it was not, or there is no record that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "predicted_out_of_memory":
            return Prediction(**record["prediction"])
    return None


def _write(file: Path, content: str) -> None:
    with suppress(OSError):
        if file.read_text(encoding="utf-8") == content:
            return
    write_text(file, content)
