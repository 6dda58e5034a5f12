from __future__ import annotations

import platform
from pathlib import Path

import torch

from profiling import fingerprint

X86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 9  7950X\n"
ARM = "processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n"


def test_the_name_of_the_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(X86)
    assert fingerprint.cpu_model(file) == "AMD Ryzen 9 7950X"
    file.write_text(ARM)
    assert fingerprint.cpu_model(file) == "BCM2835"
    assert fingerprint.cpu_model(tmp_path / "absent") in {
        platform.processor(), platform.machine(), "unknown",
    }  # fmt: skip


def test_versions_of_what_is_absent_are_null() -> None:
    versions = fingerprint.software(None)
    assert versions["nsys"] is None
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == str(torch.__version__)


def test_cpus_are_listed_as_linux_lists_them() -> None:
    assert fingerprint.cpu_list({0, 1, 2, 3, 8}) == "0-3,8"
    assert fingerprint.cpu_list([5]) == "5"
    assert fingerprint.cpu_list({7, 0, 1}) == "0-1,7"
