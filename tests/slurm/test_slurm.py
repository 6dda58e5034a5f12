"""The study on a real SLURM, with the profile as it is shipped."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from profiling.fingerprint import cpu_model
from tests.slurm.cluster import Cluster
from tests.workflow.conftest import CHECKOUT, SNAKEMAKE, planned, run_study, write_config

pytestmark = [pytest.mark.slurm, pytest.mark.study]

PROFILE = (
    "--workflow-profile", str(CHECKOUT / "profiles/slurm"),
    # for a cluster that answers at once
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
)  # fmt: skip
ONE_RUN = "results/test/Small/reference-fp32/256/run.json"
SLOW = {"warmup_images": 1, "measured_images": 10**6, "min_images": 1, "time_budget_s": 40}


DEVICE = {"name": "test", "type": "cpu", "threads": 1}


def configure(folder: Path, **changes: Any) -> None:
    """A tiny study that says what a submitted one must say."""
    write_config(folder, {"device": DEVICE, **changes})


def rule_of(job: dict[str, str]) -> str:
    return job["Comment"].removeprefix("rule_").partition("_wildcards_")[0]


def of_rules(cluster: Cluster, since: int, *rules: str) -> list[dict[str, str]]:
    """The jobs of some rules from a number on, in the order of their numbers."""
    jobs = [job for job in cluster.jobs() if "Comment" in job and int(job["JobId"]) > since]
    return sorted((job for job in jobs if rule_of(job) in rules), key=lambda job: int(job["JobId"]))


def last_number(cluster: Cluster) -> int:
    return max((int(job["JobId"]) for job in cluster.jobs() if "JobId" in job), default=0)


@pytest.fixture(scope="module")
def submitted(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, str]], dict[str, int]]:
    """A study that has run: its folder, its jobs as SLURM tells them, and the jobs planned."""
    folder = tmp_path_factory.mktemp("submitted")
    configure(folder)
    expected = planned(folder, *PROFILE)
    done = run_study(folder, *PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, [job for job in cluster.jobs() if "Comment" in job], expected


def test_all_jobs_went_through_slurm(submitted: Any) -> None:
    _, jobs, expected = submitted
    assert Counter(map(rule_of, jobs)) + Counter(["all"]) == expected
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}


def test_measurements_have_the_gpu_and_the_node_for_themselves(submitted: Any) -> None:
    _, jobs, _ = submitted
    for job in jobs:
        measures = rule_of(job) in {"profile", "latency"}
        assert (job.get("TresPerJob") == "gres:gpu:1") == measures
        assert (job["OverSubscribe"] == "NO") == measures


def test_no_two_measurements_overlap(submitted: Any) -> None:
    _, jobs, expected = submitted
    spans = sorted(
        (datetime.fromisoformat(job["StartTime"]), datetime.fromisoformat(job["EndTime"]))
        for job in jobs
        if rule_of(job) in {"profile", "latency"}
    )
    assert len(spans) == expected["profile"] + expected.get("latency", 0)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start


def test_results_have_the_shape_of_the_local_study(submitted: Any, finished_study: Path) -> None:
    folder, _, _ = submitted
    for table in ("runtime", "memory", "memory_measured"):
        here, there = (
            pd.read_csv(study / f"results/tables/{table}.csv") for study in (finished_study, folder)
        )
        assert list(here.columns) == list(there.columns)
        keys = [key for key in ("method", "side_px", "submodule", "clock") if key in here]
        assert here[keys].equals(there[keys])
    figures = [{path.name for path in (study / "results/figures").iterdir()}
               for study in (finished_study, folder)]  # fmt: skip
    assert figures[0] == figures[1]


def test_nothing_is_left_to_do(submitted: Any) -> None:
    """Neither for SLURM nor here: where a study runs causes no measurement."""
    folder, _, _ = submitted
    assert planned(folder, *PROFILE) == {}
    assert planned(folder) == {}


class Submission:
    """Snakemake at work on one slow measurement."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        *arguments: str,
        sampling: Mapping[str, float] = SLOW,
    ) -> None:
        self._cluster = cluster
        self._since = last_number(cluster)
        configure(folder, sampling=dict(sampling))
        self._log = folder / "snakemake.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*SNAKEMAKE, *PROFILE, *arguments, "--", ONE_RUN],
                cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._run_log = folder / "results/logs/profile/test/Small/reference-fp32/256.log"

    @property
    def job(self) -> dict[str, str]:
        """The measurement as SLURM tells it."""
        return of_rules(self._cluster, self._since, "profile")[-1]

    def wait_until_it_measures(self) -> None:
        deadline = time.monotonic() + 120
        while not (self._run_log.is_file() and "measure" in self._run_log.read_text()):
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.2)

    def end(self, timeout_s: float = 300) -> tuple[int, str]:
        """Exit code of Snakemake, and what it said."""
        return self.process.wait(timeout_s), self._log.read_text()


def goes_on(folder: Path) -> None:
    """The next call measures what was not finished, and nothing twice."""
    assert not (folder / ONE_RUN).exists()
    configure(folder)
    done = run_study(folder, *PROFILE, "--", ONE_RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / ONE_RUN).read_text())["status"] == "ok"
    assert not list((folder / ONE_RUN).parent.glob(".unfinished-*"))


def test_a_job_killed_by_scancel_is_recovered_by_the_next_call(
    cluster: Cluster, tmp_path: Path
) -> None:
    submission = Submission(tmp_path, cluster)
    submission.wait_until_it_measures()
    subprocess.run(["scancel", submission.job["JobId"]], check=True)
    code, said = submission.end()
    assert code != 0
    assert "CANCELLED" in said
    goes_on(tmp_path)


def test_a_job_that_exceeds_its_time_is_told_as_such(cluster: Cluster, tmp_path: Path) -> None:
    longer = {**SLOW, "time_budget_s": 300}
    one_minute = ("--set-resources", "profile:runtime=1")
    submission = Submission(tmp_path, cluster, *one_minute, sampling=longer)
    code, said = submission.end()
    assert code != 0
    assert "SLURM status is: 'TIMEOUT'" in said
    assert len(of_rules(cluster, int(submission.job["JobId"]) - 1, "profile")) == 1, "not again"
    goes_on(tmp_path)


def test_a_job_whose_node_fails_starts_again_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    submission = Submission(tmp_path, cluster)
    submission.wait_until_it_measures()
    number = submission.job["JobId"]
    cluster.switch_off_node()
    deadline = time.monotonic() + 120
    while "down" not in cluster.node_state():
        assert time.monotonic() < deadline, cluster.node_state()
        time.sleep(0.5)
    assert not (tmp_path / ONE_RUN).exists()
    cluster.start_node()
    code, said = submission.end(400)
    assert code == 0, said
    assert submission.job["JobId"] == number, "the same job, not another"
    assert submission.job["Restarts"] == "1"
    assert json.loads((tmp_path / ONE_RUN).read_text())["status"] == "ok"


def test_a_run_on_other_hardware_than_asked_for_fails_and_the_others_go_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Two devices on the one node there is: one asks for what it has, the other for more."""
    here = {**DEVICE, "name": "here", "hardware": cpu_model()[:8], "constraint": "here"}
    other = {**DEVICE, "name": "other", "hardware": "no such thing"}
    configure(tmp_path, device={}, devices=[here, other], resolutions=[256], latency=False)
    since = last_number(cluster)
    runs = [f"results/{name}/Small/reference-fp32/256/run.json" for name in ("here", "other")]
    done = run_study(tmp_path, *PROFILE, "--", *runs)
    assert done.returncode != 0
    assert (tmp_path / runs[0]).is_file()
    assert not (tmp_path / runs[1]).exists()
    log = (tmp_path / "results/logs/profile/other/Small/reference-fp32/256.log").read_text()
    assert f"error: devices: this run landed on {cpu_model()}, not on no such thing" in log
    features = [job["Features"] for job in of_rules(cluster, since, "profile")]
    assert sorted(features) == ["", "here"]
