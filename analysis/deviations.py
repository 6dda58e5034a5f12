"""How far what a variant finds is from what ``reference-fp32`` finds, in the same images.

Of each run's record: scores of its first images, and points of the first maps. Both sides ran the
same images in the same order, with the same weights; where they did not, there is no deviation.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.errors import ConfigError
from adscale.mean_error import Floats
from adscale.models import read_json
from adscale.tables import Columns, flag, integer, join, real, text
from adscale.variant import Variant

if TYPE_CHECKING:
    from adscale.run_record import Outputs, RunRecord

RANKED_IMAGES = 30
"""Images from which on a correlation of ranks says something."""

BASE = Variant("reference", "fp32")

DEFAULT_BOUNDS: Mapping[str, float | None] = {
    "fp32": 1e-3,
    "tf32": 3e-2,
    "fp16": 3e-2,
    "bf16": 3e-2,
    "int8": None,
}
"""By precision. Pruned variants have none."""

COLUMNS: Columns = join(
    real("map_deviation_max", "map_deviation_mean",
         means="how far the variant's anomaly map is from that of `reference-fp32`, over the "
         "largest value of that: the largest and the mean difference among the points kept of the "
         "first images. Only in the row of the whole image, as the columns behind it", unit=""),
    real("score_deviation_max", "score_deviation_mean",
         means="the same of the scores: each difference over the reference's score, of all images",
         unit=""),
    real("score_rank_correlation", means="Spearman's, of the scores; null for fewer than "
         f"{RANKED_IMAGES} different images", unit=""),
    integer("deviation_map_images", "deviation_images",
            means="images whose maps, and whose scores, are compared"),
    real("deviation_bound", means="that the configuration admits for the variant; null: none",
         unit=""),
    flag("exceeds_bound", means="whether the largest of all differences is above it"),
    text("deviation_note", means="what of this could not be told, and why"),
)  # fmt: skip
"""Of a variant, beside its cost."""


@dataclass(frozen=True)
class Bounds:
    """The largest deviations that are admitted.

    Args:
        named: by variant, precision, or way such as ``bf16-openvino``; None: no bound.
    """

    named: Mapping[str, float | None]

    @classmethod
    def from_json(cls, text: str | None) -> Bounds:
        """Reads what the configuration says.

        Raises:
            ConfigError: it is no mapping of numbers.
        """
        found = {} if text is None else read_json(text)
        if not isinstance(found, dict) or not all(map(_is_bound, found.values())):
            raise ConfigError("--bounds", "is no mapping of numbers", 'such as {"bf16": 0.03}')
        return cls(found)

    def of(self, variant: Variant) -> float | None:
        """The bound of a variant: its own, that of its way, that of its precision, the default."""
        one_image = variant.of_one_image
        for name in (str(variant), variant.way, str(one_image), one_image.way):
            if name in self.named:
                return self.named[name]
        if variant.pruned_percent:
            return self.named.get("pruned")
        return self.named.get(variant.precision, DEFAULT_BOUNDS.get(variant.precision))


def _is_bound(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and value >= 0)


Key = tuple[str, str, str, str]
"""Device, method, variant and resolution."""


def read_outputs(folders: Iterable[Path]) -> dict[Key, RunRecord]:
    """The records of some runs; those that cannot be read are left out, other tables tell of them.

    Args:
        folders: with ``run.json``.
    """
    from adscale.errors import UserError
    from adscale.files import read_record
    from adscale.run_record import RunRecord

    found: dict[Key, RunRecord] = {}
    for folder in folders:
        try:
            record = read_record(folder / "run.json", RunRecord, "call the study again")
        except (UserError, OSError):
            continue
        asked = record.request
        found[asked.device, asked.method, str(asked.variant), str(asked.resolution)] = record
    return found


def deviations(records: Mapping[Key, RunRecord], bounds: Bounds) -> dict[Key, dict[str, Any]]:
    """The columns of every run but those of ``reference-fp32`` itself.

    Args:
        records: of runs, as ``read_outputs`` gives them.
        bounds: that are admitted.
    """
    found = {}
    for key, record in records.items():
        device, method, name, resolution = key
        variant = record.request.variant
        if variant == BASE:
            continue
        reference = records.get((device, method, str(BASE), resolution))
        values = {"deviation_bound": bounds.of(variant), **_compared(record, reference)}
        largest = [values.get("map_deviation_max"), values.get("score_deviation_max")]
        known = [value for value in largest if value is not None]
        if known and values["deviation_bound"] is not None:
            values["exceeds_bound"] = max(known) > values["deviation_bound"]
        found[device, method, name, resolution] = values
    return found


def _compared(record: RunRecord, reference: RunRecord | None) -> dict[str, Any]:
    if reference is None:
        return {"deviation_note": f"{BASE} was not measured at this resolution"}
    problem = _difference(record, reference)
    if problem is not None:
        return {"deviation_note": problem}
    assert record.outputs is not None, "it would be the problem"
    assert reference.outputs is not None, "it would be the problem"
    values = _of_maps(record.outputs, reference.outputs)
    values |= _of_scores(record.outputs, reference.outputs)
    notes = [values.pop("maps_note", None), values.pop("scores_note", None)]
    return {**values, "deviation_note": "; ".join(filter(None, notes)) or None}


def _difference(record: RunRecord, reference: RunRecord) -> str | None:
    """Why two runs cannot be compared; None: they can."""
    for one in (reference, record):
        if one.outputs is None:
            name = one.request.variant
            return f"the record of {name} has no outputs: it is older, or the run has none"
    ours, theirs = record.request, reference.request
    if (record.weights, ours.settings) != (reference.weights, theirs.settings):
        return f"{BASE} ran with other weights or settings"
    if ours.seed != theirs.seed:
        return f"{BASE} ran with another seed"
    if (ours.images, ours.decoding) != (theirs.images, theirs.decoding):
        return f"{BASE} ran other images, or read them otherwise"
    if record.images.count != reference.images.count:
        return f"{BASE} ran {reference.images.count} different images, this {record.images.count}"
    return None


def _of_maps(found: Outputs, expected: Outputs) -> dict[str, Any]:
    import numpy as np

    ours, theirs = _maps(found), _maps(expected)
    images = min(len(ours), len(theirs))
    if images == 0:
        return {"maps_note": "no maps are kept: there was no warm-up image, or there are none"}
    if ours.shape[1:] != theirs.shape[1:]:
        return {"maps_note": "maps of different sizes"}
    largest = np.abs(theirs[:images]).max(axis=(1, 2))
    if not (np.isfinite(ours[:images]).all() and np.isfinite(theirs[:images]).all()):
        return {"maps_note": "maps that are not finite"}
    if not largest.all():
        return {"maps_note": f"maps of {BASE} that are 0 everywhere"}
    relative = np.abs(ours[:images] - theirs[:images]) / largest[:, np.newaxis, np.newaxis]
    return {
        "map_deviation_max": float(relative.max()),
        "map_deviation_mean": float(relative.mean()),
        "deviation_map_images": images,
    }


def _maps(outputs: Outputs) -> Floats:
    import numpy as np

    content = np.frombuffer(base64.b64decode(outputs.maps), "<f4").astype(np.float64)
    return content.reshape(outputs.map_points or (0, 0, 0))


def _of_scores(found: Outputs, expected: Outputs) -> dict[str, Any]:
    import numpy as np

    pairs = list(_known_pairs(found, expected))
    if not pairs:
        return {"scores_note": "no scores are kept"}
    ours, theirs = np.array(pairs).T
    notes = []
    values: dict[str, Any] = {"deviation_images": len(pairs)}
    if theirs.all():
        relative = np.abs(ours - theirs) / np.abs(theirs)
        values["score_deviation_max"] = float(relative.max())
        values["score_deviation_mean"] = float(relative.mean())
    else:
        notes.append(f"a score of {BASE} is 0")
    if len(pairs) < RANKED_IMAGES:
        few = f"{len(pairs)} different images, {RANKED_IMAGES} are needed"
        notes.append(f"no correlation of ranks: {few}")
    else:
        values["score_rank_correlation"] = _spearman(ours, theirs)
        if values["score_rank_correlation"] is None:
            notes.append("no correlation of ranks: all scores of a side are equal")
    return {**values, "scores_note": "; ".join(notes) or None}


def _known_pairs(found: Outputs, expected: Outputs) -> Iterator[tuple[float, float]]:
    for ours, theirs in zip(found.scores, expected.scores, strict=False):
        if ours is not None and theirs is not None:
            yield ours, theirs


def _spearman(first: Floats, second: Floats) -> float | None:
    """Correlation of the ranks, equal values with their mean rank; None where all are equal."""
    import numpy as np
    from scipy.stats import rankdata

    ranks = [rankdata(one) for one in (first, second)]
    if any(np.ptp(one) == 0 for one in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
