"""The code that a measurement depends on, by name: changing it has runs measured again.

``MEASURED`` and what ``METHODS`` says of a run's method make up the digest of ``run_digest``.
Everything else that a run imports is in ``NOT_MEASURED``, with the reason why it cannot change what
is measured; a module in neither fails a test. ``package.*`` is a package with all in it.
"""

from __future__ import annotations

from collections.abc import Mapping

MEASURED: Mapping[str, tuple[str, ...]] = {
    "what a run is asked to do": (
        "adscale.request",
        "adscale.resolution",
        "adscale.variant",
        "adscale.methods.registry",
        "adscale.methods.spec",
        "adscale.tiles",
    ),
    "the measuring process": (
        "profiling.launcher",
        "profiling.fork_server",
        "profiling.forked",
        "profiling.forks",
        "profiling.cli.measure",
        "profiling.runner",
        "profiling.run_record",
        "profiling.switches",
        "profiling.trail",
    ),
    "images": (
        "profiling.image_files",
        "profiling.image_levels",
        "profiling.image_png",
        "profiling.image_reading",
        "profiling.image_tiff",
        "profiling.images",
    ),
    "sampling": (
        "adscale.mean_error",
        "adscale.percentiles",
        "adscale.wandering",
        "profiling.sampling",
    ),
    "inference and its ranges": (
        "profiling.inference",
        "profiling.outputs",
        "profiling.annotation",
        "profiling.first_convolution",
    ),
    "collectors": (
        "profiling.collectors.embedded.*",
        "profiling.collectors.nsys.run",
    ),
    "machine": (
        "profiling.machine.*",
        "profiling.processes",
        "profiling.seclusion",
        "profiling.fingerprint",
    ),
    "measured memory": (
        "profiling.measured_memory",
        "profiling.memory_limits",
    ),
    "what all methods share": (
        "profiling.methods.base",
        "profiling.methods.loading",
        "profiling.methods.preparation",
        "profiling.methods.results",
        "profiling.methods.checkpoints",
        "profiling.methods.weights",
    ),
}
"""By part."""

METHODS: Mapping[str, tuple[str, ...]] = {
    "patchcore": (
        "adscale.methods.patchcore",
        "profiling.methods.patchcore.*",
        "profiling.methods.wide_resnet",
    ),
    "efficientad": ("adscale.methods.efficientad", "profiling.methods.efficientad.*"),
    "ddad": (
        "adscale.methods.ddad",
        "profiling.methods.ddad.*",
        "profiling.methods.wide_resnet",
    ),
}
"""By target, with the settings and their defaults."""

FOREIGN = (
    "profiling.methods.foreign",
    "profiling.methods.arguments",
    "profiling.methods.division",
    "profiling.methods.watching",
)
"""The modules that run a user's method. Its own module, loaded by name, and what that imports from
beside it are in the digest as well; of an installed package its version is."""

TILES = ("profiling.methods.tiled",)
"""Of methods whose images are cut; the others never import it."""

_ENGINES = (
    "profiling.engine_files",
    "profiling.cli.engine",
    "profiling.engines",
    "profiling.engines.base",
    "profiling.engines.takeover",
    "profiling.engines.parts",
)

ENGINES: Mapping[str, tuple[str, ...]] = {
    "eager": ("profiling.engines", "profiling.engines.parts"),
    "compile": (*_ENGINES, "profiling.engines.compiled"),
    "cudagraph": (*_ENGINES, "profiling.engines.cuda_graph"),
    "onnxruntime": (*_ENGINES, "profiling.engines.onnx_runtime"),
    "openvino": (*_ENGINES, "profiling.engines.open_vino"),
    "tensorrt": (*_ENGINES, "profiling.engines.tensor_rt", "profiling.engines.onnx_runtime"),
}
"""By engine, of variants in another precision, layout or engine than those of ``reference-fp32``;
the others never import them."""

PRUNING = (*_ENGINES, "profiling.engines.eager", "profiling.engines.pruning")
"""And of pruned ones, whatever their engine."""

_FOR_COUNTING = "counts before the first image; runs that it left out have a digest of their own"
_COMMAND = "a command of its own, which measures nothing"
_FOR_PLANNING = "what it decides stands in the request"
_FOR_PEOPLE = "says how it goes, between the images"

NOT_MEASURED: Mapping[str, str] = {
    "adscale": "empty",
    "adscale.damage": "looks at files after the measurement",
    "adscale.digest": "tells what has changed",
    "adscale.command_line": "tells faults, and restores streams behind the images",
    "adscale.config": _FOR_PLANNING,
    "adscale.config_file": _FOR_PLANNING,
    "adscale.devices": _FOR_PLANNING,
    "adscale.engine_record": "how a record is laid out, after the measurement",
    "adscale.engines": "refuses what cannot be computed",
    "adscale.errors": "a run that ends with one of them measures nothing",
    "adscale.failure": "tells of a run that has no measurement",
    "adscale.fingerprint": "how a record is laid out, after the measurement",
    "adscale.first_convolution": "how a record is laid out, after the measurement",
    "adscale.hardware_list": _FOR_PLANNING,
    "adscale.interrupts": "a run that is interrupted measures nothing",
    "adscale.files": "writes files as a whole, after the measurement",
    "adscale.measured_code": "this list: what it adds or drops changes the digest by itself",
    "adscale.memory_record": _FOR_COUNTING,
    "adscale.methods": "empty",
    "adscale.methods.foreign": "finds a user's method; what it finds is in the digest",
    "adscale.module_code": "tells what has changed",
    "adscale.models": "a request that is refused measures nothing",
    "adscale.nsys_program": "which nsys is found and chosen stands in the record",
    "adscale.names": "names of files, after the measurement",
    "adscale.parts": "where modules lie, and what commands are called",
    "adscale.plan": _FOR_PLANNING,
    "adscale.plan_file": _FOR_PLANNING,
    "adscale.run_record": "how a record is laid out, after the measurement",
    "adscale.tables": _FOR_PEOPLE,
    "adscale.yaml_text": _FOR_PLANNING,
    "profiling": "empty",
    "profiling.cli": "empty",
    "profiling.__main__": "calls the command",
    "profiling.cli.counts": _COMMAND,
    "profiling.cli.engine": _COMMAND,
    "profiling.cli.memory": _COMMAND,
    "profiling.cli.study": _COMMAND,
    "profiling.cli.run": "arguments of a run by hand; a study passes a request",
    "profiling.collectors": "empty",
    "profiling.collectors.nsys": "names what is in it",
    "profiling.collectors.nsys.find": "which nsys is found and chosen stands in the record",
    "profiling.collectors.nsys.self_test": "which nsys is chosen stands in the record",
    "profiling.engine_files": "finds an engine's files; in the digest of variants that have them",
    "profiling.ending": "ends a process whose work is done",
    "profiling.lock": "waits until the device is free",
    "profiling.memory.*": _FOR_COUNTING,
    "profiling.methods": "empty",
    "profiling.prediction": _FOR_COUNTING,
    "adscale.progress": _FOR_PEOPLE,
    "profiling.study.*": _FOR_PEOPLE,
}
"""Other imports of a run, with the reason why a change of them measures nothing again."""
