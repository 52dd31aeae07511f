"""Decision curves: the net benefit of acting on a model over a range of threshold probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per threshold probability: of the model, and of acting on everyone; acting on no one gives 0.

    The unit is true positives per case: 0.05 means five more malignant nodules treated per 100 cases, without harm.
    The range is from −∞ to the prevalence.
    """

    thresholds: NDArray[np.float64]
    model: NDArray[np.float64]
    act_on_all: NDArray[np.float64]


def net_benefit(
    positive: NDArray[np.bool_], probability: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> DecisionCurve:
    """Compute the net benefit TP/n − FP/n · t/(1 − t) of acting where probability ≥ t.

    positive, probability: (n,); thresholds: (m,) in (0, 1).
    Reference: A. J. Vickers, E. B. Elkin, Medical Decision Making 26 (2006) 565–574.

    >>> net_benefit(np.array([True, False]), np.array([0.9, 0.1]), np.array([0.5])).model.tolist()
    [0.5]
    """
    # Who acts at a threshold t accepts 1/t − 1 false positives for one true one: that odds is the price of each.
    harm = thresholds / (1 - thresholds)
    acted = probability[:, None] >= thresholds
    true_positives = (acted & positive[:, None]).mean(axis=0)
    false_positives = (acted & ~positive[:, None]).mean(axis=0)
    prevalence = positive.mean()
    return DecisionCurve(thresholds, true_positives - false_positives * harm, prevalence - (1 - prevalence) * harm)
