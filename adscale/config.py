"""The user's configuration: preset and defaults filled in, every key checked."""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import ValidationError

from .config_file import PLAIN_VARIANT, ConfigFile, MethodEntry, Preset
from .devices import (
    DeviceConfig,
    DeviceType,
    device_errors,
    device_type,
    study_devices,
    submission_errors,
)
from .engines import device_problem
from .errors import ConfigError, UserError
from .hardware_list import entry_errors, entry_values, judged_by_default
from .methods.registry import check_resolution, check_settings, get_spec, parse_variant
from .methods.spec import MethodSpec
from .models import adapter, config_errors, jsonable
from .parts import DATA
from .request import Decoding, Execution, Sampling
from .resolution import Resolution
from .variant import PRECISIONS, NoVariantError, Variant
from .yaml_text import read_yaml

PRESET_FOLDER = DATA / "config" / "presets"
PRESETS = get_args(Preset)


class StudyConfigError(UserError):
    """All that is wrong with a configuration, one line each."""

    def __init__(self, errors: list[UserError]) -> None:
        first = errors[0]
        super().__init__(first.where, first.what, first.remedy)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


@dataclass(frozen=True)
class MethodConfig:
    """One entry of ``methods``: a label, the class behind it, and what of it is studied."""

    label: str
    spec: MethodSpec
    settings: Mapping[str, Any]
    variants: tuple[Variant, ...]
    resolutions: tuple[Resolution, ...]


@dataclass(frozen=True)
class StudyConfig:
    """A configuration that was checked; nothing in it is left to a default."""

    preset: str
    devices: tuple[DeviceConfig, ...]
    methods: tuple[MethodConfig, ...]
    sampling: Sampling
    processes: int
    latency: bool
    execution: Execution
    images: str | None
    decoding: Decoding
    max_image_megapixels: float
    seed: int
    collector: Literal["auto", "nsys", "embedded"]
    nsys: str | None
    foreign_processes: Literal["flag", "error"]
    container: str
    environment: tuple[str, ...]
    deviation_bounds: Mapping[str, float | None]
    extrapolate_to_px: int
    extrapolate_beyond_limit: bool
    skip_margin: float | None
    """Share of the device's memory by which a run's count must exceed it for the run to be left
    out; None: no run is left out."""
    figures: Mapping[str, Any]
    gpus: tuple[Mapping[str, Any], ...]
    sensors: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    """Parts of the preset that are left out here, for the user to see when the study starts."""


def load_config(user: Mapping[str, Any]) -> StudyConfig:
    """Checks a configuration and fills in its preset and defaults.

    Args:
        user: the content of ``config.yaml``, with what the command line put over it.

    Raises:
        StudyConfigError: something in it cannot be used; every fault is listed.
    """
    full, notes = _without_cuda(user, _checked(_merged(user)))
    errors: list[UserError] = []
    methods: list[MethodConfig] = []
    for label, entry in full.methods.items():
        try:
            methods.append(_method(label, entry, full))
        except StudyConfigError as error:
            errors.extend(error.errors)
    errors.extend(_other_errors(full))
    if errors:
        raise StudyConfigError(errors)
    return _study(full, tuple(methods), notes)


def check_submission(user: Mapping[str, Any], in_container: bool) -> None:
    """Refuses a configuration that would mean another thing on the machines that measure.

    Args:
        user: as for ``load_config``; of a study whose jobs are submitted to a cluster.
        in_container: whether they run in a container.

    Raises:
        StudyConfigError: every fault is listed.
    """
    errors = list(submission_errors(user, in_container))
    if errors:
        raise StudyConfigError(errors)


def read_config(path: Path) -> StudyConfig:
    """Reads and checks a configuration file.

    Raises:
        UserError: it cannot be read, is no YAML, or ``load_config`` refuses it.
    """
    return load_config(read_yaml(path))


def _merged(user: Mapping[str, Any]) -> dict[str, Any]:
    """The user's keys over those of the preset and the GPUs and sensors that are judged else.

    Raises:
        StudyConfigError: the list of these cannot be used.
    """
    name = user.get("preset", "quick")
    file = PRESET_FOLDER / f"{name}.yaml"
    if name not in PRESETS:  # which is told with all other faults
        file = PRESET_FOLDER / "quick.yaml"
    preset: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    if "resolutions" in user:
        preset.pop("resolutions_by_target", None)
    try:
        hardware = judged_by_default()
    except ConfigError as error:
        raise StudyConfigError([error]) from None
    return {**hardware, **_merge(preset, user)}


def _checked(data: Mapping[str, Any]) -> ConfigFile:
    try:
        return adapter(ConfigFile).validate_python(data)
    except ValidationError as error:
        raise StudyConfigError([*config_errors(error, ConfigFile)]) from None


def _without_cuda(user: Mapping[str, Any], full: ConfigFile) -> tuple[ConfigFile, tuple[str, ...]]:
    """Leaves out variants of the preset that a device which is a CPU does not have.

    Returns:
        The configuration; and what was left out of it, in words.
    """
    left_out = [variant for variant in full.variants if _needs_cuda(variant)]
    if "cpu" not in _device_types(full) or not left_out or "variants" in user:
        return full, ()
    kept = tuple(variant for variant in full.variants if variant not in left_out)
    note = (
        f"preset {full.preset}: {', '.join(left_out)} left out, the device is a CPU and has no TF32"
    )
    return dataclasses.replace(full, variants=kept), (note,)


def _needs_cuda(variant: str) -> bool:
    try:
        return device_problem(Variant.of(variant), "cpu") is not None
    except NoVariantError:  # which is told with all other faults
        return False


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` put over ``base``, mappings key by key, everything else whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _method(label: str, entry: MethodEntry, study: ConfigFile) -> MethodConfig:
    where = f"methods.{label}"
    try:
        spec = get_spec(entry.target, where=f"{where}.target")
        settings = check_settings(spec, entry.settings, where=where)
        _check_plain(settings, where)
    except UserError as error:
        raise StudyConfigError([error]) from None
    resolutions, resolutions_from = study.resolutions, "resolutions"
    if entry.resolutions:
        resolutions, resolutions_from = entry.resolutions, f"{where}.resolutions"
    elif spec.target in study.resolutions_by_target:
        resolutions = study.resolutions_by_target[spec.target]
        resolutions_from = f"resolutions_by_target.{spec.target}"
    resolutions = tuple(sorted(resolutions))
    # of a foreign method nobody knows yet which variants it has, other than the plain one
    variants = entry.variants or ((PLAIN_VARIANT,) if spec.foreign else study.variants)
    variants_from = f"{where}.variants" if entry.variants else "variants"
    errors = [
        *_resolution_errors(spec, settings, resolutions, resolutions_from),
        *_variant_errors(spec, variants, variants_from, study),
    ]
    if errors:
        raise StudyConfigError(errors)
    return MethodConfig(label, spec, settings, tuple(map(Variant.of, variants)), resolutions)


def _check_plain(settings: Mapping[str, Any], where: str) -> None:
    """Refuses settings that a record cannot hold, such as dates, which YAML has and JSON has not.

    Raises:
        ConfigError: one is of such a kind.
    """
    for key, value in settings.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            remedy = "expected: text, finite numbers, true, false, null, or lists and maps of them"
            raise ConfigError(f"{where}.{key}", f"{value!r} cannot be used", remedy) from None


def _resolution_errors(
    spec: MethodSpec, settings: Mapping[str, Any], resolutions: tuple[Resolution, ...], where: str
) -> Iterator[UserError]:
    for resolution in resolutions:
        try:
            check_resolution(spec, settings, resolution, where=where)
        except UserError as error:
            yield error


def _variant_errors(
    spec: MethodSpec, variants: tuple[str, ...], where: str, study: ConfigFile
) -> Iterator[UserError]:
    for name in variants:
        try:
            variant = parse_variant(name, spec, where=where)
        except UserError as error:
            yield error
            continue
        # every variant is measured on every device
        for kind in sorted(_device_types(study)):
            problem = device_problem(variant, kind)
            if problem is not None:
                yield ConfigError(where, *problem)


def _device_types(study: ConfigFile) -> set[DeviceType]:
    return {device_type(entry) for entry in study.devices or [study.device]}


def _other_errors(study: ConfigFile) -> Iterator[UserError]:
    for target in study.resolutions_by_target:
        try:
            get_spec(target, where="resolutions_by_target")
        except UserError as error:
            yield error
    sampling = study.sampling
    if sampling.min_images > sampling.measured_images:
        what = f"{sampling.min_images} is more than measured_images"
        remedy = f"allowed: 1 to {sampling.measured_images}"
        yield ConfigError("sampling.min_images", what, remedy)
    if sampling.target_precision is not None and sampling.min_images < 2:
        what = "1 is too few to tell a precision, which target_precision asks for"
        yield ConfigError("sampling.min_images", what, "expected: at least 2, better 30")
    for name in study.deviation_bounds:
        if name not in (*PRECISIONS, "pruned") and not _names_variants(name):
            what = f"{name!r} names no variant"
            remedy = "expected: a variant, all of it but the implementation, a precision or pruned"
            yield ConfigError("deviation_bounds", what, remedy)
    yield from device_errors(study)
    yield from (*entry_errors("gpus", study.gpus), *entry_errors("sensors", study.sensors))
    if study.images is not None:
        yield from _folder_errors("images", study.images)


def _names_variants(name: str) -> bool:
    """Whether it is a variant, or all of one but the implementation."""
    for text in (name, f"reference-{name}"):
        with suppress(NoVariantError):
            return bool(Variant.of(text))
    return False


def _folder_errors(key: str, folder: str) -> Iterator[ConfigError]:
    try:
        if not stat.S_ISDIR(Path(folder).stat().st_mode):
            yield ConfigError(key, f"{folder!r} is no folder", "name a folder, or null")
    except PermissionError as error:
        what = f"{folder!r} cannot be read ({error.strerror})"
        yield ConfigError(key, what, "make it, and the folders above it, readable")
    except (OSError, ValueError) as error:  # of a name with a zero byte
        what = f"{folder!r} is no folder ({getattr(error, 'strerror', error)})"
        yield ConfigError(key, what, "name a folder, or null")


def _study(
    full: ConfigFile, methods: tuple[MethodConfig, ...], notes: tuple[str, ...]
) -> StudyConfig:
    return StudyConfig(
        preset=full.preset,
        devices=study_devices(full),
        methods=methods,
        sampling=full.sampling,
        processes=full.processes,
        latency=full.latency,
        execution=full.execution,
        images=full.images,
        decoding=full.decoding,
        max_image_megapixels=full.max_image_megapixels,
        seed=full.seed,
        collector=full.collector,
        nsys=full.nsys,
        foreign_processes=full.device.foreign_processes,
        container=full.container,
        environment=full.environment,
        deviation_bounds=dict(full.deviation_bounds),
        extrapolate_to_px=full.extrapolate_to_px.least_square_px,
        extrapolate_beyond_limit=full.extrapolate_beyond_limit,
        skip_margin=full.memory_margin if full.skip_predicted_out_of_memory else None,
        figures=jsonable(full.figures),
        gpus=tuple(entry_values(gpu) for gpu in full.gpus),
        sensors=tuple(entry_values(sensor) for sensor in full.sensors),
        notes=notes,
    )
