"""May runs be compared? One device is one kind of machine, one curve one way of measuring."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from adscale.request import RunRequest

from .finding import Finding
from .folders import RecordedRun

GIB = 2**30
CURVE_KEYS = (
    "target", "settings", "seed", "threads", "images", "sampling", "collector", "execution",
    "lock_clocks", "container",
)  # fmt: skip
"""What the runs of one curve must have been asked for in common."""

LABEL_KEYS = ("target", "settings")
"""What a method's label stands for, on every device."""

_APART = "measure the smaller part again, or move it to a device with a name of its own"


def check_devices(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Devices whose runs were measured on different hardware or by different software.

    Several machines of one kind may be one device: which GPU, which node and which of its CPUs
    are not compared, kinds are.
    """
    for device, group in _grouped(runs, lambda run: run.key.device):
        for name, values in _differing(group, _fingerprint):
            yield Finding(f"device {device}", f"{name} is {values}", _APART)


def check_curves(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Curves whose runs were asked for in different ways."""
    remedy = "start the study again: what differs from the configuration is measured anew"
    for curve, group in _grouped(runs, lambda run: run.key.curve):
        for name, values in _differing(group, lambda run: _flat(run.request, CURVE_KEYS)):
            yield Finding("/".join(curve), f"{name} is {values}", remedy)


def check_labels(runs: Sequence[RecordedRun]) -> Iterator[Finding]:
    """Labels of methods that mean one thing on one device and another on another."""
    remedy = "give one of them another label, or measure it again"
    one_per_curve = list({run.key.curve: run for run in runs}.values())
    for method, group in _grouped(one_per_curve, lambda run: run.key.method):
        for name, values in _differing(group, lambda run: _flat(run.request, LABEL_KEYS)):
            yield Finding(f"method {method}", f"{name} is {values}", remedy)


def _fingerprint(run: RecordedRun) -> dict[str, object]:
    """By what machines of one kind are known."""
    hardware = run.record.hardware
    found: dict[str, object] = {
        "cpu_model": hardware.cpu_model,
        "online_cpus": hardware.online_cpus,
        # the kernel keeps some of it, not always as much
        "main memory in GiB": round(hardware.memory_bytes / GIB),
        "device_type": run.request.device_type,
    }
    gpu = {} if hardware.gpu is None else asdict(hardware.gpu)
    software = asdict(run.record.software)
    return {
        **found,
        **{f"gpu.{key}": value for key, value in gpu.items() if key != "uuid"},
        **{f"software.{key}": value for key, value in software.items()},
    }


def _flat(request: RunRequest, keys: Sequence[str]) -> dict[str, object]:
    """The values of some keys, mappings taken apart: ``sampling.warmup_images``."""
    found: dict[str, object] = {}
    values = asdict(request)
    for key in keys:
        value = values[key]
        if isinstance(value, Mapping):
            found.update({f"{key}.{inner}": part for inner, part in value.items()})
        else:
            found[key] = value
    return found


def _grouped(
    runs: Sequence[RecordedRun], key: Callable[[RecordedRun], Any]
) -> Iterator[tuple[Any, list[RecordedRun]]]:
    groups: defaultdict[Any, list[RecordedRun]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    yield from groups.items()


def _differing(
    runs: Sequence[RecordedRun], values: Callable[[RecordedRun], Mapping[str, object]]
) -> Iterator[tuple[str, str]]:
    """Names of which the runs have several values, and these, with an example of each."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    example: dict[tuple[str, str], str] = {}
    of_runs = [(run, values(run)) for run in runs]
    names = dict.fromkeys(name for _, found in of_runs for name in found)
    for run, found in of_runs:
        for name in names:
            text = json.dumps(found[name], sort_keys=True) if name in found else "absent"
            counts[name][text] += 1
            example.setdefault((name, text), run.folder.place)
    for name, texts in counts.items():
        if len(texts) > 1:
            parts = (
                f"{text} in {count} of {len(runs)} runs (as {example[name, text]})"
                for text, count in texts.most_common()
            )
            yield name, ", ".join(parts)
