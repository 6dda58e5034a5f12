"""Outputs by rule against those that torch finds, and counts with and without rules."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from adscale.memory_record import MemoryCount
from adscale.resolution import Resolution
from profiling.memory import counting
from profiling.memory.quick import QuickMode
from profiling.memory.rules import RULES
from profiling.methods import weights
from tests.bench.memory import SIDES_PX
from tests.profiling.counts import counted_anew

aten = torch.ops.aten


class Asked(QuickMode):
    """Notes what torch had to be asked."""

    def dispatch(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(func)
        return super().dispatch(func, *args, **kwargs)


asked: list[Any] = []
Made = Callable[..., torch.Tensor]


def seen(leaf: Any, storages: list[Any]) -> Any:
    """All that a count can see of a result; which of them share their memory."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    storage = leaf.untyped_storage()
    known = [id(one) for one in storages]
    if id(storage) not in known:
        storages.append(storage)
        known.append(id(storage))
    # along a side of length 1 there is no next element, and its stride means nothing
    strides = [stride for size, stride in zip(leaf.shape, leaf.stride(), strict=True) if size != 1]
    return (
        tuple(leaf.shape), strides, leaf.storage_offset(), leaf.dtype, leaf.device,
        storage.nbytes(), known.index(id(storage)), leaf.is_contiguous(), leaf.requires_grad,
    )  # fmt: skip


def outcome(mode: FakeTensorMode, call: Callable[..., Any], device: str) -> Any:
    storages: list[Any] = []

    def made(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        tensor = torch.empty(shape, dtype=dtype, device=device)
        storages.append(tensor.untyped_storage())
        return tensor

    with mode, torch.no_grad():
        try:
            return [seen(leaf, storages) for leaf in tree_leaves(call(made))]
        except Exception as problem:  # noqa: BLE001 - whatever it is, it must be the same
            return type(problem), str(problem)


def both(call: Callable[..., Any], device: str = "cpu") -> None:
    quick, plain = Asked(), FakeTensorMode()
    expected = outcome(plain, call, device)
    for _ in range(2):  # the second time with what was learned
        assert outcome(quick, call, device) == expected


ONE = [1, 2, 3, 5]
CASES: dict[str, Callable[[random.Random], Callable[[Made], Any]]] = {}


def case(make: Callable[[random.Random], Callable[[Made], Any]]) -> Any:
    CASES[make.__name__] = make
    return make


@case
def single_elements(r: random.Random) -> Any:
    n, c, h, w = (r.choice(ONE) for _ in range(4))
    shapes = [(n, c, h, w), (c, 1, 1), (1, c, 1, 1), (), (h, w), (1, 1), (n, 1, h, 1), (2, h, w)]
    dtypes = [torch.float32, torch.float32, torch.float64, torch.int64, torch.bool, torch.float16]
    (a, b), (d, e) = (r.choices(shapes, k=2), r.choices(dtypes, k=2))
    number, turn = r.choice([2, 0.5, True]), r.random() < 0.3
    binary = r.choice([torch.add, torch.sub, torch.mul, torch.div, torch.lt, torch.maximum])
    unary = r.choice([torch.relu, functional.silu, torch.sqrt, torch.abs, torch.sigmoid])

    def call(made: Made) -> Any:
        x, y = made(*a, dtype=d), made(*b, dtype=e)
        x = x.transpose(-1, -2) if turn and x.dim() > 1 else x
        one = unary(x) if d.is_floating_point else x
        return [binary(x, y), x * number, x**2, number - made(*b), torch.where(x > 0, x, y), one]

    return call


@case
def in_place(r: random.Random) -> Any:
    shape = [r.choice(ONE) for _ in range(3)]
    other = r.choice([shape, shape[1:], [1, 1, 1], [*shape[:2], 1], [2, *shape], []])
    dtype = r.choice([torch.float32, torch.float32, torch.float64, torch.int64])
    change = r.choice(["add_", "mul_", "sub_", "copy_", "clamp_min_"])

    def call(made: Made) -> Any:
        x = made(*shape)
        return [x.relu_(), getattr(x, change)(made(*other, dtype=dtype)), x.mul_(0.5).sqrt_()]

    return call


@case
def views(r: random.Random) -> Any:
    a, b, c = (r.choice(ONE) for _ in range(3))
    wrong = r.choice([0, 0, 0, 1])

    def call(made: Made) -> Any:
        x = made(a, b, c).transpose(0, 1)
        return [
            x.permute(2, 0, 1), x.unsqueeze(1), x.squeeze(0), x.expand(b, a, c)[..., :2], x[0],
            x.split(2, dim=1), x.unbind(2), x.detach(), made(a, b).t(), made(a, b, c).view(-1, c),
            made(a, b).view(a * b + wrong), x.reshape(-1), x.flatten(1).contiguous(), x.clone(),
        ]  # fmt: skip

    return call


@case
def new(r: random.Random) -> Any:
    shape = [r.choice([0, *ONE]) for _ in range(r.randrange(4))]
    dtype = r.choice([None, torch.float64, torch.int64, torch.uint8, torch.complex64])
    order = r.choice([torch.contiguous_format, torch.preserve_format, torch.channels_last])

    def call(made: Made) -> Any:
        x = made(*shape)
        device = x.device
        found = [f(shape, dtype=dtype, device=device) for f in (torch.empty, torch.ones)]
        found += [torch.zeros(*shape), torch.zeros_like(x), x.to(torch.float64), x.cpu()]
        found += [torch.randn(shape, device=device), torch.randn(shape, generator=None)]
        return [*found, made(1, 2, 3, 3).clone(memory_format=order), torch.tensor(3.0).to(device)]

    return call


@case
def windows(r: random.Random) -> Any:
    n, groups, h, w = r.choice([1, 2]), r.choice([1, 2]), r.randrange(1, 12), r.randrange(1, 12)
    k, s, p, d = r.choice([1, 2, 3, 4]), r.choice([1, 2]), r.choice([0, 1, 2]), r.choice([1, 2])
    bias, ceil, last = r.random() < 0.5, r.random() < 0.2, r.random() < 0.2
    deep = r.choice([1, 4])

    def call(made: Made) -> Any:
        x = made(n, deep * groups, h, w)
        x = x.to(memory_format=torch.channels_last) if last else x
        found = [
            functional.conv2d(x, made(6, deep, k, k), made(6) if bias else None, s, p, d, groups),
            functional.conv1d(x.reshape(n, deep * groups, -1), made(6, deep, k), None, s, p),
        ]
        if 2 * p <= k:
            found.append(functional.avg_pool2d(x, k, s, p, ceil))
            found.extend(functional.max_pool2d(x, k, s, p, d, ceil, True))
        for side in (1, 7):
            found.append(functional.interpolate(x, size=(side, side + 1), mode="nearest"))
            found.append(functional.interpolate(x, size=(side, w), mode="bilinear"))
        return found

    return call


@case
def norms(r: random.Random) -> Any:
    n, c, h, w = r.choice([1, 2]), r.choice([2, 4]), r.randrange(1, 6), r.randrange(1, 6)
    training, affine, turn = r.random() < 0.3, r.random() < 0.7, r.random() < 0.2

    def call(made: Made) -> Any:
        found = []
        for sides in ((h, w), (w, h + 1), (h,)):
            x = made(n, c, *sides)
            x = x.transpose(0, -1).contiguous().transpose(0, -1) if turn else x
            given_ = (made(c), made(c)) if affine else (None, None)
            found += [functional.batch_norm(x, made(c), made(c), *given_, training)]
            found += [functional.group_norm(x, 2, *given_), torch.softmax(x, -1)]
            if affine:
                found += aten.native_batch_norm(x, *given_, made(c), made(c), training, 0.1, 1e-5)
                found += aten.native_group_norm(x, *given_, n, c, x[0, 0].numel(), 2, 1e-5)
        return found

    return call


@case
def products(r: random.Random) -> Any:
    a, b, c, n = (r.choice(ONE) for _ in range(4))
    wrong = r.choice([0, 0, 0, 1])

    def call(made: Made) -> Any:
        return [
            torch.mm(made(a, b), made(c, b).t()), torch.addmm(made(c), made(a, b), made(b, c)),
            torch.addmm(made(1, c), made(a, b), made(b, c)), made(n, a, b) @ made(n, b, c),
            torch.bmm(made(n, b + wrong, a).transpose(1, 2), made(n, b, c)),
            torch.cat([made(n, a, c), made(n, b, c)], dim=r.choice([1, -2])),
            torch.cat([made(n, a).t(), made(b, n)]), torch.cat([made(0), made(b, n)]),
        ]  # fmt: skip

    return call


@case
def others(r: random.Random) -> Any:
    """Operators without a rule: torch answers once for all calls that are alike."""
    n, c, h, w = r.choice([1, 2]), r.choice([2, 4]), r.randrange(3, 7), r.randrange(3, 7)
    turn, part, dim, keep = r.random() < 0.4, r.random() < 0.4, r.choice([-1, 1]), r.random() < 0.5
    dtype = r.choice([torch.float32, torch.float32, torch.float64])

    def call(made: Made) -> Any:
        x = made(n, c, h, w, dtype=dtype)
        x = x.transpose(1, 2).contiguous().transpose(1, 2) if turn else x
        x = x[..., 1:] if part else x
        rows = x.flatten(2)
        found = [x.mean(dim, keep), x.sum(), x.amax((2, 3)), x.cumsum(dim), x.norm(dim=dim), -x * 2]
        found += [functional.pad(x, (1,) * 4, mode="reflect"), functional.unfold(x, 3, padding=1)]
        found += [functional.adaptive_avg_pool2d(x, (2, 1)), torch.stack([x, x]), x.reshape(n, -1)]
        found += [x.chunk(2, 1)[1] + 1, rows.split(2, -1)[0].reshape(-1), torch.arange(h), rows.mT]
        found += [*x.max(dim), *x.topk(1), x.sort(0)[1], x.argmax(dim), x.new_empty(h, 2)]
        found += [torch.einsum("bct,bcs->bts", rows, rows), x.as_strided((2, 2), (1, 2), 1)]
        wide = made(n, 2, h, 8)
        return [*found, functional.scaled_dot_product_attention(wide, wide, wide), x.abs_()]

    return call


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**9), device=st.sampled_from(["cpu", "cuda"]))
def test_a_rule_gives_what_torch_finds(name: str, seed: int, device: str) -> None:
    if device == "cuda" and not counting.is_gpu_imaginable():
        device = "cpu"
    made = CASES[name](random.Random(seed))
    both(made, f"{device}:0" if device == "cuda" else device)


def test_answers_stand_for_calls_that_are_alike_and_for_no_others() -> None:
    """One mode for all calls, as a process has one for all counts."""
    quick = Asked()
    for seed in range(6):
        for make in CASES.values():
            call = make(random.Random(seed))
            for device in ("cpu", "cuda:0") if counting.is_gpu_imaginable() else ("cpu",):
                assert outcome(quick, call, device) == outcome(FakeTensorMode(), call, device)


def test_a_layer_is_drawn_as_ever_after_a_count() -> None:
    before = dict(vars(torch.nn.Parameter)), dict(vars(torch.nn.init)), dict(vars(weights))
    counted_anew("efficientad", 256)
    after = dict(vars(torch.nn.Parameter)), dict(vars(torch.nn.init)), dict(vars(weights))
    assert after == before
    layer = torch.nn.Conv2d(2, 3, 3)
    assert type(layer.weight) is torch.nn.Parameter
    assert layer.weight.requires_grad
    assert 0 < layer.weight.abs().max() <= 18**-0.5


def test_a_tensor_is_made_as_torch_makes_it() -> None:
    mode = QuickMode()
    device = torch.device("cpu")
    first, second = (mode.wrap(torch.empty(2, device="meta"), device) for _ in range(2))
    assert vars(second) == vars(FakeTensor(mode, torch.empty(2, device="meta"), device))
    keys = torch._C._dispatch_keys
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of the pointer, once a process
        assert first.data_ptr() == second.data_ptr()
    assert str(keys(first)) == str(keys(second))  # sets of torch 2.6 are equal only to themselves


def test_of_a_known_value_torch_is_asked() -> None:
    with QuickMode():
        assert float(torch.tensor(3.0) + 1) == 4


class Plain(QuickMode):
    """Asks torch about everything."""

    def wrap(self, bare: torch.Tensor, device: torch.device) -> FakeTensor:
        raise AssertionError("a rule is used")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return FakeTensorMode.__torch_dispatch__(self, func, types, args, kwargs or {})


@contextmanager
def by_torch(monkeypatch: pytest.MonkeyPatch, mode: type[QuickMode] = Plain) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setattr(counting, "QuickMode", mode)
        counting._mode.cache_clear()
        yield
    counting._mode.cache_clear()


VARIANTS = [
    (target, name, device)
    for target in ("efficientad", "patchcore", "ddad")
    for name in ("reference", "optimized")
    for device in ("cpu", "cuda")
]
STEP_PX = {"efficientad": 1, "patchcore": 1, "ddad": 32}
LEAST_PX = {"efficientad": 256, "patchcore": 33, "ddad": 32}


def sides(variant: Sequence[str], largest_px: int, count: int) -> list[int]:
    """So many sides in px at which a method runs, drawn for a variant."""
    known = range(LEAST_PX[variant[0]], largest_px + 1, STEP_PX[variant[0]])
    return random.Random("-".join(variant)).sample(known, count)


def compare(
    variant: Sequence[str],
    sizes: Sequence[int | Resolution],
    monkeypatch: pytest.MonkeyPatch,
    batches: Sequence[int] = (1,),
) -> None:
    target, name, device = variant
    if device == "cuda" and not counting.is_gpu_imaginable():
        pytest.skip("this torch imagines no GPU")

    def counts() -> list[MemoryCount]:
        cases = itertools.product(sizes, batches)
        return [counted_anew(target, size, name, device, batch) for size, batch in cases]

    found = counts()
    with by_torch(monkeypatch):
        expected = counts()
    assert found == expected


@pytest.mark.parametrize("variant", [*VARIANTS[::3], VARIANTS[10]], ids="-".join)
def test_a_count_by_rules_is_that_by_torch(
    variant: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(variant, [352], monkeypatch)


SMALL_PX = {"efficientad": 256, "patchcore": 96, "ddad": 64}


@pytest.mark.parametrize("variant", [*VARIANTS[::3], VARIANTS[10]], ids="-".join)
def test_a_count_of_a_batch_by_rules_is_that_by_torch(
    variant: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(variant, [SMALL_PX[variant[0]]], monkeypatch, (2, 8))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_counts_of_batches_by_rules_are_those_by_torch(
    variant: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(variant, sides(variant, 2000, 3), monkeypatch, (1, 2, 8))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_counts_by_rules_are_those_by_torch_at_all_sizes_of_the_bench_and_at_random_ones(
    variant: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(variant, [*SIDES_PX, *sides(variant, 4000, 30)], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_counts_of_rectangles_by_rules_are_those_by_torch(
    variant: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirteen of each variant are more than fifty of each method."""
    drawn = sides(variant, 3000, 26)
    compare(variant, list(map(Resolution, drawn[::2], drawn[1::2])), monkeypatch)


def test_torch_is_asked_only_once_about_what_has_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the rules have silently ceased to apply: counts stay right, and get slow."""
    with by_torch(monkeypatch, Asked):
        counted_anew("patchcore", 64)
        asked.clear()
        counted_anew("patchcore", 96)
    repeated = [func for func in asked if func in RULES]
    assert len(repeated) < 20 < len(asked)
