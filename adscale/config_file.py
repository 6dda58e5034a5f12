"""The one file a user edits, ``config.yaml``, as a model: each key with its default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from .hardware_list import ListedGpu, ListedSensor
from .models import CLOSED, OPEN, EachOnce, Finite, Flag, Integer, Name, Positive, Text
from .names import NOT_DEVICES
from .request import (
    BAYER,
    BIT_DEPTH,
    FIT,
    MAX_IMAGE_MEGAPIXELS,
    PAGE,
    VARIABLE_NAME,
    Bayer,
    BitDepth,
    Decoding,
    Execution,
    Fit,
    Sampling,
    Seed,
)
from .resolution import Resolution, square

DEFAULT_MARGIN = 0.1
"""By which share of the device's memory a count must exceed it before a run is left out."""

Preset = Literal["smoke", "quick", "paper", "adaptive"]
PLAIN_VARIANT = "reference-fp32"


def _not_taken(name: str) -> str:
    if name in NOT_DEVICES:
        raise PydanticCustomError("taken", f"these names are taken: {', '.join(NOT_DEVICES)}")
    return name


MethodName = Annotated[Name, Field(max_length=80)]
DeviceName = Annotated[MethodName, AfterValidator(_not_taken)]
Threads = Annotated[Positive, Field(le=8192)]
"""As many CPUs as Linux knows at most."""

GpuUuid = Annotated[
    str,
    Field(
        pattern="^(GPU|MIG)-[0-9A-Za-z/-]+$",
        examples=["GPU-8f2b6c1e-5a1d-4f0e-9c57-2d3e4f5a6b7c, which `nvidia-smi -L` prints"],
    ),
]
VariableName = Annotated[str, Field(pattern=VARIABLE_NAME, examples=["MY_SWITCH"])]
Resolutions = Annotated[tuple[Resolution, ...], Field(min_length=1), EachOnce]
TargetResolutions = Annotated[
    Resolutions, Field(description="Resolutions of all methods of this target.")
]
Bound = Annotated[
    Annotated[Finite, Field(ge=0)] | None,
    Field(description="Of that variant; null: none."),
]
Variants = Annotated[tuple[str, ...], Field(min_length=1), EachOnce]


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Device:
    """The hardware that is measured."""

    name: DeviceName = Field(
        default="local",
        description="Your name for it, and the folder of its runs in the results. Letters, digits "
        "and . _ + - only; not counts, engines, figures, logs or tables.",
    )
    type: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: cuda where an NVIDIA driver is loaded, else cpu."
    )
    gpu: GpuUuid | None = Field(
        default=None,
        description="UUID of the GPU to measure on (`nvidia-smi -L` lists them); null: the first "
        "that CUDA shows. Numbers are not taken: they change.",
    )
    threads: Threads | None = Field(
        default=None,
        description="CPU threads inside one operator; null: as many as this process may use.",
    )
    lock_clocks: Positive | None = Field(
        default=None,
        description="SM clock in MHz to lock the GPU to while it is measured, which mostly takes "
        "root; null: the driver chooses. A run whose clock could not be locked is measured all the "
        "same and says so.",
    )
    foreign_processes: Literal["flag", "error"] = Field(
        default="flag",
        description="What is done about processes of others on the GPU. flag: the run records "
        "them. error: it fails. Nothing is measured again when this is switched.",
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class ClusterDevice:
    """One of several kinds of hardware."""

    name: DeviceName = Field(description="As of `device`.")
    type: Literal["cpu", "cuda"] = Field(description="Kind of device.")
    threads: Threads = Field(
        description="CPU threads inside one operator, and CPUs that a job asks for."
    )
    hardware: Text | None = Field(
        default=None,
        description="Part of the name of the GPU, or of the model of the CPU on a CPU device, such "
        "as A100: a run that lands on other hardware fails. Needed where there are several "
        "devices.",
    )
    lock_clocks: Positive | None = Field(default=None, description="As of `device`.")
    gpu_model: Text | None = Field(
        default=None, description="Model of the GPU as SLURM names it: --gpus=<model>:1."
    )
    constraint: Text | None = Field(
        default=None, description="Features of nodes that SLURM shall choose: --constraint."
    )
    partition: Text | None = Field(
        default=None, description="SLURM partition of its measurements; null: that of the profile."
    )


@dataclass(frozen=True, kw_only=True, config=OPEN)
class MethodEntry:
    """Every other key is a setting of the class (`python -m profiling methods`)."""

    target: str = Field(
        description="The class: a name that `python -m profiling methods` lists, or one of your "
        "own: package.module:Class, or anomalib:Model."
    )
    resolutions: Resolutions = Field(
        default=(), description="Resolutions of this method alone, in place of the study's."
    )
    variants: Variants = Field(
        default=(), description="Variants of this method alone, in place of the study's."
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The user's settings of the class, unchecked."""
        known = {field.name for field in fields(self)}
        return {key: value for key, value in vars(self).items() if key not in known}


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class FigureStyle:
    """How figures look; nothing here causes a measurement."""

    width_mm: Annotated[Finite, Field(ge=60, le=400)] = Field(
        default=130, description="Width of a figure in mm."
    )
    font_pt: Annotated[Finite, Field(ge=4, le=30)] = Field(
        default=8, description="Size of the text in points."
    )
    png_dpi: Annotated[Integer, Field(ge=50, le=1200)] = Field(
        default=200, description="Resolution of the PNG files."
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class ConfigFile:
    """A key that is left out takes the value of the preset, or else the default given here."""

    preset: Preset = Field(
        default="quick",
        description="Sampling, processes, resolutions and variants, from "
        "config/presets/<name>.yaml. smoke: the whole way in minutes, for checking an "
        "installation. quick: a first study of this machine. paper: 100 warm-up and 1000 measured "
        "images, exactly, in each of three processes. adaptive: as many images as it takes to know "
        "every median to 1 %, in each of three processes.",
    )
    device: Device = Field(default=Device(), description="The hardware that is measured.")
    devices: Annotated[tuple[ClusterDevice, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Several kinds of hardware, in place of `device`: every run is measured on "
        "each, by jobs of a cluster (docs/cluster.md).",
    )
    methods: Annotated[Mapping[MethodName, MethodEntry], Field(min_length=1)] = Field(
        description="Your label of each method, with the class behind it and its settings. One "
        "class may appear under several labels."
    )
    resolutions: Resolutions = Field(
        description="Of the input image: side lengths of squares in px, such as 1024, or width x "
        "height, such as 2448x2048."
    )
    resolutions_by_target: Mapping[str, TargetResolutions] = Field(
        default={},
        description="The same for all methods of one target, in place of `resolutions`. A "
        "configuration that sets `resolutions` itself leaves out the preset's.",
    )
    variants: Variants = Field(
        default=(PLAIN_VARIANT,),
        description="How each method is computed: implementation-precision[-engine][-options], in "
        "this order, such as optimized-fp32, optimized-bf16-openvino or optimized-fp32-b8. "
        "Implementations: reference (the operations of the authors' code), optimized (the same "
        "results, computed as they should be). Precisions: fp32 (TF32 off), tf32 (TF32 in "
        "convolutions, as torch does by default; CUDA devices only: on a CPU a preset's are left "
        "out), fp16, bf16, int8 (by an engine). Engines, for the networks alone: none (eager "
        "torch), compile, onnxruntime, openvino. Options: channels_last (layout of the networks), "
        "b<N> (batches of N images). `python -m profiling methods` lists what runs here, "
        "docs/engines.md has the rest. Methods of your own have reference-fp32 unless their entry "
        "says otherwise.",
    )
    sampling: Sampling = Field(
        description="How many images a run measures; of a variant with batches, how many batches."
    )
    processes: Annotated[Positive, Field(le=1000)] = Field(
        default=1,
        description="Processes in which each run is measured, one after the other: the first "
        "of all runs, then the second of all runs. What differs from process to process, as where "
        "memory lies, and what drifts in hours, is seen in no other way. A larger number measures "
        "the additional processes only, a smaller one nothing.",
    )
    latency: Flag = Field(
        default=True,
        description="Whether each process is followed by another that runs the images without a "
        "profiler, the latency pass: for the times a user sees, and for what the profiler costs.",
    )
    execution: Execution = Field(
        default=Execution(),
        description="Settings of torch and of the device that change what is measured.",
    )
    images: Text | None = Field(
        default=None,
        description="Folder of images: PNG, JPEG, BMP, TIFF (docs/images.md); known datasets are "
        "recognised. null: photographs that come with scikit-image.",
    )
    bit_depth: BitDepth | None = Field(default=None, description=BIT_DEPTH)
    bayer: Bayer | None = Field(default=None, description=BAYER)
    page: Positive | None = Field(default=None, description=PAGE)
    fit: Fit | None = Field(default=None, description=FIT)
    max_image_megapixels: Annotated[Finite, Field(gt=0)] = Field(
        default=MAX_IMAGE_MEGAPIXELS,
        description="Images with more pixels, in millions, are left out, which is said: a file of "
        "a few kilobytes may hold more than memory does.",
    )
    seed: Seed = Field(
        default=0, description="Seed of the random weights, where no checkpoint is given."
    )
    collector: Literal["auto", "nsys", "embedded"] = Field(
        default="auto",
        description="Who records the ranges: Nsight Systems, or adscale itself. auto: nsys where "
        "it is found and can record, else embedded.",
    )
    nsys: str | None = Field(
        default=None,
        description="Path of the nsys program; null: looked for in PATH and where its packages "
        "install it.",
    )
    environment: Annotated[tuple[VariableName, ...], EachOnce] = Field(
        default=(),
        description="Names of further variables of the environment that measured programs get, "
        "where they are set. Others than those that docs/running.md lists they do not get: nsys "
        "writes all of them with their values into its reports. Nothing is measured again when "
        "this is changed.",
    )
    container: Text = Field(
        default="build/adscale.sif",
        description="Image in which a study called with --use-singularity runs: a .sif (`make "
        "image` builds it), or docker://name@sha256:…. Its runs are those of a device of their "
        "own, <name>-container.",
    )
    skip_predicted_out_of_memory: Flag = Field(
        default=False,
        description="Whether runs that cannot fit are left out: those whose memory, counted before "
        "anything is run, is more than the device has. The count is a bound from below. Such a run "
        "is recorded as predicted_out_of_memory, never as measured. What has been measured is not "
        "measured again when this is switched; what was left out is, once it no longer would be.",
    )
    memory_margin: Annotated[Finite, Field(ge=0, le=1000)] = Field(
        default=DEFAULT_MARGIN,
        description="By which share of the device's memory the count must exceed it before a run "
        "is left out; 0.1: more than 1.1 times of it.",
    )
    deviation_bounds: Mapping[Text, Bound] = Field(
        default={},
        description="How far what a variant finds may be from what reference-fp32 finds, as a "
        "share of the largest value: by variant (optimized-bf16-openvino), by all of it but the "
        "implementation (bf16-openvino), or by precision; null: as far as it likes. Default: fp32 "
        "0.001, tf32, fp16 and bf16 0.03, int8 and pruned null. What is farther off is marked in "
        "implementations.csv. Nothing is measured again when this is changed.",
    )
    extrapolate_to_px: Resolution = Field(
        default=square(3000),
        description="To which fits are extrapolated and memory is counted: a side length in px, or "
        "width x height, which stands for the square of as many pixels (rounded up).",
    )
    extrapolate_beyond_limit: Flag = Field(
        default=False,
        description="Whether times are extrapolated beyond 10 times the pixels of the largest "
        "measured resolution, too (from 1024 px: beyond 3238 px). Otherwise they are refused "
        "there.",
    )
    gpus: tuple[ListedGpu, ...] = Field(
        default=(),
        description="GPUs whose memory methods are judged by and figures draw as horizontal lines: "
        "names of config/hardware.yaml, such as `[L4, RTX 4090]`, or entries of your own. Without "
        "this key: those that `judged` names there; empty: none. Nominal memory: what an inference "
        "may use is somewhat less.",
    )
    sensors: tuple[ListedSensor, ...] = Field(
        default=(),
        description="Image sensors whose images methods are judged by and counted at, and which "
        "figures mark: names of config/hardware.yaml, such as `[IMX264, IMX531]`, or entries of "
        "your own. Without this key: those that `judged` names there; empty: none. Memory is "
        "counted at their width and height, of megapixels alone at a square.",
    )
    figures: FigureStyle = Field(
        default=FigureStyle(), description="How figures look; nothing here causes a measurement."
    )

    @property
    def decoding(self) -> Decoding:
        """What image files do not say of themselves."""
        return Decoding(self.bit_depth, self.bayer, self.page, self.fit)
