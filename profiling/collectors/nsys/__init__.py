"""Nsight Systems: finding it, testing it, and running a program under it. Imports no torch."""

from profiling.collectors.nsys.choose import Choice, choose, planned_choice
from profiling.collectors.nsys.command import (
    export_command,
    profile_command,
    profile_environment,
)
from profiling.collectors.nsys.find import find_nsys, nsys_version
from profiling.collectors.nsys.run import run_profiled
from profiling.collectors.nsys.self_test import SelfTest, self_test, self_test_cached

__all__ = [
    "Choice",
    "SelfTest",
    "choose",
    "export_command",
    "find_nsys",
    "nsys_version",
    "planned_choice",
    "profile_command",
    "profile_environment",
    "run_profiled",
    "self_test",
    "self_test_cached",
]
