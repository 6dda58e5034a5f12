"""The parts of a check, in the order of their worth, and the page after each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from adscale.files import write_text
from adscale.parts import ROOT, program
from adscale.run_record import RunRecord

from .cross_checks import (
    KERNEL_REPORT,
    PROJECTION_REPORT,
    collector_checks,
    junit_check,
    lock_check,
    nsys_checks,
    range_checks,
)
from .run_checks import record, run_checks
from .steps import (
    BUDGET_S,
    CASES,
    NO_GPU,
    RANGES,
    TESTS,
    TWO_RUNS,
    Case,
    Check,
    Steps,
    checked,
    failed,
    page,
    unchecked,
)

RUN_S, EXPORT_S, LOCK_S, RANGES_S, TESTS_S = 75.0, 40.0, 75.0, 150.0, 200.0
"""At most, for a run, for a step after it, for two runs at once, for the bench, for the tests."""
COLLECTORS = ("nsys", "embedded")
NO_TESTS = "this is no checkout: there is no folder tests/"


def has_tests() -> bool:
    """Return whether this is a checkout, with its tests and benches."""
    return (ROOT / "tests" / "bench" / "range_cost.py").is_file()


class Session:
    """One check of a machine.

    Args:
        folder: for all files; the page is `page.txt`.
        device_type: cuda; cpu is for tests of the check itself.
        nsys: the nsys program; None where there is none.
        budget_s: for all commands together.
        cases: methods that are run.
        slack: by which factor the limits of single commands are longer.
        only: parts that are done; None: all.
    """

    def __init__(
        self,
        folder: Path,
        device_type: str,
        nsys: Path | None = None,
        budget_s: float = BUDGET_S,
        cases: Sequence[Case] = CASES,
        slack: float = 1.0,
        only: Sequence[str] | None = None,
    ) -> None:
        self.folder, self.device_type, self.nsys, self.cases = folder, device_type, nsys, cases
        folder.mkdir(parents=True, exist_ok=True)
        self.steps = Steps(folder, budget_s, slack)
        actions: Mapping[str, Callable[[], list[Check]]] = {
            **{case.name: partial(self._case, case) for case in cases},
            TWO_RUNS: self._lock,
            RANGES: self._ranges,
            TESTS: self._tests,
        }
        self._actions = {
            title: act for title, act in actions.items() if only is None or title in only
        }
        self.parts: dict[str, list[Check]] = {
            title: [unchecked(title, "", "not reached", "")] for title in self._actions
        }

    def run(self) -> bool:
        """Do everything; a part that fails does not end the others.

        Returns:
            Whether nothing failed.
        """
        for title, act in self._actions.items():
            self._write(title)
            print(f"gpu-check: {title} …", flush=True)
            try:
                self.parts[title] = act()
            except Exception as error:  # noqa: BLE001 - of whatever kind: the others shall go on
                what = " ".join(f"{type(error).__name__}: {error}".split())
                self.parts[title] = [checked("the check itself", "", False, what, "no error")]
        self._write(None)
        return not failed(self.parts, self.steps.outcomes)

    def text(self, unfinished: str | None = None) -> str:
        """Return the page as it stands."""
        return page(self.parts, self.steps.outcomes, self._any_record(), unfinished)

    def _write(self, unfinished: str | None) -> None:
        write_text(self.folder / "page.txt", self.text(unfinished))

    def _any_record(self) -> RunRecord | None:
        for collector in COLLECTORS:  # that of nsys tells nsys' version
            for path in sorted(self.folder.glob(f"*/{collector}/run.json")):
                return record(path.parent)
        return None

    def _case(self, case: Case) -> list[Check]:
        checks: list[Check] = []
        done: dict[str, Path] = {}
        count = self.folder / case.name / "memory.json"
        count.parent.mkdir(parents=True, exist_ok=True)
        memory = ["memory", *case.arguments(self.device_type), "-o", str(count)]
        self.steps.run(f"{case.name} memory", program("profiling", *memory), budget_s=EXPORT_S)
        for collector in COLLECTORS:
            where, folder = f"{case.name}, {collector}", self.folder / case.name / collector
            if collector == "nsys" and self.nsys is None:
                checks.append(unchecked("run", where, "no nsys here (ADSCALE_NSYS, PATH)", ""))
            elif self._measure(case, collector, folder):
                done[collector] = folder
                checks += run_checks(folder, where, count)
            else:
                checks.append(unchecked("run", where, "it failed, see commands", ""))
        if "nsys" in done:
            self._report(case, done["nsys"])
            checks += nsys_checks(done["nsys"], f"{case.name}, nsys")
        if len(done) == len(COLLECTORS):
            checks += collector_checks(done["nsys"], done["embedded"], case.name)
        return checks

    def _measure(self, case: Case, collector: str, folder: Path) -> bool:
        """Measure, export and attribute, as a user does it."""
        folder.mkdir(parents=True, exist_ok=True)
        name, steps = f"{case.name} {collector}", self.steps
        arguments = case.arguments(self.device_type)
        run = ["run", *arguments, "--collector", collector, "--device", "gpu-check"]
        run += [*self._images(case), "--out", str(folder)]
        if steps.run(f"{name} run", program("profiling", *run), budget_s=RUN_S) is None:
            return False
        sqlite = str(folder / "profile.sqlite")
        if collector == "nsys":
            export = ["export", str(folder / "profile.nsys-rep"), "-o", sqlite]
            command = program("profiling", *export)
            if steps.run(f"{name} export", command, budget_s=EXPORT_S) is None:
                return False
        attribute = ["attribute", sqlite, "--run", str(folder / "run.json")]
        attribute += ["-o", str(folder / "ranges.parquet")]
        command = program("analysis", *attribute)
        return steps.run(f"{name} attribute", command, budget_s=EXPORT_S) is not None

    def _images(self, case: Case) -> list[str]:
        count, warmup = (case.images, 20) if self.device_type == "cuda" else (2, 1)
        counts = ["--warmup-images", str(warmup), "--measured-images", str(count)]
        return [*counts, "--min-images", "2", "--time-budget-s", "10"]

    def _report(self, case: Case, folder: Path) -> None:
        """Write nsys' own reports of the profile; there are none without kernels."""
        if self.device_type == "cpu":
            return
        for report in (KERNEL_REPORT, PROJECTION_REPORT):
            command = [str(self.nsys), "stats", "--report", report, "--format", "csv"]
            command.append(str(folder / "profile.sqlite"))
            texts = self.steps.run(f"{case.name} {report}", command, budget_s=EXPORT_S)
            if texts is not None:
                (folder / f"{report}.csv").write_text(texts[0], encoding="utf-8")

    def _lock(self) -> list[Check]:
        case = self.cases[0]
        folders = [self.folder / "lock" / name for name in ("one", "other")]
        arguments = ["run", *case.arguments(self.device_type), "--collector", "embedded"]
        arguments += ["--warmup-images", "2", "--measured-images", "5", "--no-latency"]
        arguments += ["--device", "gpu-check"]
        commands = [program("profiling", *arguments, "--out", str(path)) for path in folders]
        texts = self.steps.run("two runs at once", *commands, budget_s=LOCK_S)
        if texts is None:
            return [unchecked("device lock", "two runs at once", "a run failed", "")]
        return [lock_check(list(zip(folders, texts, strict=True)))]

    def _ranges(self) -> list[Check]:
        if self.device_type == "cpu":
            return [unchecked("cost of ranges", "", NO_GPU, "")]
        if not has_tests():
            return [unchecked("cost of ranges", "", NO_TESTS, "")]
        out = self.folder / "cost-of-ranges.json"
        command = program("tests.bench.range_cost", self.device_type, str(out))
        self.steps.run("cost of ranges", command, budget_s=RANGES_S)
        if not out.is_file():
            return [unchecked("cost of ranges", "", "the bench failed, see commands", "")]
        return range_checks(json.loads(out.read_text(encoding="utf-8")))

    def _tests(self) -> list[Check]:
        if self.device_type == "cpu":
            return [unchecked("tests marked gpu", "", NO_GPU, "")]
        if not has_tests():
            return [unchecked("tests marked gpu", "", NO_TESTS, "")]
        junit = self.folder / "tests.xml"
        arguments = ["-m", "gpu", "-q", f"--junitxml={junit}", "-p", "no:cacheprovider"]
        self.steps.run("tests", program("pytest", *arguments), budget_s=TESTS_S)
        return [junit_check(junit, self.steps.outcomes[-1].problem)]
