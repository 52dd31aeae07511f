"""Find runs of one arm that are one training run given several times, as a fixed seed or a copied file makes them.

Copies pretend that training has no spread. Two runs are one where their values per case agree: exactly, up to
rounding, or so nearly that no two trainings come as close. Scores of classes are compared by their ranks too, because
a copy that was only rescaled ranks the cases alike.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from equipoise.evaluation.detection import Marks
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.panel import Fold, Panel
from equipoise.statistics.reasons import Reason

Array = NDArray[np.float64]
NEARLY = 0.02
"""Root mean square of the differences, in standard deviations over cases. The nearest two runs trained apart in small
trials here were 0.18 apart; values rounded to three digits, or with noise of a thousandth, stay below."""
SINGLE_PRECISION = 1e-6  # the same in units of scores: the second file was written with fewer bits
MOST_DIGITS = 6  # values with more digits were not rounded
FEWEST_VALUES = 10  # of a fold, or of rounded values; fewer may agree by chance


def without_repeats(panel: Panel, endpoint: Endpoint, deterministic: Collection[str] = ()) -> Panel:
    """Return the panel with one column for each training run; `repeated` and the warnings name runs that are one.

    A rule without seeds (`deterministic`) may repeat its only result. The endpoint's own values are compared: its
    per-case column, the class scores, or the candidates.
    """
    repeated: dict[str, tuple[tuple[int, ...], ...]] = {}
    keep = np.ones(len(panel.arm), dtype=bool)
    for arm in dict.fromkeys(panel.arm):
        columns = panel.columns(arm)
        groups = [] if arm in deterministic else _groups(panel, endpoint, columns)
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


def _groups(panel: Panel, endpoint: Endpoint, columns: NDArray[np.int64]) -> list[list[int]]:
    """Group an arm's columns: each with the first earlier one that it repeats."""
    groups: list[list[int]] = []
    for column in (int(c) for c in columns):
        same = next((g for g in groups if _is_one(panel, endpoint, g[0], column)), None)
        if same is None:
            groups.append([column])
        else:
            same.append(column)
    return groups


def _is_one(panel: Panel, endpoint: Endpoint, a: int, b: int) -> bool:
    """Return whether two columns agree over all folds, or in any fold that is large enough to tell."""
    pairs = [_values(fold, endpoint, a, b) for fold in panel.folds]
    if any(pair is not None and len(np.unique(pair[0])) >= FEWEST_VALUES and _alike(*pair) for pair in pairs):
        return True
    known = [pair for pair in pairs if pair is not None]
    # Candidates whose numbers differ in some fold cannot be paired.
    if len(known) < len(pairs):
        return False
    first, second, ranked = zip(*known, strict=True)
    return _alike(np.concatenate(first), np.concatenate(second), any(ranked))


def _values(fold: Fold, endpoint: Endpoint, a: int, b: int) -> tuple[Array, Array, bool] | None:
    """Return the values of both columns (rows, classes), and whether only their ranks matter; None: no pairs."""
    column = endpoint.column(list(fold.metrics))
    if column is not None:
        return fold.metrics[column][a][:, None], fold.metrics[column][b][:, None], False
    if fold.marks and endpoint.needs == "candidates":
        return _candidates(fold.marks, a, b)
    return fold.scores[a], fold.scores[b], True


def _candidates(marks: Sequence[Marks], a: int, b: int) -> tuple[Array, Array, bool] | None:
    """Return the scores of two detectors' candidates in the same order; None where their numbers differ."""
    first, second = marks[a], marks[b]
    if len(first.scan) != len(second.scan) or not np.array_equal(np.sort(first.scan), np.sort(second.scan)):
        return None
    rows = [one.score[np.lexsort((one.score, one.scan))][:, None] for one in (first, second)]
    return rows[0], rows[1], True


def _alike(first: Array, second: Array, ranked: bool) -> bool:
    """Return whether values (rows, classes) of two runs are those of one run."""
    # Unusable values are refused elsewhere. Values that do not depend on the case prove nothing: two runs that
    # collapsed, or that are perfect, may both give them.
    if not (np.isfinite(first).all() and np.isfinite(second).all()) or not (_varies(first) and _varies(second)):
        return False
    if np.array_equal(first, second) or _is_rounded(first, second) or _is_rounded(second, first):
        return True
    if ranked:
        apart = float(np.sqrt(np.mean((first - second) ** 2)))
        if apart < SINGLE_PRECISION * max(float(np.abs(first).max()), SINGLE_PRECISION):
            return True
        first, second = rankdata(first, axis=0), rankdata(second, axis=0)
    return bool(np.sqrt(np.mean((first - second) ** 2)) < NEARLY * np.sqrt(first.var(axis=0).mean()))


def _varies(values: Array) -> bool:
    return bool(np.ptp(values, axis=0).max() > 0) if len(values) else False


def _is_rounded(values: Array, rounded: Array) -> bool:
    """Return whether the second values are the first ones, rounded to some digits."""
    if len(np.unique(rounded)) < FEWEST_VALUES:
        return False
    for digits in range(MOST_DIGITS + 1):
        if np.allclose(rounded, np.round(rounded, digits), rtol=0.0, atol=1e-9):
            return bool(np.abs(values - rounded).max() <= 0.5 * 10.0**-digits + 1e-9)
    return False
