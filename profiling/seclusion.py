"""Keeps a program from looking into processes that it did not start.

nsys reads the environment of every process of the machine that it may look into, and writes all
their variables into its report: of the user's shells and services, passwords among them.
Linux' Landlock (5.19 and later) gives a program a domain of its own, without any privilege. In it
it can read ``/proc/<pid>/environ`` of what it has started and of nothing else.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of Landlock's system calls, the same on all architectures."""

ABI_WITH_REFER = 2
"""Version of Landlock from which on a domain need not forbid renaming between folders."""

MAKE_BLOCK, REFER = 1 << 11, 1 << 13
"""Rights that the domain regulates, and grants below ``/``: in effect none is taken away."""

GET_VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38
PR_CAPBSET_DROP = 24
ALL_SEEING = (19, 21, 38)
"""Capabilities of root with which it looks into any process in spite of the domain: SYS_PTRACE,
and of newer kernels SYS_ADMIN and PERFMON."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [
        ("allowed_access", ctypes.c_uint64),
        ("parent_fd", ctypes.c_int32),
    ]


def seclusion() -> Callable[[], None] | None:
    """Return what a new process calls before it starts its program; None where Linux lacks it.

    None, too, where address space is limited (``ulimit -v``): there nsys 2023.4.4 loses its agent
    in one of twenty recordings on a busy machine, and with either alone it does not.

    All that can be is done here: between fork and exec there are only system calls.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    syscall, prctl = getattr(libc, "syscall", None), getattr(libc, "prctl", None)
    if syscall is None or prctl is None:
        return None
    if syscall(CREATE_RULESET, None, 0, GET_VERSION) < ABI_WITH_REFER:
        return None
    ruleset = _Ruleset(MAKE_BLOCK | REFER)
    size = ctypes.sizeof(ruleset)

    def enter() -> None:
        for capability in ALL_SEEING:  # in effect from exec on; a user has none of them
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        number = syscall(CREATE_RULESET, ctypes.byref(ruleset), size, 0)
        if number < 0:
            return
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(MAKE_BLOCK | REFER, root)
        if syscall(ADD_RULE, number, PATH_BENEATH, ctypes.byref(rule), 0) == 0:
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            syscall(RESTRICT_SELF, number, 0)
        os.close(root)
        os.close(number)

    return enter
