"""The workflow is read without the packages that only its jobs need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adscale.errors import ConfigError
from adscale.yaml_text import check_config_files
from tests.analysis.test_registry import HEAVY
from tests.workflow.conftest import CHECKOUT, SNAKEMAKE, TINY, write_config

pytestmark = pytest.mark.study

# a plugin of Snakemake's own imports pandas, so that they are taken away only afterwards
CODE = """
import sys
from snakemake.cli import main
sys.modules.update(dict.fromkeys({heavy!r}))
main({arguments!r})
"""


def test_a_dry_run_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    write_config(tmp_path, {})
    code = CODE.format(heavy=HEAVY, arguments=[*SNAKEMAKE[1:], "-n", "--quiet", "rules"])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "fits_table" in done.stdout + done.stderr


MODULE = """
configfile: "own.yaml"
module adscale:
    snakefile: {snakefile!r}
    config: config
use rule * from adscale as adscale_*
rule mine:
    default_target: True
    input: "results/tables/feasibility.csv"
    output: "mine.txt"
    shell: "wc -l {{input}} > {{output}}"
"""


def test_the_study_is_a_module_of_another_workflow(tmp_path: Path) -> None:
    """Without a `config/config.yaml` there; that of this checkout is not read either."""
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=str(CHECKOUT / "Snakefile")))
    profile = str(CHECKOUT / "profiles/default")
    done = subprocess.run(
        [SNAKEMAKE[0], "-n", "-p", "--workflow-profile", profile],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rules = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout.split("Job stats:")[1], re.MULTILINE))
    assert rules["adscale_profile"] == rules["adscale_latency"] == "2"
    assert rules["mine"] == rules["adscale_feasibility_table"] == "1"
    assert "results/test/Small/reference-fp32/288/run.json" in done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("preset: smoke\n# größe\n".encode("latin-1"), "is not in UTF-8 (byte 19); save it"),
        (b"preset: [smoke\n", "is no YAML ("),
        (b"text\n", "holds no keys"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_configuration_named_on_the_command_line_that_cannot_be_read_ends_in_a_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Snakemake itself reads it before anything of ours, and ends in a traceback."""
    file = tmp_path / "other.yaml"
    if content is not None:
        file.write_bytes(content)
    script = str(CHECKOUT / "workflow/study.sh")
    done = subprocess.run(
        ["sh", script, *SNAKEMAKE, "-n", "--config", "seed=1", "--configfile", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"configuration: {file}: {words}")
    assert not (tmp_path / ".snakemake").exists(), "nothing was begun"


def test_files_of_the_command_line_are_found_as_snakemake_finds_them(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("preset: smoke\n")
    bad.write_text("[")
    check_config_files(["--cores", "1", "--config", str(bad), "--configfile", str(good), "-n"])
    for before in (["--configfile"], ["--configfiles", str(good)]):
        with pytest.raises(ConfigError, match=r"bad\.yaml: is no YAML"):
            check_config_files([*before, str(bad), "-n"])
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        check_config_files([f"--configfile={bad}"])
