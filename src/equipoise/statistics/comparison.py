"""Compare arms by the method of Obuchowski, Rockette and Hillis, with training seeds in the place of readers.

Obuchowski & Rockette (1995), Hillis (2007, 2014): the standard error of a difference of arms contains the spread
between seeds and the covariance that all seeds share because they are tested on the same patients.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from equipoise.protocol import FEWEST_SHARED
from equipoise.statistics.degrees import RAISED, RAISED_LEANING, effective_df
from equipoise.statistics.intervals import quantile
from equipoise.statistics.moderation import moderated_variances
from equipoise.statistics.skewness import hall, hall_inverse
from equipoise.statistics.unequal_patients import Leverage, Piece, leverage

Array = NDArray[np.float64]
ROUNDING = 1e-12  # variances of differences below this part of the arms' own are the rounding of equal numbers


@dataclass(frozen=True)
class Design:
    """Summary of arms with their seeds as readers; all arrays are (arms,), `between` is (arms, arms).

    `seed_variance` is the variance of the metric over seeds (0 for one seed or a deterministic rule), `error` the
    mean variance of one seed over patients, `shared` the mean covariance of two seeds of one arm (C2), `between` the
    covariance of arm means over patients with seeds fixed (off the diagonal: C3). A deterministic rule is an arm with
    identical seeds: no seed variance, C2 = its own patient variance, no degrees of freedom spent.
    `values` are the metrics of each arm's seeds, `member` their column numbers in `columns`, the covariance of all;
    `seed_df` are the degrees of freedom of `seed_variance`, `raised` how far it is raised where it decides those of a
    difference (see `degrees`). `pieces` tell how unequal patients are, whose variances are raised (`unequal_patients`).
    """

    names: tuple[str, ...]
    seeds: NDArray[np.int64]
    mean: Array
    seed_variance: Array
    error: Array
    shared: Array
    between: Array
    n_patients: int
    values: tuple[Array, ...]
    member: tuple[NDArray[np.int64], ...]
    columns: Array
    seed_df: Array
    raised: float = RAISED
    pieces: tuple[Piece, ...] = ()

    def index(self, name: str) -> int:
        """Return the position of an arm."""
        return self.names.index(name)

    def fixed_variance(self, a: int, b: int) -> float:
        """Return the variance over patients of the difference of two arms with their seeds fixed."""
        own = self.between[a, a] + self.between[b, b]
        # Equal arms leave a difference of rounding errors, which would give a tiny standard error and a huge t.
        squared = float(own - 2 * self.between[a, b])
        return squared * self.leverage(a, b).factor ** 2 if squared > ROUNDING * own else 0.0

    def leverage(self, a: int, b: int | None = None) -> Leverage:
        """Return what unequal patients add to the standard error of an arm, or of the difference of two."""
        weights = np.zeros(len(self.names))
        weights[a] = 1.0
        if b is not None:
            weights[b] = -1.0
        return leverage(self.pieces, weights, self.n_patients)

    def arm_variance(self, a: int) -> float:
        """Return the variance of one arm's mean: seeds and patients, never less than with its seeds fixed."""
        raised = self.leverage(a).factor ** 2
        patients = raised * max(self.shared[a], 0.0), raised * self.between[a, a]
        return float(max(self.seed_variance[a] / self.seeds[a] + patients[0], patients[1]))

    def arm_df(self, a: int) -> float:
        """Return Hillis' degrees of freedom of one arm's mean, at most patients - 1."""
        own = float(self.seed_variance[a] / self.seeds[a])
        unequal = self.leverage(a)
        patients = unequal.factor**2 * max(float(self.shared[a]), 0.0)
        df = effective_df([own], [max(float(self.seed_df[a]), 1.0)], patients)
        return min(float(df), unequal.df)

    def covariance(self) -> Array:
        """Return the covariance of the arm means (arms, arms) with the seed term on the diagonal (C*)."""
        # The spread over seeds already contains each seed's own patient variance (error - shared), which `between` has
        # too.
        extra = np.maximum(self.seed_variance - (self.error - self.shared), 0.0) / self.seeds
        return np.asarray(self.between + np.diag(np.where(self.seeds > 1, extra, 0.0)))


class Error(NamedTuple):
    """A standard error with its degrees of freedom.

    `skew` is the skewness of the estimate where it matters (see `skewness`): every test is then the stricter of
    Student's t and Hall's, and the interval covers both.
    """

    se: float
    df: float
    skew: float = 0.0

    def half(self, level: float) -> float:
        """Return half the width of Student's interval at this confidence level."""
        return quantile(0.5 + level / 2, self.df) * self.se

    def interval(self, difference: float, level: float) -> tuple[float, float]:
        """Return the interval of a difference."""
        t = quantile(0.5 + level / 2, self.df)
        above, below = max(t, hall_inverse(t, self.skew)), min(-t, hall_inverse(-t, self.skew))
        return difference - above * self.se, difference - below * self.se

    def two_sided(self, difference: float) -> float:
        """Return the p of no difference."""
        t = difference / self.se
        return float(2 * stdtr(self.df, -min(abs(t), abs(hall(t, self.skew)))))

    def beyond(self, distance: float) -> float:
        """Return the one-sided p of an estimate that lies this far above the border of the hypothesis."""
        t = distance / self.se
        return float(stdtr(self.df, -min(t, hall(t, self.skew))))


@dataclass(frozen=True)
class Contrast:
    """A difference of two arms (first minus second) with its standard error and degrees of freedom.

    `also` holds further errors of the same difference, each of which must agree: the p is the largest of all, the
    interval the widest. `se`, `df`
    and `skew` are those of the widest 95 % interval. `se_patients` and `se_seeds` are the two
    parts of the error with runs as readers: the first vanishes with many patients, the second with many seeds.
    """

    difference: float
    se: float
    df: float
    se_patients: float
    se_seeds: float
    method: str
    skew: float = 0.0
    also: tuple[Error, ...] = ()

    @property
    def errors(self) -> tuple[Error, ...]:
        """All errors that are not 0."""
        return tuple(error for error in (Error(self.se, self.df, self.skew), *self.also) if error.se > 0)

    @property
    def p(self) -> float:
        """The two-sided p of no difference; NaN where the standard error is 0."""
        return max((error.two_sided(self.difference) for error in self.errors), default=float("nan"))

    def turned(self) -> "Contrast":
        """Return the same comparison as second minus first."""
        also = tuple(error._replace(skew=-error.skew) for error in self.also)
        return replace(self, difference=-self.difference, skew=-self.skew, also=also)

    def p_worse(self, margin: float) -> float:
        """Return the one-sided p that the difference is -margin or less, the largest of all errors."""
        return max((error.beyond(self.difference + margin) for error in self.errors), default=float("nan"))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of the difference, the widest of all errors."""
        bounds = [error.interval(self.difference, level) for error in self.errors] or [(self.difference,) * 2]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def joined(self, error: Error, name: str) -> "Contrast":
        """Return the comparison that must also hold by this error; `name` enters `method` where it is the widest."""
        now = Error(self.se, self.df, self.skew)
        if error.half(0.95) <= now.half(0.95):
            return replace(self, also=(*self.also, error))
        words = [word for word in self.method.split(", ") if not word.startswith("wider")]
        method = ", ".join([*words, f"wider {name}"])
        return replace(self, se=error.se, df=error.df, skew=error.skew, method=method, also=(now, *self.also))


def design(
    value: Array,
    covariance: Array,
    arm: Sequence[str],
    n_patients: int,
    deterministic: Collection[str] = (),
    pieces: Sequence[Piece] = (),
) -> Design:
    """Summarise columns (columns,) and their patient covariance (columns, columns) by arm, in order of appearance.

    pieces: the influence (columns, patients) of each class and fold, by which patients are unequal.
    """
    names = tuple(dict.fromkeys(arm))
    member = np.array([[name == column for column in arm] for name in names], dtype=float)
    seeds = member.sum(axis=1).astype(int)
    weight = member / seeds[:, None]
    between = weight @ covariance @ weight.T
    error = weight @ np.diag(covariance)
    pairs = np.maximum(seeds * (seeds - 1), 1)
    shared = np.where(seeds > 1, (seeds**2 * np.diag(between) - seeds * error) / pairs, np.diag(between))
    values = tuple(value[row > 0] for row in member)
    spread = [
        v.var(ddof=1) if len(v) > 1 and n not in deterministic else 0.0 for n, v in zip(names, values, strict=True)
    ]
    variance = np.where(np.array(spread) > ROUNDING**2, spread, 0.0)
    columns = tuple(np.flatnonzero(row) for row in member)
    mean = np.array([v.mean() for v in values])
    df = (seeds - 1).astype(np.float64)
    made = Design(names, seeds, mean, variance, error, shared, between, n_patients, values, columns, covariance, df)
    return replace(made, pieces=tuple(Piece(weight @ piece.influence, piece.sizes) for piece in pieces))


def moderated(design: Design) -> Design:
    """Return the design with seed variances that lean on those of all arms; see `moderated_variances`."""
    variance, df = moderated_variances(design.seed_variance, design.seed_df)
    # Arms with as many runs vouch for one another; one with few runs beside many is surer of itself than it may be.
    alike = len(np.unique(design.seeds[design.seed_variance > 0])) == 1 and bool((df != design.seed_df).any())
    return replace(design, seed_variance=variance, seed_df=df, raised=RAISED_LEANING if alike else RAISED)


def pooled_variance(design: Design) -> tuple[float, int]:
    """Return the seed variance pooled over arms with several seeds, and its degrees of freedom."""
    df = int((design.seeds - 1).sum())
    return (float((design.seed_variance * (design.seeds - 1)).sum() / df), df) if df else (0.0, 0)


def compare(design: Design, a: int, b: int, *, shared_seeds: bool = False) -> Contrast:
    """Compare arms a and b: Welch form, each arm with its own spread between seeds.

    With `shared_seeds` (equal initialisation and data order in both arms) and at least five seeds it is the crossed
    form.
    """
    if shared_seeds and design.seeds[a] == design.seeds[b] >= FEWEST_SHARED:
        return _crossed(design, a, b)
    own = [float(design.seed_variance[k] / design.seeds[k]) for k in (a, b)]
    raised = design.leverage(a, b).factor ** 2
    patients = raised * max(float(design.shared[a] + design.shared[b] - 2 * design.between[a, b]), 0.0)
    squared = sum(own) + patients
    # A single run has no spread and no degrees of freedom; where neither arm has any, `_contrast` limits the degrees of
    # freedom to those of the patients.
    df = float(effective_df(own, [max(float(design.seed_df[k]), 1.0) for k in (a, b)], patients, design.raised))
    difference = float(design.mean[a] - design.mean[b])
    return _contrast(design, (a, b), difference, squared, patients, df, "Welch")


def compare_as_trained(design: Design, a: int, b: int) -> Contrast:
    """Compare the trained networks themselves: patients vary, seeds are fixed."""
    se = float(np.sqrt(design.fixed_variance(a, b)))
    difference = float(design.mean[a] - design.mean[b])
    return Contrast(difference, se, design.leverage(a, b).df, se, 0.0, "clustered, seeds fixed")


def resampled_contrast(difference: Array, test_to_train: float) -> Contrast:
    """Compare two arms by their fold-wise differences (J,), seeds averaged; `test_to_train` is 1/(K - 1) for K folds.

    This is a claim about the method trained on new data: the corrected resampled t test (Nadeau & Bengio 2003). The
    interval from patients' influence is about the fitted models of these folds (LeDell 2015). Training sets of
    different folds overlap, for which the term n_test/n_train corrects; without it the fold t test errs half the time
    under repeats, so it is not offered.
    """
    folds = len(difference)
    variance = float(difference.var(ddof=1)) * (1 / folds + test_to_train)
    se = float(np.sqrt(variance))
    return Contrast(float(difference.mean()), se, folds - 1.0, 0.0, se, "Nadeau-Bengio")


def equivalence_p(contrast: Contrast, margin: float) -> float:
    """Return the larger of two one-sided p: below alpha, the 1 - 2 alpha interval lies inside (-margin, margin).

    This is Schuirmann's test of equivalence within a margin (two one-sided tests).
    """
    return max(non_inferiority_p(contrast, margin), non_inferiority_p(contrast.turned(), margin))


def non_inferiority_p(contrast: Contrast, margin: float) -> float:
    """Return the one-sided p that the difference is -margin or less; NaN where the standard error is 0."""
    if contrast.se == 0:
        return float("nan")
    return contrast.p_worse(margin)


def _crossed(design: Design, a: int, b: int) -> Contrast:
    """Compare arms with shared seeds: the spread of seed-wise differences, S - 1 degrees of freedom."""
    seeds = int(design.seeds[a])
    spread = float((design.values[a] - design.values[b]).var(ddof=1)) / 2
    patients = max(float(design.shared[a] + design.shared[b]) / 2 - _different_seeds(design, a, b), 0.0)
    patients *= design.leverage(a, b).factor ** 2
    squared, df = crossed_terms(spread, patients, seeds)
    return _contrast(design, (a, b), float(design.mean[a] - design.mean[b]), squared, 2 * patients, df, "crossed")


def crossed_terms(mean_square: float, patients: float, seeds: int, arms: int = 2) -> tuple[float, float]:
    """Return the squared standard error of a difference and the degrees of freedom of the crossed form.

    `mean_square` is that of the interaction arm x seed, `patients` is max(Cov2 - Cov3, 0).
    """
    denominator = mean_square + seeds * patients
    df = denominator**2 / (mean_square**2 / ((arms - 1) * (seeds - 1))) if mean_square > 0 else np.inf
    return 2 * denominator / seeds, float(df)


def _different_seeds(design: Design, a: int, b: int) -> float:
    """Average the covariance over patients between a seed of one arm and another seed of the other arm (Cov3)."""
    block = design.columns[np.ix_(design.member[a], design.member[b])]
    seeds = len(block)
    return float((block.sum() - np.trace(block)) / (seeds * (seeds - 1)))


def _contrast(
    design: Design, pair: tuple[int, int], difference: float, squared: float, patients: float, df: float, method: str
) -> Contrast:
    own = float(design.between[pair[0], pair[0]] + design.between[pair[1], pair[1]])
    se = float(np.sqrt(squared)) if squared > ROUNDING * own else 0.0
    seeds = float(np.sqrt(max(squared - patients, 0.0)))
    most = design.leverage(*pair).df
    readers = Contrast(difference, se, float(min(df, most)), float(np.sqrt(patients)), seeds, method)
    # A claim about the method cannot be surer than one about these very networks, whose test has more degrees of
    # freedom: the larger p of both keeps its size and finds more than the larger standard error with the fewer ones.
    fixed = design.fixed_variance(*pair)
    return readers.joined(Error(float(np.sqrt(fixed)), most), "with runs fixed") if fixed > 0 else readers
