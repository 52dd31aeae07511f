"""Plan before training: the difference that a cohort and a number of seeds can detect, and the gain by more data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import expit, logit, ndtri

from equipoise.errors import PredictionError
from equipoise.statistics.analysis import FEWEST_EVENTS
from equipoise.statistics.binormal import Cohort, draw
from equipoise.statistics.comparison import Design, design
from equipoise.statistics.covariance import estimates
from equipoise.statistics.criterion import Criterion
from equipoise.statistics.endpoints import AUC, described, negatives_needed
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.near_ends import ArmNearEnds, NearEnds, has_ends
from equipoise.statistics.panel import Fold
from equipoise.statistics.power import (
    ALONE,
    SEEDS,
    Components,
    Needed,
    components,
    detectable,
    level_of_equivalence,
    needed,
    power,
    power_of_equivalence,
    seeds_needed,
)
from equipoise.statistics.reasons import Reason
from equipoise.statistics.refusal_floor import fewest_patients
from equipoise.statistics.seed_spread import SeedSpread

DRAWN = 400  # estimates of two equal arms
SIMULATED = 5_000  # patients of the model cohort from which the patient variances are taken
ALIKE, UNLIKE = 0.95, 0.5  # correlation of two arms' scores between which most trials lie
CASE_SD = 0.15  # spread of a per-case metric such as Dice between cases as a share of its range, until one is known


@dataclass(frozen=True)
class Purchase:
    """The detectable difference of a design with `factor` times the patients and this number of seeds."""

    factor: int
    seeds: int
    detectable: float


@dataclass(frozen=True)
class Plan:
    """`detectable` is the difference with 80 % power, `low` to `high` its range by the uncertainty of the seed spread.

    `alike` and `unlike` are its values if the arms' scores were more or less correlated than assumed, which changes it
    most. `equivalence_at_margin` is the share of trials that would show two equal arms to be equivalent. `warnings`
    name conditions that refuse a verdict in any case; below `fewest_seeds` no number of patients detects the `margin`.
    Under cross-validation (`folds` above 1) everything is about the method trained on new data; `as_fitted` is the
    power at the margin for the networks of these folds alone. `width` is the largest difference that the endpoint's
    range allows, so a `detectable` beyond it is never seen. `detectable_by_tests` is what `detectable` would be without
    the guard against failures that nobody saw.
    """

    endpoint: str
    patients: int
    seeds: int
    detectable: float
    low: float
    high: float
    alike: float
    unlike: float
    power_at_margin: float | None
    equivalence_at_margin: float | None
    needed: tuple[Needed, ...]
    more: tuple[Purchase, ...]
    warnings: tuple[Reason, ...]
    assumptions: Reason
    label: str
    margin: float | None
    fewest_seeds: int | None
    folds: int
    as_fitted: float | None
    width: float = math.inf
    detectable_by_tests: float | None = None


def plan(
    n_patients: int,
    n_cases_per_class: Mapping[str, int],
    seeds: int,
    *,
    endpoint: str | Endpoint = AUC,
    margin: float | None = None,
    spread: SeedSpread | None = None,
    rule: Criterion = ALONE,
    auc: float = 0.85,
    correlation: float = 0.8,
) -> Plan:
    """Plan for a test set of this size; classes do not matter to a per-case metric such as Dice.

    The variance over patients comes from a model cohort of the same prevalence and cases per patient, with arms of the
    given AUC and correlated scores; the variance over seeds from `spread`. `rule` is the family of comparisons with its
    level and folds.
    """
    spread = spread or SeedSpread()
    measured = described(endpoint) if isinstance(endpoint, str) else endpoint
    cases, share = _check(measured, n_patients, n_cases_per_class, seeds)
    lesions = max(1, round(2 * cases / n_patients - 1))
    floor = _floor(measured, n_patients, cases, share)
    rule = replace(rule, unseen=_unseen(measured))
    # The share is rounded, so that similar designs use the same cached simulation.
    cohort = measured, round(share, 3), lesions
    areas = auc, _other_area(measured, auc, margin)
    parts, alike, unlike = (_with_seeds(_model(*cohort, areas, r), spread) for r in (correlation, ALIKE, UNLIKE))
    smallest = detectable(parts, n_patients, seeds, rule)
    low, high = _range(parts, spread, n_patients, seeds, rule, smallest)
    counts = sorted({seeds, *SEEDS})
    alike_arms = (*cohort, (auc, auc), correlation)
    equal = None if margin is None else _equivalence(alike_arms, spread.sd**2, n_patients, seeds, margin, rule)
    return Plan(
        endpoint=measured.name,
        patients=n_patients,
        seeds=seeds,
        detectable=smallest,
        low=low,
        high=high,
        alike=detectable(alike, n_patients, seeds, rule),
        unlike=detectable(unlike, n_patients, seeds, rule),
        power_at_margin=None if margin is None else power(parts, n_patients, seeds, margin, rule),
        equivalence_at_margin=equal,
        needed=() if margin is None else needed(parts, margin, rule, counts, floor),
        more=_purchases(parts, n_patients, seeds, counts, rule),
        warnings=_too_few(measured, n_patients, cases, share),
        assumptions=_assumptions(measured, spread, share, cases / n_patients, auc, correlation, rule),
        label=measured.label,
        margin=margin,
        fewest_seeds=seeds_needed(parts, margin, rule=rule) if margin is not None else None,
        folds=rule.folds,
        as_fitted=_as_fitted(parts, n_patients, seeds, margin, rule),
        width=measured.high - measured.low,
        detectable_by_tests=detectable(parts, n_patients, seeds, replace(rule, unseen=0.0)),
    )


NO_VERDICT = "no verdict is possible"
"""How the refusal of a plan begins that allows no verdict, however the arms behave."""


def _with_seeds(parts: Components, spread: SeedSpread) -> Components:
    return replace(parts, seed=spread.sd**2, seed_df=spread.df)


def _check(endpoint: Endpoint, patients: int, counts: Mapping[str, int], seeds: int) -> tuple[int, float]:
    """Return the number of cases and the share of the rarest class; 1 for a per-case metric."""
    if seeds < 3:
        runs = f"{seeds} seed{'' if seeds == 1 else 's'}"
        raise PredictionError(f"{NO_VERDICT} on methods with {runs}, so nothing can be planned; use at least 3")
    if patients < 2:
        tested = f"{patients} test patient{'' if patients == 1 else 's'}"
        raise PredictionError(f"{NO_VERDICT} with {tested}, so nothing can be planned; use more cases or folds")
    cases = sum(counts.values())
    if endpoint.needs != "scores":
        if endpoint.needs != "cases" or not np.isfinite(endpoint.high - endpoint.low):
            raise PredictionError(
                f"{endpoint.name} of {patients} patients cannot be planned: its spread between cases is not known "
                "beforehand; plan with Dice or a classification endpoint"
            )
        return max(cases, patients), 1.0
    if len(counts) < 2 or min(counts.values()) < 1 or cases < patients:
        raise PredictionError(
            f"a test set of {patients} patients with {dict(counts)} cases cannot be planned; every patient needs a "
            "case and each of at least two classes one"
        )
    return cases, min(counts.values()) / cases


def _too_few(endpoint: Endpoint, patients: int, cases: int, share: float) -> tuple[Reason, ...]:
    """Return the condition that refuses a verdict in any case, so that nobody trains in vain; empty without one."""
    rare = round(share * cases)
    if share < 1.0 and rare < FEWEST_EVENTS:
        return (Reason("plan_of_few_events", events=rare, fewest=FEWEST_EVENTS),)
    if patients < FEWEST_EVENTS:
        return (Reason("plan_of_few_patients", patients=patients, fewest=FEWEST_EVENTS),)
    negatives = negatives_needed(endpoint)
    # Which class is the positive one is not known here: too few of the more frequent one are too few in any case.
    if negatives is not None and max(rare, cases - rare) < negatives:
        return (Reason("few_beyond", endpoint=endpoint.label, negatives=max(rare, cases - rare), fewest=negatives),)
    if cases < endpoint.fewest_cases:
        return (Reason("plan_of_few_cases", cases=cases, fewest=endpoint.fewest_cases, metric=endpoint.display),)
    return ()


def _floor(endpoint: Endpoint, patients: int, cases: int, share: float) -> int:
    """Return the fewest patients of such a cohort with which a verdict is given."""
    events = min(round(share * cases), patients) if share < 1.0 and endpoint.by_class else None
    return fewest_patients(endpoint, patients, cases, events)


def _unseen(endpoint: Endpoint) -> float:
    """Return what failures that nobody saw may change, times the patients: at most 3/n of the whole range."""
    guarded = endpoint.kind.typical_case and endpoint.needs == "cases"
    return 3.0 * (endpoint.high - endpoint.low) if guarded else 0.0


def _as_fitted(parts: Components, patients: int, seeds: int, margin: float | None, rule: Criterion) -> float | None:
    """Return the power at the margin without the test for new training data; None outside cross-validation."""
    if margin is None or rule.folds < 2:
        return None
    return power(parts, patients, seeds, margin, replace(rule, folds=1))


def _case_sd(endpoint: Endpoint) -> float:
    """Return the assumed spread of a per-case metric between cases, a share of its range."""
    return CASE_SD * (endpoint.high - endpoint.low)


def _model(
    endpoint: Endpoint, prevalence: float, lesions: int, areas: tuple[float, float], correlation: float
) -> Components:
    """Return the variance components of the model cohort; a per-case metric has an assumed spread between cases."""
    if prevalence == 1.0:
        square = _case_sd(endpoint) ** 2 * (1 - correlation)
        shrink = 0.5 + 0.5 * 2 / (lesions + 1)  # half of the spread is the patient's, so more lesions help only half
        return Components(0.0, shrink * square / 2, shrink * square, 1, 0)
    return components(_model_arms(endpoint, prevalence, lesions, areas, correlation), 0, 1)


@cache
def _model_arms(
    endpoint: Endpoint, prevalence: float, lesions: int, areas: tuple[float, float], correlation: float
) -> Design:
    """Return two arms of two runs each, of these areas, in the model cohort."""
    # By one large simulated cohort and not by a formula: the clustering of cases within patients enters through the
    # same code that later analyses the trial.
    cohort = Cohort(prevalence=prevalence, correlation=correlation, most_lesions=lesions)
    sample = draw(np.random.default_rng(0), SIMULATED, areas, 2, 0.0, cohort)
    shift = np.sqrt(2.0) * ndtri(areas[0])
    # Calibrated probabilities by Bayes' rule, so that accuracy and the Brier score can be planned as well as the AUC.
    probability = expit(logit(prevalence) + shift * sample.scores - shift**2 / 2)
    scores = np.stack([1 - probability, probability], axis=2)
    truth = sample.truth.astype(np.int64)
    fold = Fold(0, np.arange(len(truth)).astype(str), sample.patient, truth, scores, {})
    patient = estimates([endpoint.influence(fold, 1, SIMULATED)])
    return design(patient.value, patient.covariance, ("a", "a", "b", "b"), SIMULATED)


def _other_area(endpoint: Endpoint, auc: float, margin: float | None) -> float:
    """Return the AUC of the arm that is worse by the margin: an area varies more the lower it is."""
    if endpoint.name != AUC.name or margin is None:
        return auc
    return round(max(auc - margin, 0.5), 3)


def _equivalence(
    cohort: tuple[Endpoint, float, int, tuple[float, float], float],
    seed: float,
    n: int,
    seeds: int,
    margin: float,
    rule: Criterion,
) -> float:
    """Return the share of trials that would show two equal arms of the model cohort to be equivalent."""
    endpoint, share = cohort[:2]
    by_t = power_of_equivalence(replace(_model(*cohort), seed=seed), n, seeds, margin, rule)
    if share == 1.0 or not has_ends(endpoint):
        return by_t
    events, level = n * min(share, 1 - share), level_of_equivalence(rule)
    return min(by_t, _shown_near_ends(_model_arms(*cohort), seed, n, events, seeds, margin, level))


def _shown_near_ends(
    arms: Design, seed: float, n: int, events: float, seeds: int, margin: float, level: float
) -> float:
    """Return how often the arms' own intervals (`near_ends`) would show equal arms to be equivalent.

    By draws of both estimates and of their variances, which follow them and rest on `events` patients: arms that differ
    by chance also differ in their variance. seed: the variance between runs beyond that over patients.
    """
    value, shared = float(arms.mean.mean()), float(arms.shared.mean())
    variance = (shared + max(float((arms.error - arms.shared).mean()), 0.0) / seeds) * arms.n_patients / n
    spread = value * (1 - value)
    if variance <= 0 or spread <= 0:
        return 1.0
    between = float(np.clip(arms.between[0, 1] * arms.n_patients / n, 0.0, variance))
    generator, total = np.random.default_rng(0), variance + seed / seeds
    common, own = (generator.standard_normal((DRAWN, count)) for count in (1, 2))
    values = expit(logit(value) + (np.sqrt(between) * common + np.sqrt(total - between) * own) / spread)
    df = max(events - 1, 1.0)
    variances = variance * values * (1 - values) / spread * generator.chisquare(df, (DRAWN, 2)) / df
    passed = 0
    for pair in zip(values, variances, strict=True):
        first, second = (ArmNearEnds(float(own), float(square), n) for own, square in zip(*pair, strict=True))
        low, high = NearEnds(first, second, between / variance, max(n - 1.0, 1.0)).interval(1 - level)
        passed += -margin < low and high < margin
    return passed / DRAWN


def _purchases(
    parts: Components, patients: int, seeds: int, counts: Sequence[int], rule: Criterion
) -> tuple[Purchase, ...]:
    """Return the detectable difference with up to four times the patients and with no fewer seeds than planned."""
    return tuple(
        Purchase(factor, count, detectable(parts, factor * patients, count, rule))
        for factor in (1, 2, 4)
        for count in counts
        if count >= seeds
    )


def _range(
    parts: Components, spread: SeedSpread, patients: int, seeds: int, rule: Criterion, middle: float
) -> tuple[float, float]:
    """Return the detectable difference at both ends of the seed spread's 80 % interval (half and double a guess)."""
    low, high = (detectable(replace(parts, seed=sd**2), patients, seeds, rule) for sd in spread.ends)
    return min(low, middle), max(high, middle)


def _assumptions(
    endpoint: Endpoint,
    spread: SeedSpread,
    share: float,
    per_patient: float,
    auc: float,
    correlation: float,
    rule: Criterion,
) -> Reason:
    """Return the plan's assumptions; the rarer class's share is None for a per-case metric."""
    per_case = share == 1.0
    return Reason(
        "plan_assumptions",
        case_sd=_case_sd(endpoint) if per_case else None,
        auc=auc,
        share=None if per_case else share,
        per_patient=per_patient,
        correlation=correlation,
        seed_sd=spread.sd,
        seed_sd_high=spread.ends[1],
        seed_df=spread.df,
        elsewhere=spread.elsewhere,
        trials=spread.trials,
        comparisons=len(rule.pairs),
    )
