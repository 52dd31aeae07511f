"""A trial that looks at its result before all seeds are trained: which look was reached, and what each one said.

Every look is an opening of the test set that the plan names, so it is not exploratory; any other opening is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.words import plural
from equipoise.statistics import Comparison
from equipoise.statistics.looks import nominal_alpha

DECIDED = ("a_better", "b_better", "equivalent")
_SHOWN = ("a", "b", "difference", "low", "high", "p", "p_adjusted", "verdict")


def looks_taken(
    looks: Sequence[int], alpha: float, judged: Mapping[int, Sequence[Comparison]]
) -> list[dict[str, Any]] | None:
    """Every look of the plan as results.json tells it; None for a trial without looks.

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
    """The comparisons that the look at this many seeds left open; the trial stops where there is none."""
    look = next(look for look in results["looks"] if look["seeds"] == seeds)
    return [f"{pair['a']} against {pair['b']}" for pair in look["comparisons"] or () if pair["verdict"] not in DECIDED]


def first_seeds(test: Predictions, seeds: Sequence[int], rules: Sequence[str]) -> Predictions:
    """The rows of these seeds, and of the rules, which have none."""
    return test.where(np.isin(test.arm, list(rules)) | np.isin(test.seed, list(seeds)))


def opened_in_words(results: Mapping[str, Any]) -> str:
    """When the test set was opened, to follow "the test set was opened".

    >>> opened_in_words({"ledger": {"test_openings": 1, "unplanned_openings": 0}, "looks": None})
    'once'
    """
    total, looks = results["ledger"]["test_openings"], results["looks"]
    if looks is None or results["ledger"]["unplanned_openings"]:
        return {0: "at an unrecorded time", 1: "once", 2: "twice"}.get(total, f"{total} times")
    taken = [str(look["seeds"]) for look in looks if look["comparisons"] is not None]
    planned = " and ".join(str(look["seeds"]) for look in looks)
    if len(taken) == len(looks):
        return f"at the planned looks at {planned} training runs"
    return f"once, at the first of the looks planned at {planned} training runs"


def stopped_in_words(results: Mapping[str, Any]) -> str | None:
    """Why a trial with looks went on, or did not; None for a trial without looks or before its first."""
    looks = results["looks"]
    if looks is None or looks[0]["comparisons"] is None:
        return None
    first, last = looks[0]["seeds"], looks[-1]["seeds"]
    level = f"{looks[0]['level']:.4f}"
    still_open = undecided(results, first)
    if looks[-1]["comparisons"] is not None:
        return (
            f"At the planned look at {first} of {last} training runs {plural(len(still_open), 'comparison')} remained "
            f"undecided at the level {level}, so all {last} were trained; the verdicts are those of the last look, at "
            f"the level {looks[-1]['level']:.4f}."
        )
    if still_open:
        return f"The look at {first} of {last} training runs left {plural(len(still_open), 'comparison')} undecided."
    return (
        f"Stopped as planned at the look at {first} of {last} training runs: every comparison was decided there, at "
        f"the level {level} that the plan spends on it."
    )
