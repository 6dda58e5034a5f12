"""What a user sees whose machine lacks something; nothing is installed here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def setup(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(CHECKOUT / "envs/setup.sh"), "host", python, ""],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def interpreter(folder: Path, version: tuple[int, int], *, has_venv: bool) -> str:
    """A stand-in for a Python of that version, which answers as setup.sh asks."""
    path = folder / "python"
    in_range = (3, 11) <= version <= (3, 13)
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'  --version) echo "Python {version[0]}.{version[1]}.0" ;;\n'
        f"  *sys.exit*) exit {0 if in_range else 1} ;;\n"
        f"  *ensurepip*) exit {0 if has_venv else 1} ;;\n"
        f"  *print*) echo {version[0]}.{version[1]} ;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    return os.fspath(path)


def test_no_python(tmp_path: Path) -> None:
    done = setup(tmp_path, "no-such-python")
    assert done.returncode == 1
    assert "apt-get install -y python3 python3-venv" in done.stderr


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14)])
def test_a_python_that_cannot_be_used(tmp_path: Path, version: tuple[int, int]) -> None:
    done = setup(tmp_path, interpreter(tmp_path, version, has_venv=True))
    assert done.returncode == 1
    assert f"Python {version[0]}.{version[1]}.0" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_python_without_venv_names_its_package(tmp_path: Path) -> None:
    done = setup(tmp_path, interpreter(tmp_path, (3, 12), has_venv=False))
    assert done.returncode == 1
    assert "apt-get install -y python3.12-venv" in done.stderr


def test_nothing_is_left_of_a_setup_that_could_not_begin(tmp_path: Path) -> None:
    setup(tmp_path, "no-such-python")
    assert list(tmp_path.iterdir()) == []
