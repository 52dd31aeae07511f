"""Does an arm, or a difference between arms, look the same in every part of the test set: site, sex, age band, size?

Subgroups are looked at after the fact, so each attribute's test is adjusted for all that were looked at (Holm), and a
group with few patients is named as too small to say instead of being shown as a finding.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import FEWEST_EVENTS, Analysis, analyse, interval
from equipoise.statistics.endpoints import Endpoint, endpoint_named
from equipoise.statistics.judgement import NAN, Interval
from equipoise.statistics.multiplicity import holm
from equipoise.statistics.panel import Fold, Panel, align
from equipoise.statistics.reasons import Reason

Array = NDArray[np.float64]
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Subgroup:
    """One value of an attribute; `reason` says why the group is too small to say anything; None where it is not."""

    value: str
    n_patients: int
    n_cases: int
    intervals: dict[str, Interval]
    reason: Reason | None


@dataclass(frozen=True)
class Heterogeneity:
    """Whether an arm (`b` None), or the difference a - b, varies between groups more than chance explains."""

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
    """The endpoint within one group: its analysis, and each patient's influence scaled for the covariance."""

    subgroup: Subgroup
    analysis: Analysis
    scaled: Array


def thirds(values: Mapping[str, float]) -> dict[str, str]:
    """A numeric attribute of cases in three groups of about equal size; values that are no number are left out.

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
) -> tuple[Attribute, ...]:
    """The endpoint by every attribute (name -> case -> value) with tests of each arm and of each pair's difference.

    `positive` is the index of the positive class (None: the average over classes, or a metric per case). Cases without
    a value stand in a group of their own.
    """
    panel = align(predictions, arms=arms)
    measured = endpoint_named(endpoint, list(predictions.metrics), predictions.classes, custom)
    found = []
    for name, values in attributes.items():
        groups = _groups(panel, values, measured, positive, deterministic)
        subjects: list[tuple[str, str | None]] = [(arm, None) for arm in dict.fromkeys(panel.arm)]
        tests = [_test(groups, a, b, measured, name) for a, b in [*subjects, *pairs]]
        found.append(Attribute(name, tuple(group.subgroup for group in groups), tuple(tests)))
    return _adjusted(found)


def _groups(
    panel: Panel, values: Mapping[str, str], endpoint: Endpoint, positive: int | None, deterministic: Collection[str]
) -> list[_Group]:
    stated = sorted({value for value in values.values() if value} - {NOT_STATED})
    out = []
    for value in [*stated, NOT_STATED]:
        folds = tuple(_restricted(fold, values, value) for fold in panel.folds)
        case = np.unique(np.concatenate([fold.case for fold in folds]))
        if not len(case):
            continue
        part = replace(panel, folds=folds, n_cases=len(case))
        out.append(_group(part, value, endpoint, positive, deterministic))
    return out


def _restricted(fold: Fold, values: Mapping[str, str], value: str) -> Fold:
    keep = np.array([(values.get(str(case)) or NOT_STATED) == value for case in fold.case], dtype=bool)
    return fold.of_cases(keep)


def _group(
    panel: Panel, value: str, endpoint: Endpoint, positive: int | None, deterministic: Collection[str]
) -> _Group:
    patients = len(np.unique(np.concatenate([fold.patient for fold in panel.folds])))
    empty = any(not len(fold.case) for fold in panel.folds)
    found = None if empty else analyse(panel, endpoint, positive, deterministic)
    arms = dict.fromkeys(panel.arm)
    reason = None if found is None else _too_small(patients, found)
    if found is None or reason is not None:
        why = reason or Reason("group_of_few_patients", patients=patients)
        intervals = {arm: _nothing(patients, panel.n_cases, why) for arm in arms}
        blank = Analysis(endpoint, dict.fromkeys(arms, why), None, None, panel, None, (0, 0))
        return _Group(Subgroup(value, patients, panel.n_cases, intervals, why), found or blank, np.empty((0, 0)))
    parts = [endpoint.influence(fold, positive, panel.n_patients) for fold in found.panel.folds]
    scaled = np.asarray(
        sum(part.total * np.sqrt(part.present.sum() / max(part.present.sum() - 1, 1)) for part in parts) / len(parts)
    )
    intervals = {arm: interval(found, arm) for arm in arms}
    return _Group(Subgroup(value, patients, panel.n_cases, intervals, None), found, scaled)


def _too_small(patients: int, found: Analysis) -> Reason | None:
    if patients < FEWEST_EVENTS:
        return Reason("group_of_few_patients", patients=patients)
    if found.events is not None and found.events < FEWEST_EVENTS:
        return Reason("group_of_few_events", events=found.events)
    if found.design is None:
        return Reason("group_without_arm", why=next(iter(found.refused.values()), None))
    return None


def _nothing(patients: int, cases: int, reason: Reason) -> Interval:
    return Interval(NAN, NAN, NAN, NAN, patients, cases, "too few", reason=reason)


def _test(groups: Sequence[_Group], a: str, b: str | None, endpoint: Endpoint, attribute: str) -> Heterogeneity:
    """Wald test of equal values over groups; a patient in several groups (lesions of several sizes) counts as such."""
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
    contrast = np.eye(len(usable))[1:] - np.eye(len(usable))[:1]
    spread = contrast @ (patients @ patients.T + seeds * np.eye(len(usable))) @ contrast.T
    change = contrast @ value
    degrees = len(change)
    if np.linalg.matrix_rank(spread) < degrees:
        return Heterogeneity(a, b, NAN, NAN, Reason("no_variation_by_group", **subject))
    wald = float(change @ np.linalg.solve(spread, change)) / degrees
    count = int(np.any(patients != 0, axis=0).sum())
    p = float(fdtrc(degrees, max(count - len(usable), 1), wald))
    return Heterogeneity(a, b, p, NAN, Reason("group_test", **subject))


def _interaction(runs: Array, moved: Array) -> float:
    """Variance of a group's mean that comes from runs favouring other groups, beyond what patients explain.

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


def _adjusted(found: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Holm over every test of every attribute, and the reason with the adjusted p."""
    flat = [test for attribute in found for test in attribute.tests if np.isfinite(test.p)]
    adjusted = iter(holm([test.p for test in flat])) if flat else iter(())
    out = []
    for attribute in found:
        tests = [
            _with_adjusted(t, float(next(adjusted)), len(flat)) if np.isfinite(t.p) else t for t in attribute.tests
        ]
        out.append(replace(attribute, tests=tuple(tests)))
    return tuple(out)


def _with_adjusted(test: Heterogeneity, adjusted: float, tests: int) -> Heterogeneity:
    reason = Reason("group_test", **test.reason.facts, varies=adjusted < 0.05, p=adjusted, tests=tests)
    return replace(test, p_adjusted=adjusted, reason=reason)
