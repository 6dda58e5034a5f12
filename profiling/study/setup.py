"""Asks foreign methods, before any job starts, whether they accept what the study asks of them.

That needs their code and torch, which planning does without: another process does it, where torch
is installed, and its answer is kept until the code or the question changes. Where torch is not
installed (the study runs in a container), the first job of the method finds the same faults.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adscale.config import MethodConfig, StudyConfig, StudyConfigError
from adscale.digest import method_digest
from adscale.errors import ConfigError, UserError
from adscale.files import write_text

CHECKOUT = Path(__file__).parents[2]


def check_foreign_methods(study: StudyConfig, cache: Path) -> None:
    """Checks settings, resolutions and variants of all foreign methods of a study.

    Args:
        study: its configuration.
        cache: folder for answers.

    Raises:
        StudyConfigError: a method cannot be imported, or does not accept what is asked.
    """
    methods = [method for method in study.methods if method.spec.foreign]
    if not methods or importlib.util.find_spec("torch") is None:
        return
    question = json.dumps([_question(method) for method in methods], sort_keys=True)
    code = "".join(method_digest(method.spec, "profiling.cli.methods") for method in methods)
    key = hashlib.sha256(f"{question}{code}".encode()).hexdigest()[:16]
    file = cache / f"foreign-methods-{key}.json"
    if not file.is_file():
        write_text(file, _ask(question))
    faults: list[Sequence[str]] = json.loads(file.read_text(encoding="utf-8"))
    if faults:
        raise StudyConfigError([UserError(*fault) for fault in faults])


def _question(method: MethodConfig) -> dict[str, Any]:
    return {
        "label": method.label,
        "target": method.spec.target,
        "settings": dict(method.settings),
        "resolutions": method.resolutions_px,
        "variants": method.variants,
    }


def _ask(question: str) -> str:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "profiling", "check", question],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError("methods", f"a method of yours ended the check ({last})", "mend it")
    return done.stdout.splitlines()[-1]
