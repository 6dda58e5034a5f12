"""A SLURM of one node for the tests of this folder; see ``cluster.py``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, install, running
from tests.workflow.conftest import finished_study  # noqa: F401 - a fixture

ASKED_FOR = os.environ.get("ADSCALE_TEST_SLURM") == "1"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, for as long as the tests run."""
    if not ASKED_FOR:
        pytest.skip("ADSCALE_TEST_SLURM is not 1: the tests install SLURM and take minutes")
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("no snakemake-executor-plugin-slurm here (envs/host.txt)")
    problem = install()
    if problem is not None:
        pytest.skip(problem)
    with (
        tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder,  # a short path
        running(Path(folder)) as cluster,
    ):
        yield cluster
