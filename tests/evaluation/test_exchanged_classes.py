"""Exchanged classes are noticed; chance, however many assignments it may choose from, is not."""

import numpy as np
import pytest

from equipoise.evaluation.exchanged_classes import exchanged


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_the_true_assignment_is_returned(order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(60) % 3
    fit = np.clip(np.eye(3)[truth] * 0.6 + rng.random((60, 3)) * 0.4, 0, 1)
    change = exchanged(truth, fit[:, order], np.arange(60).astype(str), 3)
    assert (change is None) == (order == (0, 1, 2))
    if change is not None:
        # Column p holds the class order[p].
        assert set(change.moved) == {(t, p) for p, t in enumerate(order) if p != t}
        assert change.exchanged > change.stands + 0.3


@pytest.mark.parametrize(("classes", "n"), [(2, 20), (5, 40), (20, 60)])
def test_chance_is_no_exchange(classes: int, n: int) -> None:
    """Among twenty classes of three rows each the best assignment gains half of the range by chance."""
    rng = np.random.default_rng(classes)
    for _ in range(25):
        truth = np.arange(n) % classes
        assert exchanged(truth, rng.random((n, classes)), np.arange(n).astype(str), classes) is None


def test_a_column_of_its_own_is_taken_and_few_patients_prove_nothing() -> None:
    truth = np.array([0, 1] * 6)
    fit = np.stack([truth == 0, np.zeros(12), truth == 1], axis=1).astype(float)
    change = exchanged(truth, fit, np.arange(12).astype(str), 2)
    assert change is not None
    assert change.moved == ((1, 2),)
    assert exchanged(truth[:2], fit[:2], np.array(["p", "p"]), 2) is None
