"""Average precision of few positive cases: bias and variance by leaving out patients, and an interval that covers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import Analysis, analyse, interval
from equipoise.statistics.binormal import Cohort, Draw, draw
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.influence import average_precision
from equipoise.statistics.jackknife import jackknife, precision_influence, precision_without
from equipoise.statistics.panel import Fold, Panel, align
from equipoise.testing.known_trials import Clustered, Design, family_error

Maker = Callable[..., Predictions]
RARE = Cohort(prevalence=0.1)
FEW_POSITIVE = Clustered((1,) * 100, positives=12, agreement=0.5)


def analysed(made: Draw, name: str) -> Analysis:
    """One arm's runs, made probabilities."""
    positive = expit(1.7 * made.scores - 2.0)
    cases = np.arange(len(made.truth)).astype(str)
    fold = Fold(0, cases, made.patient, made.truth.astype(int), np.stack([1 - positive, positive], axis=2), {})
    runs, patients = len(made.scores), int(made.patient[-1]) + 1
    panel = Panel(("a",) * runs, tuple(range(runs)), (fold,), ("no", "yes"), patients, len(cases))
    endpoint = endpoint_named(name, (), panel.classes)
    return analyse(panel, endpoint, 1 if name == "average_precision" else None)


@pytest.mark.long
def test_bias_and_variance_are_those_of_leaving_out_each_patient() -> None:
    made = draw(np.random.default_rng(0), 40, (0.85,), 2, 0.01, replace(RARE, prevalence=0.3))
    found = analysed(made, "average_precision")
    ours = jackknife(found.panel, 1, np.array([0, 1]))

    def value(keep: np.ndarray) -> float:
        """The mean over runs, as scikit-learn computes it."""
        return float(np.mean([average_precision_score(made.truth[keep], own[keep]) for own in made.scores]))

    without = np.array([value(made.patient != patient) for patient in range(40)])
    assert ours is not None
    assert ours.bias == pytest.approx(39 * (without.mean() - value(made.patient >= 0)))
    assert ours.variance == pytest.approx(39 / 40 * ((without - without.mean()) ** 2).sum())


def test_ties_and_many_groups_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = np.random.default_rng(2)
    score, truth, member = np.round(stream.random(90), 1), stream.random(90) < 0.3, stream.integers(0, 12, 90)
    expected = [average_precision_score(truth[member != g], score[member != g]) for g in range(12)]
    assert precision_without(score, truth, member, 12) == pytest.approx(expected)
    monkeypatch.setattr("equipoise.statistics.jackknife._AT_ONCE", 200)
    assert precision_without(score, truth, member, 12) == pytest.approx(expected)


@pytest.mark.long
def test_the_average_over_classes_leaves_out_the_same_patients() -> None:
    stream, n = np.random.default_rng(3), 60
    truth = np.arange(n) % 3
    fold = Fold(0, np.arange(n).astype(str), np.arange(n), truth, stream.random((1, n, 3)), {})
    found = jackknife(Panel(("a",), (0,), (fold,), ("x", "y", "z"), n, n), None, np.array([0]))

    def value(keep: np.ndarray) -> float:
        """The mean over classes."""
        return float(np.mean([average_precision_score(truth[keep] == k, fold.scores[0, keep, k]) for k in range(3)]))

    without = np.array([value(np.arange(n) != patient) for patient in range(n)])
    assert found is not None
    assert found.bias == pytest.approx((n - 1) * (without.mean() - value(np.ones(n, dtype=bool))))


def test_the_interval_allows_for_the_bias(binary: Maker) -> None:
    made = draw(np.random.default_rng(1), 60, (0.85,), 3, 0.01, RARE)
    found = interval(analysed(made, "average_precision"), "a")
    expected = np.mean([average_precision_score(made.truth, own) for own in made.scores])
    assert found.estimate == pytest.approx(expected)
    assert found.method == "logit with jackknife"
    assert found.low < found.estimate - 0.05
    # Without a single patient of the class left, nothing is corrected.
    table = binary(60, (0.8,), 1)
    alone = table.where((table.truth == 0) | (table.patient == table.patient[np.flatnonzero(table.truth)[0]]))
    panel = align(alone)
    assert jackknife(panel, 1, np.array([0])) is None


def covered(name: str, auc: float, runs: int, trials: int) -> float:
    """The share of intervals of trials with 60 patients and rare positives that hold the true value."""
    stream = np.random.default_rng(5)
    true = float(analysed(draw(stream, 30_000, (auc,), 3, 0.01, RARE), name).arms.mean[0])
    made = (analysed(draw(stream, 60, (auc,), runs, 0.01, RARE), name) for _ in range(trials))
    found = [interval(one, "a") for one in made if (one.events or 0) >= 10]
    return float(np.mean([one.low <= true <= one.high for one in found]))


@pytest.mark.long
def test_average_precision_of_rare_cases_is_covered() -> None:
    assert covered("average_precision", 0.85, 1, 400) >= 0.925


@pytest.mark.long
@pytest.mark.parametrize(("auc", "runs"), [(0.85, 1), (0.95, 3)])
def test_balanced_accuracy_of_rare_cases_is_covered(auc: float, runs: int) -> None:
    assert covered("balanced_accuracy", auc, runs, 400) >= 0.93


@pytest.mark.long
def test_many_arms_of_few_positives_win_as_rarely_as_stated_in_average_precision() -> None:
    """Six equal arms, 12 positive patients of 100, 300 trials; by the derivative alone .09 (standard error .015)."""
    design = Design("six arms, 12 positive", (3,) * 6, (0.0,) * 6, FEW_POSITIVE, 100, "average_precision", 0.05)
    assert family_error(design, 300) <= 0.08


def test_few_positives_are_left_out_one_by_one_as_a_loop_would() -> None:
    design = Design("two arms", (1, 1), (0.0, 0.0), FEW_POSITIVE, 100, "average_precision", 0.05)
    fold = FEW_POSITIVE(np.random.default_rng(0), design, np.zeros((2, 1))).folds[0]
    found = precision_influence(fold, 1, 100)
    kept = np.arange(100)[:, None] != np.arange(100)
    truth, score = fold.truth == 1, fold.scores[0, :, 1]
    without = np.array([average_precision(score[keep], truth[keep])[0] for keep in kept])
    expected = -99 / 100 * (without - without.mean())
    assert np.sort(found.parts[0][0]) == pytest.approx(np.sort(expected))
    assert found.parts[0].shape == (2, 100)
    assert [int(sizes.sum()) for _, sizes in found.levers] == [12, 88]
