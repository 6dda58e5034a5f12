"""Nsight Systems: finding it, testing it, and running a program under it. Imports no torch."""

from .choose import Choice, choose, planned_choice
from .command import export_command, profile_command, profile_environment
from .find import find_nsys, nsys_version
from .run import run_profiled
from .self_test import SelfTest, self_test, self_test_cached

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
