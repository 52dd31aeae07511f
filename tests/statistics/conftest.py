"""Prediction tables with known truth, in one call."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.special import expit

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.binormal import Cohort, draw

Maker = Callable[..., Predictions]


def binary_table(
    patients: int = 200,
    auc: Sequence[float] = (0.85, 0.85),
    seeds: int = 3,
    seed_sd: float = 0.005,
    generator: int = 0,
    names: Sequence[str] = (),
    folds: int = 1,
    cohort: Cohort | None = None,
) -> Predictions:
    """Binormal predictions of arms a, b, … with these AUCs: probabilities of "benign" and "malignant"."""
    made = draw(np.random.default_rng(generator), patients, auc, seeds, seed_sd, cohort)
    columns, n = made.scores.shape
    names = list(names) or [chr(ord("a") + k) for k in range(len(auc))]
    positive = expit(1.7 * made.scores - 2.0).ravel()
    return Predictions(
        case=np.tile([f"case-{k:05d}" for k in range(n)], columns),
        patient=np.tile([f"patient-{k:05d}" for k in made.patient], columns),
        split=np.full(columns * n, "test"),
        arm=np.repeat(np.repeat(names, seeds), n),
        fold=np.tile(made.patient % folds, columns),
        seed=np.repeat(np.tile(np.arange(seeds), len(names)), n),
        truth=np.tile(made.truth.astype(np.int64), columns),
        scores=np.stack([1 - positive, positive], axis=1),
        classes=("benign", "malignant"),
    )


def metric_table(values: np.ndarray, patient: np.ndarray | None = None, name: str = "dice") -> Predictions:
    """A segmentation table from values (arms, seeds, cases) of one metric; arms a, b, …"""
    arms, seeds, n = values.shape
    patient = np.arange(n) if patient is None else patient
    rows = values.size
    return Predictions(
        case=np.tile([f"case-{k:05d}" for k in range(n)], arms * seeds),
        patient=np.tile([f"patient-{k:05d}" for k in patient], arms * seeds),
        split=np.full(rows, "test"),
        arm=np.repeat([chr(ord("a") + k) for k in range(arms)], seeds * n),
        fold=np.zeros(rows, dtype=np.int64),
        seed=np.repeat(np.tile(np.arange(seeds), arms), n),
        truth=np.full(rows, -1),
        scores=np.empty((rows, 0)),
        metrics={name: values.ravel()},
    )


@pytest.fixture(scope="session")
def binary() -> Maker:
    return binary_table


@pytest.fixture(scope="session")
def segmentation() -> Maker:
    return metric_table
