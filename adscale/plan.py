"""The runs and counts of a study, and where their files lie."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .config import MethodConfig, StudyConfig
from .devices import IN_CONTAINER, DeviceConfig, DeviceType
from .digest import method_digest, run_digest
from .errors import ConfigError
from .measured_code import TILES
from .methods.registry import counting_problem
from .names import PAPER_SIDES_PX
from .request import CollectorName, RunRequest
from .resolution import Resolution, sensor_resolution, square
from .tiles import KEY
from .variant import Variant

COUNT_STEP_PX = 512
"""Beyond them, memory is counted at multiples of this side length."""

COUNTED_TO_PX = 2560
"""Up to here always, however far is extrapolated: what the parabola is judged by."""


@dataclass(frozen=True)
class PlannedRun:
    """One process of a run: its request, and the digest of the code that decides its outcome."""

    request: RunRequest
    code_digest: str

    @property
    def path(self) -> str:
        """Folder below the results: of the run's first process that of the run, else in it."""
        folder = f"{self.group}/{self.request.resolution}"
        process = self.request.process
        return folder if process == 1 else f"{folder}/process-{process}"

    @property
    def latency(self) -> RunRequest:
        """The latency pass of the same process: the same without a profiler."""
        return dataclasses.replace(self.request, collector="none")

    @property
    def group(self) -> str:
        """The common part of all resolutions of one curve: device/method/variant."""
        return f"{self.request.device}/{self.request.method}/{self.request.variant}"

    @property
    def files(self) -> list[str]:
        """Files of the user that the run reads: when they change, it is measured again."""
        checkpoint = self.request.checkpoint
        return [] if checkpoint is None else [checkpoint]


@dataclass(frozen=True)
class PlannedCount:
    """The memory counts of a method in one variant, at all its resolutions and those of sensors."""

    method: str
    target: str
    settings_json: str
    variant: Variant
    resolutions: tuple[Resolution, ...]
    code_digest: str
    device_type: DeviceType | None = None
    """For which is counted; None: for a GPU, where this torch can."""

    @property
    def path(self) -> str:
        """Folder of the counts below the results: counts/method/variant, with the type if given."""
        return "/".join(filter(None, ("counts", self.method, str(self.variant), self.device_type)))

    @property
    def arguments(self) -> list[str]:
        """The arguments of ``python -m profiling memory``."""
        resolutions = [str(resolution) for resolution in self.resolutions]
        named = ["--method", self.target, "--label", self.method, "--variant", str(self.variant)]
        if self.device_type is not None:
            named += ["--device-type", self.device_type]
        return [*named, "--settings", self.settings_json, "--resolution", *resolutions]


def plan_runs(
    study: StudyConfig, collector: CollectorName, container: str | None = None
) -> dict[str, PlannedRun]:
    """All processes of all runs of a study by their path: first processes, then second ones, ….

    Args:
        study: the configuration.
        collector: who records.
        container: digest of the image in which they are measured; None: on the host. Runs in a
            container are those of a device of their own, so that neither overwrites the other's.
    """
    first = list(_runs(study, collector, container))
    return {
        run.path: run
        for process in range(1, study.processes + 1)
        for run in (_in_process(run, process) for run in first)
    }


def planned_records(runs: Iterable[str], latency: bool) -> list[str]:
    """The records of a study below the results, each made by a job of its own.

    Args:
        runs: paths of its processes.
        latency: whether it has the latency pass.
    """
    names = ["run.json", *(["latency.json"] if latency else [])]
    return [f"{run}/{name}" for name in names for run in runs]


def process_pattern(process: int) -> str:
    """Regular expression of the folders of one of the processes of all runs."""
    inner = "" if process == 1 else f"/process-{process}"
    return rf"[^/]+/[^/]+/[^/]+/\d+(x\d+)?{inner}"


def first_processes(runs: Mapping[str, PlannedRun]) -> list[str]:
    """The paths of the runs themselves."""
    return [path for path, run in runs.items() if run.request.process == 1]


def plan_counts(study: StudyConfig) -> dict[str, PlannedCount]:
    """All memory counts of a study by their path."""
    counts: dict[str, PlannedCount] = {}
    for method in study.methods:
        for variant in method.variants:
            count = PlannedCount(
                method=method.label,
                target=method.spec.target,
                settings_json=json.dumps(method.settings, sort_keys=True),
                variant=variant,
                resolutions=_counted_resolutions(method, study),
                code_digest=method_digest(
                    method.spec,
                    "profiling.cli.memory",
                    *(TILES if KEY in method.settings else ()),
                ),
            )
            counts[count.path] = count
    return counts


def plan_cpu_counts(study: StudyConfig) -> dict[str, PlannedCount]:
    """The counts for a CPU at the images of the sensors, by their path; without a CPU none.

    The device decides what is copied and what libraries take, so that those for a GPU do not hold.
    """
    if all(device.type != "cpu" for device in study.devices):
        return {}
    counts: dict[str, PlannedCount] = {}
    for method in study.methods:
        sizes = _countable(method, _sensor_images(study))
        for count in plan_counts(dataclasses.replace(study, methods=(method,))).values():
            of_cpu = dataclasses.replace(count, resolutions=sizes, device_type="cpu")
            if sizes:
                counts[of_cpu.path] = of_cpu
    return counts


def supported_at_or_above(method: MethodConfig, side_px: int) -> Resolution:
    """The smallest square from a side length in px on at which its memory can be counted.

    Raises:
        ConfigError: there is none.
    """
    found = _countable_from(method, square(side_px))
    if found is None:
        problem = counting_problem(method.spec, method.settings, square(side_px))
        reason = f" ({problem.reason})" if problem else ""
        what = f"{method.label} runs at no resolution from {side_px} px on{reason}"
        raise ConfigError("extrapolate_to_px", what, "choose a smaller one")
    return found


def _countable_from(method: MethodConfig, asked: Resolution) -> Resolution | None:
    """The resolution, or the next larger one in which it has room; None where there is none."""
    problem = counting_problem(method.spec, method.settings, asked)
    if problem is None:
        return asked
    return min((near for near in problem.nearest if near.holds(asked)), default=None)


def _runs(
    study: StudyConfig, collector: CollectorName, container: str | None
) -> Iterator[PlannedRun]:
    for device, method in itertools.product(study.devices, study.methods):
        for variant in method.variants:
            digest = run_digest(method.spec, variant, has_tiles=KEY in method.settings)
            for resolution in method.resolutions:
                request = _request(study, device, method, variant, resolution, collector, container)
                yield PlannedRun(request, digest)


def _in_process(run: PlannedRun, process: int) -> PlannedRun:
    return dataclasses.replace(run, request=dataclasses.replace(run.request, process=process))


def _request(
    study: StudyConfig,
    device: DeviceConfig,
    method: MethodConfig,
    variant: Variant,
    resolution: Resolution,
    collector: CollectorName,
    container: str | None,
) -> RunRequest:
    return RunRequest(
        device=device.name if container is None else f"{device.name}{IN_CONTAINER}",
        device_type=device.type,
        method=method.label,
        target=method.spec.target,
        settings=method.settings,
        variant=variant,
        resolution=resolution,
        seed=study.seed,
        threads=device.threads,
        images=study.images,
        max_image_megapixels=study.max_image_megapixels,
        decoding=study.decoding,
        sampling=study.sampling,
        collector=collector,
        gpu=device.gpu,
        container=container,
        execution=study.execution,
        lock_clocks=device.lock_clocks,
    )


def _counted_resolutions(method: MethodConfig, study: StudyConfig) -> tuple[Resolution, ...]:
    largest = supported_at_or_above(method, study.extrapolate_to_px)
    end_px = max(COUNTED_TO_PX + 1, study.extrapolate_to_px)
    beyond = range(max(PAPER_SIDES_PX) + COUNT_STEP_PX, end_px, COUNT_STEP_PX)
    asked = (*map(square, (*PAPER_SIDES_PX, *beyond)), *_sensor_images(study))
    return tuple(sorted({*method.resolutions, *_countable(method, asked), largest}))


def _sensor_images(study: StudyConfig) -> Iterator[Resolution]:
    for one in study.sensors:
        yield sensor_resolution(one["megapixels"], one.get("width_px"), one.get("height_px"))


def _countable(method: MethodConfig, asked: Iterable[Resolution]) -> tuple[Resolution, ...]:
    found = {_countable_from(method, resolution) for resolution in asked}
    return tuple(sorted(one for one in found if one is not None))
