"""A user's metric of all cases: smooth ones are judged, one that an extreme case decides is not."""

from collections.abc import Callable

import numpy as np
import pytest

from equipoise.statistics.analysis import analyse
from equipoise.statistics.families import Decision, decisions
from equipoise.statistics.influence import excess_of_halves
from equipoise.statistics.own import attributes_of, made
from equipoise.statistics.reasons import Reason
from equipoise.statistics.unequal_patients import Piece, contributors
from equipoise.statistics.verdict import Question
from equipoise.testing.known_trials import Clustered, Design

Metric = Callable[[np.ndarray, np.ndarray], float]


def youden(truth: np.ndarray, scores: np.ndarray) -> float:
    hits = truth[np.argsort(-scores[:, 1])]
    return float((np.cumsum(hits) / hits.sum() - np.cumsum(1 - hits) / (1 - hits).sum()).max())


def specificity_at_full_sensitivity(truth: np.ndarray, scores: np.ndarray) -> float:
    return float((scores[truth == 0, 1] < scores[truth == 1, 1].min()).mean())


def decided(metric: Metric, trials: int) -> list[Decision | Reason]:
    stream, out = np.random.default_rng(3), []
    design = Design("own", (3, 3), (0.0, 0.0), Clustered((1,) * 60, 25, 0.5), 60, "own")
    question = Question(0.05, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)
    endpoint = made(f"mine:{metric.__name__}", attributes_of(metric), metric)
    for _ in range(trials):
        analysis = analyse(design.outcome(stream, design, np.zeros((6, 1))), endpoint, None)
        out += decisions(analysis, design.pairs, question).values()
    return out


@pytest.mark.long
def test_a_smooth_metric_is_judged_and_errs_as_rarely_as_stated() -> None:
    found = decided(youden, 60)
    judged = [one for one in found if isinstance(one, Decision)]
    assert len(judged) >= 0.9 * len(found)
    assert np.mean([one.verdict in ("a_better", "b_better") for one in judged]) <= 0.15


@pytest.mark.long
def test_a_metric_that_one_case_decides_has_no_verdict() -> None:
    found = decided(specificity_at_full_sensitivity, 40)
    refused = [one for one in found if isinstance(one, Reason)]
    assert len(refused) >= 0.7 * len(found)
    assert {one.code for one in refused} == {"few_decide"}


def test_patients_who_decide_are_counted() -> None:
    even, one = np.ones((2, 50)) * [[1.0], [0.0]], np.eye(2, 50)
    weights = np.array([1.0, -1.0])
    assert contributors([Piece(even, np.ones(50))], weights) == pytest.approx(50)
    assert contributors([Piece(one, np.ones(50))], weights) == pytest.approx(2)
    assert contributors([], weights) == float("inf")


def test_halves_show_what_leaving_out_one_hides() -> None:
    """Of a mean both variances are s²/n; of a median, leaving out one gives a multiple of it at random."""
    stream = np.random.default_rng(0)
    values = stream.standard_normal((2, 101))
    without = np.stack([np.delete(values, k, axis=1).mean(axis=1) for k in range(101)], axis=1)
    chosen = [stream.permutation(101)[:50] for _ in range(400)]
    halves = np.stack([values[:, keep].mean(axis=1) for keep in chosen], axis=1)
    assert excess_of_halves(halves, without) == 1.0
    assert excess_of_halves(3 * halves, without) == pytest.approx(9, rel=0.25)
    assert excess_of_halves(np.empty((2, 0)), without) == 1.0
