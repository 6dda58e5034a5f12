"""Exact nearest-neighbour search in the memory bank, with faiss.

Source: Johnson, Douze and Jégou, "Billion-scale similarity search with GPUs"; the flat index
compares every query with every vector. Distances are squared Euclidean, as
amazon-science/patchcore-inspection uses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch._guards import detect_fake_mode

from ...memory_limits import available_host_bytes, is_out_of_memory
from ..base import LibraryWork, on_host

FLOAT_BYTES = 4
INDEX_BYTES = 8

GPU_TEMPORARY_BYTES = 1536 * 2**20
GPU_PINNED_BYTES = 256 * 2**20
"""Bytes that faiss' ``StandardGpuResources`` takes for good on a GPU of more than 8 GiB, and
those of pinned host memory beside it (faiss/gpu/StandardGpuResources.cpp)."""


class FlatSearch(nn.Module):
    """A memory bank and the search in it.

    On the CPU the buffer ``bank`` is the memory of the faiss index itself, not a copy of it.

    Args:
        rows: vectors of the bank; uninitialised until ``bank`` is filled.
        dimension: their length.

    Raises:
        MemoryError: the bank does not fit; the message says how many bytes it needs.
    """

    bank: torch.Tensor
    """Shape (rows, dimension), float32. Empty once the bank is on a GPU."""

    def __init__(self, rows: int, dimension: int) -> None:
        super().__init__()
        self.rows, self.dimension = rows, dimension
        self._index: Any = None
        self._gpu_resources: Any = None
        if detect_fake_mode() is not None:  # memory is being counted
            bank = torch.empty(rows, dimension)
        else:
            self._index, bank = _cpu_index(rows, dimension)
        self.register_buffer("bank", bank, persistent=False)

    def move_to_gpu(self) -> None:
        """Puts the bank into an index on the current CUDA device and releases the CPU's.

        Raises:
            MemoryError: it does not fit there.
        """
        import faiss

        self._gpu_resources = faiss.StandardGpuResources()
        try:
            index = faiss.GpuIndexFlatL2(self._gpu_resources, self.dimension)
            index.add(self.bank.numpy())
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise _does_not_fit(self.rows, self.dimension, str(error)) from error
        self.bank = torch.empty(0, self.dimension)
        self._index = index

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        """Distance of each query to its nearest vector of the bank.

        Args:
            queries: shape (q, dimension), float32, contiguous, on the CPU.

        Returns:
            Shape (q,), squared Euclidean distances, on the CPU.
        """
        return on_host(
            self._nearest, queries, shape=(len(queries),), takes=lambda: self._takes(len(queries))
        )

    def _takes(self, queries: int) -> LibraryWork:
        """Memory and work of a search, as faiss' flat indexes do it."""
        found_bytes = queries * (FLOAT_BYTES + INDEX_BYTES)
        flops = 2 * queries * self.rows * self.dimension
        if self.bank.device.type == "cuda" or self._gpu_resources is not None:
            return LibraryWork(
                "faiss",
                "temporary and pinned memory of its GPU resources, distances and indices found",
                GPU_TEMPORARY_BYTES,
                GPU_PINNED_BYTES + found_bytes,
                flops,
            )
        return LibraryWork(
            "faiss",
            "a block of distances and its product, squared norms, distances and indices found",
            _block_bytes(queries, self.rows, self.dimension) + found_bytes,
            0,
            flops,
        )

    def _nearest(self, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        distances, _ = self._index.search(queries, 1)
        nearest: npt.NDArray[np.float32] = distances.mean(axis=1)  # over k = 1 neighbours
        return nearest


QUERY_BLOCK, ROW_BLOCK = 8192, 16384
"""Queries and vectors of the bank that are compared at once: a product of 512 MiB."""


class BlockSearch(nn.Module):
    """The same search by torch, block by block, where the queries are.

    On a GPU nothing is reserved and nothing goes to the host. Squared distances are
    ``|q|² − 2·q·b + |b|²``, as in faiss.

    Args:
        rows: vectors of the bank; uninitialised until ``bank`` is filled.
        dimension: their length.
        half: keep the bank in half precision; distances are still computed in fp32.

    Raises:
        MemoryError: the bank does not fit; the message says how many bytes it needs.
    """

    bank: torch.Tensor
    """Shape (rows, dimension): float32 until ``settle``, then perhaps float16."""
    norms: torch.Tensor
    """Shape (rows,): squared, of the bank's vectors as they are kept."""

    def __init__(self, rows: int, dimension: int, *, half: bool) -> None:
        super().__init__()
        self.rows, self.dimension = rows, dimension
        self.half_bank = half
        needed_bytes = rows * dimension * FLOAT_BYTES
        if detect_fake_mode() is None and needed_bytes > available_host_bytes():
            available = f"{available_host_bytes():,} bytes are available"
            raise _does_not_fit(rows, dimension, available)
        self.register_buffer("bank", torch.empty(rows, dimension), persistent=False)
        self.register_buffer("norms", torch.empty(rows), persistent=False)

    def settle(self) -> None:
        """Brings the filled bank to the type in which it is kept, and takes its norms."""
        if self.half_bank:
            self.bank = self.bank.half()
        for first in range(0, self.rows, ROW_BLOCK):
            block = self.bank[first : first + ROW_BLOCK].float()
            torch.sum(block.square(), dim=1, out=self.norms[first : first + ROW_BLOCK])

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        """Distance of each query to its nearest vector of the bank.

        Args:
            queries: shape (q, dimension), float32, where the bank is.

        Returns:
            Shape (q,), squared Euclidean distances, in the same place.
        """
        nearest = queries.new_full((len(queries),), torch.inf)
        for at in range(0, self.rows, ROW_BLOCK):
            block = self.bank[at : at + ROW_BLOCK].to(queries.dtype)
            norms = self.norms[at : at + ROW_BLOCK]
            for first in range(0, len(queries), QUERY_BLOCK):
                asked = queries[first : first + QUERY_BLOCK]
                # without the query's own norm, which changes nothing in what is nearest
                distances = torch.addmm(norms, asked, block.T, alpha=-2)
                own = nearest[first : first + QUERY_BLOCK]
                torch.minimum(own, distances.amin(dim=1), out=own)
                del distances
            del block
        for first in range(0, len(queries), QUERY_BLOCK):
            asked = queries[first : first + QUERY_BLOCK]
            nearest[first : first + QUERY_BLOCK].add_(asked.square().sum(dim=1))
        return nearest.clamp_(min=0)


PACKED_COLUMNS = 320
"""Columns of a matrix that OpenBLAS packs at once (SGEMM_DEFAULT_Q of its kernels for AVX2)."""


def _block_bytes(queries: int, rows: int, dimension: int) -> int:
    """Bytes that ``exhaustive_L2sqr_blas`` uses (faiss/utils/distances.cpp), and its product.

    It allocates a block for as many queries as it takes at once. What is never written of it takes
    no memory.
    """
    import faiss

    if not is_search_by_products(queries, dimension):
        return 0
    together = min(queries, faiss.cvar.distance_compute_blas_query_bs)
    block = together * min(rows, faiss.cvar.distance_compute_blas_database_bs)
    packed = together * min(dimension, PACKED_COLUMNS)
    return int(block + packed + queries + rows) * FLOAT_BYTES


def is_search_by_products(queries: int, dimension: int) -> bool:
    """Whether faiss compares queries with a bank by products of matrices, which is faster.

    Below its threshold it compares one by one: at 1024 floats, 124 queries take several times as
    long as 125.

    Args:
        queries: of one search.
        dimension: of the vectors.
    """
    import faiss

    threshold: int = faiss.cvar.distance_compute_blas_threshold
    # up to 1.13 it counts queries, since then their floats
    version = tuple(int(part) for part in faiss.__version__.split(".")[:2])
    return queries * (dimension if version >= (1, 14) else 1) >= threshold


def _cpu_index(rows: int, dimension: int) -> tuple[Any, torch.Tensor]:
    """A flat index with room for the vectors, and that room as a tensor."""
    import faiss

    needed_bytes = rows * dimension * FLOAT_BYTES
    available_bytes = available_host_bytes()
    if needed_bytes > available_bytes:
        # asked beforehand: Linux grants what it does not have and kills the process later
        raise _does_not_fit(rows, dimension, f"{available_bytes:,} bytes are available")
    index = faiss.IndexFlatL2(dimension)
    try:
        index.codes.resize(needed_bytes)
    except (RuntimeError, MemoryError) as error:
        raise _does_not_fit(rows, dimension, str(error)) from error
    index.ntotal = rows
    room = faiss.rev_swig_ptr(index.get_xb(), rows * dimension)
    vectors = room.reshape(rows, dimension).view(_Vectors)
    vectors.index = index
    return index, torch.from_numpy(vectors)


class _Vectors(np.ndarray[Any, np.dtype[np.float32]]):
    """Memory of an index, which has to live as long as a tensor made of it does."""

    index: Any


def _does_not_fit(rows: int, dimension: int, reason: str) -> MemoryError:
    needed_bytes = rows * dimension * FLOAT_BYTES
    return MemoryError(
        f"the memory bank of {rows:,} vectors of {dimension} values could not allocate "
        f"{needed_bytes} bytes ({reason})"
    )
