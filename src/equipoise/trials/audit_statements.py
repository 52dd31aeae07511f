"""What the caller of an audit states beside the files: a threshold, and that patients will be added."""

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external.score_scales import refuse_foreign_threshold
from equipoise.evaluation.predictions import Predictions


def growth(tightest: int | None) -> dict[str, int]:
    """Return what the plan says of an audit that grows; `tightest`: the patients at which it shall be sharpest."""
    if tightest is not None and tightest < 1:
        raise PredictionError(
            f"--growing {tightest} is not a number of patients; give the number at which the intervals are narrowest, "
            "such as 200"
        )
    return {} if tightest is None else {"growing": tightest}


def threshold_note(table: Predictions, threshold: float | None, positive: str | None) -> list[str]:
    """Say what a threshold means; refuse one where no class is the positive one."""
    if threshold is None:
        return []
    if not table.classes or (positive is None and len(table.classes) != 2) or not np.isfinite(threshold):
        classes = ", ".join(table.classes) or "none"
        raise PredictionError(
            f"the threshold {threshold:g} needs scores of a positive class (classes: {classes}); name it (--positive)"
        )
    one = positive or table.classes[1]
    if one in table.classes:
        refuse_foreign_threshold(table, threshold, table.classes.index(one))
    called = f"a case is called {one} if its score is at least {threshold:g}, as stated"
    return [f"For sensitivity, specificity, PPV and NPV {called}"]


def refuse_needless_confirmation(table: Predictions, *, below_chance: bool, masks: bool) -> None:
    """Raise PredictionError where the classes of scores or masks are confirmed and there are neither."""
    if below_chance and not masks and (not table.classes or table.candidates is not None):
        raise PredictionError("--below-chance confirms class scores or masks, and these files hold none; leave it out")
