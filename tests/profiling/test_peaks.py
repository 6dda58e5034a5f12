"""Peaks of live tensors where the reference has published or measured ones."""

from __future__ import annotations

import pytest

from tests.bench.peaks import embedding_peak_bytes, unet_peak_bytes

MIB = 2**20


@pytest.mark.parametrize(
    ("side_px", "reference_mib", "fused_mib"),
    [(256, 128, 128), (512, 790, 512), (1024, 9_304, 2_048)],
)
def test_peak_of_a_call_of_the_unet(side_px: int, reference_mib: float, fused_mib: float) -> None:
    """The reference as it was measured; with fused attention alone it would be `fused_mib`."""
    reference, optimized = (
        unet_peak_bytes(implementation=name, resolution_px=side_px) / MIB
        for name in ("reference", "optimized")
    )
    assert reference == pytest.approx(reference_mib, abs=0.01)
    assert 0.9 * fused_mib < optimized <= fused_mib


@pytest.mark.parametrize(
    ("side_px", "reference_mib", "closed_form_mib"),
    [(256, 73, 13.5), (512, 292, 54), (1024, 1_168, 216), (3000, 10_026, 1_855)],
)
def test_peak_of_the_patch_embedding(
    side_px: int, reference_mib: float, closed_form_mib: float
) -> None:
    """With both feature maps. Written into one buffer, the closed form needs less than joined."""
    reference, optimized = (
        embedding_peak_bytes(implementation=name, resolution_px=side_px) / MIB
        for name in ("reference", "optimized")
    )
    assert reference == pytest.approx(reference_mib, abs=0.5)
    assert 0.7 * closed_form_mib < optimized <= closed_form_mib
