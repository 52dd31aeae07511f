"""Refuse a verdict on an arm, or a trivial rule, whose files and record contradict each other."""

from collections.abc import Mapping
from dataclasses import replace
from math import nan

from equipoise.statistics import Comparison, Judgement
from equipoise.statistics.reasons import Reason


def without_contradicted(judged: Judgement, contradicted: Mapping[str, str]) -> Judgement:
    """Return the judgement with every comparison refused in which a contradicted arm takes part, and no ranking.

    contradicted: why, by the arm's name. Estimates stay: they describe the files, whoever changed them.
    """
    if not contradicted:
        return judged
    pairs = tuple(_refused(pair, contradicted) for pair in judged.comparisons)
    # A ranking over the arms that are left would give the place of the one that cannot be judged to another.
    return replace(judged, comparisons=pairs, ranking=type(judged.ranking)())


def _refused(pair: Comparison, contradicted: Mapping[str, str]) -> Comparison:
    arm = next((arm for arm in (pair.a, pair.b) if arm in contradicted), None)
    if arm is None:
        return pair
    # Made anew, so that every number and every secondary verdict that a pair may have is gone.
    return Comparison(
        a=pair.a, b=pair.b, endpoint=pair.endpoint, difference=pair.difference, low=nan, high=nan, p=nan,
        p_adjusted=nan, margin=pair.margin, verdict="refused",
        reason=Reason("record_contradicted", arm=arm, text=contradicted[arm]), patients_needed=None, role=pair.role,
        flags=pair.flags,
    )  # fmt: skip
