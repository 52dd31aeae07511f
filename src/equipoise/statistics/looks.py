"""Interim looks at the result before all seeds are trained, without inflating the type-I error (Lan & DeMets 1983).

O'Brien-Fleming spending with time S / S_max: the estimated information is not used, because it inflates the error.
Simulations showed it valid for looks (3, 5) and (5, 10) over seeds, with patients fixed; folds were not simulated.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from equipoise.errors import PredictionError
from equipoise.protocol import FIRST_LOOK

Array = NDArray[np.float64]
_GRID = 2_000


def boundaries(looks: Sequence[int], alpha: float = 0.05) -> tuple[float, ...]:
    """Return the critical |z| at each look (numbers of seeds, rising; the last is the plan).

    >>> [round(z, 2) for z in boundaries((3, 5))]
    [2.53, 2.0]
    """
    if len(looks) == 0 or any(b <= a for a, b in pairwise(looks)) or looks[0] < FIRST_LOOK:
        raise PredictionError(f"looks {tuple(looks)} must rise and start at {FIRST_LOOK} seeds or later; use (3, 5)")
    return _boundaries(tuple(looks), alpha)


def nominal_alpha(looks: Sequence[int], seeds: int, alpha: float = 0.05) -> float:
    """Return the two-sided level at this number of seeds; raises PredictionError between looks."""
    if seeds not in looks:
        raise PredictionError(
            f"{seeds} seeds are no planned look ({', '.join(map(str, looks))}); finish the seeds up to a planned look"
        )
    return float(2 * ndtr(-boundaries(looks, alpha)[list(looks).index(seeds)]))


def spent(time: float, alpha: float) -> float:
    """Return the type-I error that may be spent up to this fraction of the planned seeds."""
    return float(2 * (1 - ndtr(-ndtri(alpha / 2) / np.sqrt(time))))


@cache
def _boundaries(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    """Integrate recursively (Armitage, McPherson & Rowe 1969) over the score B(t) = z sqrt(t) on a grid."""
    times = np.array(looks) / looks[-1]
    out: list[float] = []
    grid, mass = np.zeros(1), np.ones(1)
    for index, time in enumerate(times):
        step = np.sqrt(time - (times[index - 1] if index else 0.0))
        target = spent(float(time), alpha) - (spent(float(times[index - 1]), alpha) if index else 0.0)

        out.append(_critical(grid, mass, float(np.sqrt(time)), float(step), target))
        # Only trials that did not stop go on: the density is kept between the boundaries alone.
        edge = out[-1] * np.sqrt(time)
        following = np.linspace(-edge, edge, _GRID + 1)
        kernel = np.exp(-(((following[:, None] - grid[None, :]) / step) ** 2) / 2) / (step * np.sqrt(2 * np.pi))
        weight = np.full(_GRID + 1, following[1] - following[0])
        weight[[0, -1]] /= 2
        grid, mass = following, (kernel @ mass) * weight
    return tuple(out)


def _critical(grid: Array, mass: Array, scale: float, step: float, target: float) -> float:
    """Return the |z| that a score of this mass on the grid exceeds, after one more step, with probability `target`."""

    def excess(z: float) -> float:
        """Return the probability of crossing z in this step, less the error that may be spent."""
        above = ndtr((grid - z * scale) / step) + ndtr((-z * scale - grid) / step)
        return float(above @ mass) - target

    return float(brentq(excess, 0.5, 12.0, xtol=1e-10))
