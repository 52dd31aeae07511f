"""Refuse a verdict on an arm, or a trivial rule, whose files and record contradict each other."""

from collections.abc import Mapping
from dataclasses import replace
from math import nan

from equipoise.statistics import Comparison, Judgement
from equipoise.statistics.reasons import Reason

_BOTH = (nan, nan)


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
    return replace(
        pair, low=nan, high=nan, p=nan, p_adjusted=nan, verdict="refused", patients_needed=None, se=nan,
        se_patients=nan, se_seeds=nan, se_runs=nan, df=nan, simultaneous=_BOTH, equivalence=_BOTH, p_equivalence=nan,
        p_non_inferior=nan, p_new_data=nan, new_data=_BOTH, needed=(), detectable=None, typical_case=None,
        reason=Reason("record_contradicted", arm=arm, text=contradicted[arm]),
    )  # fmt: skip
