"""Arms that are the truth itself, or calls among graded scores, are remarked on by name."""

from dataclasses import replace

import numpy as np

from equipoise.evaluation.external.doubtful_arms import called_arms, perfect_arms
from equipoise.evaluation.predictions import Predictions

N = 12
TRUTH = np.tile(np.arange(N) % 2, 2)


def table(scores: np.ndarray) -> Predictions:
    """The arms a and b with the scores of the second of two classes."""
    names = np.tile(np.arange(N), 2).astype(str)
    return Predictions(
        case=names, patient=names, split=np.full(2 * N, "test"), arm=np.repeat(["a", "b"], N),
        fold=np.zeros(2 * N, int), seed=np.zeros(2 * N, int), truth=TRUTH,
        scores=np.stack([1 - scores, scores], axis=1), classes=("no", "yes"),
    )  # fmt: skip


def test_calls_among_graded_scores() -> None:
    graded = np.random.default_rng(0).random(2 * N)
    calls = np.round(graded)
    mixed = np.where(np.arange(2 * N) < N, calls, graded)
    assert "scores of a are only 0 and 1" in called_arms(table(mixed))[0]
    assert called_arms(table(graded)) == called_arms(table(calls)) == []
    assert perfect_arms(table(mixed)) == []


def test_the_truth_as_an_arm() -> None:
    graded = np.random.default_rng(0).random(2 * N)
    copied = np.where(np.arange(2 * N) < N, graded, TRUTH)
    assert "arm b has scores of 1 for the true class" in perfect_arms(table(copied))[0]
    dice = np.where(np.arange(2 * N) < N, 1.0, 0.9)
    masks = replace(table(graded), scores=np.empty((2 * N, 0)), classes=(), metrics={"dice": dice})
    assert perfect_arms(masks)[0].startswith("The arm a has a dice of 1 in each of 12 cases")
    assert perfect_arms(masks.where(masks.arm == "b")) == []
    few = masks.where(np.isin(masks.case, ["1", "2"]))
    assert perfect_arms(few) == []
