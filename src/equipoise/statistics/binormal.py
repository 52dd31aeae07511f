"""A model of test scores with known truth, used for planning before training and for checking the tests' error rates.

A score is the sum of the case's difficulty (shared by all arms), an effect of the arm, and one of the training run. By
default half of each effect's variance belongs to the patient. Positives are shifted so that the run has its true AUC,
which varies between runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


@dataclass(frozen=True)
class Cohort:
    """The population: `correlation` is that of two arms' scores; for two runs of one arm it is halfway to 1.

    Patients have 1 to `most_lesions` cases, uniformly; labels of one patient are correlated by `label_icc`.
    """

    prevalence: float = 0.3
    correlation: float = 0.8
    most_lesions: int = 5
    score_icc: float = 0.5
    label_icc: float = 0.3


@dataclass(frozen=True)
class Draw:
    """One test set: scores (arms x seeds, n), arm and seed after seed; truth and patient number (n,)."""

    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]
    patient: NDArray[np.int64]


def draw(
    generator: np.random.Generator,
    patients: int,
    auc: Sequence[float],
    seeds: int,
    seed_sd: float | NDArray[np.float64] = 0.0,
    cohort: Cohort | None = None,
) -> Draw:
    """Draw a test set of arms with these expected AUCs, whose runs have true AUCs N(auc, seed_sd^2).

    `seed_sd` may be (arms, 1), where arms differ in it.
    """
    cohort = cohort or Cohort()
    count = generator.integers(1, cohort.most_lesions + 1, patients)
    patient = np.repeat(np.arange(patients), count)
    n, arms = len(patient), len(auc)

    def effect(shape: tuple[int, ...], icc: float) -> NDArray[np.float64]:
        """Draw standard normal effects of cases (*shape, n); `icc` is the patient's share of their variance."""
        own = generator.standard_normal((*shape, n))
        return np.asarray(
            np.sqrt(icc) * generator.standard_normal((*shape, patients))[..., patient] + np.sqrt(1 - icc) * own
        )

    truth = effect((), cohort.label_icc) < ndtri(cohort.prevalence)
    rho = cohort.correlation
    common = np.sqrt(rho) * effect((), cohort.score_icc)
    arm = np.sqrt((1 - rho) / 2) * effect((arms,), cohort.score_icc)
    run = np.sqrt((1 - rho) / 2) * effect((arms, seeds), cohort.score_icc)
    true = np.asarray(auc)[:, None] + seed_sd * generator.standard_normal((arms, seeds))
    # Both classes have unit variance, so the AUC is Phi(shift / sqrt 2).
    shift = np.sqrt(2.0) * ndtri(np.clip(true, 1e-6, 1 - 1e-6))
    scores = common + arm[:, None] + run + shift[:, :, None] * truth
    return Draw(scores.reshape(arms * seeds, n), truth, patient)
