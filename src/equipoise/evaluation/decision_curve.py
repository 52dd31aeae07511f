"""Would acting on the model help patients? Net benefit over the thresholds at which one would act."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per threshold probability: of the model, and of acting on everyone; acting on no one gives 0.

    The unit is true positives per case: 0.05 is five more malignant nodules acted on per 100, at no harm. Range: from
    −∞ to the prevalence.
    """

    thresholds: NDArray[np.float64]
    model: NDArray[np.float64]
    act_on_all: NDArray[np.float64]


def net_benefit(
    positive: NDArray[np.bool_], probability: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> DecisionCurve:
    """Net benefit TP/n − FP/n · t/(1 − t) of acting where probability ≥ t.

    positive, probability: (n,); thresholds: (m,) in (0, 1).
    Reference: A. J. Vickers, E. B. Elkin, Medical Decision Making 26 (2006) 565–574.

    >>> net_benefit(np.array([True, False]), np.array([0.9, 0.1]), np.array([0.5])).model.tolist()
    [0.5]
    """
    harm = thresholds / (1 - thresholds)
    acted = probability[:, None] >= thresholds
    true_positives = (acted & positive[:, None]).mean(axis=0)
    false_positives = (acted & ~positive[:, None]).mean(axis=0)
    prevalence = positive.mean()
    return DecisionCurve(thresholds, true_positives - false_positives * harm, prevalence - (1 - prevalence) * harm)
