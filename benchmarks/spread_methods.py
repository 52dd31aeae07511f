"""Which variance between runs should a family of comparisons use? Error, power and coverage of the candidates.

Run `python benchmarks/spread_methods.py [--trials 2000]`: the tables of docs/decisions/0013-moderated-spreads.md, in
about three minutes. Trials are drawn as sufficient statistics: 200 patients, value = .08 case + .02 (arm, case) + .03
(run, case) + spread x run, all standard normal; the variances over patients count as known. Power is that of finding
the last arm, better by .03.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri, polygamma, stdtr

Array = NDArray[np.float64]
PATIENTS = 200
CASE, ARM, RUN = 0.08**2 / PATIENTS, 0.02**2 / PATIENTS, 0.03**2 / PATIENTS
DESIGNS: dict[str, tuple[list[int], list[float]]] = {
    "one wild arm of five": ([3] * 5, [0.03] + [0.005] * 4),
    "three runs against ten": ([3, 10, 10], [0.03, 0.005, 0.005]),
    "two wild arms of five": ([3] * 5, [0.02] * 2 + [0.007] * 3),
    "five alike": ([3] * 5, [0.01] * 5),
    "three alike": ([3] * 3, [0.01] * 3),
    "ten alike": ([3] * 10, [0.01] * 10),
    "one wild arm of ten": ([3] * 10, [0.05] + [0.005] * 9),
    "one tenfold arm of three": ([3] * 3, [0.03, 0.003, 0.003]),
    "rising tenfold": ([3] * 5, [0.003, 0.005, 0.01, 0.02, 0.03]),
    "half of six wild": ([3] * 6, [0.03] * 3 + [0.003] * 3),
    "steady arms with few runs": ([10, 3, 3], [0.03, 0.005, 0.005]),
    "five runs, one wild arm": ([5] * 5, [0.03] + [0.005] * 4),
    "ten runs, one tenfold arm": ([10] * 5, [0.03] + [0.003] * 4),
    "wild 3, steady 10 runs": ([3, 3, 10, 10], [0.03, 0.03, 0.003, 0.003]),
    "3, 5, 7, 10 runs": ([3, 5, 7, 10], [0.03, 0.01, 0.005, 0.003]),
    "one wild, nine with 10 runs": ([3] + [10] * 9, [0.03] + [0.005] * 9),
    "no spread": ([3] * 5, [0.0] * 5),
    "one steady arm of five": ([3] * 5, [0.003] + [0.03] * 4),
    "ten arms, tenfold": ([3] * 10, list(np.geomspace(0.003, 0.03, 10))),
}


@dataclass(frozen=True)
class Sample:
    """Sufficient statistics of trials: means and variances between runs (trials, arms), and the runs of each arm."""

    mean: Array
    square: Array
    runs: NDArray[np.int64]

    @property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and second arm of every pair."""
        first, second = np.array(list(combinations(range(len(self.runs)), 2))).T
        return first, second

    def differences(self) -> Array:
        """Return first minus second (trials, pairs)."""
        first, second = self.pairs
        return self.mean[:, first] - self.mean[:, second]


Method = Callable[[Sample], tuple[Array, Array]]
"""From a sample to squared standard errors and degrees of freedom (trials, pairs)."""


def draw(runs: list[int], spread: list[float], trials: int, seed: int) -> Sample:
    """Draw trials without any difference."""
    stream = np.random.default_rng(seed)
    values = [stream.standard_normal((trials, n)) * np.sqrt(sd**2 + RUN) for n, sd in zip(runs, spread, strict=True)]
    mean = np.stack([own.mean(axis=1) for own in values], axis=1)
    mean = mean + np.sqrt(ARM) * stream.standard_normal(mean.shape)
    return Sample(mean, np.stack([own.var(axis=1, ddof=1) for own in values], axis=1), np.array(runs))


def satterthwaite(sample: Sample, square: Array, df: Array) -> tuple[Array, Array]:
    """Return Welch's form of these variances with these degrees of freedom."""
    first, second = sample.pairs
    own = square / sample.runs
    total = own[:, first] + own[:, second] + 2 * ARM
    spent = own[:, first] ** 2 / df[..., first] + own[:, second] ** 2 / df[..., second]
    return total, total**2 / spent


def welch(sample: Sample) -> tuple[Array, Array]:
    """Each arm's own variance."""
    return satterthwaite(sample, sample.square, sample.runs - 1.0)


def fewest(sample: Sample) -> tuple[Array, Array]:
    """Welch's error with the smaller degrees of freedom of the two arms (Hsu), the most cautious correction of df."""
    first, second = sample.pairs
    total, df = welch(sample)
    return total, np.broadcast_to(np.minimum(sample.runs[first], sample.runs[second]) - 1.0, df.shape)


def pooled(sample: Sample) -> tuple[Array, Array]:
    """One variance for all arms."""
    first, second = sample.pairs
    df = sample.runs - 1.0
    square = (sample.square * df).sum(axis=1, keepdims=True) / df.sum()
    own = square * (1 / sample.runs[first] + 1 / sample.runs[second])
    total = own + 2 * ARM
    return total, total**2 / own**2 * df.sum()


def pretested(sample: Sample) -> tuple[Array, Array]:
    """Pooled where Bartlett's test has p of .1 or more, else Welch: what was shipped."""
    df = sample.runs - 1.0
    total = df.sum()
    statistic = total * np.log((df * sample.square).sum(axis=1) / total) - (df * np.log(sample.square)).sum(axis=1)
    correction = 1 + ((1 / df).sum() - 1 / total) / (3 * (len(df) - 1))
    alike = (chdtrc(len(df) - 1, statistic / correction) >= 0.1)[:, None]
    return tuple(np.where(alike, a, b) for a, b in zip(pooled(sample), welch(sample), strict=True))  # type: ignore[return-value]


def smyth(sample: Sample) -> tuple[Array, Array]:
    """Smyth's empirical Bayes: weight and centre of the prior by the moments of the logarithms of the variances."""
    df = sample.runs - 1.0
    logs = np.log(sample.square) - polygamma(0, df / 2) + np.log(df / 2)
    excess = logs.var(axis=1, ddof=1) - polygamma(1, df / 2).mean()
    goal = np.maximum(excess, 1e-6)
    half = 0.5 + 1 / goal
    for _ in range(30):  # Newton's inverse of the trigamma function
        now = polygamma(1, half)
        half = half + now * (1 - now / goal) / polygamma(2, half)
    prior = np.where(excess > 0, np.minimum(2 * half, 1e6), 1e6)
    centre = np.exp(logs.mean(axis=1) + np.where(excess > 0, polygamma(0, prior / 2) - np.log(prior / 2), 0.0))
    weight = prior[:, None]
    square = (weight * centre[:, None] + df * sample.square) / (weight + df)
    return satterthwaite(sample, square, np.minimum(weight + df, df.sum()))


def light(weight: float, gained: float, centre: float | None = None, *, upwards: bool = False) -> Method:
    """A prior of fixed weight at the arms' mean, or at a `centre` known from earlier trials; `upwards`: never lower."""

    def method(sample: Sample) -> tuple[Array, Array]:
        df = sample.runs - 1.0
        middle = sample.square.mean(axis=1, keepdims=True) if centre is None else centre**2 + RUN
        square = (weight * middle + df * sample.square) / (weight + df)
        raised = np.maximum(square, sample.square) if upwards else square
        return satterthwaite(sample, raised, np.minimum(df + gained, df.sum()))

    return method


METHODS: dict[str, tuple[Method, ...]] = {
    "Bartlett, then pooled or Welch (shipped)": (pretested,),
    "pooled": (pooled,),
    "Welch": (welch,),
    "Welch, smallest df": (fewest,),
    "larger p of pooled and Welch": (pooled, welch),
    "Smyth, prior estimated": (smyth,),
    "prior of earlier trials (.01, 4 df)": (light(4, 4, 0.01),),
    "prior 1 df": (light(1, 1),),
    "prior 1/2 df": (light(0.5, 0.5),),
    "prior 1/2 df, worth 1/4": (light(0.5, 0.25),),
    "the same, only upwards (chosen)": (light(0.5, 0.25, upwards=True),),
}
WITH_WELCH = ("prior", "upwards")  # methods whose adjusted p is never below the raw one of Welch


def p_values(sample: Sample, methods: tuple[Method, ...]) -> Array:
    """Return the larger p of the methods, and never below that with runs fixed (trials, pairs)."""
    first, second = sample.pairs
    distance = np.abs(sample.differences())
    fixed = 2 * ARM + RUN / sample.runs[first] + RUN / sample.runs[second]
    p = 2 * stdtr(PATIENTS - 1, -distance / np.sqrt(fixed))
    for method in methods:
        squared, df = method(sample)
        p = np.maximum(p, 2 * stdtr(np.minimum(df, PATIENTS - 1), -distance / np.sqrt(squared)))
    return np.asarray(p)


def largest(sample: Sample, draws: int = 1_000) -> Array:
    """Return sorted draws (trials, draws) of the largest |z| of a trial's pairs, as `multiplicity.max_t` makes them."""
    first, second = sample.pairs
    normal = np.random.default_rng(0).standard_normal((len(sample.runs), draws))
    out = np.empty((len(sample.mean), draws))
    for trial, square in enumerate(sample.square):
        sd = np.sqrt(ARM + np.maximum(square, RUN) / sample.runs)
        shifted = normal * sd[:, None]
        scale = np.sqrt(sd[first] ** 2 + sd[second] ** 2)[:, None]
        out[trial] = np.sort((np.abs(shifted[first] - shifted[second]) / scale).max(axis=0))
    return out


def max_t(p: Array, maxima: Array) -> Array:
    """Return single-step adjusted p (trials, pairs), between the raw ones and Bonferroni's."""
    z = -ndtri(np.maximum(p, 1e-300) / 2)
    beyond = np.stack([1 - np.searchsorted(own, row) / len(own) for own, row in zip(maxima, z, strict=True)])
    return np.asarray(np.clip(beyond, p, np.minimum(p * p.shape[1], 1)))


def cells(runs: list[int], spread: list[float], trials: int) -> list[str]:
    """Return error, power and lowest coverage of every method in one design."""
    sample = draw(runs, spread, trials, 1)
    better = Sample(sample.mean + np.eye(len(runs))[-1] * 0.03, sample.square, sample.runs)
    maxima, last = largest(sample), sample.pairs[1] == len(runs) - 1
    out = []
    for name, methods in METHODS.items():
        adjusted = []
        for one in (sample, better):
            p = max_t(p_values(one, methods), maxima)
            adjusted.append(np.maximum(p, p_values(one, (welch,))) if any(word in name for word in WITH_WELCH) else p)
        error, power = (adjusted[0].min(axis=1) < 0.05).mean(), (adjusted[1][:, last] < 0.05).mean()
        covered = (p_values(sample, methods) > 0.05).mean(axis=0).min()
        out.append(f"{error:.3f} / {power:.2f} / {covered:.2f}".replace("0.", "."))
    return out


def main() -> None:
    """Print the table, a row for each design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    trials = parser.parse_args().trials
    print("| design | " + " | ".join(METHODS) + " |\n|" + "---|" * (1 + len(METHODS)))
    for name, (runs, spread) in DESIGNS.items():
        print(f"| {name} | " + " | ".join(cells(runs, spread, trials)) + " |", flush=True)


if __name__ == "__main__":
    main()
