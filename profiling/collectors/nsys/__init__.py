"""Nsight Systems: finding it, testing it, and running a program under it. Imports no torch."""

from adscale.nsys_program import find_nsys

from .find import Choice, choose, planned_choice
from .run import (
    export_command,
    export_report,
    nsys_version,
    profile_command,
    profile_environment,
    run_profiled,
)
from .self_test import SelfTest, records_adopted, self_test, self_test_cached

__all__ = [
    "Choice",
    "SelfTest",
    "choose",
    "export_command",
    "export_report",
    "find_nsys",
    "nsys_version",
    "planned_choice",
    "profile_command",
    "profile_environment",
    "records_adopted",
    "run_profiled",
    "self_test",
    "self_test_cached",
]
