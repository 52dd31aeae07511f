"""Read a comparison two further ways, beside the verdict: as probabilities, and case by case with failures first."""

import numpy as np

from equipoise.statistics.analysis import Analysis
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.posterior import Posterior, Spread, posterior
from equipoise.statistics.unseen_failures import failed_value, failure_limit
from equipoise.statistics.verdict import Question
from equipoise.statistics.wins import Wins, meetings


def posterior_of(
    analysis: Analysis, pair: tuple[str, str], contrast: Contrast, new_data: Contrast | None, margin: float
) -> Posterior:
    """Return the posterior of the difference of two arms, by what their runs, folds and patients show.

    new_data: the comparison over folds, whose error contains that of patients and of training sets alike; it is taken
    where it is the wider one.
    """
    arms = analysis.arms
    a, b = (arms.index(name) for name in pair)
    spreads = tuple(_runs(analysis, k) for k in (a, b) if arms.seeds[k] > 1 and arms.seed_variance[k] > 0)
    patients = max(float(arms.shared[a] + arms.shared[b] - 2 * arms.between[a, b]), 0.0)
    if not spreads:
        patients = arms.fixed_variance(a, b)
    own = patients + sum(spread.weight * spread.square for spread in spreads)
    if new_data is not None and new_data.se**2 > own:
        folds = Spread(new_data.se**2, 0.0, round(new_data.df), 1.0)
        return posterior(contrast.difference, 0.0, (folds,), margin)
    return posterior(contrast.difference, patients, spreads, margin)


def _runs(analysis: Analysis, arm: int) -> Spread:
    """Return what the data say of the runs of one arm."""
    arms = analysis.arms
    known = max(float(arms.error[arm] - arms.shared[arm]), 0.0)
    return Spread(float(arms.seed_variance[arm]), known, int(arms.seeds[arm]) - 1, 1 / int(arms.seeds[arm]))


def wins_of(analysis: Analysis, pair: tuple[str, str], question: Question) -> Wins | None:
    """Return hierarchical wins; None for endpoints that are no mean over cases, and over several folds.

    Cases count as tied whose values differ by less than the margin.
    """
    endpoint, panel = analysis.endpoint, analysis.panel
    if not endpoint.kind.typical_case or len(panel.folds) > 1:
        return None
    fold = panel.folds[0]
    values = endpoint.case_values(fold)
    failed = failed_value(analysis, [values], question.deterministic)
    mean = float(np.mean([analysis.arms.mean[analysis.arms.index(name)] for name in pair]))
    # the threshold itself is no failure
    limit = float(np.nextafter(failure_limit(endpoint, failed, mean), -endpoint.sign * np.inf))
    a, b = (values[panel.columns(name)] for name in pair)
    higher = endpoint.higher_is_better
    return meetings(a, b, fold.patient, limit, higher_is_better=higher, tie=question.margin or 0.0)
