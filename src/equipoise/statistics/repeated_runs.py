"""Find runs of one arm that are one training run given several times, as a fixed seed or a copied file makes them.

Copies pretend that training has no spread. Two runs are one where their values per case agree: exactly, up to
rounding, or so nearly that no two trainings come as close. Scores of classes are compared by their ranks too, because
a copy that was only rescaled ranks the cases alike.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from equipoise.evaluation.detection import Marks
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.panel import Fold, Panel
from equipoise.statistics.reasons import Reason

Array = NDArray[np.float64]
NEARLY = 0.02
"""Root mean square of the differences of ranks, in standard deviations over cases, for runs that a ledger records: they
are trainings of their own, which convex problems and hardly changed pretrained weights bring near."""
NEARLY_ELSEWHERE = 0.07
"""The same for runs that nothing proves. The nearest two runs of networks in small trials here were 0.14 apart
(docs/experiments.md); scores with noise of half a hundredth, or rounded to two digits, stay below. Honest runs that are
nearer show hardly any spread, so that to count them as one costs a claim on methods alone."""
SINGLE_PRECISION = 1e-6  # the same in units of scores: the second file was written with fewer bits
MOST_DIGITS = 6  # values with more digits were not rounded
_EXACT = 1e-9  # what arithmetic leaves between equal values
_MOST = 20  # runs of an arm that are compared for the nearest two: pairs grow with the square
FEWEST_VALUES = 10  # of a fold, or of rounded values; fewer may agree by chance


def without_repeats(
    panel: Panel, endpoint: Endpoint, deterministic: Collection[str] = (), *, nearly: float = NEARLY
) -> Panel:
    """Return the panel with one column for each training run; `repeated` and the warnings name runs that are one.

    A rule without seeds (`deterministic`) may repeat its only result. The endpoint's own values are compared: its
    per-case column, the class scores, or the candidates. nearly: the distance from which runs are one.
    """
    repeated: dict[str, tuple[tuple[int, ...], ...]] = {}
    keep = np.ones(len(panel.arm), dtype=bool)
    for arm in dict.fromkeys(panel.arm):
        columns = panel.columns(arm)
        groups = [] if arm in deterministic else _groups(panel, endpoint, columns, nearly)
        if any(len(group) > 1 for group in groups):
            repeated[arm] = tuple(tuple(panel.seed[c] for c in group) for group in groups)
            keep[[c for group in groups for c in group[1:]]] = False
    if not repeated:
        return panel
    warnings = tuple(
        Reason("repeated_runs", arm=arm, seeds=group, distinct=len(groups))
        for arm, groups in repeated.items()
        for group in groups
        if len(group) > 1
    )
    return replace(
        panel,
        arm=tuple(name for name, kept in zip(panel.arm, keep, strict=True) if kept),
        seed=tuple(seed for seed, kept in zip(panel.seed, keep, strict=True) if kept),
        folds=tuple(fold.only(keep) for fold in panel.folds),
        warnings=(*panel.warnings, *warnings),
        repeated=repeated,
    )


@dataclass(frozen=True)
class _Values:
    """The values of one run, and what comparisons need of them, which is found once for all comparisons.

    values: (rows, classes). ranked: whether only the ranks of cases matter. scans: of candidates, the scan of each row.
    """

    values: Array
    ranked: bool
    scans: NDArray[Any] | None = None

    @cached_property
    def usable(self) -> bool:
        """Return whether the values can show anything.

        Values that are not finite are refused elsewhere. Values that do not depend on the case prove nothing: two runs
        that collapsed, or that are perfect, may both give them.
        """
        return bool(len(self.values) and np.isfinite(self.values).all() and np.ptp(self.values, axis=0).max() > 0)

    @cached_property
    def distinct(self) -> int:
        """Return how many different values there are."""
        return len(np.unique(self.values))

    @cached_property
    def digits(self) -> int | None:
        """Return the fewest digits to which all values are rounded; None: not rounded, or too few to tell."""
        if self.distinct < FEWEST_VALUES:
            return None
        rounded = (d for d in range(MOST_DIGITS + 1) if np.abs(self.values - np.round(self.values, d)).max() <= _EXACT)
        return next(rounded, None)

    @cached_property
    def ranks(self) -> Array:
        """Return the ranks of the values: a case that fails would make the spread of the values large."""
        return np.asarray(rankdata(self.values, axis=0))

    @cached_property
    def spread(self) -> float:
        """Return the standard deviation of the ranks over cases."""
        return float(np.sqrt(self.ranks.var(axis=0).mean()))

    @cached_property
    def inner(self) -> NDArray[np.bool_]:
        """Return which values lie between the ends of their column; an end that one case alone has is counted too."""
        ends = (self.values == self.values.min(axis=0), self.values == self.values.max(axis=0))
        tied = [at & (at.sum(axis=0) > 1) for at in ends]
        return np.asarray(~(tied[0] | tied[1]))


@dataclass(frozen=True)
class _Run:
    """The values of one column of the panel, by fold and together."""

    folds: tuple[_Values, ...]

    @cached_property
    def whole(self) -> _Values:
        """Return the values of all folds, one after another."""
        if len(self.folds) == 1:
            return self.folds[0]
        ranked = any(fold.ranked for fold in self.folds)
        return _Values(np.concatenate([fold.values for fold in self.folds]), ranked)


def nearness(panel: Panel, endpoint: Endpoint, arms: Collection[str]) -> list[Reason]:
    """Say how near the nearest two runs of each arm come, in standard deviations over cases; [] with one run each.

    A run that is another one with noise is nearer than trainings of their own were; no distance proves a training.
    """
    rows = []
    for arm in arms:
        runs = [
            _Run(tuple(_values(fold, endpoint, int(c)) for fold in panel.folds)) for c in panel.columns(arm)[:_MOST]
        ]
        apart = [_apart(one.whole, other.whole) for one, other in combinations(runs, 2) if _comparable(one, other)]
        rows += [(arm, min(apart))] if apart else []
    return [Reason("run_nearness", arms=tuple(rows))] if rows else []


def _comparable(one: _Run, other: _Run) -> bool:
    same = all(_same_rows(a, b) for a, b in zip(one.folds, other.folds, strict=True))
    return same and one.whole.usable and other.whole.usable


def _groups(panel: Panel, endpoint: Endpoint, columns: NDArray[np.int64], nearly: float) -> list[list[int]]:
    """Group an arm's columns: each with the first earlier one that it repeats."""
    runs = {int(c): _Run(tuple(_values(fold, endpoint, int(c)) for fold in panel.folds)) for c in columns}
    groups: list[list[int]] = []
    for column, run in runs.items():
        same = next((group for group in groups if _is_one(runs[group[0]], run, nearly)), None)
        if same is None:
            groups.append([column])
        else:
            same.append(column)
    return groups


def _values(fold: Fold, endpoint: Endpoint, run: int) -> _Values:
    """Return the values of a column in one fold: the endpoint's own, the candidates' scores, or those of classes."""
    column = endpoint.column(list(fold.metrics))
    if column is not None:
        return _Values(fold.metrics[column][run][:, None], ranked=False)
    if fold.marks and endpoint.needs == "candidates":
        marks: Marks = fold.marks[run]
        return _Values(marks.score[np.lexsort((marks.score, marks.scan))][:, None], True, np.sort(marks.scan))
    return _Values(fold.scores[run], ranked=True)


def _is_one(first: _Run, second: _Run, nearly: float) -> bool:
    """Return whether two runs agree over all folds, or in any fold that is large enough to tell."""
    pairs = [(a, b) for a, b in zip(first.folds, second.folds, strict=True) if _same_rows(a, b)]
    if any(a.distinct >= FEWEST_VALUES and _alike(a, b, nearly) for a, b in pairs):
        return True
    # Candidates whose numbers differ in some fold cannot be paired.
    return len(pairs) == len(first.folds) and _alike(first.whole, second.whole, nearly)


def _same_rows(first: _Values, second: _Values) -> bool:
    return (first.scans is None and second.scans is None) or np.array_equal(first.scans, second.scans)  # type: ignore[arg-type]


def _alike(first: _Values, second: _Values, nearly: float) -> bool:
    """Return whether the values of two runs are those of one run."""
    if not (first.usable and second.usable):
        return False
    apart = np.abs(first.values - second.values)
    largest = float(apart.max())
    if largest == 0 or _is_rounding(largest, first.digits) or _is_rounding(largest, second.digits):
        return True
    fewer_bits = SINGLE_PRECISION * max(float(np.abs(first.values).max()), SINGLE_PRECISION)
    if first.ranked and np.sqrt(np.mean(apart**2)) < fewer_bits:
        return True
    return _apart(first, second) < nearly and _near_between_ends(first, second, nearly)


def _apart(first: _Values, second: _Values) -> float:
    """Return the root mean square of the differences of ranks, in standard deviations of the first run's ranks."""
    return float(np.sqrt(np.mean((first.ranks - second.ranks) ** 2))) / first.spread


def _near_between_ends(first: _Values, second: _Values, nearly: float) -> bool:
    """Return whether two runs are near on the cases that tell: those that all runs fail, or solve, are no evidence."""
    inner = (first.inner & second.inner).all(axis=1)
    if inner.sum() < FEWEST_VALUES:
        return True
    before, after = (rankdata(one.values[inner], axis=0) for one in (first, second))
    return bool(np.sqrt(np.mean((before - after) ** 2)) < nearly * np.sqrt(before.var(axis=0).mean()))


def _is_rounding(largest: float, digits: int | None) -> bool:
    """Return whether a difference is one that rounding to so many digits may make."""
    return digits is not None and largest <= 0.5 * 10.0**-digits + _EXACT
