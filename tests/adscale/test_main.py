"""`python -m adscale`: the commands of both parts."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from adscale.parts import COMMANDS
from tests.conftest import CHECKOUT


def adscale(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "adscale", *arguments], cwd=CHECKOUT, capture_output=True, text=True
    )


def test_it_lists_the_commands_of_both_parts() -> None:
    done = adscale()
    assert done.returncode == 0
    assert {"run", "attribute", "gpu-check"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["attribute", "--help"], "usage: adscale attribute"),
        (["memory", "--help"], "usage: adscale memory [-h] [--method"),
        (["analysis", "memory", "--help"], "usage: adscale analysis memory"),
    ],
)
def test_it_runs_the_command_of_the_part_that_has_it(arguments: list[str], program: str) -> None:
    done = adscale(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(program)


def test_a_reader_of_the_list_may_leave() -> None:
    command = f"{sys.executable} -m adscale | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert done.stderr == ""


@pytest.mark.parametrize("part", COMMANDS)
def test_each_part_has_the_commands_that_are_listed(part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", part, "--help"], cwd=CHECKOUT, capture_output=True, text=True
    )
    words = re.sub(r"\s+", " ", done.stdout)
    for name, summary in COMMANDS[part].items():
        assert f" {name} {summary}" in words
    found = re.findall(r"^ {4}([a-z][a-z-]*)(?:\s|$)", done.stdout, re.MULTILINE)
    assert sorted(found) == sorted(COMMANDS[part])


def test_the_list_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from adscale.__main__ import main\n"
        "main([])\n"
        "sys.exit(', '.join({'numpy', 'pydantic', 'rich', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_command_is_refused_in_a_line() -> None:
    done = adscale("profil")
    assert done.returncode == 2
    assert done.stderr.startswith("error: adscale: no command 'profil'; allowed: methods, ")


INTERRUPTING = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_rest):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a parent may have switched off
module, *sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Finder())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("adscale.command_line", "analysis attribute nowhere"),
        ("adscale.command_line", "profiling methods"),
        ("adscale.command_line", "adscale attribute nowhere"),
        ("numpy", "analysis attribute nowhere"),
        ("profiling.memory.counting", "profiling memory --method efficientad --resolution 256"),
    ],
)
def test_ctrl_c_is_one_line_whatever_is_imported_just_then(module: str, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTING, module, *command.split()],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "error: interrupted; what was written whole before is kept\n"
