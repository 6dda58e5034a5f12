"""The tables of one profile, as `attribute` asks for them: read, or from what is kept of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError

from .questions import is_asked, question_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ..nsys.records import Profile
    from ..profiles.coverage import ProfileCoverage
    from ..profiles.ranks import Answer
    from ..profiles.work import ProfileWork


TIMELINES = (".trace.json", ".trace.json.gz")
"""Endings of timelines."""


def is_timeline(options: argparse.Namespace) -> bool:
    """Whether a timeline is asked for.

    Raises:
        ArgumentError: together with what orders or adds to tables.
    """
    if not options.output or options.output.ending not in TIMELINES:
        return False
    for option in ("by", "kernels", "copies", "cross_thread", "sort", "top", "run"):
        if getattr(options, option) not in (None, False):
            what = f"is for tables, and {options.output} is a timeline"
            raise ArgumentError(f"--{option}", what, "leave it out, or name a table")
    return True


def is_text(options: argparse.Namespace) -> bool:
    """Whether tables for people are printed."""
    return not (options.json or options.csv or options.output)


def read(path: Path, sqlite: Path, options: argparse.Namespace) -> Profile:
    """The records of a profile.

    Args:
        path: the profile, as it was named.
        sqlite: it, or its copy in SQLite.
        options: what is asked for.
    """
    from dataclasses import replace

    from adscale.progress import progress_bar

    from ..nsys.reading import read_profile

    with progress_bar(f"reading {path.name}") as on_progress:
        profile = read_profile(
            sqlite,
            reader=options.reader,
            with_streams=options.by in {"device", "stream"} or is_timeline(options),
            with_categories=options.by == "category",
            with_power=options.by is None and not options.run,
            on_progress=on_progress,
        )
    return replace(profile, path=path)


def most_levels(options: argparse.Namespace) -> int | None:
    """Levels of ranges that are shown; None: all."""
    return ((32 if is_text(options) else 0) if options.depth is None else options.depth) or None


def work_of_profile(path: Path, options: argparse.Namespace) -> ProfileWork:
    """The work of a profile that was asked for."""
    from ..nsys.inputs import sqlite_of
    from ..profiles.work import without_forgotten, work_of

    question = question_of(options) if is_asked(options) else None
    profile = read(path, sqlite_of(path, options.exports), options)
    return work_of(without_forgotten(profile), question=question)


def answer(path: Path, options: argparse.Namespace) -> Answer:
    """The tables of a profile; of several, one at a time is in memory."""
    from ..nsys.inputs import sqlite_of
    from ..profiles.coverage import ProfileCoverage
    from ..profiles.kept import key_of
    from ..profiles.ranks import Answer

    sqlite, most = sqlite_of(path, options.exports), most_levels(options)
    is_simple = not (options.by or options.copies or options.cross_thread or options.no_cache)
    key = key_of(sqlite) if is_simple else None
    if key is not None and (found := _kept_answer(key, options, most)):
        return Answer(str(path), *found)
    work = work_of_profile(path, options)
    coverage = ProfileCoverage.of(work, most)
    place = None if key is None else (key, sqlite)
    return Answer(str(path), tables_of(work, options, most, coverage, place), coverage)


def _kept_answer(
    key: str, options: argparse.Namespace, most: int | None
) -> tuple[dict[str, pa.Table], ProfileCoverage] | None:
    """The answer from what is kept of the profile; None where that does not hold it."""
    from ..array_files import DamagedError
    from ..profiles import kept_answers
    from ..profiles.kept import find, forget

    question = question_of(options)
    kept = find(key) if kept_answers.can_answer(question) else None
    if kept is None:
        return None
    try:
        return kept_answers.answer(kept, question, most, options.kernels)
    except DamagedError:
        forget(kept)
        return None


def tables_of(
    work: ProfileWork,
    options: argparse.Namespace,
    most: int | None,
    coverage: ProfileCoverage,
    place: tuple[str, Path] | None = None,
) -> dict[str, pa.Table]:
    """The ranges, and what else is asked for; what is to be said of them goes to the coverage.

    Args:
        work: of the profile.
        options: what is asked for.
        most: levels of ranges that are shown; None: all.
        coverage: of the work.
        place: key and file of the profile, where the attribution of all of it is to be kept.
    """
    from ..profiles.copy_table import copy_table
    from ..profiles.cross_thread import cross_thread
    from ..profiles.energy_table import with_energy
    from ..profiles.kept import is_kept, keep
    from ..profiles.kernel_table import kernel_rows, names_of, shown_kernels
    from ..profiles.range_table import path_columns, profile_table, table_of

    found = columns = None
    if options.by is None:
        columns = path_columns(work)
        knows_kernels = work.profile.capture.knows_kernels
        ranges = table_of(columns, work.paths, most, knows_kernels=knows_kernels)
        samples, coverage.power_problem = work.profile.power
        if samples is not None or coverage.power_problem:
            ranges = with_energy(ranges, work, samples, most)
    else:
        ranges = profile_table(work, options.by, most)
    tables = {"ranges": ranges}
    if options.kernels is not None:
        found, rank = shown_kernels(work)
        names, number = names_of(work), options.kernels or None
        tables["kernels"] = kernel_rows(found, names, work.paths, rank, number, most)
    if options.copies:
        tables["copies"] = copy_table(work, most)
    if options.cross_thread or work.profile.cross_thread_ranges:
        crossed = cross_thread(work, options.cross_thread, most)
        coverage.inferred, coverage.shared_kernels = options.cross_thread, crossed.shared_kernels
        tables["cross_thread"] = crossed.table
    if place and columns is not None and work.selection is None and is_kept(work.profile):
        keep(*place, work, columns, found)
    return tables
