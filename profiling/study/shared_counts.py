"""What runs of one method need of memory, counted by one of them for all. No torch.

To count at all, torch's compiler is imported, which takes a second; each further size takes some
hundredths. So the process that counts for a run counts the other sizes of the same curve, too, and
leaves what it has found beside Snakemake's own files. Of a method of the user's each run counts for
itself, since what its network keeps from one call to the next may change what is counted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adscale.digest import source_digest
from adscale.errors import UserError
from adscale.methods.registry import get_spec
from adscale.plan import PlannedRun
from adscale.plan_file import read_plan
from adscale.request import RunRequest
from adscale.resolution import Resolution

FOLDER = "counted"
"""Of the files, beside that of the plans."""


@dataclasses.dataclass(frozen=True)
class SharedCounts:
    """Where the counts of a curve are, and for which sizes they are made."""

    file: Path
    resolution: Resolution
    """Of the run."""
    others: tuple[Resolution, ...]
    """Those of the other runs of the curve."""

    def known(self) -> Mapping[str, Any] | None:
        """What another process has counted for the run; None: nothing that can be read."""
        with suppress(OSError, ValueError, LookupError, TypeError):
            need = json.loads(self.file.read_text(encoding="utf-8"))[str(self.resolution)]
            if isinstance(need["needed_bytes"], int):
                return {key: need[key] for key in ("needed_bytes", "incomplete")}
        return None


def shared_counts(plan_file: Path, request: RunRequest) -> SharedCounts | None:
    """The counts that a run shares with those of other sizes.

    Their file is named by all that they follow from: the method, its settings and variant, the
    device, and the code that runs and counts it.

    Args:
        plan_file: of the study.
        request: of the run.

    Returns:
        None for a method of the user's, and where the plan does not have the run.
    """
    try:
        runs = read_plan(plan_file).runs
        run = runs[PlannedRun(request, "").path]
        if get_spec(request.target).foreign:
            return None
    except (UserError, OSError, ValueError, LookupError, TypeError):
        return None
    asked = request.as_dict()
    follows_from = [asked[key] for key in ("target", "settings", "variant", "device_type")]
    follows_from += [run.code_digest, source_digest("profiling.prediction")]
    text = json.dumps(follows_from, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    sizes = {one.request.resolution for one in runs.values() if one.group == run.group}
    others = tuple(sorted(sizes - {request.resolution}))
    return SharedCounts(
        plan_file.parents[1] / FOLDER / f"{digest}.json", request.resolution, others
    )
