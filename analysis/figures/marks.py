"""Confidence intervals of means as whiskers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .canvas import method_look

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes


def half_widths(rows: pd.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the lengths from the mean down and up to its interval's ends, 2 × rows; nan: none.

    Args:
        rows: of ``runtime.csv``.
    """
    import numpy as np

    return np.array(
        [
            (rows["mean_ms"] - rows["ci95_low_ms"]).to_numpy("float64", na_value=np.nan),
            (rows["ci95_high_ms"] - rows["mean_ms"]).to_numpy("float64", na_value=np.nan),
        ]
    )


RUN_KEY = ["device", "method", "variant", "resolution"]
NAMED = 3
"""Runs that are not steady and are named in a caption; the others are counted."""

EVIDENCE_LENGTH = 90
"""Characters of the evidence in a caption."""

SETTINGS, EVIDENCE = "settings", "evidence"
"""Columns that `with_runs` adds."""


def with_runs(runtime: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of `runtime.csv` with what `runs.csv` says of their runs.

    Args:
        runtime: the table.
        runs: the table of runs; None where there is none.

    Returns:
        The rows with two columns more, null where nothing is known: `settings` of the run in
        words, and `evidence` for its verdict, from the first process that has it.
    """
    import numpy as np
    import pandas as pd

    if runs is None or runs.empty:
        return runtime.assign(**{SETTINGS: None, EVIDENCE: None})
    key = [*RUN_KEY, "pass"]
    told = runs[[*key, "verdict", "evidence"]].dropna().drop_duplicates([*key, "verdict"])
    said = runs[key].assign(settings=[_settings(row) for _, row in runs.iterrows()])
    said = said.groupby(key, as_index=False, sort=False).agg({SETTINGS: _listed})
    is_latency = runtime["clock"] == "latency"
    passes = pd.Series(np.where(is_latency, "latency", "profiled"), runtime.index)
    found = runtime.assign(**{"pass": passes}).merge(said, "left", key)
    return found.merge(told, "left", [*key, "verdict"]).drop(columns="pass")


def is_unsteady(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows of `runtime.csv` whose run has a verdict other than `steady`."""
    import numpy as np

    unsteady = rows["verdict"].notna() & (rows["verdict"] != "steady")
    return unsteady.to_numpy(np.bool_)


def draw_points(
    axes: Axes, rows: pd.DataFrame, number: int, label: str, value: str = "mean_ms"
) -> None:
    """Measured means with their intervals; hollow where the run was not steady.

    Args:
        axes: where to.
        rows: of `runtime.csv`, a point each.
        number: place of the method, for colour and marker.
        label: in the legend.
        value: column drawn; only `mean_ms` has whiskers.
    """
    unsteady, look = is_unsteady(rows), method_look(number)
    hollow = {**look, "markerfacecolor": "white", "label": "_unsteady"}
    # the filled ones first, even if there are none: theirs is the entry in the legend
    for part, how in ((rows[~unsteady], {**look, "label": label}), (rows[unsteady], hollow)):
        errors = half_widths(part) if value == "mean_ms" else None
        axes.errorbar(part["side_px"], part[value], errors, linestyle="", capsize=2, **how)


def hatch_unsteady(axes: Axes, unsteady: Sequence[bool], heights: Sequence[float]) -> None:
    """Hatches the bars of runs that were not steady; they stand at 0, 1, 2, …, 0.78 wide.

    Args:
        axes: of the bars.
        unsteady: whether a bar's run was not steady.
        heights: of the bars.
    """
    for position, (marked, height) in enumerate(zip(unsteady, heights, strict=True)):
        if marked:
            axes.bar(
                position, height, 0.78, facecolor="none", edgecolor="black", hatch="////",
                linewidth=0.6, label="_unsteady",
            )  # fmt: skip


def cross_unsteady(axes: Axes, rows: pd.DataFrame, values: pd.Series) -> None:
    """Crosses out the points of runs that were not steady.

    Args:
        axes: of the points.
        rows: a point each, with `side_px` and `verdict`.
        values: heights of the points.
    """
    unsteady = is_unsteady(rows)
    if unsteady.any():
        axes.plot(
            rows["side_px"][unsteady], values[unsteady], linestyle="", marker="x",
            color="black", markersize=5, markeredgewidth=0.8, zorder=4, label="_unsteady",
        )  # fmt: skip


def unsteady_words(rows: pd.DataFrame, mark: str = "hollow") -> str:
    """A sentence on runs that were not steady, or nothing.

    Args:
        rows: of `runtime.csv`, those that are drawn; with `evidence` after `with_runs`.
        mark: how the figure shows them.
    """
    lost = rows[is_unsteady(rows)].drop_duplicates(RUN_KEY)
    if lost.empty:
        return ""
    named = [_run_words(row) for _, row in lost.head(NAMED).iterrows()]
    more = f"; and {len(lost) - NAMED} more, see runs.csv" if len(lost) > NAMED else ""
    return f" Not steady ({mark}): {'; '.join(named)}{more}."


def settings_words(rows: pd.DataFrame) -> str:
    """A sentence on how the runs were executed, or nothing where that is not known."""
    if SETTINGS not in rows:
        return ""
    found = list(dict.fromkeys(text for text in rows[SETTINGS].dropna()))
    return f" Settings: {' / '.join(found)}." if found else ""


def _run_words(row: pd.Series) -> str:
    """`PatchCore-10 at 512 px (shared: other processes used …)`."""
    import pandas as pd

    evidence = row.get(EVIDENCE)
    because = "" if evidence is None or pd.isna(evidence) else f": {_short(str(evidence))}"
    return f"{row['method']} at {row['resolution']} px ({row['verdict']}{because})"


def _short(evidence: str) -> str:
    """The evidence without what it has in brackets at its end, in not too many words."""
    whole = evidence.partition(" (")[0]
    if len(whole) <= EVIDENCE_LENGTH:
        return whole
    return f"{whole[:EVIDENCE_LENGTH].rpartition(' ')[0]} …"


def _settings(run: pd.Series) -> str:
    """Return words such as `1 thread, deterministic algorithms off, caches warm`."""
    import pandas as pd

    threads = run["threads"]
    words = [f"{threads} thread{'s' if threads > 1 else ''}"]
    if run["device_type"] == "cuda":
        words.append(f"cuDNN autotuning {'on' if run['asked_cudnn_benchmark'] else 'off'}")
    words.append(f"deterministic algorithms {'on' if run['asked_deterministic'] else 'off'}")
    words.append(f"caches {run['cache']}")
    if run["device_type"] == "cuda":
        locked_mhz = run["locked_sm_clock_mhz"]
        at = "not locked" if pd.isna(locked_mhz) else f"locked to {locked_mhz:.0f} MHz"
        words.append(f"SM clock {at}")
    return ", ".join(words)


def _listed(settings: pd.Series) -> str:
    return " / ".join(dict.fromkeys(settings))
