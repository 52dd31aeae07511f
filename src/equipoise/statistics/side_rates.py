"""Rates of one side of a classification: of the positive cases or of the others, of those called so or not."""

from dataclasses import dataclass

import numpy as np

from equipoise.errors import PredictionError
from equipoise.statistics.influence import Influence, ratio_influence, recall_influence
from equipoise.statistics.kinds import Array, Balanced, Endpoint, Mask, Rate
from equipoise.statistics.panel import Fold


@dataclass(frozen=True)
class SideRecall(Rate):
    """The share of positive cases (or, with `of_positives` false, of all others) that are classified correctly.

    threshold: the score from which a case is called positive; None where the highest score decides.
    """

    of_positives: bool
    threshold: float | None = None

    def hits(self, endpoint: Endpoint, fold: Fold, positive: int | None) -> tuple[Array, Mask]:
        """Return the cases that are called rightly, of the side."""
        truth = fold.truth == needed_positive(positive, endpoint.name)
        right = called_positive(fold, int(positive or 0), self.threshold) == truth
        return right, truth if self.of_positives else ~truth

    def influence(self, endpoint: Endpoint, fold: Fold, positive: int | None, n_patients: int) -> Influence:
        """As `Kind.influence`; raises PredictionError without a positive class, and where the side has no test case."""
        right, side = self.hits(endpoint, fold, positive)
        return recall_influence(right, (side,), endpoint.name, fold, n_patients)

    def _counted(self, cases: tuple[int, int]) -> int:
        return cases[0] if self.of_positives else cases[1]


@dataclass(frozen=True)
class SidePrecision(Balanced):
    """The share of cases called positive (or, with `of_positives` false, called negative) that are so.

    threshold: as in `SideRecall`.
    """

    of_positives: bool
    threshold: float | None = None

    def influence(self, endpoint: Endpoint, fold: Fold, positive: int | None, n_patients: int) -> Influence:
        """As `Kind.influence`; raises PredictionError without a positive class, and where no case is called so."""
        truth = fold.truth == needed_positive(positive, endpoint.name)
        called = called_positive(fold, int(positive or 0), self.threshold)
        if not self.of_positives:
            truth, called = ~truth, ~called
        return ratio_influence((called & truth).astype(float), called.astype(float), endpoint.name, fold, n_patients)


def needed_positive(positive: int | None, name: str) -> int:
    """Return the positive class; raises PredictionError where none is named."""
    if positive is None:
        raise PredictionError(f"{name} needs a positive class; name it with `positive` in the endpoints")
    return positive


def called_positive(fold: Fold, positive: int, threshold: float | None) -> Mask:
    """Return the cases (columns, n) called positive: by a score of the threshold or more, else by the highest score."""
    if threshold is not None:
        return np.asarray(fold.scores[:, :, positive] >= threshold)
    return np.asarray(fold.scores.argmax(axis=2) == positive)
