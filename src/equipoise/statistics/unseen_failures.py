"""Guard means over cases against failures that nobody saw, and against skewed cases.

A method that fails in one case of a hundred and is better elsewhere wins on every test set without such a case. With no
failure among n patients, a rate of up to 3 / n is not excluded (the rule of three); a verdict that this rate would
reverse is not given.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.judgement import Unseen, Verdict
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.reasons import Reason
from equipoise.statistics.skewness import skewness_by, third_cumulant

Array = NDArray[np.float64]
ENOUGH = 5.0
"""Failures seen from which a test of the mean, corrected for skewness, knows their rate well enough."""
CONFIDENCE = 0.95
BEYOND = 10.0
"""A failure in an unknown metric costs as many times the largest distance of a case from the median."""


def reason_of(unseen: Unseen, endpoint: Endpoint, margin: float | None = None) -> Reason:
    """Return the reason with the rate of failures that would reverse a difference, or lead it beyond the margin."""
    names = ("arm", "failed", "seen", "patients", "excluded")
    facts = {name: getattr(unseen, name) for name in names} | {"endpoint": endpoint.label, "unit": endpoint.unit}
    facts["assumed"] = endpoint.name if unseen.assumed else ""
    if margin is None:
        return Reason("unseen_failures", rate=unseen.reversing, **facts)
    return Reason("unseen_beyond_margin", rate=(margin - unseen.difference) / unseen.loss, **facts)


def third_of(analysis: Analysis, pair: tuple[str, str]) -> float:
    """Return the third cumulant over patients of a difference of means over cases; 0 for other endpoints."""
    if not analysis.endpoint.kind.typical_case or analysis.estimates is None:
        return 0.0
    first, second = (analysis.panel.columns(name) for name in pair)
    moved = [each[first].mean(axis=0) - each[second].mean(axis=0) for each in analysis.estimates.influence]
    return third_cumulant(np.mean(moved, axis=0), analysis.arms.n_patients)


def skewed(contrast: Contrast, third: float, n: int) -> Contrast:
    """Return the contrast with the skewness of its n patients, from the third cumulant of their contributions."""
    if third == 0 or contrast.se == 0:
        return contrast
    skew = skewness_by(third, n, contrast.se)
    also = tuple(error._replace(skew=skewness_by(third, n, error.se)) for error in contrast.also)
    if skew == 0 and all(error.skew == 0 for error in also):
        return contrast
    return replace(contrast, skew=skew, also=also, method=f"{contrast.method}, skewness corrected")


def guarded(verdict: Verdict, unseen: Unseen | None, margin: float | None) -> Verdict:
    """Return the verdict, or `not_enough_data` where failures that nobody saw may undo it."""
    if unseen is None:
        return verdict
    if verdict in ("a_better", "b_better"):
        return "not_enough_data" if unseen.reverses else verdict
    if verdict == "equivalent" and margin is not None and unseen.difference + unseen.shift >= margin:
        return "not_enough_data"
    return verdict


@dataclass(frozen=True)
class CaseValues:
    """The values (columns, cases) of every fold, and that of a failed case: the same for every pair of a family."""

    by_fold: list[Array]
    failed: float


def case_values_of(analysis: Analysis, deterministic: Collection[str] = ()) -> CaseValues | None:
    """Return the values of cases of an endpoint that is a mean over cases; None for others."""
    if not analysis.endpoint.kind.typical_case:
        return None
    values = [analysis.endpoint.case_values(fold) for fold in analysis.panel.folds]
    return CaseValues(values, failed_value(analysis, values, deterministic))


def unseen_failures(
    analysis: Analysis,
    a: str,
    b: str,
    difference: float,
    deterministic: Collection[str] = (),
    known: CaseValues | None = None,
) -> Unseen | None:
    """Return the failures that the data do not exclude; None for other endpoints, or where enough were seen.

    known: the values of cases, where they were computed before.
    """
    endpoint, panel = analysis.endpoint, analysis.panel
    known = known or case_values_of(analysis, deterministic)
    if known is None:
        return None
    values, failed = known.by_fold, known.failed
    arm, other = (a, b) if endpoint.sign * difference >= 0 else (b, a)
    mean = float(analysis.arms.mean[analysis.arms.index(arm)])
    loss = abs(failed - mean)
    rates = [_failing(analysis, values, panel.columns(name), failed, mean) for name in (arm, other)]
    # Cases in which both arms fail say nothing for either of them.
    n = analysis.arms.n_patients
    own, theirs = (float(np.mean(np.maximum(x - y, 0.0))) * n for x, y in (rates, rates[::-1]))
    if loss == 0 or min(own, theirs) >= ENOUGH:
        return None
    excluded = _upper(own, n)
    shift = loss * ((excluded - own / n) * (own < ENOUGH) + (theirs / n - _lower(theirs, n)) * (theirs < ENOUGH))
    apart = abs(difference)
    free = endpoint.needs == "cases" and not np.isfinite(_end(endpoint)) and not endpoint.failed_known
    assumed = free and not _rules(analysis, deterministic)
    return Unseen(arm, own, n, failed, loss, apart, min(apart / loss, 1.0), excluded, shift, apart <= shift, assumed)


def _end(endpoint: Endpoint) -> float:
    """Return the worst value of the range."""
    return endpoint.low if endpoint.higher_is_better else endpoint.high


def _rules(analysis: Analysis, deterministic: Collection[str]) -> list[int]:
    """Return the columns of rules without training, such as empty masks."""
    return [k for k, arm in enumerate(analysis.panel.arm) if arm in deterministic]


def failed_value(analysis: Analysis, values: list[Array], deterministic: Collection[str]) -> float:
    """Return the value of a failed case: the end of the range, a rule's worst case, or what the record states.

    values: (columns, cases) of every fold. Without any of these, failures cost as much as a share of 1 allows, or far
    more than any case here.
    """
    endpoint = analysis.endpoint
    if np.isfinite(_end(endpoint)):
        return float(_end(endpoint))
    worst = np.min if endpoint.higher_is_better else np.max
    rules = _rules(analysis, deterministic)
    if rules and endpoint.needs == "cases":  # an empty mask fails in every case
        return float(worst([worst(each[rules]) for each in values]))
    if endpoint.failed is not None:
        return endpoint.failed
    every = np.concatenate([each.ravel() for each in values])
    if every.min() >= 0 and every.max() <= 1:
        return 0.0 if endpoint.higher_is_better else 1.0
    middle = float(np.median(every))
    far = middle - endpoint.sign * BEYOND * float(np.abs(every - middle).max())
    # What is never below 0 has no failures there: grades and counts have none.
    return max(far, 0.0) if every.min() >= 0 else far


def failure_limit(endpoint: Endpoint, failed: float, mean: float) -> float:
    """Return the value below which (above, where lower is better) a case counts as failed."""
    # Where no threshold is known, a case fails that is nearer to a failed one than to the mean.
    return (failed + mean) / 2 if endpoint.fails_below is None else endpoint.fails_below


def _failing(analysis: Analysis, values: list[Array], columns: NDArray[np.int64], failed: float, mean: float) -> Array:
    """Return the share of an arm's runs that fail in each case, of all folds."""
    sign, limit = analysis.endpoint.sign, failure_limit(analysis.endpoint, failed, mean)
    return np.concatenate([(sign * each[columns] < sign * limit).mean(axis=0) for each in values])


def _upper(seen: float, n: int) -> float:
    """Return the upper bound of a rate: 3 / n where none was seen, else that of Clopper and Pearson."""
    if seen == 0:
        return min(3 / n, 1.0)
    return float(betaincinv(seen + 1, n - seen, CONFIDENCE)) if seen < n else 1.0


def _lower(seen: float, n: int) -> float:
    """Return the Clopper-Pearson lower bound of a rate."""
    return float(betaincinv(seen, n - seen + 1, 1 - CONFIDENCE)) if seen > 0 else 0.0
