"""Does the pipeline err as often as it says? Repeated trials with known truth; bands are about three standard errors.

Families of arms, kinds of metrics and cross-validation are in `benchmarks/verdict_sweep.py`, and a few of them in
`tests/testing/test_known_trials.py`. The long sweep (marked slow) prints the type-I table of two arms for AUC and Dice.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, ndtri, softmax

from equipoise.statistics.analysis import Analysis, analyse, interval
from equipoise.statistics.binormal import Cohort, Draw, draw
from equipoise.statistics.comparison import (
    Contrast,
    Design,
    compare,
    design,
    equivalence_p,
    moderated,
    resampled_contrast,
)
from equipoise.statistics.covariance import Estimates, estimates
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.influence import mean_influence, rank_influence
from equipoise.statistics.intervals import newcombe5
from equipoise.statistics.looks import boundaries, nominal_alpha
from equipoise.statistics.multiplicity import holm, max_t
from equipoise.statistics.panel import Fold, Panel
from equipoise.statistics.power import components, patients_needed

ENDPOINTS = ("average_precision", "accuracy", "balanced_accuracy", "sensitivity", "sensitivity@0.9", "brier", "nll")
PAIRS = list(combinations(range(4), 2))


def of_arms(found: Estimates, seeds: int) -> Design:
    return design(
        found.value, found.covariance, [f"arm{k // seeds}" for k in range(len(found.value))], found.n_patients
    )


def analysed(made: Draw, seeds: int, name: str) -> Analysis:
    """Any endpoint of a draw, its scores made probabilities."""
    positive = expit(1.7 * made.scores - 2.0)
    cases = np.arange(len(made.truth)).astype(str)
    fold = Fold(0, cases, made.patient, made.truth.astype(int), np.stack([1 - positive, positive], axis=2), {})
    columns = range(len(made.scores))
    arms, patients = tuple(f"arm{k // seeds}" for k in columns), int(made.patient[-1]) + 1
    panel = Panel(arms, tuple(k % seeds for k in columns), (fold,), ("no", "yes"), patients, len(cases))
    endpoint = endpoint_named(name, (), panel.classes)
    return analyse(panel, endpoint, 1 if endpoint.by_class and name != "balanced_accuracy" else None)


def areas(made: Draw, seeds: int) -> Design:
    found = rank_influence(made.scores, made.truth, made.patient, int(made.patient[-1]) + 1)
    return of_arms(estimates([found]), seeds)


def trials(
    count: int,
    patients: int,
    seeds: int,
    sd: float,
    auc: Sequence[float] = (0.85, 0.85),
    generator: int = 0,
    cohort: Cohort | None = None,
) -> list[Contrast]:
    """The contrast of the first two arms in repeated trials."""
    stream = np.random.default_rng(generator)
    return [compare(areas(draw(stream, patients, auc, seeds, sd, cohort), seeds), 0, 1) for _ in range(count)]


def rejected(contrasts: Sequence[Contrast], alpha: float = 0.05) -> float:
    return float(np.mean([contrast.p < alpha for contrast in contrasts]))


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "patients", "seeds", "sd", "low", "high"),
    [(2_000, 150, 3, 0.01, 0.03, 0.07), (2_000, 60, 5, 0.0, 0.03, 0.07), (1_000, 300, 3, 0.02, 0.03, 0.08)],
)
def test_equal_arms_are_told_apart_as_rarely_as_stated(
    count: int, patients: int, seeds: int, sd: float, low: float, high: float
) -> None:
    assert low <= rejected(trials(count, patients, seeds, sd)) <= high


@pytest.mark.long
def test_one_seed_read_as_the_method_errs_badly() -> None:
    """The negative control: what papers do."""
    assert rejected(trials(500, 300, 1, 0.02)) > 0.40


@pytest.mark.long
def test_equivalence_at_the_edge_and_coverage() -> None:
    contrasts = trials(1_500, 150, 3, 0.01, (0.85, 0.80))
    assert np.mean([equivalence_p(c, 0.05) < 0.05 for c in contrasts]) <= 0.075
    missed = [not c.interval()[0] < 0.05 < c.interval()[1] for c in contrasts]
    assert 0.03 <= np.mean(missed) <= 0.07


@pytest.mark.long
def test_a_family_of_four_equal_arms() -> None:
    stream, hits = np.random.default_rng(5), []
    for _ in range(1_000):
        arms = areas(draw(stream, 150, (0.85,) * 4, 3, 0.01), 3)
        p = [compare(moderated(arms), *pair).p for pair in PAIRS]
        hits.append([min(p) < 0.05, holm(p).min() < 0.05, max_t(p, PAIRS, arms.covariance()).p.min() < 0.05])
    none, by_holm, by_max_t = np.mean(hits, axis=0)
    assert none > 0.12
    assert by_holm <= 0.065
    assert 0.02 <= by_max_t <= 0.075


@pytest.mark.long
def test_coverage_of_one_area_with_few_clustered_patients() -> None:
    stream, covered = np.random.default_rng(6), []
    for _ in range(1_500):
        made = draw(stream, 60, (0.95,), 1)
        found = estimates([rank_influence(made.scores, made.truth, made.patient, 60)])
        effect = max(1.0, found.covariance[0, 0] / found.independent[0])
        positives = int(made.truth.sum())
        low, high = newcombe5(found.value[0], positives / effect, (len(made.truth) - positives) / effect)
        covered.append(low <= 0.95 <= high)
    assert 0.945 <= np.mean(covered) <= 0.985


@pytest.mark.long
def test_the_patients_needed_are_enough() -> None:
    """Components of one large pilot; the trial is then simulated with the patients asked for."""
    pilot = areas(draw(np.random.default_rng(7), 5_000, (0.85, 0.85), 20, 0.0), 20)
    wanted = patients_needed(replace(components(pilot, 0, 1), seed=0.01**2), 3, 0.05)
    assert wanted is not None
    contrasts = trials(1_000, wanted, 3, 0.01, (0.85, 0.80), generator=8)
    assert 0.75 <= rejected(contrasts) <= 0.86


@pytest.mark.long
def test_a_rule_without_seeds_against_a_trained_arm() -> None:
    """The rule's AUC is fixed at 0.85, the arm's runs vary about it: no difference between rule and method."""
    stream, p = np.random.default_rng(12), []
    sd = np.array([[0.015], [0.0]])
    for _ in range(1_500):
        made = draw(stream, 150, (0.85, 0.85), 3, sd)
        found = estimates([rank_influence(made.scores[:4], made.truth, made.patient, 150)])
        p.append(compare(design(found.value, found.covariance, ["arm"] * 3 + ["rule"], 150, {"rule"}), 0, 1).p)
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.07


@pytest.mark.long
@pytest.mark.parametrize(("auc", "prevalence"), [(0.85, 0.3), (0.95, 0.15)])
def test_every_endpoint_keeps_its_error_and_its_coverage(auc: float, prevalence: float) -> None:
    """Intervals of one arm and comparisons of two equal arms, three seeds, 150 patients with several lesions."""
    cohort, stream = Cohort(prevalence=prevalence), np.random.default_rng(13)
    population = draw(np.random.default_rng(99), 60_000, (auc,), 1, 0.0, cohort)
    true = {name: float(analysed(population, 1, name).arms.mean[0]) for name in ENDPOINTS}
    covered: dict[str, list[bool]] = {name: [] for name in ENDPOINTS}
    told_apart: dict[str, list[bool]] = {name: [] for name in ENDPOINTS}
    for _ in range(250):
        made = draw(stream, 150, (auc, auc), 3, 0.005, cohort)
        for name in ENDPOINTS:
            found = analysed(made, 3, name)
            own = interval(found, "arm0")
            covered[name].append(own.low <= true[name] <= own.high)
            told_apart[name].append(compare(found.arms, 0, 1).p < 0.05)
    for name in ENDPOINTS:
        assert np.mean(covered[name]) >= 0.90, name
        assert np.mean(told_apart[name]) <= 0.09, name


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 3])
def test_average_over_three_classes(seeds: int) -> None:
    """Macro one-versus-rest AUC of 60 patients: its own interval, and two equal arms."""

    def panel(stream: np.random.Generator, n: int) -> Panel:
        truth = stream.choice(3, n, p=[0.5, 0.3, 0.2])
        common, arm = np.sqrt(0.8) * stream.standard_normal((n, 3)), np.sqrt(0.1) * stream.standard_normal((2, 1, n, 3))
        run = np.sqrt(0.1) * stream.standard_normal((2, seeds, n, 3))
        scores = softmax(common + arm + run + 1.5 * np.eye(3)[truth], axis=3).reshape(2 * seeds, n, 3)
        fold = Fold(0, np.arange(n).astype(str), np.arange(n), truth, scores, {})
        return Panel(("a",) * seeds + ("b",) * seeds, tuple(range(seeds)) * 2, (fold,), ("x", "y", "z"), n, n)

    endpoint, stream = endpoint_named("auc", (), ("x", "y", "z")), np.random.default_rng(14)
    true = float(analyse(panel(stream, 40_000), endpoint, None).arms.mean.mean())
    covered, told_apart = [], []
    for _ in range(300):
        found = analyse(panel(stream, 60), endpoint, None)
        own = interval(found, "a")
        covered.append(own.low <= true <= own.high)
        told_apart.append(compare(found.arms, 0, 1).p < 0.05)
    assert np.mean(covered) >= 0.91
    assert np.mean(told_apart) <= 0.09


@pytest.mark.long
def test_looks_at_three_and_five_seeds_share_the_error() -> None:
    stream, early, ever, naive = np.random.default_rng(9), [], [], []
    first, last = (nominal_alpha((3, 5), seeds) for seeds in (3, 5))
    for _ in range(1_500):
        made = draw(stream, 300, (0.85, 0.85), 5, 0.01)
        some = replace(made, scores=made.scores[[0, 1, 2, 5, 6, 7]])
        p = compare(areas(some, 3), 0, 1).p, compare(areas(made, 5), 0, 1).p
        early.append(p[0] < first)
        ever.append(p[0] < first or p[1] < last)
        naive.append(min(p) < 0.05)
    assert 0.03 <= np.mean(ever) <= 0.07
    assert np.mean(early) <= 0.03
    assert np.mean(naive) > np.mean(ever)
    assert boundaries((3, 5))[0] > boundaries((3, 5))[1]


@pytest.mark.long
def test_shared_seeds_are_crossed_from_five_on() -> None:
    """The two arms' runs rise and fall together (correlation 0.9): crossed keeps its error, nested rejects too rarely.

    The run's own effect moves its positives, as in `draw`.
    """
    stream, crossed, nested = np.random.default_rng(15), [], []
    for _ in range(1_000):
        made = draw(stream, 300, (0.85, 0.85), 5)
        effect = np.sqrt(0.9) * stream.standard_normal(5) + np.sqrt(0.1) * stream.standard_normal((2, 5))
        shift = np.sqrt(2.0) * (ndtri(0.85 + 0.02 * effect) - ndtri(0.85))
        arms = areas(replace(made, scores=made.scores + shift.reshape(10, 1) * made.truth), 5)
        crossed.append(compare(arms, 0, 1, shared_seeds=True).p < 0.05)
        nested.append(compare(arms, 0, 1).p < 0.05)
    assert 0.03 <= np.mean(crossed) <= 0.075
    assert np.mean(nested) <= 0.025


@pytest.mark.long
def test_equivalence_at_two_looks_shares_the_error() -> None:
    """A difference of exactly the margin is called equivalent at one of the looks at most as often as stated."""
    stream, ever = np.random.default_rng(16), []
    levels = [nominal_alpha((3, 5), seeds) for seeds in (3, 5)]
    for _ in range(1_000):
        made = draw(stream, 300, (0.85, 0.80), 5, 0.01)
        some = replace(made, scores=made.scores[[0, 1, 2, 5, 6, 7]])
        p = [equivalence_p(compare(areas(one, n), 0, 1), 0.05) for one, n in ((some, 3), (made, 5))]
        ever.append(p[0] < levels[0] or p[1] < levels[1])
    assert np.mean(ever) <= 0.075


def dice(stream: np.random.Generator, cases: int, seeds: int, sd: float, correlation: float = 0.8) -> np.ndarray:
    """Dice (arms, seeds, cases) of two equal arms: skewed per case, shifted by each run's own quality."""
    common = np.sqrt(correlation) * stream.standard_normal(cases)
    arm = np.sqrt((1 - correlation) / 2) * stream.standard_normal((2, 1, cases))
    run = np.sqrt((1 - correlation) / 2) * stream.standard_normal((2, seeds, cases))
    value = stats.norm.cdf(0.9 + 0.5 * (common + arm + run)) + sd * stream.standard_normal((2, seeds, 1))
    return np.asarray(np.clip(value, 0.0, 1.0)).reshape(2 * seeds, cases)


def dice_trials(
    count: int, cases: int, seeds: int, sd: float, correlation: float = 0.8, generator: int = 0
) -> list[Contrast]:
    stream = np.random.default_rng(generator)
    every = (np.ones(cases, dtype=bool),)
    found = (
        mean_influence(dice(stream, cases, seeds, sd, correlation), every, np.arange(cases), cases)
        for _ in range(count)
    )
    return [compare(of_arms(estimates([one]), seeds), 0, 1) for one in found]


@pytest.mark.long
def test_equal_segmenters_are_told_apart_as_rarely_as_stated() -> None:
    assert 0.03 <= rejected(dice_trials(2_000, 60, 3, 0.005)) <= 0.07


def discriminant(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights of Fisher's linear discriminant."""
    groups = [features[truth == label] for label in (0, 1)]
    within = sum((g - g.mean(axis=0)).T @ (g - g.mean(axis=0)) for g in groups)
    return np.linalg.solve(within / (len(truth) - 2), groups[1].mean(axis=0) - groups[0].mean(axis=0))


def cross_validated(
    stream: np.random.Generator, n: int, seeds: int, repeats: int, noise: float
) -> tuple[list[tuple[np.ndarray, np.ndarray, np.ndarray]], np.ndarray]:
    """Two equally informative sets of five features, five folds: (scores (2 x seeds, n_f), truth, patient) a fold."""
    truth = (stream.random(n) < 0.5).astype(int)
    features = stream.standard_normal((2, n, 5)) + 0.68 * truth[:, None]
    folds = []
    for _ in range(repeats):
        group = stream.permutation(n) % 5
        for fold in range(5):
            test = group == fold
            scores = []
            for arm in features:
                weight = discriminant(arm[~test], truth[~test])
                spread = noise * np.abs(weight).mean() * stream.standard_normal((seeds, 5))
                scores.extend(arm[test] @ (weight + spread).T[:, s] for s in range(seeds))
            folds.append((np.stack(scores), truth[test] == 1, np.flatnonzero(test)))
    return folds, truth


@pytest.mark.long
def test_cross_validation_over_folds_and_seeds() -> None:
    stream, p = np.random.default_rng(10), []
    for _ in range(700):
        folds, _ = cross_validated(stream, 300, 3, 1, 0.3)
        found = estimates([rank_influence(*fold, 300) for fold in folds])
        p.append(compare(of_arms(found, 3), 0, 1).p)
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.08


@pytest.mark.long
def test_naive_fold_test_errs_under_repeats_and_the_corrected_one_does_not() -> None:
    stream, naive, corrected = np.random.default_rng(11), [], []
    for _ in range(250):
        folds, _ = cross_validated(stream, 300, 1, 5, 0.0)
        value = np.stack([rank_influence(*fold, 300).value for fold in folds])
        difference = value[:, 0] - value[:, 1]
        naive.append(stats.ttest_1samp(difference, 0).pvalue < 0.05)
        corrected.append(resampled_contrast(difference, 1 / 4).p < 0.05)
    assert np.mean(naive) > 0.30
    assert np.mean(corrected) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("seeds", [3, 5])
def test_sweep_of_the_type_one_error(correlation: float, seeds: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The table behind the claim that the error is 5 % everywhere: 1,000 trials a cell, printed as it goes."""
    rows, cohort = [], Cohort(correlation=correlation)
    for patients in (60, 150, 300, 1_000):
        for sd in (0.0, 0.01, 0.02):
            area = rejected(trials(1_000, patients, seeds, sd, generator=patients, cohort=cohort))
            overlap = rejected(dice_trials(1_000, patients, seeds, sd, correlation, generator=patients))
            rows.append((patients, sd, area, overlap))
    with capsys.disabled():
        for patients, sd, area, overlap in rows:
            cell = f"n {patients:5d}  seeds {seeds}  correlation {correlation}  spread {sd:.2f}"
            print(f"\n{cell}  AUC {area:.3f}  Dice {overlap:.3f}", end="")
    errors = np.array([row[2:] for row in rows])
    assert errors.max() <= 0.08
    assert 0.03 <= errors.mean() <= 0.06
