from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F  # noqa: N812

from adscale.errors import ConfigError, ImageFolderError, UnsupportedResolutionError, WeightsError
from adscale.methods.patchcore import SPEC, bank_rows, patch_grid
from adscale.resolution import Resolution, square
from profiling.memory_limits import is_out_of_memory, requested_bytes
from profiling.methods.patchcore import search as search_module
from profiling.methods.patchcore.bank import STARTING_POINTS, greedy_coreset
from profiling.methods.patchcore.embedding import (
    MatrixMap,
    ReferenceMap,
    closed_form_embedding,
    gathered,
    reference_embedding,
)
from profiling.methods.patchcore.method import PatchCore
from profiling.methods.patchcore.search import FlatSearch
from tests.profiling import patchcore_formulas, resnet_formulas
from tests.profiling.tensors import assert_same, no_ranges, random_image, recorded_ranges

IMPLEMENTATIONS = ("reference", "optimized")


def build(size: int | str = 64, implementation: str = "reference", **settings_: Any) -> PatchCore:
    return PatchCore.build(
        {"training_images": 3, **settings_},
        resolution=Resolution.of(size),
        implementation=implementation,
        seed=1,
    )


@pytest.fixture(scope="module")
def small() -> PatchCore:
    """Of the reference, at 64 px; nothing that a test does with it changes it."""
    return build()


Grid = tuple[int, int]


def feature_maps(grid: Grid, deep_grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(grid[0])
    middle = torch.randn(1, 512, *grid, generator=generator)
    return middle, torch.randn(1, 1024, *deep_grid, generator=generator)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("grid", "deep_grid"), [((4, 4), (2, 2)), ((7, 7), (4, 4)), ((10, 6), (5, 3)), ((3, 9), (2, 5))]
)
def test_embedding_agrees_with_its_definition(
    grid: Grid, deep_grid: Grid, implementation: str
) -> None:
    middle, deep = feature_maps(grid, deep_grid)
    if implementation == "reference":
        rows = reference_embedding(middle, deep)
        assert len(rows) == grid[0] * grid[1]
        found = gathered(rows)
    else:
        found = closed_form_embedding(middle, deep)
    expected = patchcore_formulas.embedding(middle[0].double().numpy(), deep[0].double().numpy())
    assert_same(found, torch.from_numpy(expected).float(), relative=1e-6)


@given(bank=st.integers(1, 40), queries=st.integers(1, 9), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_search_agrees_with_brute_force(bank: int, queries: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    search = FlatSearch(bank, 8)
    search.bank.normal_(generator=generator)
    wanted = torch.randn(queries, 8, generator=generator)
    expected = torch.stack([((row - search.bank) ** 2).sum(dim=1).min() for row in wanted])
    torch.testing.assert_close(search(wanted), expected, rtol=1e-4, atol=1e-5)


def test_the_bank_keeps_the_memory_of_the_index_that_it_is() -> None:
    search = FlatSearch(5, 8)
    index, bank = weakref.ref(search._index), search.bank
    del search
    gc.collect()
    assert index() is not None
    del bank
    gc.collect()
    assert index() is None


def test_the_bank_is_the_memory_of_the_index() -> None:
    search = FlatSearch(5, 8)
    search.bank.zero_()
    search.bank[3] = 2.0
    assert search._index.ntotal == 5
    assert search(torch.full((1, 8), 2.0)).item() == 0.0
    assert search(torch.ones(1, 8)).item() == 8.0


def test_a_bank_that_does_not_fit_says_what_it_needs() -> None:
    rows = 10**10
    with pytest.raises(MemoryError) as caught:
        FlatSearch(rows, 1024)
    assert is_out_of_memory(caught.value)
    assert requested_bytes(str(caught.value)) == rows * 1024 * 4


def test_a_bank_beyond_a_limit_of_the_process_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "available_host_bytes", lambda: 2**60)
    with pytest.raises(MemoryError, match="the memory bank of 4,294,967,296 vectors"):
        FlatSearch(2**32, 1024)  # more address space than Linux gives


@pytest.mark.parametrize("side_px", [24, 64, 75])
def test_both_maps_agree_with_scipy(side_px: int) -> None:
    side = math.ceil(side_px / 8)
    grid = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(2))
    large = F.interpolate(grid.double(), size=(side_px, side_px), mode="bilinear")
    expected = scipy.ndimage.gaussian_filter(large[0, 0].numpy(), sigma=4)
    for map_ in (ReferenceMap(square(side_px)), MatrixMap(square(side_px), (side, side))):
        assert_same(map_(grid)[0, 0], torch.from_numpy(expected).float(), relative=2e-6)


def test_both_maps_of_a_rectangle_agree_with_scipy() -> None:
    resolution = Resolution(100, 70)
    grid = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(2))
    large = F.interpolate(grid.double(), size=(70, 100), mode="bilinear")
    expected = scipy.ndimage.gaussian_filter(large[0, 0].numpy(), sigma=4)
    for map_ in (ReferenceMap(resolution), MatrixMap(resolution, (9, 13))):
        assert_same(map_(grid)[0, 0], torch.from_numpy(expected).float(), relative=2e-6)


def naive_coreset(features: np.ndarray, starts: list[int], count: int) -> list[int]:
    distance = np.linalg.norm(features[:, None] - features[None], axis=-1)
    nearest = distance[:, starts].mean(axis=1)
    chosen = []
    for _ in range(count):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance[:, chosen[-1]])
    return chosen


def test_coreset_agrees_with_its_definition() -> None:
    features = torch.randn(150, 20, generator=torch.Generator().manual_seed(4))
    order = torch.randperm(150, generator=torch.Generator().manual_seed(9))
    starts = order[:STARTING_POINTS].tolist()
    expected = naive_coreset(features.double().numpy(), starts, 30)
    assert greedy_coreset(features, 30, seed=9).tolist() == expected


def test_coreset_of_all_points_holds_each_once() -> None:
    features = torch.randn(60, 200, generator=torch.Generator().manual_seed(4))
    assert sorted(greedy_coreset(features, 60, seed=0).tolist()) == list(range(60))


def test_coreset_covers_better_than_chance() -> None:
    """Its purpose: no point is far from the chosen ones, though distances were projected."""
    features = torch.randn(600, 300, generator=torch.Generator().manual_seed(4))
    features[:20] *= 8  # few points far out, which chance misses

    def radius(chosen: torch.Tensor) -> float:
        return float(torch.cdist(features, features[chosen]).amin(dim=1).max())

    chance = torch.randperm(600, generator=torch.Generator().manual_seed(0))[:60]
    assert radius(greedy_coreset(features, 60, seed=0)) < 0.5 * radius(chance)


@pytest.mark.parametrize(
    ("side_px", "images", "rows"),
    [(224, 209, 16_385), (256, 209, 21_401), (512, 209, 85_606), (1024, 209, 342_425)],
)
def test_rows_of_the_bank(side_px: int, images: int, rows: int) -> None:
    found = bank_rows(training_images=images, resolution=square(side_px), coreset_fraction=0.1)
    assert found == rows
    assert patch_grid(square(3000)) == (375, 375)
    assert patch_grid(Resolution(2448, 2050)) == (257, 306)


@pytest.mark.parametrize("side_px", [64, 75])
def test_implementations_agree_and_open_the_submodules_ranges(side_px: int) -> None:
    image = random_image(side_px)
    found = []
    for implementation in IMPLEMENTATIONS:
        opened, annotate = recorded_ranges()
        with torch.inference_mode():
            found.append(build(side_px, implementation).infer(image, annotate))  # type: ignore[arg-type]
        assert tuple(opened) == SPEC.submodules
    reference, optimized = found
    assert reference.anomaly_map is not None
    assert optimized.anomaly_map is not None
    assert reference.score is not None
    assert optimized.score is not None
    torch.testing.assert_close(optimized.anomaly_map, reference.anomaly_map, rtol=1e-4, atol=0)
    torch.testing.assert_close(optimized.score, reference.score, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("size", "grid", "implementation"),
    [("64", (8, 8), "reference"), ("83x50", (7, 11), "reference"), ("83x50", (7, 11), "optimized")],
)
def test_inference_agrees_with_formulas_from_end_to_end(
    size: str, grid: Grid, implementation: str, small: PatchCore
) -> None:
    image = random_image(size)
    method = small if size == "64" else build(size, implementation)
    with torch.inference_mode():
        found = method.infer(image, no_ranges)
    # of the reference: the optimized one has folded them
    stages = resnet_formulas.stages(image, small.backbone.state_dict(), "layer3")
    patches = patchcore_formulas.embedding(
        stages["layer2"][0].double().numpy(), stages["layer3"][0].double().numpy()
    )
    bank = method.search.bank.double().numpy()
    distances = ((patches[:, None] - bank[None]) ** 2).sum(axis=-1).min(axis=1)
    assert found.score is not None
    assert found.score.item() == pytest.approx(distances.max(), rel=1e-4)
    large = F.interpolate(
        torch.from_numpy(distances).view(1, 1, *grid), size=image.shape[2:], mode="bilinear"
    )
    expected = scipy.ndimage.gaussian_filter(large[0, 0].numpy(), sigma=4)
    assert found.anomaly_map is not None
    assert_same(found.anomaly_map[0, 0], torch.from_numpy(expected).float())


def test_the_optimized_backbone_is_cut(small: PatchCore) -> None:
    def parameters(method: PatchCore) -> int:
        return sum(p.numel() for p in method.backbone.parameters())

    assert parameters(small) == 126_886_696
    # the convolutions to layer3, each with a bias in place of its normalisation
    assert parameters(build(implementation="optimized")) < 82_865_984


def test_public_weights_of_the_backbone_load(tmp_path: Path) -> None:
    public = torchvision.models.wide_resnet101_2()
    file = tmp_path / "backbone.pth"
    torch.save(public.state_dict(), file)
    method = build(weights=str(file))
    found = method.backbone.state_dict()
    for name, tensor in public.state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_a_checkpoint_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "backbone.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    with pytest.raises(WeightsError, match=r"backbone\.pth: "):
        build(weights=str(file))


def normal_folder(folder: Path, count: int = 3) -> Path:
    generator = np.random.default_rng(3)
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = generator.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADSCALE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_fitted_bank_holds_patches_of_the_normal_images(tmp_path: Path, cache: Path) -> None:
    folder = normal_folder(tmp_path / "normal")
    method = build(32, bank="fit", normal_images=str(folder), coreset_fraction=0.25)
    assert method.search.bank.shape == (12, 1024)  # 3 images of 16 patches
    with torch.inference_mode():
        image = method.prepare(Image.open(folder / "0.png"))
        stages = resnet_formulas.stages(image, method.backbone.state_dict(), "layer3")
    of_first = patchcore_formulas.embedding(
        stages["layer2"][0].double().numpy(), stages["layer3"][0].double().numpy()
    )
    distance = torch.cdist(method.search.bank.double(), torch.from_numpy(of_first)).amin(dim=1)
    scale = float(method.search.bank.abs().max())
    assert 1 <= int((distance < 1e-4 * scale).sum()) < 12


def test_a_fitted_bank_is_kept_and_used_again(tmp_path: Path, cache: Path) -> None:
    folder = normal_folder(tmp_path / "normal")
    first = build(32, bank="fit", normal_images=str(folder)).search.bank.clone()
    (file,) = cache.iterdir()
    marked = np.load(file)
    marked[0, 0] = 12345.0
    np.save(file, marked)
    again = build(32, "optimized", bank="fit", normal_images=str(folder)).search.bank
    assert again[0, 0] == 12345.0  # read, not fitted anew; both implementations share it
    assert torch.equal(again[1:], first[1:])


@pytest.mark.parametrize("change", ["image", "resolution", "fraction", "damage"])
def test_a_fitted_bank_is_not_used_for_something_else(
    tmp_path: Path, cache: Path, change: str
) -> None:
    folder = normal_folder(tmp_path / "normal")
    build(32, bank="fit", normal_images=str(folder))
    (file,) = cache.iterdir()
    marked = np.load(file)
    np.save(file, np.full_like(marked, 12345.0))
    if change == "image":
        Image.new("RGB", (40, 50), "red").save(folder / "0.png")
    if change == "damage":
        file.write_bytes(file.read_bytes()[:100])
    side_px = 40 if change == "resolution" else 32
    fraction = 0.2 if change == "fraction" else 0.1
    method = build(side_px, bank="fit", normal_images=str(folder), coreset_fraction=fraction)
    assert not bool((method.search.bank == 12345.0).any())


def test_a_bank_cannot_be_fitted_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="normal_images: missing where bank is fit"):
        build(bank="fit")
    with pytest.raises(ImageFolderError, match="no such folder"):
        build(bank="fit", normal_images=str(tmp_path / "none"))


def test_too_small_a_resolution_is_refused() -> None:
    with pytest.raises(UnsupportedResolutionError, match="8 px"):
        build(8)
    with torch.inference_mode():
        found = build(9).infer(random_image(9), no_ranges)
    assert found.anomaly_map is not None
    assert found.anomaly_map.shape == (1, 1, 9, 9)


def test_prepare_keeps_the_aspect_ratio() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255  # the square in the middle
    found = build(32).prepare(Image.fromarray(pixels))
    assert found.shape == (1, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((1 - mean) / std).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    torch.testing.assert_close(found, expected)


def test_a_bank_has_the_rows_of_the_reference_for_any_share() -> None:
    """Which takes the integer part of a product in floating point."""
    for hundredths in range(1, 101):
        share = hundredths / 100
        for side_px in (9, 80, 256, 1000):
            for images in (1, 25, 209):
                patches = images * math.ceil(side_px / 8) ** 2
                found = bank_rows(
                    training_images=images, resolution=square(side_px), coreset_fraction=share
                )
                assert found == max(1, int(patches * share))
