"""Metrics that are shares, such as Dice and IoU, where a table holds them in percent: 87,4 or "87,4 %" for 0.874.

Cells with the sign say it themselves. Without it the scale is never guessed: values that look like percentages are a
question, and the caller's answer is checked for every arm, as that of scores is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import PERCENT, AuditOptions
from equipoise.evaluation.external.reading import Caution, Columns, RowNumbers
from equipoise.evaluation.external.roles import ROLES
from equipoise.evaluation.external.score_cells import percentages
from equipoise.evaluation.external.score_scales import PERCENT as LIKE_PERCENT
from equipoise.evaluation.external.score_scales import UNIT, each_run, scale_of
from equipoise.evaluation.external.score_strays import REMEDY, Place, outside, sentence_outside
from equipoise.evaluation.external.table_file import as_numbers, hundredths
from equipoise.evaluation.predictions import SCORE

Array = NDArray[np.float64]
_LEAST_PERCENT = 5
"""A column of shares in percent holds one at least so large, in some case of every arm."""


def without_signs(columns: Columns, names: Iterable[str], source: str) -> tuple[Columns, list[str]]:
    """Return the columns of `names` whose cells are percentages with their sign as shares, 0 to 1, and notes."""
    notes = []
    for name in names:
        values = percentages(columns[name])
        if values is not None:
            columns = {**columns, name: hundredths(values)}
            notes.append(f"The cells of {name!r} of {source} have the sign % and were divided by 100.")
    return columns, notes


def shares(
    columns: Columns, source: str, options: AuditOptions, rows: RowNumbers, *, signed: bool
) -> tuple[Columns, list[str]]:
    """Return the metrics that are shares from 0 to 1, divided by 100 where the caller calls them percentages; notes.

    signed: whether cells of this table had the sign %, and were divided for it. Raises PredictionError for values that
    look like percentages and were not called so, and for others that were.
    """
    if any(name.startswith(SCORE) for name in columns):
        return columns, []
    numbers = {
        name: values
        for name, cells in columns.items()
        if name not in ROLES and options.is_share(name) and (values := as_numbers(cells)) is not None
    }
    # A column of 0 and 1 marks cases: it has no scale.
    numbers = {
        name: values for name, values in numbers.items() if not set(np.unique(values[np.isfinite(values)])) <= {0, 1}
    }
    if options.scores != PERCENT:
        for name, values in numbers.items():
            _refuse_percentages(values, Place(source, name, columns, rows), options.arm)
        return columns, []
    divided: dict[str, Array] = {}
    notes: list[str] = []
    for name, values in numbers.items():
        if signed and _spans(values, columns)[0][2] <= 1:
            continue
        _refuse_other_scales(values, Place(source, name, columns, rows))
        notes += _small(values, Place(source, name, columns, rows))
        divided[name] = hundredths(values)
    if not divided:
        return columns, []
    note = f"The values of {', '.join(divided)} of {source} are percentages, as stated, and were divided by 100."
    return {**columns, **divided}, [note, *notes]


def _spans(values: Array, columns: Mapping[str, Any]) -> list[tuple[str, float, float, Array]]:
    """Return whose they are, the smallest and the largest value, and the values of every arm and run with any."""
    own = [(whose, values[rows][np.isfinite(values[rows])]) for whose, rows in each_run(columns, len(values))]
    return [(whose, float(one.min()), float(one.max()), one) for whose, one in own if len(one)]


def _refuse_percentages(values: Array, place: Place, arm: str) -> None:
    spans = _spans(values, place.columns)
    # Wrong shares of 1.2 are no percentages; the statistics name them by their case.
    like = [one for one in spans if scale_of(one[3]) == LIKE_PERCENT and one[2] > _LEAST_PERCENT]
    if not like:
        return
    whose, low, high, _ = like[0]
    bad = f"{place.source} has values of {place.name!r}{whose} from {low:.4g} to {high:.4g}, and such a share is 0 to 1"
    inside = [one for one in spans if scale_of(one[3]) == UNIT and one[2] > 0]
    if inside:
        raise PredictionError(
            f"{bad}, as are those{inside[0][0]}: two scales in one table; divide the values{whose} by 100"
        )
    alone = f", for this arm alone {arm}={PERCENT}" if arm else ""
    raise PredictionError(f"{bad}; say that they are percentages (--scores {PERCENT}{alone}), or divide them by 100")


def _small(values: Array, place: Place) -> list[str]:
    """Return a caution on values among percentages that may be shares, as 0.9 among 90 and 85 may."""
    at = np.flatnonzero((values > 0) & (values <= 1))
    if not len(at):
        return []
    first = f"{values[at[0]]:.4g} {place.rows.of(int(at[0]), place.columns)}".strip()
    some = f"the value {first}" if len(at) == 1 else f"{len(at)} values, the first {first},"
    return [
        Caution(
            f"Among the percentages {place.name!r} of {place.source}, {some} is at most 1 and was read as "
            f"{values[at[0]]:.4g} %. If a share is meant ({100 * values[at[0]]:.4g} %), correct the file."
        )
    ]


def _refuse_other_scales(values: Array, place: Place) -> None:
    at = np.flatnonzero(np.isfinite(values))
    few = outside(values[at, None], 100, most=0.5)
    if len(few):
        raise PredictionError(f"{sentence_outside(values[at, None], 100, place, few, at)}; {REMEDY}")
    for whose, low, high, own in _spans(values, place.columns):
        if high > 0 and (scale_of(own) == UNIT or low < 0 or high > 100):
            raise PredictionError(
                f"{place.source} has values of {place.name!r}{whose} that are called percentages and lie from "
                f"{low:.4g} to {high:.4g}; state {PERCENT} for the other files alone (--scores ARM={PERCENT}), or "
                "write all shares of this file in one way"
            )
