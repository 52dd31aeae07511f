"""Guard means over cases against failures that nobody saw, and against skewed cases.

A method that fails in one case of a hundred and is better elsewhere wins on every test set without such a case. With no
failure among n patients, a rate of up to 3 / n is not excluded (the rule of three); a verdict that this rate would
reverse is not given.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.judgement import Unseen, Verdict
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.reasons import Reason
from equipoise.statistics.skewness import skewness_of

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


def skewed(analysis: Analysis, pair: tuple[str, str], contrast: Contrast) -> Contrast:
    """Return the contrast with the skewness of its patients, for a mean over cases."""
    if not analysis.endpoint.kind.typical_case or contrast.se == 0:
        return contrast
    panel = analysis.panel
    moved = []
    for fold in panel.folds:
        total = analysis.endpoint.influence(fold, None, panel.n_patients).total
        moved.append(total[panel.columns(pair[0])].mean(axis=0) - total[panel.columns(pair[1])].mean(axis=0))
    influence, n = np.mean(moved, axis=0), analysis.arms.n_patients
    skew = skewness_of(influence, n, contrast.se)
    also = tuple(error._replace(skew=skewness_of(influence, n, error.se)) for error in contrast.also)
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


def unseen_failures(
    analysis: Analysis, a: str, b: str, difference: float, deterministic: Collection[str] = ()
) -> Unseen | None:
    """Return the failures that the data do not exclude; None for other endpoints, or where enough were seen."""
    endpoint, panel = analysis.endpoint, analysis.panel
    if not endpoint.kind.typical_case:
        return None
    arm, other = (a, b) if endpoint.sign * difference >= 0 else (b, a)
    values = [endpoint.case_values(fold) for fold in panel.folds]
    failed = failed_value(analysis, values, deterministic)
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
    assumed = endpoint.needs == "cases" and not np.isfinite(_end(endpoint)) and not _rules(analysis, deterministic)
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
    return middle - endpoint.sign * BEYOND * float(np.abs(every - middle).max())


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
