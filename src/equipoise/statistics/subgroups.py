"""Test whether an arm, or a difference between arms, varies between subgroups of the test set (site, sex, age, size).

Subgroup analyses are exploratory, so each attribute's test is adjusted for all tests (Holm), and a group with few
patients is reported as too small instead of with an estimate.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import FEWEST_EVENTS, Analysis, analyse, interval
from equipoise.statistics.endpoints import Endpoint, endpoint_named
from equipoise.statistics.group_variance import pooled_covariance
from equipoise.statistics.judgement import NAN, Interval
from equipoise.statistics.multiplicity import holm
from equipoise.statistics.panel import Fold, Panel, align
from equipoise.statistics.reasons import Reason
from equipoise.statistics.repeated_runs import NEARLY, NEARLY_ELSEWHERE, without_repeats

Array = NDArray[np.float64]
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Subgroup:
    """One value of an attribute; `reason` states why the group is too small; None where it is large enough."""

    value: str
    n_patients: int
    n_cases: int
    intervals: dict[str, Interval]
    reason: Reason | None


@dataclass(frozen=True)
class Heterogeneity:
    """A test whether an arm (`b` None), or the difference a - b, varies between groups more than by chance."""

    a: str
    b: str | None
    p: float
    p_adjusted: float
    reason: Reason


@dataclass(frozen=True)
class Attribute:
    """One attribute with its groups, in order of value, and its tests."""

    name: str
    groups: tuple[Subgroup, ...]
    tests: tuple[Heterogeneity, ...]


@dataclass(frozen=True)
class _Group:
    """The endpoint within one group: its analysis, and each patient's influence scaled for the covariance.

    parts: the influence (columns, patients) of each class of cases, mean over folds; counts: their patients.
    """

    subgroup: Subgroup
    analysis: Analysis
    scaled: Array
    parts: tuple[Array, ...] = ()
    counts: tuple[int, ...] = ()


def thirds(values: Mapping[str, float]) -> dict[str, str]:
    """Divide a numeric attribute of cases into three groups of about equal size, without values that are not finite.

    >>> thirds({"a": 1.0, "b": 2.0, "c": 3.0})
    {'a': '1: up to 1.67', 'b': '2: to 2.33', 'c': '3: above 2.33'}
    """
    finite = {case: value for case, value in values.items() if np.isfinite(value)}
    if not finite:
        return {}
    first, second = np.quantile(list(finite.values()), [1 / 3, 2 / 3])
    names = (f"1: up to {first:.3g}", f"2: to {second:.3g}", f"3: above {second:.3g}")
    return {case: names[int(value > first) + int(value > second)] for case, value in finite.items()}


def subgroups(
    predictions: Predictions,
    attributes: Mapping[str, Mapping[str, str]],
    *,
    endpoint: str,
    positive: int | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    deterministic: Collection[str] = (),
    arms: Sequence[str] = (),
    custom: Mapping[str, Endpoint] | None = None,
    elsewhere: bool = False,
) -> tuple[Attribute, ...]:
    """Analyse the endpoint by every attribute (name -> case -> value); test each arm and each pair's difference.

    `positive` is the index of the positive class (None: the average over classes, or a metric per case). Cases without
    a value form their own group.
    """
    measured = endpoint_named(endpoint, list(predictions.metrics), predictions.classes, custom)
    panel = without_repeats(
        align(predictions, arms=arms), measured, deterministic, nearly=NEARLY_ELSEWHERE if elsewhere else NEARLY
    )
    described = []
    for name, values in attributes.items():
        groups = _groups(panel, values, measured, positive, deterministic)
        subjects: list[tuple[str, str | None]] = [(arm, None) for arm in dict.fromkeys(panel.arm)]
        tests = [_test(groups, a, b, measured, name) for a, b in [*subjects, *pairs]]
        described.append(Attribute(name, tuple(group.subgroup for group in groups), tuple(tests)))
    return _adjusted(described)


def _groups(
    panel: Panel, values: Mapping[str, str], endpoint: Endpoint, positive: int | None, deterministic: Collection[str]
) -> list[_Group]:
    values_stated = sorted({value for value in values.values() if value} - {NOT_STATED})
    out = []
    for value in [*values_stated, NOT_STATED]:
        folds = tuple(_restricted(fold, values, value) for fold in panel.folds)
        case = np.unique(np.concatenate([fold.case for fold in folds]))
        if not len(case):
            continue
        part = replace(panel, folds=folds, n_cases=len(case))
        out.append(_group(part, value, endpoint, positive, deterministic))
    return out


def _restricted(fold: Fold, values: Mapping[str, str], value: str) -> Fold:
    # Cases without a value are shown as a group: left out, a value that is missing for the sick would go unnoticed.
    keep = np.array([(values.get(str(case)) or NOT_STATED) == value for case in fold.case], dtype=bool)
    return fold.of_cases(keep)


def _group(
    panel: Panel, value: str, endpoint: Endpoint, positive: int | None, deterministic: Collection[str]
) -> _Group:
    patients = len(np.unique(np.concatenate([fold.patient for fold in panel.folds])))
    # Under cross-validation a group must occur in every fold: the metric is an average of within-fold values.
    empty = any(not len(fold.case) for fold in panel.folds)
    analysis = None if empty else analyse(panel, endpoint, positive, deterministic)
    arms = dict.fromkeys(panel.arm)
    reason = None if analysis is None else _too_small(patients, analysis)
    if analysis is None or reason is not None:
        why = reason or Reason("group_of_few_patients", patients=patients)
        intervals = {arm: _nothing(patients, panel.n_cases, why) for arm in arms}
        blank = Analysis(endpoint, dict.fromkeys(arms, why), None, None, panel, None, (0, 0))
        return _Group(Subgroup(value, patients, panel.n_cases, intervals, why), analysis or blank, np.empty((0, 0)))
    parts = [endpoint.influence(fold, positive, panel.n_patients) for fold in analysis.panel.folds]
    scaled = np.asarray(
        sum(part.total * np.sqrt(part.present.sum() / max(part.present.sum() - 1, 1)) for part in parts) / len(parts)
    )
    intervals = {arm: interval(analysis, arm) for arm in arms}
    own = tuple(np.mean([part.parts[k] for part in parts], axis=0) for k in range(len(parts[0].parts)))
    counts = tuple(sum(part.counts[k] for part in parts) for k in range(len(parts[0].parts)))
    return _Group(Subgroup(value, patients, panel.n_cases, intervals, None), analysis, scaled, own, counts)


def _too_small(patients: int, analysis: Analysis) -> Reason | None:
    if patients < FEWEST_EVENTS:
        return Reason("group_of_few_patients", patients=patients)
    if analysis.events is not None and analysis.events < FEWEST_EVENTS:
        return Reason("group_of_few_events", events=analysis.events)
    if analysis.design is None:
        return Reason("group_without_arm", why=next(iter(analysis.refused.values()), None))
    return None


def _nothing(patients: int, cases: int, reason: Reason) -> Interval:
    return Interval(NAN, NAN, NAN, NAN, patients, cases, "too few", reason=reason)


def _test(groups: Sequence[_Group], a: str, b: str | None, endpoint: Endpoint, attribute: str) -> Heterogeneity:
    """Test equal values over groups; the covariance includes patients with cases in several groups.

    A rate or a rank metric of one arm is tested with the variance that equal groups would have, others with their own.
    """
    subject = {"endpoint": endpoint.label, "a": a, "b": b, "attribute": attribute}
    arms = [a] if b is None else [a, b]
    usable = [g for g in groups if g.subgroup.reason is None and all(arm not in g.analysis.refused for arm in arms)]
    if len(usable) < 2:
        return Heterogeneity(a, b, NAN, NAN, Reason("too_few_groups", **subject))
    value = np.zeros(len(usable))
    patients = np.zeros((len(usable), usable[0].scaled.shape[1]))
    seeds = 0.0
    for arm, sign in zip(arms, (1, -1), strict=False):
        columns = [g.analysis.panel.columns(arm) for g in usable]
        runs = np.stack(
            [g.analysis.estimates.value[c] for g, c in zip(usable, columns, strict=True) if g.analysis.estimates]
        )
        moved = np.stack([g.scaled[c] for g, c in zip(usable, columns, strict=True)])
        value += sign * runs.mean(axis=1)
        patients += sign * moved.mean(axis=1)
        seeds += _interaction(runs, moved)
    # Differences from the first group: the test is the same whichever group is the reference.
    contrast = np.eye(len(usable))[1:] - np.eye(len(usable))[:1]
    covariance = patients @ patients.T
    if b is None and endpoint.kind.ends:
        own = [[part[g.analysis.panel.columns(a)].mean(axis=0) for part in g.parts] for g in usable]
        covariance = pooled_covariance(own, [g.counts for g in usable])
    spread = contrast @ (covariance + seeds * np.eye(len(usable))) @ contrast.T
    change = contrast @ value
    degrees = len(change)
    if np.linalg.matrix_rank(spread) < degrees:
        return Heterogeneity(a, b, NAN, NAN, Reason("no_variation_by_group", **subject))
    wald = float(change @ np.linalg.solve(spread, change)) / degrees
    count = int(np.any(patients != 0, axis=0).sum())
    p = float(fdtrc(degrees, max(count - len(usable), 1), wald))
    return Heterogeneity(a, b, p, NAN, Reason("group_test", **subject))


def _interaction(runs: Array, moved: Array) -> float:
    """Return the variance of a group's mean due to the interaction of runs with groups, beyond that due to patients.

    `runs` is the metric (groups, seeds), `moved` the patients' influence (groups, seeds, patients).
    """
    groups, seeds = runs.shape
    if seeds < 2:
        return 0.0
    rest = runs - runs.mean(axis=0) - runs.mean(axis=1, keepdims=True) + runs.mean()
    own = moved - moved.mean(axis=0) - moved.mean(axis=1, keepdims=True) + moved.mean(axis=(0, 1))
    freedom = (groups - 1) * (seeds - 1)
    beyond = float((rest**2).sum()) - float((own**2).sum())
    return float(max(beyond, 0.0) / (freedom * seeds))


def _adjusted(attributes: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Adjust by Holm over every test of every attribute, and put the adjusted p into the reasons."""
    # Tests that could not be made are not counted: they gave no chance of a false positive.
    flat = [test for attribute in attributes for test in attribute.tests if np.isfinite(test.p)]
    adjusted = iter(holm([test.p for test in flat])) if flat else iter(())
    out = []
    for attribute in attributes:
        tests = [
            _with_adjusted(t, float(next(adjusted)), len(flat)) if np.isfinite(t.p) else t for t in attribute.tests
        ]
        out.append(replace(attribute, tests=tuple(tests)))
    return tuple(out)


def _with_adjusted(test: Heterogeneity, adjusted: float, tests: int) -> Heterogeneity:
    reason = Reason("group_test", **test.reason.facts, varies=adjusted < 0.05, p=adjusted, tests=tests)
    return replace(test, p_adjusted=adjusted, reason=reason)
