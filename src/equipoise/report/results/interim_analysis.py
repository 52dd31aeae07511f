"""Interim looks at the result before all seeds are trained: the looks that were taken, with their results.

Every look is a planned opening of the test set, so it is not exploratory; any other opening is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics import Comparison
from equipoise.statistics.looks import nominal_alpha

DECIDED = ("a_better", "b_better", "equivalent")
_SHOWN = ("a", "b", "difference", "low", "high", "p", "p_adjusted", "verdict")


def looks_taken(
    looks: Sequence[int], alpha: float, judged: Mapping[int, Sequence[Comparison]]
) -> list[dict[str, Any]] | None:
    """Return the `looks` of results.json; None for a trial without looks.

    judged: number of seeds → the comparisons between arms, of every look that was taken.
    """
    if not looks:
        return None
    out = []
    for seeds in looks:
        pairs = judged.get(seeds)
        shown = None if pairs is None else [{key: getattr(pair, key) for key in _SHOWN} for pair in pairs]
        out.append({"seeds": seeds, "level": nominal_alpha(looks, seeds, alpha), "comparisons": shown})
    return out


def undecided(results: Mapping[str, Any], seeds: int) -> list[str]:
    """Return the comparisons undecided at the look at this number of seeds; the trial stops where there are none."""
    look = next(look for look in results["looks"] if look["seeds"] == seeds)
    return [f"{pair['a']} against {pair['b']}" for pair in look["comparisons"] or () if pair["verdict"] not in DECIDED]


def first_seeds(test: Predictions, seeds: Sequence[int], rules: Sequence[str]) -> Predictions:
    """Return the rows of these seeds, and of the rules, which have no seed."""
    return test.where(np.isin(test.arm, list(rules)) | np.isin(test.seed, list(seeds)))
