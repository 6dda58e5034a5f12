"""Studies of the other methods, in both implementations, and of methods of the user's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import planned, run_study, write_config

pytestmark = [pytest.mark.study, pytest.mark.slow]

BOTH = ["reference-fp32", "optimized-fp32"]
OWN = '''
from pydantic import Field
from pydantic.dataclasses import dataclass

from adscale.models import CLOSED, Integer
from profiling.methods.base import Detection, Method
from profiling.methods.preparation import imagenet_tensor


@dataclass(frozen=True, config=CLOSED)
class Settings:
    power: Integer = Field(default=2, description="Of it.")


class Mean(Method):
    """Distance to the mean colour."""

    submodules = ("mean", "distance")
    settings = Settings

    def __init__(self, side_px, power):
        super().__init__()
        self.side_px, self.power = side_px, power

    @classmethod
    def build(cls, settings, *, resolution, implementation, seed):
        return cls(resolution.side_px, settings["power"])

    def prepare(self, image):
        return imagenet_tensor(image, self.side_px)

    def infer(self, image, annotate):
        with annotate("mean"):
            mean = image.mean(dim=(2, 3), keepdim=True)
        with annotate("distance"):
            found = ((image - mean) ** self.power).mean(dim=1, keepdim=True)
            return Detection(found, found.amax())
'''
BATCHED = "optimized-fp32-b2"
METHODS = {
    "Bank": {"target": "patchcore", "training_images": 4, "resolutions": [64, 96],
             "variants": [*BOTH, BATCHED]},
    # 10^8 training images: a bank of 2.6 TB at 64 px
    "TooLarge": {"target": "patchcore", "training_images": 10**8, "resolutions": [64],
                 "variants": BOTH[:1]},
    "Diffusion": {"target": "ddad", "size": "S", "start_step": 50, "resolutions": [32, 64],
                  "variants": BOTH},
    "Own": {"target": "own_method:Mean", "resolutions": [32, 64]},
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods")
    (folder / "own_method.py").write_text(OWN, encoding="utf-8")
    write_config(folder, {"methods": METHODS, "extrapolate_to_px": 96})
    done = run_study(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "study"
    shutil.copytree(finished, copy, copy_function=shutil.copy2)
    return copy


def test_every_method_has_its_submodules(finished: Path) -> None:
    table = pd.read_csv(finished / "results/tables/runtime.csv")
    inner = table[table["role"] == "submodule"]
    found = {method: set(rows["submodule"]) for method, rows in inner.groupby("method")}
    patchcore = {"feature_extraction", "patch_embedding", "nn_search", "anomaly_map"}
    assert found == {
        "Bank": patchcore,
        "TooLarge": patchcore,
        "Diffusion": {"denoising_unet", "feature_extraction", "anomaly_map"},
        "Own": {"mean", "distance"},
    }
    measured = table[(table["role"] == "image") & (table["status"] == "ok")]
    large = measured[measured["method"] != "Own"]  # which is over before Python has opened a range
    assert large["uncovered_share"].max() < 0.01


def test_what_the_implementations_gain_is_a_table(finished: Path) -> None:
    table = pd.read_csv(finished / "results/tables/implementations.csv")
    assert set(table["method"]) == {"Bank", "Diffusion"}
    embedding = table[table["submodule"] == "patch_embedding"]
    assert list(embedding["side_px"]) == [64, 96, 64, 96]
    assert list(embedding["batch"]) == [1, 1, 2, 2]
    assert set(embedding["reference_batch"]) == {1}
    assert (table["time_ratio"] > 0).all()
    whole = table[table["submodule"] == "image"]
    assert set(whole["precision"]) == {"fp32", "fp32-b2"}
    assert (whole["optimized_held_bytes"] < whole["reference_held_bytes"]).all()


def test_a_batch_has_runs_counts_tables_and_figures(finished: Path) -> None:
    results = finished / "results"
    record = json.loads((results / f"test/Bank/{BATCHED}/64/run.json").read_text(encoding="utf-8"))
    assert record["images"]["per_range"] == 2
    runtime = pd.read_csv(results / "tables/runtime.csv")
    assert set(runtime.loc[runtime["variant"] == BATCHED, "batch"]) == {2}
    counts = pd.read_csv(results / "tables/memory_methods.csv")
    images = counts[counts["resolution"].eq(64) & counts["method"].eq("Bank")]
    sizes = images.set_index("variant")["image_bytes"]
    assert sizes[BATCHED] == 2 * sizes["optimized-fp32"]
    for name in (f"scaling_runtime_test_{BATCHED}", "implementations_test_Bank_fp32-b2"):
        assert (results / f"figures/{name}.png").is_file()


def test_a_bank_that_does_not_fit_is_a_result_that_says_its_size(finished: Path) -> None:
    path = finished / "results/test/TooLarge/reference-fp32/64/run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["status"] == "out_of_memory"
    assert record["problem"]["phase"] == "build"
    rows = 10**8 * 64 // 10
    assert record["problem"]["requested_bytes"] == rows * 1024 * 4


def test_nothing_is_done_twice(study: Path) -> None:
    assert planned(study) == {}


def test_a_changed_method_of_the_user_is_measured_again_alone(study: Path) -> None:
    file = study / "own_method.py"
    file.write_text(OWN.replace("(image - mean)", "(mean - image)"), encoding="utf-8")
    jobs = planned(study)
    assert (jobs["profile"], jobs["count_memory"]) == (2, 1)
    file.write_text(f"# a comment\n{OWN}", encoding="utf-8")
    assert planned(study) == {}


def test_a_setting_that_a_method_of_the_user_does_not_have_stops_before_any_job(
    study: Path,
) -> None:
    methods = {"Own": {**METHODS["Own"], "powr": 3, "variants": ["optimized-fp32"]}}
    write_config(study, {"methods": methods})
    done = run_study(study)
    assert done.returncode != 0
    assert "methods.Own.powr: " in done.stderr
    assert "did you mean power?" in done.stderr
    assert "Traceback" not in done.stderr
