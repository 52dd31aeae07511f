"""Analyse one endpoint of all arms: usable arms, estimates with their covariance, and each arm's interval."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.statistics.comparison import Design, design
from equipoise.statistics.covariance import Estimates, estimates
from equipoise.statistics.intervals import Bounds
from equipoise.statistics.jackknife import MANY_EVENTS, jackknife
from equipoise.statistics.judgement import NAN, Interval
from equipoise.statistics.kinds import Endpoint, Estimate
from equipoise.statistics.panel import Panel
from equipoise.statistics.reasons import Reason
from equipoise.statistics.resampling import bca_of_mean

FEWEST_EVENTS = 10
FEW_EVENTS = 20
FEWEST_IN_FOLD = 5
_ROUNDING = 1e-6  # single precision writes a Dice of 1.0000001
_ABSURD = 1e100  # its square is no number
MOST_RESAMPLED = 1_000  # patients; beyond, the mean of even a skewed metric is normal


@dataclass(frozen=True)
class Analysis:
    """`refused` names, per arm, why this endpoint cannot be judged; `design` and `estimates` hold the other arms.

    `events` counts patients with a case of the rarer class (None for endpoints that rare classes do not limit), `cases`
    the positive and negative cases; for an average over `several` classes, those of the rarest and of the others.
    `positive` is the index of the positive class, if there is one.
    """

    endpoint: Endpoint
    refused: dict[str, Reason]
    design: Design | None
    estimates: Estimates | None
    panel: Panel
    events: int | None
    cases: tuple[int, int]
    warnings: tuple[Reason, ...] = ()
    several: bool = False
    positive: int | None = None

    @property
    def arms(self) -> Design:
        """The design of the usable arms; raises PredictionError where there is none."""
        if self.design is None:
            raise PredictionError(f"no arm has usable predictions of {self.endpoint.name}; see why each was refused")
        return self.design


def analyse(panel: Panel, endpoint: Endpoint, positive: int | None, deterministic: Collection[str] = ()) -> Analysis:
    """Estimate one endpoint; arms with unusable values are refused by name, the others are analysed."""
    endpoint = _within_images(panel, endpoint, deterministic)
    refused = dict(panel.faults)
    for arm in dict.fromkeys(panel.arm):
        fault = _fault(panel, endpoint, arm)
        if fault:
            refused[arm] = fault
    # Refused arms leave before the covariance is estimated: one NaN would make every arm's numbers NaN.
    usable = _without(panel, refused)
    events, cases = _events(panel, endpoint, positive)
    if not usable.arm:
        return Analysis(endpoint, refused, None, None, usable, events, cases)
    try:
        per_fold = [endpoint.influence(fold, positive, panel.n_patients) for fold in usable.folds]
    except PredictionError as error:
        refused |= dict.fromkeys(usable.arm, Reason("not_computable", endpoint=endpoint.label, error=str(error)))
        return Analysis(endpoint, refused, None, None, usable, events, cases)
    estimated = estimates(per_fold)
    known = estimated.value, estimated.covariance, usable.arm, estimated.n_patients, deterministic
    arms = design(*known, estimated.pieces)
    warnings = (*_constant(usable, endpoint, deterministic), *_thin_folds(usable, endpoint, positive))
    return Analysis(endpoint, refused, arms, estimated, usable, events, cases, warnings, positive is None, positive)


def _within_images(panel: Panel, endpoint: Endpoint, rules: Collection[str]) -> Endpoint:
    """Return the endpoint with the largest value that these images allow, where trivial rules show it.

    A distance between surfaces has no end of its own, but none is larger than the image, and a rule that finds nothing
    has that value in every case. Without it an interval could promise distances that no image has room for.
    """
    column = endpoint.column(list(panel.folds[0].metrics))
    if column is None or endpoint.failed is None or np.isfinite(endpoint.high) or not set(rules) & set(panel.arm):
        return endpoint
    values = np.concatenate([fold.metrics[column].ravel() for fold in panel.folds])
    known = values[np.isfinite(values)]
    return replace(endpoint, reach=float(known.max())) if known.size and known.max() > endpoint.low else endpoint


def interval(analysis: Analysis, arm: str) -> Interval:
    """Return the arm's interval by the method of the endpoint's kind: Newcombe, logit, Wilson or t."""
    panel, endpoint = analysis.panel, analysis.endpoint
    if analysis.design is None or analysis.estimates is None or arm in analysis.refused:
        reason = analysis.refused.get(arm, Reason("no_predictions", arm=arm))
        return Interval(NAN, NAN, NAN, NAN, panel.n_patients, panel.n_cases, "refused", reason=reason)
    k = analysis.design.index(arm)
    mean, variance, df = float(analysis.design.mean[k]), analysis.design.arm_variance(k), analysis.design.arm_df(k)
    seeds = int(analysis.design.seeds[k])
    columns = panel.columns(arm)
    bounds, beside = _bounds(analysis, mean, variance, df, columns)
    beside = beside or _resampled(panel, endpoint, columns)
    # The estimate lies inside its interval, also where a bound that was computed on another scale is rounded past it.
    return Interval(
        estimate=mean,
        low=min(bounds.low, mean),
        high=max(bounds.high, mean),
        seed_sd=float(np.sqrt(analysis.design.seed_variance[k])) if seeds > 1 else NAN,
        n_patients=analysis.estimates.n_patients,
        n_cases=panel.n_cases,
        method=bounds.method,
        n_events=analysis.events,
        se=float(np.sqrt(variance)),
        df=df,
        by_seed=tuple((panel.seed[c], float(analysis.estimates.value[c])) for c in columns),
        beside=(beside.low, beside.high) if beside else None,
        beside_method=beside.method if beside else "",
        reason=_caution(endpoint, analysis.events),
    )


def _bounds(
    analysis: Analysis, mean: float, variance: float, df: float, columns: NDArray[np.int64]
) -> tuple[Bounds, Bounds | None]:
    patients = analysis.estimates.n_patients if analysis.estimates else 0
    independent = float(analysis.estimates.independent[columns].mean()) if analysis.estimates else NAN
    seeds = len(columns)
    few = analysis.events is not None and analysis.events < FEWEST_EVENTS
    estimate = Estimate(
        mean, variance, independent, df, seeds, patients, analysis.events, few, analysis.cases, analysis.several
    )
    if analysis.endpoint.kind.jackknifed and (analysis.events or 0) < MANY_EVENTS:
        estimate = _jackknifed(analysis, estimate, columns)
    return analysis.endpoint.kind.interval(analysis.endpoint, estimate)


def _jackknifed(analysis: Analysis, estimate: Estimate, columns: NDArray[np.int64]) -> Estimate:
    """Return the estimate with the jackknife's bias, and its variance where that is larger."""
    left_out = jackknife(analysis.panel, analysis.positive, columns)
    if left_out is None:
        return estimate
    fixed = analysis.arms.between[(analysis.arms.index(analysis.panel.arm[columns[0]]),) * 2]
    larger = max(left_out.variance / fixed, 1.0) if fixed > 0 else 1.0
    return replace(estimate, bias=left_out.bias, inflation=larger)


def _resampled(panel: Panel, endpoint: Endpoint, columns: NDArray[np.int64]) -> Bounds | None:
    """Return a BCa bootstrap interval of a per-case metric's mean, which allows for skewness; None for others."""
    column = endpoint.column(list(panel.folds[0].metrics))
    if not endpoint.kind.typical_case or column is None or len(panel.folds) > 1 or panel.n_patients > MOST_RESAMPLED:
        return None
    values = endpoint.case_values(panel.folds[0])[columns].mean(axis=0)
    return Bounds(*bca_of_mean(values, panel.folds[0].patient), "BCa bootstrap over patients, runs fixed")


def _caution(endpoint: Endpoint, events: int | None) -> Reason | None:
    if events is None or events >= FEW_EVENTS:
        return None
    return Reason("uncertain_interval", events=events, endpoint=endpoint.label)


def _fault(panel: Panel, endpoint: Endpoint, arm: str) -> Reason | None:
    """Return why an arm's values cannot be used for this endpoint, with the first bad value; None where they can."""
    columns = panel.columns(arm)
    for fold in panel.folds:
        column = endpoint.column(list(fold.metrics))
        values = fold.metrics[column][columns][:, :, None] if column else fold.scores[columns]
        checks = [(~np.isfinite(values), "no_number")]
        if column:
            near, far = endpoint.low - _ROUNDING, endpoint.high + _ROUNDING
            checks.append(((values < near) | (values > far) | (np.abs(values) > _ABSURD), "out_of_range"))
        if not column and endpoint.probabilities:
            checks.append(((values < 0) | (values > 1), "no_probability"))
        for bad, fault in checks:
            if bad.any():
                c, k, _ = np.argwhere(bad)[0]
                return Reason(
                    "bad_value",
                    fault=fault,
                    arm=arm,
                    seed=panel.seed[columns[c]] if len(columns) > 1 else None,
                    column=column,
                    case=str(fold.case[k]),
                    rows=int(bad.any(axis=2).sum()),
                    endpoint=endpoint.label,
                    low=endpoint.low,
                    high=endpoint.high,
                )
    return None


def _constant(panel: Panel, endpoint: Endpoint, deterministic: Collection[str]) -> tuple[Reason, ...]:
    """Warn of arms whose scores do not depend on the case: their AUC of 0.5 looks like a result."""
    if not endpoint.kind.suspects_constants:
        return ()
    flat = [
        arm
        for arm in dict.fromkeys(panel.arm)
        if arm not in deterministic
        and all(np.ptp(f.scores[panel.columns(arm)], axis=1).max() == 0 for f in panel.folds)
    ]
    return tuple(Reason("constant_scores", arm=arm) for arm in flat)


def _thin_folds(panel: Panel, endpoint: Endpoint, positive: int | None) -> tuple[Reason, ...]:
    """Warn of the fold in which the rarer class has too few patients for a meaningful metric within the fold."""
    if not endpoint.by_class or len(panel.folds) < 2:
        return ()
    counts = {fold.number: _events(replace(panel, folds=(fold,)), endpoint, positive)[0] or 0 for fold in panel.folds}
    fewest = min(counts, key=lambda number: counts[number])
    if counts[fewest] >= FEWEST_IN_FOLD:
        return ()
    return (Reason("thin_fold", fold=fewest, patients=counts[fewest], endpoint=endpoint.label),)


def _without(panel: Panel, refused: Collection[str]) -> Panel:
    keep = np.array([arm not in refused for arm in panel.arm], dtype=bool)
    if keep.all():
        return panel
    folds = tuple(fold.only(keep) for fold in panel.folds)
    arm = tuple(a for a in panel.arm if a not in refused)
    seed = tuple(s for s, k in zip(panel.seed, keep, strict=True) if k)
    return replace(panel, arm=arm, seed=seed, folds=folds)


def _events(panel: Panel, endpoint: Endpoint, positive: int | None) -> tuple[int | None, tuple[int, int]]:
    """Count patients of the rarest class (with or without an event), and positive and negative cases of all folds."""
    if not panel.classes:
        return None, (panel.n_cases, 0)
    truth = np.concatenate([fold.truth for fold in panel.folds])
    patient = np.concatenate([fold.patient for fold in panel.folds])
    case = np.concatenate([fold.case for fold in panel.folds]) if len(panel.folds) > 1 else panel.folds[0].case
    # In repeated cross-validation a case is tested several times; counted more than once it would pretend more events.
    once = np.unique(case, return_index=True)[1] if len(case) > panel.n_cases else np.arange(len(case))
    truth, patient = truth[once], patient[once]
    groups = [truth == positive] if positive is not None else [truth == index for index in range(len(panel.classes))]
    # Both sides count: with 95 % positives the negatives limit the AUC.
    sides = [side for group in groups for side in (group, ~group)]
    smallest = min(len(np.unique(patient[side])) for side in sides)
    rarest = min(groups, key=lambda group: int(group.sum()))
    counts = int(rarest.sum()), int((~rarest).sum())
    return (smallest if endpoint.by_class else None), counts
