"""Real profiles and their answers, generated runs, and the command line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from hypothesis import settings

from analysis.__main__ import main

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures"


REPORTS = ("cuda_gpu_kern_sum", "nvtx_gpu_proj_sum", "nvtx_gpu_proj_trace", "nvtx_kern_sum")
"""Those of nsys' reports whose answers lie beside the profiles."""

ANSWERS = {
    **dict.fromkeys(
        (
            "corner/cross_thread_startend",
            "corner/dup_runtime",
            "corner/equal_end",
            "corner/graph_one_launch",
            "corner/identical_ranges",
            "corner/no_runtime",
            "corner/null_text",
            "corner/open_range",
            "corner/other_thread",
            "corner/start_only_inside",
            "corner/two_streams_gap",
        ),
        ("nvtx_gpu_proj_trace", "nvtx_kern_sum"),
    ),
    **dict.fromkeys(
        (
            "nsys/fuser_h200_2024.6.2",
            "nsys/fuser_thunder_h200_9threads_2025.1.1",
            "nsys/jacobi_gh200_2023.4.1",
            "nsys/nsightful_cupy_t4_2025.3.1",
            "nsys/nsysai_mfu2gpu_2proc_2026.2.1",
            "nsys/pipit_saxpy_mpi_dup_corr_2022.2.1",
            "nsys/realcugan_trt_startend_slice_2024.6.1",
            "nsys/syn_2streams_2k",
            "nsys/syn_cudagraph_node_2k",
            "nsys/syn_plain_2k",
            "nsys/torchcodec_a100_2024.4.1",
        ),
        REPORTS,
    ),
    "corner/dup_domain": (),  # nsys fails on it
    "nsys/flameox_graphtrace_nonvtx_2025.5.2": ("cuda_gpu_kern_sum",),  # no ranges
    "nsys/trt_startend_no_kernels_2023.2.1": (),  # no kernels
}
"""The real profiles and the reports that nsys has of each. Named one by one: what is lost fails."""

ABSENT = pytest.param(None, marks=pytest.mark.skip("../shared/fixtures is absent"), id="-")


def answered(name: str, but: Collection[str] = ()) -> pytest.MarkDecorator:
    """A test with `real_profile` runs on those of which nsys has this report.

    Args:
        name: of the report.
        but: names of profiles of which the answer is another on purpose.
    """
    listed = {f"{stem}.{name}.csv" for stem, names in ANSWERS.items() if name in names}
    answers = {*FIXTURES.glob(f"*/*.{name}.csv"), *(FIXTURES / path for path in listed)}
    profiles = [path.with_name(path.name.replace(f".{name}.csv", ".sqlite")) for path in answers]
    chosen = [path for path in profiles if path.stem not in but]
    return pytest.mark.parametrize("real_profile", _cases(chosen))


def _cases(profiles: Iterable[Path]) -> list[ParameterSet]:
    there = FIXTURES.is_dir()
    return [pytest.param(path, id=path.stem) for path in sorted(profiles)] if there else [ABSENT]


settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with `real_profile` runs on every real profile; skipped where there are none."""
    chosen = metafunc.definition.iter_markers("parametrize")
    if "real_profile" in metafunc.fixturenames and not any(
        mark.args[0] == "real_profile" for mark in chosen
    ):
        paths = {*FIXTURES.glob("*/*.sqlite"), *(FIXTURES / f"{stem}.sqlite" for stem in ANSWERS)}
        metafunc.parametrize("real_profile", _cases(paths))


@pytest.fixture
def analysis(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line; exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
