"""Nsight Systems: finding it, testing it, and running a program under it. Imports no torch."""

from .find import (
    Choice,
    SelfTest,
    choose,
    find_nsys,
    nsys_version,
    planned_choice,
    self_test,
    self_test_cached,
)
from .run import export_command, profile_command, profile_environment, run_profiled

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
