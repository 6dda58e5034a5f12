"""What runs are told besides their request."""

from __future__ import annotations

from typing import Any

import pytest

from adscale.config import load_config
from profiling.study.decisions import run_options


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        (
            {"skip_predicted_out_of_memory": True},
            ["--skip-predicted-out-of-memory", "--memory-margin", "0.1"],
        ),
        (
            {"device": {"type": "cpu", "foreign_processes": "error"}},
            ["--foreign-processes", "error"],
        ),
    ],
)
def test_what_a_run_is_told(changes: dict[str, Any], words: list[str]) -> None:
    methods = {"A": {"target": "efficientad"}}
    study = load_config({"device": {"type": "cpu"}, "methods": methods, **changes})
    assert run_options(study).split() == words
