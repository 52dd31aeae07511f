"""Notice scores that say the opposite of the truth, as exchanged classes make them.

With exchanged classes the worst network has the lowest AUC and so the best one looks worst. In a trial, whose scores
one program wrote, one arm below chance is a poor arm, and all arms certainly below it are a coding to be asked about.
Predictions made elsewhere were written by several programs: there one arm, or one of its runs, is enough to ask. Of
more classes some may be exchanged and each AUC lie above one half: then the scores of another class fit far better.
"""

from collections.abc import Collection, Mapping
from shlex import quote

import numpy as np
from scipy.stats import rankdata

from equipoise.errors import PredictionError
from equipoise.evaluation.exchanged_classes import Exchange, exchanged
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import Analysis, analyse, interval
from equipoise.statistics.endpoints import AUC
from equipoise.statistics.judgement import Interval
from equipoise.statistics.panel import align
from equipoise.statistics.reasons import Reason

CHANCE = 0.5


def turned_classes(analysis: Analysis, deterministic: Collection[str] = ()) -> Reason | None:
    """Return the reason with every trained arm's AUC where all their intervals lie below one half; else None.

    analysis: of the AUC (see `area_of`).
    """
    areas = _areas(analysis, deterministic)
    if not areas or len(_below(areas)) < len(areas):
        return None
    return Reason("turned_classes", areas=_below(areas))


def _areas(analysis: Analysis, deterministic: Collection[str] = ()) -> dict[str, Interval]:
    arms = () if analysis.design is None else analysis.design.names
    return {arm: interval(analysis, arm) for arm in arms if arm not in deterministic}


def _below(areas: Mapping[str, Interval]) -> tuple[tuple[str, float], ...]:
    """Return the arms whose AUC lies below one half with its interval."""
    return tuple((arm, area.estimate) for arm, area in areas.items() if area.high < CHANCE)


def area_of(analyses: Collection[Analysis], positive: int | None, deterministic: Collection[str] = ()) -> Analysis:
    """Return the analysis of the AUC among `analyses`, or made from the panel of the first."""
    made = next((one for one in analyses if one.endpoint.name == AUC.name and one.endpoint.needs == AUC.needs), None)
    return made or analyse(next(iter(analyses)).panel, AUC, positive, deterministic)


def refuse_turned(table: Predictions, positive: str | None) -> None:
    """Raise PredictionError, which asks, where the scores of an arm lie below chance; nothing without scores."""
    if not table.classes or table.candidates is not None or positive not in (None, *table.classes):
        return
    second = 1 if len(table.classes) == 2 else None
    index = second if positive is None else table.classes.index(positive)
    areas = _areas(analyse(align(table), AUC, index))
    below = _below(areas)
    if not below:
        _refuse_exchanged(table)
        return
    shown = ", ".join(f"{arm} {area:.3f}" for arm, area in below)
    every = len(below) == len(areas)
    whose = "every arm lies below 0.5" if every else f"{len(below)} of {len(areas)} arms lies below 0.5"
    other = next((one for one in table.classes if one != positive), "")
    # One arm below chance beside others is not the statement's fault, which holds for all of them.
    offered = positive is not None and second is not None and every
    remedy = f"state the other class if high scores mean it (--positive {quote(other)}), " if offered else ""
    raise PredictionError(
        f"the AUC of {whose} ({shown}), as if the classes of the scores or of the truth were "
        f"exchanged; {remedy}correct the columns, or confirm that they are right (--below-chance)"
    )


def _refuse_exchanged(table: Predictions) -> None:
    """Raise PredictionError, which asks, where a run's scores of some classes fit other classes far better."""
    test = table.where(table.split == "test")
    several = len(set(test.seed.tolist())) > 1
    for arm in test.arms():
        for seed in np.unique(test.seed[test.arm == arm]).tolist():
            change = _exchange(test.where((test.arm == arm) & (test.seed == seed)))
            if change is None:
                continue
            run = f"{arm} (seed {seed})" if several else arm
            pairs = ", ".join(f"the scores of {test.classes[p]} fit {test.classes[t]}" for t, p in change.moved)
            raise PredictionError(
                f"in {run} {pairs}: the AUC of these classes would be {change.exchanged:.3f} in place of "
                f"{change.stands:.3f}, as if the classes of the scores or of the truth were exchanged; correct the "
                "columns, or confirm that they are right (--below-chance)"
            )


def _exchange(run: Predictions) -> Exchange | None:
    """Compare the scores of every class with every true class, by the AUC of this class against the others."""
    counts = np.bincount(run.truth, minlength=len(run.classes))
    if not np.isfinite(run.scores).all() or (counts > 0).sum() < 2:
        return None
    # A rank's share in the AUC, so that the mean over a class is the AUC itself; each fold has scores of its own.
    values = np.empty_like(run.scores)
    for fold in np.unique(run.fold):
        rows = run.fold == fold
        n, own = int(rows.sum()), run.truth[rows]
        same = np.bincount(own, minlength=len(run.classes))[own]
        ranks = rankdata(run.scores[rows], axis=0)
        values[rows] = (ranks - (same[:, None] + 1) / 2) / np.maximum(n - same, 1)[:, None]
    return exchanged(run.truth, values, run.patient, len(run.classes))
