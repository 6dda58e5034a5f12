"""Engines: what they compute, how they say so, and files that are whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from adscale import engines
from adscale.engines import ENGINE_SPECS, compiler, has_bf16, machine_problem
from adscale.errors import ConfigError
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from adscale.variant import Variant
from profiling.__main__ import main
from profiling.annotation import RangeRecorder, no_range
from profiling.collectors.nsys.run import export_report
from profiling.engine_files import FACTS_NAME, START, engine_files, engine_key
from profiling.engines.takeover import deviation, export, take_over
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class, resolve
from tests.profiling.running import ranges, record
from tests.profiling.test_precisions import CASES
from tests.profiling.test_precisions import image_of as image_for
from tests.study_requests import plain_request

SIDE_PX = 32
TARGET = "tests.profiling.parted_method:Parted"
COMPILED = pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
BF16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no instructions for bf16")
PACKAGED = [
    pytest.param(name, marks=pytest.mark.engines)
    for name in (
        "fp32-onnxruntime",
        "int8-onnxruntime",
        "fp32-openvino",
        "int8-openvino",
    )
]
WAYS = [
    *PACKAGED,
    pytest.param("bf16-openvino", marks=[pytest.mark.engines, BF16]),
    pytest.param("fp32-compile", marks=[COMPILED, pytest.mark.slow]),
    pytest.param("bf16-compile-channels_last", marks=[COMPILED, pytest.mark.slow]),
]
BOUNDS = {"fp32": 1e-4, "bf16": 3e-2, "int8": 0.1}
GPU_BOUNDS = {**BOUNDS, "fp16": 3e-2}
HAS_PACKAGES = all(
    machine_problem(Variant.of(f"reference-fp32-{name}")) is None
    for name in ("onnxruntime", "openvino")
)


def request_of(variant: str, target: str = TARGET, **changes: Any) -> RunRequest:
    plain = plain_request(
        Sampling(1, 2, 2, None), device_type="cpu", collector="embedded", method="M",
        target=target, settings={}, variant=Variant.of(variant), resolution=square(SIDE_PX),
        threads=1,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def built(request: RunRequest) -> Method:
    spec = get_spec(request.target)
    method = load_method_class(spec).build(
        check_settings(resolve(spec), request.settings), resolution=request.resolution,
        implementation=request.variant.implementation, seed=0,
    )  # fmt: skip
    method.move_to(request.device_type)
    return method


def image_of(request: RunRequest) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(request.variant.batch, 3, *request.resolution.shape, generator=generator)
    return image.to(request.device_type)


@pytest.mark.gpu
@pytest.mark.parametrize("batch", ["", "-b2"])
@pytest.mark.parametrize(
    "way",
    ["fp32-cudagraph", "fp16-cudagraph-channels_last", "fp32-compile", "fp32-onnxruntime",
     "fp16-onnxruntime", "fp32-tensorrt", "fp16-tensorrt", "int8-tensorrt"],
)  # fmt: skip
def test_an_engine_computes_the_networks_on_a_gpu(way: str, batch: str, tmp_path: Path) -> None:
    request = request_of(f"reference-{way}{batch}", device_type="cuda")
    problem = machine_problem(request.variant, "cuda")
    if problem is not None:
        pytest.skip(problem.what)
    spec, image = resolve(get_spec(TARGET)), image_of(request)
    export(built(request), spec, request, image, tmp_path, [image, image.flip(-1)])
    with torch.inference_mode():
        method = built(request)
        told = take_over(method, spec, request, tmp_path)
        for one in (image, image.flip(-1), image):
            found = method.infer(one, no_range).anomaly_map
            expected = built(request).infer(one, no_range).anomaly_map
            assert found is not None
            assert expected is not None
            assert found.device == expected.device
            off = deviation([found], [expected])
            assert off is not None
            assert off <= GPU_BOUNDS[request.variant.precision]
        first = method.features(image)["first"]  # type: ignore[operator]
        kept = first.clone()
        method.features(image + 1)  # type: ignore[operator]
        assert torch.equal(first, kept), "what was returned stays"
    precision = request.variant.precision
    if request.variant.engine == "tensorrt":
        assert all(set(one.operators) == {precision} for one in told.networks)


@pytest.mark.gpu
@pytest.mark.nsys
def test_kernels_of_a_graph_are_recorded_one_by_one_in_their_submodules(
    nsys: Path, tmp_path: Path
) -> None:
    code = main([
        "run", "--method", TARGET, "--device-type", "cuda", "--resolution", str(SIDE_PX),
        "--variant", "reference-fp32-cudagraph", "--warmup-images", "1", "--measured-images", "2",
        "--min-images", "2", "--collector", "nsys", "--no-latency", "--out", str(tmp_path),
    ])  # fmt: skip
    assert code == 0
    profile = tmp_path / "profile.sqlite"
    assert export_report(nsys, tmp_path / "profile.nsys-rep", profile) is None
    command = [sys.executable, "-m", "analysis", "attribute", str(profile), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    busy = {row["path"][-1]: row["busy_ms"] for row in json.loads(done.stdout)["ranges"]}
    assert busy["features"] > 0
    assert busy["answer"] > 0


@pytest.mark.parametrize("batch", ["", "-b2"])
@pytest.mark.parametrize("way", WAYS)
def test_an_engine_computes_the_networks_and_says_in_what(
    way: str, batch: str, tmp_path: Path
) -> None:
    request = request_of(f"reference-{way}{batch}")
    spec, image = resolve(get_spec(TARGET)), image_of(request)
    export(built(request), spec, request, image, tmp_path, [image, image.flip(-1)])
    with torch.inference_mode():
        expected = built(request).infer(image, no_range)
        method = built(request)
        told = take_over(method, spec, request, tmp_path)
        recorder = RangeRecorder()
        found = method.infer(image, recorder)
        again = method.infer(image.flip(-1), no_range)
        expected_again = built(request).infer(image.flip(-1), no_range)
    assert [one.name for one in recorder.ranges] == list(method.submodules)
    precision = request.variant.precision
    for ours, theirs in ((found, expected), (again, expected_again)):
        assert ours.anomaly_map is not None
        assert theirs.anomaly_map is not None
        assert ours.anomaly_map.dtype == torch.float32
        off = deviation([ours.anomaly_map], [theirs.anomaly_map])
        assert off is not None
        assert off <= BOUNDS[precision]
        assert off > 0 or precision == "fp32", "it was computed in fp32"
    assert told.name == request.variant.engine
    assert [one.submodule for one in told.networks] == ["features", "answer"]
    for one in told.networks:
        assert one.size_bytes > 0
        assert one.deviation is not None
        assert one.deviation <= BOUNDS[precision]
        if request.variant.engine != "compile":
            assert set(one.operators) == {precision}
            convolutions = {"features": 2, "answer": 1}
            assert sum(one.operators.values()) == convolutions[one.submodule]
            assert not list(method.network.parameters()), "its weights are freed"


@pytest.mark.engines
def test_what_was_returned_stays_when_the_network_is_called_again(tmp_path: Path) -> None:
    request = request_of("reference-fp32-openvino")
    method, image = built(request), image_of(request)
    spec = resolve(get_spec(TARGET))
    export(method, spec, request, image, tmp_path)
    with torch.inference_mode():
        take_over(method, spec, request, tmp_path)
        first = method.features(image)["first"]  # type: ignore[operator]
        kept = first.clone()
        method.features(image + 1)  # type: ignore[operator]
    assert torch.equal(first, kept)


@pytest.mark.engines
@pytest.mark.parametrize(
    ("target", "side_px", "given"),
    [
        ("efficientad", 256, {"size": "S"}),
        ("patchcore", 64, {"training_images": 20}),
        ("ddad", 32, {"size": "S", "start_step": 50}),
    ],
)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.slow
def test_our_methods_in_both_implementations(
    target: str, side_px: int, given: dict[str, Any], engine: str, tmp_path: Path
) -> None:
    for implementation in ("reference", "optimized"):
        request = request_of(
            f"{implementation}-fp32-{engine}", target, settings=given, resolution=square(side_px)
        )
        spec, image = get_spec(target), image_of(request)
        folder = tmp_path / implementation
        folder.mkdir()
        export(built(request), spec, request, image, folder)
        with torch.inference_mode():
            expected = built(request).infer(image, no_range).anomaly_map
            method = built(request)
            told = take_over(method, spec, request, folder)
            found = method.infer(image, no_range).anomaly_map
        assert found is not None
        assert expected is not None
        off = deviation([found], [expected])
        assert off is not None
        assert off < 1e-3
        assert all(set(one.operators) == {"fp32"} for one in told.networks)


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def run(tmp_path: Path, variant: str, *more: str) -> int:
    return main([
        "run", "--method", TARGET, "--device-type", "cpu", "--threads", "1",
        "--resolution", str(SIDE_PX), "--variant", variant, "--warmup-images", "1",
        "--measured-images", "2", "--min-images", "2", "--collector", "embedded", "--no-latency",
        "--out", str(tmp_path / "run"), *more,
    ])  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("fp32-openvino", marks=pytest.mark.engines),
        pytest.param("fp32-compile", marks=[COMPILED, pytest.mark.slow]),
    ],
)
def test_a_run_exports_before_it_measures_and_keeps_the_files(
    way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, f"reference-{way}") == 0
    assert "exporting Parted" in capfd.readouterr().out
    data = record(tmp_path / "run")
    engine = data["engine"]
    assert engine["name"] == way.partition("-")[2]
    assert engine["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert [one["submodule"] for one in engine["networks"]] == ["features", "answer"]
    assert all(one["load_s"] > 0 and one["first_inference_s"] > 0 for one in engine["networks"])
    names = [name for name, _, _ in ranges(tmp_path / "run" / "profile.sqlite")]
    image = ["load", "prepare", "image", "features", "answer", "distance"]
    assert names[:14] == ["warmup", *image, "measure", *image]
    assert data["prediction"]["incomplete"].endswith("does not show its tensors")
    # the same again: what is there is taken
    folders = names_in(tmp_path / "run" / "engines")
    assert folders == [engine["key"]]
    assert run(tmp_path, f"reference-{way}") == 0
    assert "exporting" not in capfd.readouterr().out
    again = record(tmp_path / "run")["engine"]
    assert [one["export_s"] for one in again["networks"]] == [
        one["export_s"] for one in engine["networks"]
    ]


def files_by(request: RunRequest, folder: Path, *, returncode: int, is_whole: bool) -> Path:
    """The files of an engine, by an exporting process that ends so."""

    def start(command: Any) -> int:
        out = Path(command[command.index("--out") + 1])
        (out / "network").mkdir()
        if is_whole:
            (out / FACTS_NAME).write_text("{}")
        return returncode

    return engine_files(request, folder, start)


@COMPILED
def test_files_are_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    request = request_of("reference-fp32-compile")
    for returncode, is_whole in ((1, True), (0, False), (137, False)):
        with pytest.raises(Exception, match="exporting process ended"):
            files_by(request, tmp_path, returncode=returncode, is_whole=is_whole)
        assert names_in(tmp_path) == []
    half_made = tmp_path / f"{START}killed"
    half_made.mkdir()
    place = files_by(request, tmp_path, returncode=0, is_whole=True)
    assert names_in(tmp_path) == [place.name] == [engine_key(request)]
    made = place.stat().st_ino
    assert files_by(request, tmp_path, returncode=1, is_whole=False).stat().st_ino == made
    # without what is written last it is no engine, whoever has taken that away
    (place / FACTS_NAME).unlink()
    assert files_by(request, tmp_path, returncode=0, is_whole=True).stat().st_ino != made


@COMPILED
def test_killing_the_export_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    request = request_of("reference-fp32-compile")

    def start(command: Any) -> int:
        out = Path(command[command.index("--out") + 1])
        process = subprocess.Popen(
            [*command[:-1], str(out)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        )
        for _ in range(600):
            if any(out.iterdir()) or process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        return 128 - process.wait()

    with pytest.raises(Exception, match="exit code 137"):
        engine_files(request, tmp_path, start)
    assert names_in(tmp_path) == []


def test_files_are_named_by_all_that_they_follow_from() -> None:
    plain = request_of("reference-fp32-compile")
    others = [
        dataclasses.replace(plain, variant=Variant.of("reference-bf16-compile")),
        dataclasses.replace(plain, variant=Variant.of("reference-fp32-compile-b2")),
        dataclasses.replace(plain, resolution=square(64)),
        dataclasses.replace(plain, seed=1),
        dataclasses.replace(plain, threads=2),
    ]
    keys = {engine_key(one) for one in (plain, *others)}
    assert len(keys) == 1 + len(others)
    # what does not change the networks makes no other engine
    for change in ({"process": 2}, {"collector": "none"}, {"device": "b"}):
        assert engine_key(dataclasses.replace(plain, **change)) in keys


@pytest.mark.skipif(HAS_PACKAGES, reason="the engines are installed")
def test_without_the_packages_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not installed here.*envs/engines\.txt"):
        engine_files(request_of("reference-fp32-openvino"), tmp_path, lambda _command: 0)
    lines = engines.engine_lines()
    assert any("pip install -r envs/engines.txt" in line for line in lines)


def test_each_engine_is_one_class_that_is_listed() -> None:
    import importlib

    from adscale.measured_code import ENGINES as LISTED
    from adscale.measured_code import PRUNING
    from profiling.engines.base import Engine

    for name, spec in ENGINE_SPECS.items():
        for kind in ("cpu", "cuda"):
            assert spec.precisions.get(kind) or spec.lacks[kind], "it says why not"  # type: ignore[call-overload]
        module, _, cls = spec.factory.partition(":")
        assert issubclass(getattr(importlib.import_module(module), cls), Engine)
        assert module in (PRUNING if name == "eager" else LISTED[name])


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("target", CASES)
def test_int8_of_our_methods(target: str, engine: str, tmp_path: Path) -> None:
    side_px, settings = CASES[target]
    spec = get_spec(target)
    request = request_of(
        f"optimized-int8-{engine}", target, resolution=square(side_px),
        settings=check_settings(spec, settings),
    )  # fmt: skip
    images = [image_for(target), image_for(target).flip(-1)]
    export(built(request), spec, request, images[0], tmp_path, images)
    with torch.inference_mode():
        method = built(request)
        told = take_over(method, spec, request, tmp_path)
        found = method.infer(images[0], no_range).anomaly_map
        expected = built(request).infer(images[0], no_range).anomaly_map
    assert found is not None
    assert expected is not None
    off = deviation([found], [expected])
    assert off is not None
    assert 0 < off < 0.5
    for one in told.networks:
        assert one.calibrated_images == len(images)
        assert one.operators["int8"] > 0.6 * sum(one.operators.values())
