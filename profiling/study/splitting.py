"""A study too large for one call, as several configurations. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adscale.config import MethodConfig, StudyConfig


def split(user: Mapping[str, Any], study: StudyConfig, most_runs: int) -> list[dict[str, Any]]:
    """Configurations that together have the runs of one, each of them once.

    A part has one device and whole methods, so that every curve lies in one part.

    Args:
        user: the content of ``config.yaml``.
        study: the same, checked.
        most_runs: processes of runs in a part, at most; a method that alone has more is a part.
    """
    return [
        {**user, **device, "methods": {label: user["methods"][label] for label in labels}}
        for device in _devices(user)
        for labels in _packed(study, most_runs)
    ]


def _devices(user: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    entries = user.get("devices")
    if not entries:
        yield {}
        return
    for entry in entries:
        yield {"devices": [entry]}


def _packed(study: StudyConfig, most_runs: int) -> Iterator[list[str]]:
    """Labels of methods, in their order, as many together as a part may have."""
    labels: list[str] = []
    runs = 0
    for method in study.methods:
        more = _runs_of(method) * study.processes
        if labels and runs + more > most_runs:
            yield labels
            labels, runs = [], 0
        labels.append(method.label)
        runs += more
    yield labels


def _runs_of(method: MethodConfig) -> int:
    """On one device, in one process."""
    return len(method.variants) * len(method.resolutions_px)
