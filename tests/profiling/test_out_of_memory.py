from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from profiling.memory_limits import is_out_of_memory, kernel_kills, requested_bytes


def test_torchs_cpu_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert requested_bytes(str(caught.value)) == 2**50


@pytest.mark.parametrize(
    ("message", "size_bytes"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity", 2 * 2**30),
        ("CUDA out of memory. Tried to allocate 20.00 MiB.", 20 * 2**20),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", None),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", None),
    ],
)
def test_messages_of_cuda_libraries(message: str, size_bytes: int | None) -> None:
    assert is_out_of_memory(RuntimeError(message))
    assert requested_bytes(message) == size_bytes


def test_torchs_own_class_counts() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("no words"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("Sizes of tensors must match"),
        ValueError("out of memory"),
    ],
)
def test_other_failures_stay_failures(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_the_kernels_count_of_kills(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 5\noom_kill 7\noom_kill_other 9\n")
    assert kernel_kills(vmstat) == 7
    vmstat.write_text("nr_free_pages 5\n")
    assert kernel_kills(vmstat) is None
    assert kernel_kills(tmp_path / "absent") is None
