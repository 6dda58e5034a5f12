"""The fingerprint of a run in its record: hardware, software, and switches that change results."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_serializer
from pydantic.dataclasses import dataclass

from .models import CLOSED, Flag, Number, Positive, Text


@dataclass(frozen=True, config=CLOSED)
class Gpu:
    """The GPU that was measured."""

    name: str = Field(description="Its model.")
    uuid: str = Field(description="Which one.")
    memory_bytes: Positive = Field(description="In all.")
    driver: str | None = Field(description="Version.")
    compute_capability: str = Field(description="Such as 8.6.")


@dataclass(frozen=True, config=CLOSED)
class Hardware:
    """The machine that measured."""

    cpu_model: str = Field(description="Model of the CPU.")
    cpu_count: Positive = Field(description="Logical CPUs this process may use.")
    cpus: Text = Field(
        description="Which: their numbers, such as 0-3,8; fewer than online: the process is pinned."
    )
    online_cpus: Positive = Field(description="Logical CPUs of the machine.")
    threads: Positive = Field(description="Threads torch used inside an operator.")
    memory_bytes: Positive = Field(description="Main memory.")
    gpu: Gpu | None = Field(description="null on a CPU device.")
    cpu_quota: Annotated[Number, Field(gt=0)] | None = Field(
        default=None,
        description="CPU time that control groups leave the process, in CPUs; absent: no bound, "
        "or an older record.",
    )

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: Any) -> dict[str, Any]:
        return {
            name: value
            for name, value in serialize(self).items()
            if name != "cpu_quota" or value is not None
        }


@dataclass(frozen=True, config=CLOSED)
class Software:
    """Versions; null where the part is absent."""

    adscale: str | None = Field(description="Version.")
    python: str | None = Field(description="Version.")
    os: str | None = Field(description="Name and kernel.")
    torch: str | None = Field(description="Version.")
    numpy: str | None = Field(description="Version.")
    nvtx: str | None = Field(description="Version.")
    nsys: str | None = Field(description="Version; null where it did not record.")
    cuda: str | None = Field(description="That torch was built for.")
    cudnn: str | None = Field(description="Version.")


@dataclass(frozen=True, config=CLOSED)
class Flags:
    """Switches of torch that change runtimes and results."""

    tf32_matmul: Flag = Field(description="TF32 in products of matrices.")
    tf32_cudnn: Flag = Field(description="TF32 in convolutions.")
    cudnn_benchmark: Flag = Field(description="cuDNN tries its algorithms.")
    cudnn_deterministic: Flag = Field(description="Deterministic algorithms of cuDNN only.")
    deterministic_algorithms: Flag = Field(description="torch.use_deterministic_algorithms")
    # null: older records do not tell
    cpu_precision: Text | None = Field(
        default=None, description="What the CPU computes fp32 in: ieee (as it is), tf32 or bf16."
    )
    default_dtype: Text | None = Field(default=None, description="torch.get_default_dtype")
    autocast: Flag | None = Field(default=None, description="Torch chooses types by itself.")
    gradients: Flag | None = Field(default=None, description="What gradients need was kept.")
