"""How many gradients each arm's optimizer took for one update: equal epochs are no equal budget where these differ.

An optimizer may ask for loss and gradient again within a step (SAM twice, L-BFGS up to twenty times); see
docs/decisions/0027-gradient-evaluations.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.statistics.reasons import Reason

GRADIENT_EVALUATIONS = "gradient_evaluations"
"""The key of done.json, of lock.json and of a cost in results.json."""
ALIKE = 1.01
"""Ratio up to which two counts are the same: a line search may need one more in some hundred updates."""
Counts = Mapping[str, float]
"""Gradient evaluations for each update, the mean over a training, by arm."""


def evaluations_of(arm: Mapping[str, Any]) -> float | None:
    """Return an arm's gradient evaluations for each update; None where they are not known (ensembles, nnU-Net)."""
    value = (arm.get("cost") or {}).get(GRADIENT_EVALUATIONS)
    return None if value is None else float(value)


def counts_of(arms: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the gradient evaluations for each update of all arms that have them."""
    return {str(arm["name"]): value for arm in arms if (value := evaluations_of(arm)) is not None}


def unequal_evaluations(counts: Counts) -> list[Reason]:
    """Return the reason that arms took unequal numbers of gradients for an update, the largest first; else none."""
    if not counts or max(counts.values()) <= ALIKE * min(counts.values()):
        return []
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return [Reason("unequal_evaluations", evaluations=tuple(rows))]


def cheaper_trained(arm: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the arm that took the fewest gradients for an update, where these are fewer than this arm's; else None."""
    own, known = evaluations_of(arm), [(value, one) for one in others if (value := evaluations_of(one)) is not None]
    if own is None or not known:
        return None
    fewest, other = min(known, key=lambda row: (row[0], str(row[1]["name"])))
    return other if own > ALIKE * fewest else None
