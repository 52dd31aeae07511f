"""Read a difference of two arms as probabilities: below, within and above the margin (a Bayesian reading).

The hierarchical model, in units of the margin m, so that it is the same for every endpoint:

- difference of the methods: delta ~ Normal(0, (4 m)^2): differences of many margins are possible, none is expected;
- spread of a method's training runs: log sigma ~ Normal(log(m / 4), 1): a run differs from the next by a quarter of
  the margin, give or take a factor of 2.7 (one standard deviation);
- a run's own measured value adds the patients' variance, which is known from the data (hundreds of patients against
  three to ten runs), and the folds' variance, whose spread is estimated like that of the runs.

The posterior is computed on a grid of the spreads, where delta is Normal given the spreads: no sampling, no chains.
Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788) in the tests: over data drawn from the model itself,
the rank of the true difference in its posterior is uniform. The verdict never rests on these probabilities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

Array = NDArray[np.float64]

PRIOR_DIFFERENCE = 4.0
"""Standard deviation of the difference before the data, in margins."""
PRIOR_SPREAD = 0.25
"""Median of the standard deviation between training runs before the data, in margins."""
PRIOR_LOG_SPREAD = 1.0
"""Standard deviation of the logarithm of that."""
_NODES = 61
_WIDTH = 4.5  # standard deviations of the prior that the grid of spreads covers on each side


@dataclass(frozen=True)
class Spread:
    """What the data say of one source of noise that only few repeats show: the training runs of an arm, or the folds.

    square: the mean square between repeats (variance with n - 1), of which `known` is due to patients. df: repeats - 1.
    weight: the share of the source's variance in the variance of the difference; 1 / seeds for the seeds of an arm.
    """

    square: float
    known: float
    df: int
    weight: float


@dataclass(frozen=True)
class Posterior:
    """The probabilities of a difference, first arm minus second, with a 95 % credible interval in its unit.

    below, within, above: that the difference lies below -margin, within the margins, above the margin; their sum is 1.
    positive: that it is above 0.
    """

    below: float
    within: float
    above: float
    positive: float
    low: float
    high: float
    margin: float


def posterior(difference: float, patients: float, spreads: tuple[Spread, ...], margin: float) -> Posterior:
    """Return the posterior of a difference.

    Args:
        difference: first arm minus second, in the unit of the metric.
        patients: variance of the difference over patients that all runs share, in squared units.
        spreads: what is known of the runs of each arm, and of the folds; at most three.
        margin: the smallest difference that matters, in the unit of the metric, above 0.
    """
    mixture = _Mixture.of(difference, patients, spreads, margin)
    below, above = mixture.below(-margin), 1 - mixture.below(margin)
    low, high = (mixture.quantile(q) for q in (0.025, 0.975))
    within = max(1 - below - above, 0.0)
    return Posterior(below, within, above, 1 - mixture.below(0.0), low, high, margin)


@dataclass(frozen=True)
class _Mixture:
    """The posterior of the difference: normals with weights, one for each node of the grid of spreads."""

    weight: Array
    mean: Array
    sd: Array

    @classmethod
    def of(cls, difference: float, patients: float, spreads: tuple[Spread, ...], margin: float) -> "_Mixture":
        """Weigh each node by prior and likelihood: of the mean squares, and of the difference itself."""
        variance, log_weight = np.array([patients]), np.zeros(1)
        for spread in spreads:
            own, log_own = _on_grid(spread, margin)
            variance = (variance[:, None] + spread.weight * own[None, :]).ravel()
            log_weight = (log_weight[:, None] + log_own[None, :]).ravel()
            variance, log_weight = _thinned(variance, log_weight)
        prior = (PRIOR_DIFFERENCE * margin) ** 2
        total = variance + prior
        log_weight = log_weight - 0.5 * np.log(total) - 0.5 * difference**2 / total
        shrink = prior / total
        weight = np.exp(log_weight - logsumexp(log_weight))
        return cls(weight, shrink * difference, np.sqrt(shrink * variance))

    def below(self, value: float) -> float:
        """Return the probability that the difference is below a value."""
        sd = np.maximum(self.sd, np.finfo(float).tiny)
        return float(np.clip(self.weight @ ndtr((value - self.mean) / sd), 0.0, 1.0))

    def quantile(self, share: float) -> float:
        """Return the value below which the difference lies with this probability."""
        reach = 10 * float(self.sd.max()) + 1e-12
        low, high = float(self.mean.min()) - reach, float(self.mean.max()) + reach
        return float(brentq(lambda value: self.below(value) - share, low, high, xtol=1e-9 * (high - low)))


def _on_grid(spread: Spread, margin: float) -> tuple[Array, Array]:
    """Return the variance of one source at the nodes (known part included), and the logarithm of its weight there."""
    steps = np.linspace(-_WIDTH, _WIDTH, _NODES)
    sigma = margin * PRIOR_SPREAD * np.exp(PRIOR_LOG_SPREAD * steps)
    variance = sigma**2 + spread.known
    # df * square / variance is chi-square with df degrees of freedom
    log_likelihood = -0.5 * spread.df * (np.log(variance) + spread.square / variance)
    return variance, log_likelihood - 0.5 * steps**2


def _thinned(variance: Array, log_weight: Array) -> tuple[Array, Array]:
    """Leave out nodes that carry less than 1e-10 of the weight of the heaviest: the third source would meet 3,721."""
    heavy = log_weight > log_weight.max() - 23.0
    return variance[heavy], log_weight[heavy]
