"""Which measuring processes a study has forked, and the servers that it starts for that.

`profiling.fork_server` says why, and is what is started here.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adscale.methods.foreign import is_foreign
from adscale.parts import program
from adscale.request import RunRequest
from adscale.variant import EAGER

from .forked import connect
from .processes import MARK

READY = b"ready"
"""What a server writes once it can be asked."""

CHANGING = (MARK, "TMPDIR")
"""Variables that differ from process to process and that importing does not look at."""


def can_be_forked(request: RunRequest) -> bool:
    """Whether the processes of a run may come from a server."""
    return (
        request.device_type == "cpu"
        and request.container is None
        and request.variant.engine == EAGER
        and not is_foreign(request.target)
    )


@dataclass(frozen=True)
class ForkServer:
    """The server of a study for one of the processes of each run.

    Args:
        study: the process with which it ends.
        process: which of the processes of each run.
        environment: of the measuring processes.
    """

    study: int
    process: int
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name under which it is found: another one for all that importing could depend on."""
        fixed = {key: value for key, value in self.environment.items() if key not in CHANGING}
        told = [_started(self.study), self.study, self.process, os.getcwd(), fixed]  # noqa: PTH109
        digest = hashlib.sha256(json.dumps([*told, sys.executable], sort_keys=True).encode())
        return f"adscale-{digest.hexdigest()[:32]}"

    def program(self) -> list[str] | None:
        """The program that stands in for a process, without the arguments of that.

        The server is started where there is none yet.

        Returns:
            None where it cannot be started: then a process is started as without it.
        """
        name = self.name
        if not (_answers(name) or (_can_be_watched(self.study) and self._start(name))):
            return None
        return [sys.executable, "-I", "-S", str(Path(__file__).with_name("forked.py")), name]

    def _start(self, name: str) -> bool:
        told, tell = os.pipe()
        command = program("profiling.fork_server", name, str(self.study), str(tell))
        with os.fdopen(told, "rb") as pipe:
            try:
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[tell],
                    start_new_session=True,
                )
            except OSError:
                return False
            finally:
                os.close(tell)
            return pipe.read(len(READY)) == READY


def _answers(name: str) -> bool:
    with suppress(OSError):
        connect(name).close()
        return True
    return False


def _can_be_watched(process: int) -> bool:
    """Whether there is that process, and a Linux that tells of its end (5.3 or later)."""
    with suppress(OSError, AttributeError):
        os.close(os.pidfd_open(process))
        return True
    return False


def _started(process: int) -> str:
    """When a process was started, in Linux' ticks: numbers of processes come again."""
    with suppress(OSError):
        text = Path(f"/proc/{process}/stat").read_bytes()
        return text[text.rindex(b")") :].split()[20].decode()
    return ""
