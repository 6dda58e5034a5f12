"""A file system without locks, as some clusters have: a library in front that refuses them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NEEDS_COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#define REPLACE(name) \
  int name(int file, int command, ...) { \
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \
    if (command == F_GETLK || command == F_SETLK || command == F_SETLKW) { \
      errno = PROBLEM; return -1; } \
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #name); return real(file, command, argument); }
REPLACE(fcntl)
REPLACE(fcntl64)
int flock(int file, int operation) { errno = PROBLEM; return -1; }
"""


def without_locks(folder: Path, problem: str = "ENOSYS") -> dict[str, str]:
    """The environment in which programs get no locks.

    Args:
        folder: for the library.
        problem: what the system answers to who asks for a lock.
    """
    library = folder / "locks.so"
    command = ["cc", "-shared", "-fPIC", f"-DPROBLEM={problem}", "-x", "c", "-", "-o", str(library)]
    subprocess.run([*command, "-ldl"], input=_SOURCE, text=True, check=True)
    return {"LD_PRELOAD": str(library), "PATH": "/usr/bin:/bin"}
