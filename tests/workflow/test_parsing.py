"""The workflow is read without the packages that only its jobs need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.test_registry import HEAVY
from tests.workflow.conftest import SNAKEMAKE, write_config

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
