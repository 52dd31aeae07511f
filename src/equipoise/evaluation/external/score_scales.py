"""The scale of scores, judged for every arm and every run: probabilities, percentages, or other numbers as logits.

One table may hold the scores of several programs. A scale that is stated for the table, or a threshold, then suits some
arms only, and the others lose for the sake of their units: such arms are refused by name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.external.score_strays import REMEDY, Place, outside, sentence_outside
from equipoise.evaluation.predictions import Predictions

Array = NDArray[np.float64]
FEWEST_OF_RUN = 8
"""Rows of a run that tell its scale: logits of fewer cases may all lie between 0 and 1 by chance. An arm always tells,
since one of so few cases is not judged."""
SUM_TOLERANCE = 0.02
_STATED = ("percent", "logits")
UNIT, PERCENT, OTHER = "probabilities", "percentages", "other numbers"


def refuse_stated_logits(columns: Mapping[str, NDArray[Any]], scores: Array, name: str, source: str) -> None:
    """Raise PredictionError where scores (rows, columns) called logits are probabilities or percentages in some arm."""
    for whose, rows in each_run(columns, len(scores)):
        own = _finite(scores[rows])
        if not len(own):
            continue
        what = f"lie from {own.min():.4g} to {own.max():.4g}, as probabilities do" if scale_of(own) == UNIT else ""
        for whole in (1, 100):
            if not what and own.shape[1] > 1 and (abs(own.sum(axis=1) - whole) <= SUM_TOLERANCE * whole).all():
                what = f"add up to {whole} in every row, as {'probabilities' if whole == 1 else 'percentages'} do"
        if what:
            raise PredictionError(
                f"{source} has scores in {name!r} that are called logits, and those{whose} {what}; give probabilities "
                "of every arm"
            )


def refuse_no_percentages(scores: Array, place: Place) -> None:
    """Raise PredictionError where scores (rows, columns) called percentages do not look so in some arm."""
    name, source = place.name, place.source
    for whose, rows in each_run(place.columns, len(scores)):
        at = np.flatnonzero(rows)[np.isfinite(scores[rows]).all(axis=1)]
        own = scores[at]
        # Stated: whatever is most of them is what was meant.
        few = outside(own, 100, most=0.5)
        if len(few):
            raise PredictionError(f"{sentence_outside(own, 100, place, few, at)}; {REMEDY}")
        if len(own) and (scale_of(own) == UNIT or own.min() < 0 or own.max() > 100):
            raise PredictionError(
                f"{source} has scores in {name!r} that are called percentages, and those{whose} lie from "
                f"{own.min():.4g} to {own.max():.4g}; state percent for the other files alone (--scores ARM=percent)"
            )


def refuse_outside(scores: Array, place: Place, arm: str = "") -> None:
    """Raise PredictionError where scores (rows, columns) that should be probabilities are not, in some arm.

    arm: the one that the file was given as, for the remedy.
    """
    columns, name, source = place.columns, place.name, place.source
    groups = [(whose, own) for whose, rows in each_run(columns, len(scores)) if len(own := _finite(scores[rows]))]
    others = [(whose, own) for whose, own in groups if scale_of(own) != UNIT]
    if not others:
        return
    percent, logits = (f"--scores {one}" + (f", for this arm alone {arm}={one}" if arm else "") for one in _STATED)
    _refuse_stray(scores, place, percent, logits)
    inside = [(whose, own) for whose, own in groups if scale_of(own) == UNIT]
    whose, own = others[0]
    bad = f"{source} has scores in {name!r}{whose} from {own.min():.4g} to {own.max():.4g}, which are not probabilities"
    if inside:
        other, good = inside[0]
        raise PredictionError(
            f"{bad}, and from {good.min():.4g} to {good.max():.4g}{other}; two scales cannot be compared: give "
            "probabilities of every arm"
        )
    remedy = f"give probabilities, or say that they are logits ({logits})"
    if own.min() >= 0 and own.max() <= 100 and (scale_of(own) == PERCENT or "%" in name):
        remedy = f"say that they are percentages ({percent}), or give probabilities"
    raise PredictionError(f"{bad}; {remedy}")


def _refuse_stray(scores: Array, place: Place, percent: str, logits: str) -> None:
    """Raise PredictionError where few scores of an arm lie outside the scale of all others, which was not stated."""
    further = {1: f", or say that all are logits ({logits})", 100: f"; then say that all are percentages ({percent})"}
    for _, rows in each_run(place.columns, len(scores)):
        at = np.flatnonzero(rows)[np.isfinite(scores[rows]).all(axis=1)]
        for whole, remedy in further.items():
            few = outside(scores[at], whole)
            if len(few):
                text = sentence_outside(scores[at], whole, place, few, at)
                raise PredictionError(f"{text}; {REMEDY}{remedy}")


def refuse_foreign_threshold(table: Predictions, threshold: float, positive: int) -> None:
    """Raise PredictionError where a threshold cannot mean the same for every run, or lies on another scale.

    positive: the index of the class whose scores it divides.
    """
    columns = {"arm": table.arm, "seed": table.seed, "fold": table.fold}
    scores = table.scores[:, [positive]]
    groups = [(whose, own) for whose, rows in each_run(columns, len(table)) if len(own := _finite(scores[rows]))]
    scales = [scale_of(own) for _, own in groups]
    spans = [f"the scores{whose} lie from {own.min():.4g} to {own.max():.4g}" for whose, own in groups]
    other = next((k for k, scale in enumerate(scales) if scale != scales[0]), None)
    if other is not None:
        raise PredictionError(
            f"the threshold {threshold:g} is one number for every arm, but {spans[0]} and {spans[other]}; bring all "
            "scores to one scale"
        )
    if not scales or not (
        (scales[0] == UNIT and not 0 <= threshold <= 1) or (scales[0] == PERCENT and 0 < threshold < 1)
    ):
        return
    raise PredictionError(
        f"the threshold {threshold:g} is on another scale than the scores: {spans[0]}; state it on that scale, or "
        "give the scores on its scale"
    )


def scale_of(scores: Array) -> str:
    """Return the scale of finite scores by their range; percentages by most of them lying above one.

    >>> scale_of(np.array([0.2, 0.9])), scale_of(np.array([20.0, 90.0])), scale_of(np.array([-2.0, 3.0]))
    ('probabilities', 'percentages', 'other numbers')
    """
    if scores.min() < 0 or scores.max() > 100:
        return OTHER
    if scores.max() <= 1:
        return UNIT
    return PERCENT if (scores > 1).mean() > 0.5 else OTHER


def each_run(columns: Mapping[str, NDArray[Any]], n: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield every arm, then every run large enough to tell, with its rows; its name is "" in a file of one run."""
    arms = columns["arm"].astype(str) if "arm" in columns else np.full(n, "")
    names = list(dict.fromkeys(arms.tolist()))
    for arm in names:
        yield f" of arm {arm!r}" if arm else "", arms == arm
    keys = [key for key in ("seed", "fold") if key in columns and len(set(columns[key].tolist())) > 1]
    if not keys:
        return
    jobs = list(zip(arms.tolist(), *(columns[key].tolist() for key in keys), strict=True))
    for job in dict.fromkeys(jobs):
        rows = np.array([one == job for one in jobs])
        if rows.sum() >= FEWEST_OF_RUN:
            arm = f" of arm {job[0]!r}" if job[0] else " of"
            yield f"{arm} ({', '.join(f'{k} {v}' for k, v in zip(keys, job[1:], strict=True))})", rows


def _finite(scores: Array) -> Array:
    """Return the rows without a score that is no number."""
    return scores[np.isfinite(scores).all(axis=1)]
