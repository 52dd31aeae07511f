"""Notice scores that say the opposite of the truth in every arm, as exchanged classes make them.

With exchanged classes the worst network has the lowest AUC and so the best one looks worst. One arm below chance is a
poor arm; all arms certainly below it are a coding to be asked about.
"""

from collections.abc import Collection

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import Analysis, analyse, interval
from equipoise.statistics.endpoints import AUC
from equipoise.statistics.panel import align
from equipoise.statistics.reasons import Reason

CHANCE = 0.5


def turned_classes(analysis: Analysis, deterministic: Collection[str] = ()) -> Reason | None:
    """Return the reason with every trained arm's AUC where all their intervals lie below one half; else None.

    analysis: of the AUC (see `area_of`).
    """
    arms = () if analysis.design is None else analysis.design.names
    areas = {arm: interval(analysis, arm) for arm in arms if arm not in deterministic}
    if not areas or any(not area.high < CHANCE for area in areas.values()):
        return None
    return Reason("turned_classes", areas=tuple((arm, area.estimate) for arm, area in areas.items()))


def area_of(analyses: Collection[Analysis], positive: int | None, deterministic: Collection[str] = ()) -> Analysis:
    """Return the analysis of the AUC among `analyses`, or made from the panel of the first."""
    made = next((one for one in analyses if one.endpoint.name == AUC.name and one.endpoint.needs == AUC.needs), None)
    return made or analyse(next(iter(analyses)).panel, AUC, positive, deterministic)


def refuse_turned(table: Predictions, positive: str | None) -> None:
    """Raise PredictionError, which asks, where the scores of every arm lie below chance; nothing without scores."""
    if not table.classes or table.candidates is not None or positive not in (None, *table.classes):
        return
    second = 1 if len(table.classes) == 2 else None
    index = second if positive is None else table.classes.index(positive)
    reason = turned_classes(analyse(align(table), AUC, index))
    if reason is not None:
        shown = ", ".join(f"{arm} {area:.3f}" for arm, area in reason.facts["areas"])
        raise PredictionError(
            f"the AUC of every arm lies below 0.5 ({shown}), as if the classes of the scores or of the truth were "
            "exchanged; correct the columns, or confirm that they are right (--below-chance)"
        )
