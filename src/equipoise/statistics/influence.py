"""Compute each patient's influence on a metric, from which all variances and covariances follow.

For a metric that is a function of case weights, the influence of case k is its derivative by the weight of k; a
patient's influence is the sum over the patient's cases, so that lesions of one patient may depend on each other.
AUC: DeLong (1988), clusters Obuchowski (1997), one sort Sun & Xu (2014).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from equipoise.errors import PredictionError
from equipoise.evaluation.detection import Marks, leave_one_out
from equipoise.statistics.panel import Fold

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# score (n,), positive (n,) -> metric, influence of each case (n,)
Binary = Callable[[Array, Mask], tuple[float, Array]]
# true class (n,), scores (n, classes) -> metric
PooledFunction = Callable[[NDArray[np.int64], Array], float]

JACKKNIFE_GROUPS = 200
HALVES, ROUGH = 100, 1.3
"""Halves of the patients on which a user's metric is computed; a metric whose variance by them exceeds the jackknife's
by this factor is not smooth."""


@dataclass(frozen=True)
class Influence:
    """Metric of every column (columns,) and the influence of each patient on it.

    `parts` are (columns, patients), one for each class of cases that is centred separately (so its number of patients
    in `counts` corrects the small-sample bias); `present` (patients,) marks patients with any case that counts.
    `independent` is each column's variance if all cases were independent, from which the design effect follows.
    `sizes` (patients,), one for each part, are the numbers of cases of each patient, or what stands for them. `levers`
    take the place of parts and sizes where classes are not centred separately, and patients are unequal within them.
    """

    value: Array
    parts: tuple[Array, ...]
    counts: tuple[int, ...]
    present: Mask
    independent: Array
    sizes: tuple[Array, ...] = ()
    levers: tuple[tuple[Array, Array], ...] = ()

    @property
    def total(self) -> Array:
        """The influence of each patient (columns, patients); every column sums to zero."""
        return np.asarray(sum(self.parts[1:], start=self.parts[0]))


def mean_influence(values: Array, masks: tuple[Mask, ...], patient: NDArray[np.int64], n_patients: int) -> Influence:
    """Average values (columns, n) within each class (mask of cases), then over classes; return metric and influence."""
    value, parts, counts, sizes = np.zeros(len(values)), [], [], []
    independent = np.zeros(len(values))
    for mask in masks:
        n = int(mask.sum())
        inside = values[:, mask]
        mean = inside.mean(axis=1)
        centred = (inside - mean[:, None]) / (n * len(masks))
        value += mean / len(masks)
        parts.append(_by_patient(centred, patient[mask], n_patients))
        sizes.append(_sizes(patient[mask], n_patients))
        counts.append(int((sizes[-1] > 0).sum()))
        # The factor n / (n - 1) makes the variance unbiased for small classes.
        independent += (centred**2).sum(axis=1) * n / max(n - 1, 1)
    present = _seen(patient[np.logical_or.reduce(masks)], n_patients)
    return Influence(value, tuple(parts), tuple(counts), present, independent, tuple(sizes))


def rank_influence(
    scores: Array, truth: Mask, patient: NDArray[np.int64], n_patients: int, binary: Binary | None = None
) -> Influence:
    """Return the influence on a rank metric (default: AUC) of scores (columns, n); the two classes are the parts."""
    rows = [(binary or area)(score, truth) for score in scores]
    value = np.array([v for v, _ in rows])
    case = np.stack([u for _, u in rows])
    parts, counts, sizes, independent = [], [], [], np.zeros(len(scores))
    for mask in (truth, ~truth):
        own, who = np.compress(mask, case, axis=1), patient[mask]
        parts.append(_by_patient(own, who, n_patients))
        sizes.append(_sizes(who, n_patients))
        counts.append(int((sizes[-1] > 0).sum()))
        independent += np.einsum("ck,ck->c", own, own) * len(who) / max(len(who) - 1, 1)
    present = _seen(patient, n_patients)
    return Influence(value, tuple(parts), tuple(counts), present, independent, tuple(sizes))


@dataclass(frozen=True)
class Placements:
    """`value[k]` is the fraction of the other class's cases that case k is correctly ranked against; ties count half.

    DeLong, DeLong & Clarke-Pearson (1988): V10 for positives, V01 for negatives; their means are both the AUC.
    """

    auc: float
    value: NDArray[np.float64]


def placements(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> Placements:
    """Compute placement values of n scores (n,) in O(n log n); both classes must be present.

    >>> placements(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])).auc
    0.875
    """
    order = np.argsort(score)
    ordered, truth = score[order], positive[order]
    n, m = len(score), int(truth.sum())
    positives = np.cumsum(truth)  # up to and including each place
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of every run of ties
    # Without ties, the common case of floating-point scores, no sums per run are needed.
    if len(last) == n:
        negatives_below = np.arange(1, n + 1) - positives
        right = np.where(truth, negatives_below / max(n - m, 1), (m - positives) / max(m, 1))
    else:
        run = np.diff(last, prepend=-1)
        up_to = positives[last]
        within = np.diff(up_to, prepend=0)
        below = (last + 1 - up_to) - (run - within) / 2.0
        above = m - up_to + within / 2.0
        right = np.where(truth, np.repeat(below / max(n - m, 1), run), np.repeat(above / max(m, 1), run))
    value = np.empty(n)
    value[order] = right
    return Placements(float(right[truth].sum() / m), value)


def area(score: Array, truth: Mask) -> tuple[float, Array]:
    """Return the AUC and the influence of each case on it."""
    place = placements(score, truth)
    size = np.where(truth, int(truth.sum()), int((~truth).sum()))
    return place.auc, (place.value - place.auc) / size


def average_precision(score: Array, truth: Mask) -> tuple[float, Array]:
    """Return average precision (mean over positives of the precision at their score) and its influence.

    Range (0, 1], higher is better; with tp and all the counted cases at or above a positive's score, the precision is
    tp / all, and a case above it moves that precision by (truth - precision) / all.
    """
    order = np.argsort(-score)
    ordered, hits = score[order], truth[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    run = np.diff(last, prepend=-1)
    true = np.diff(np.cumsum(hits)[last], prepend=0)
    precision = np.cumsum(true) / (last + 1.0)
    m = int(hits.sum())
    value = float((true * precision).sum() / m)
    below = np.cumsum((true / (last + 1.0))[::-1])[::-1]  # over positives at or below this score
    below_precise = np.cumsum((true * precision / (last + 1.0))[::-1])[::-1]
    moved = np.where(hits, np.repeat(below, run), 0.0) - np.repeat(below_precise, run)
    direct = np.where(hits, np.repeat(precision, run) - value, 0.0)
    # A case contributes its own precision (if positive), and changes that of all positives at or below its score.
    out = np.empty(len(score))
    out[order] = (direct + moved) / m
    return value, out


def at_specificity(specificity: float) -> Binary:
    """Return a metric: sensitivity at the lowest threshold with at least this specificity."""

    def metric(score: Array, truth: Mask) -> tuple[float, Array]:
        """Return the sensitivity and the influence of each case on it."""
        negative = np.sort(score[~truth])
        positive = np.sort(score[truth])
        n, m = len(negative), len(positive)
        value, threshold = _sensitivity(negative, positive, specificity)
        # The threshold is estimated from the negatives, so they influence the sensitivity too, by the slope of the ROC
        # curve.
        slope = _slope(negative, positive, specificity, value)
        above = score >= threshold
        false = float(above[~truth].mean())
        return value, np.where(truth, (above - value) / m, -slope * (above - false) / n)

    return metric


def _slope(negative: Array, positive: Array, specificity: float, value: float) -> float:
    """Estimate the slope of the ROC curve at this specificity."""
    # By a wide window on the probit scale: the curve is nearly straight there, so the bias is small, whereas a density
    # estimate from the few negatives near the threshold would be noisy.
    middle = float(ndtri(1 - specificity))
    edges = np.array([middle - 0.5, middle + 0.5])
    m = len(positive)
    curve = [ndtri((_sensitivity(negative, positive, 1 - float(ndtr(x)))[0] * m + 0.5) / (m + 1)) for x in edges]
    height = float(ndtri((value * m + 0.5) / (m + 1)))
    return max(float(curve[1] - curve[0]), 0.0) * float(np.exp((middle**2 - height**2) / 2))


def _sensitivity(negative: Array, positive: Array, specificity: float) -> tuple[float, float]:
    """Return sensitivity and threshold (cases at or above it are called positive) for sorted scores."""
    allowed = int(
        np.floor((1.0 - specificity) * len(negative) + 1e-9)
    )  # false positives allowed; 1e-9 against rounding
    limit = negative[len(negative) - allowed - 1] if allowed < len(negative) else -np.inf
    first = int(np.searchsorted(positive, limit, side="right"))
    return (len(positive) - first) / len(positive), float(np.nextafter(limit, np.inf))


def one_versus_rest(fold: Fold, n_patients: int, binary: Binary) -> Influence:
    """Average the metric of each class against the others; a patient's influence is the mean of the class-wise ones."""
    classes = fold.scores.shape[2]
    each = []
    for index in range(classes):
        truth = fold.truth == index
        need_both_classes(truth, fold)
        each.append(rank_influence(fold.scores[:, :, index], truth, fold.patient, n_patients, binary))
    value = np.mean([e.value for e in each], axis=0)
    total = np.asarray(np.mean([e.total for e in each], axis=0))
    independent = np.asarray(np.mean([e.independent for e in each], axis=0))
    levers = tuple((part / classes, own) for e in each for part, own in zip(e.parts, e.sizes, strict=True))
    return Influence(value, (total,), (int(each[0].present.sum()),), each[0].present, independent, levers=levers)


def recall_influence(right: Array, masks: tuple[Mask, ...], name: str, fold: Fold, n_patients: int) -> Influence:
    """Return the influence on the mean over classes (masks) of the share of correct cases, `right` (columns, n)."""
    for mask in masks:
        if not mask.any():
            raise PredictionError(f"{name} is undefined in fold {fold.number}: a class has no test case")
    return mean_influence(right.astype(float), masks, fold.patient, n_patients)


def ratio_influence(counted: Array, of: Array, name: str, fold: Fold, n_patients: int) -> Influence:
    """Return the influence on the share of `counted` among the cases `of`, both (columns, n) and of own cases each.

    The delta method for a ratio of means, as for a predictive value, whose denominator a method chooses itself.
    """
    size = of.sum(axis=1).astype(float)
    if not size.all():
        raise PredictionError(f"{name} is undefined in fold {fold.number}: an arm calls no case so")
    value = counted.sum(axis=1) / size
    case = (counted - value[:, None] * of) / size[:, None]
    count = int(_seen(fold.patient, n_patients).sum())
    part = _by_patient(case, fold.patient, n_patients)
    independent = (case**2).sum(axis=1) * size / np.maximum(size - 1, 1)
    present, sizes = _seen(fold.patient, n_patients), _sizes(fold.patient, n_patients)
    return Influence(value, (part,), (count,), present, independent, (sizes,))


def jackknife_influence(fold: Fold, function: PooledFunction, name: str, n_patients: int) -> Influence:
    """Return the influence on a user's pooled metric, by leaving out one patient (or group of patients) at a time."""
    patients, inverse = np.unique(fold.patient, return_inverse=True)
    # At most 200 groups, because a user's function is called once per group and run, and may be slow. Patients are
    # shuffled by a fixed generator: neighbours in the order of names may come from one site.
    groups = min(len(patients), JACKKNIFE_GROUPS)
    shuffled = np.random.default_rng(0).permutation(len(patients))
    member = (shuffled % groups)[inverse]  # the group of each case
    value = np.array([_number(function(fold.truth, s), name) for s in fold.scores])
    without = np.array(
        [[_number(function(fold.truth[member != g], s[member != g]), name) for g in range(groups)] for s in fold.scores]
    )
    part = np.zeros((len(value), n_patients))
    lead = patients[[int(np.flatnonzero(shuffled % groups == g)[0]) for g in range(groups)]]
    part[:, lead] = -(groups - 1) / groups * (without - without.mean(axis=1, keepdims=True))
    halves = _of_halves(fold, function, name, len(patients), inverse)
    part *= np.sqrt(excess_of_halves(halves, without))
    sizes = np.zeros(n_patients)
    sizes[lead] = np.bincount(shuffled % groups, relative_sizes(fold, n_patients)[patients], groups)
    independent = (part**2).sum(axis=1) * groups / max(groups - 1, 1)
    return Influence(value, (part,), (groups,), _seen(patients, n_patients), independent, (sizes,))


def _of_halves(fold: Fold, function: PooledFunction, name: str, patients: int, owner: NDArray[np.int64]) -> Array:
    """Return the metric (columns, halves) on random halves of the patients; `owner`: the patient of each case.

    Halves without one of the classes are left out, as are those on which the function is not defined.
    """
    stream, out = np.random.default_rng(1), []
    for _ in range(HALVES):
        keep = (stream.permutation(patients) < patients // 2)[owner]
        if len(np.unique(fold.truth[keep])) < len(np.unique(fold.truth)):
            continue
        with suppress(PredictionError):
            out.append([_number(function(fold.truth[keep], s[keep]), name) for s in fold.scores])
    return np.array(out).reshape(-1, len(fold.scores)).T


def excess_of_halves(halves: Array, without: Array) -> float:
    """Return by how much halves of the patients vary more than leaving out one says; 1 where the metric is smooth.

    halves, without: the metric (columns, halves) on halves, (columns, groups) without each group. Deleting half
    estimates the variance of any metric that has one, deleting one only that of smooth metrics (Shao & Wu 1989). The
    larger ratio counts, of the metric itself or of differences between columns.
    """
    ratios = [1.0]
    groups = without.shape[1]
    for many, one in ((halves, without), (halves - halves.mean(axis=0), without - without.mean(axis=0))):
        of_halves = float(many.var(axis=1).sum()) if halves.shape[1] > 1 else 0.0
        of_one = float((groups - 1) * one.var(axis=1).sum())
        ratios.append(of_halves / of_one if of_one > 0 else 1.0)
    return max(ratios) if max(ratios) > ROUGH else 1.0


def candidate_influence(fold: Fold, metric: Callable[[Marks], float], n_patients: int) -> Influence:
    """Return the influence on a metric of candidates, exactly, by leaving out one patient at a time."""
    if not fold.marks:
        raise PredictionError(
            "the predictions hold numbers of findings and no candidates; give the table of candidates with their scores"
        )
    value, part = detection_influence(fold.marks, metric, fold.patient, n_patients)
    present = _seen(fold.patient, n_patients)
    n = int(present.sum())
    sizes = _sizes(fold.patient, n_patients)
    return Influence(value, (part,), (n,), present, (part**2).sum(axis=1) * n / max(n - 1, 1), (sizes,))


def detection_influence(
    marks: tuple[Marks, ...], metric: Callable[[Marks], float], patient: NDArray[np.int64], n_patients: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the metric of every column (columns,) and every patient's influence on it (columns, n_patients).

    patient: (scans,) of `marks`; patients without a scan have no influence. With P patients the influence of one is
    −(P − 1) / P times the change by its absence, centred on the mean of all such changes; rows sum to zero.
    """
    present, member = np.unique(patient, return_inverse=True)
    by_column = [leave_one_out(metric, column, member, len(present)) for column in marks]
    without = np.stack([each.without for each in by_column])
    part = np.zeros((len(marks), n_patients))
    part[:, present] = -(len(present) - 1) / len(present) * (without - without.mean(axis=1, keepdims=True))
    return np.array([each.value for each in by_column]), part


def _number(value: float, name: str) -> float:
    if not np.isfinite(value):
        raise PredictionError(
            f"the endpoint {name!r} returned {value} for some group of patients; it must be a number whenever "
            "both classes are present"
        )
    return float(value)


def need_both_classes(truth: Mask, fold: Fold) -> None:
    """Raise PredictionError for a fold in which every case, or none, is of the class in question."""
    if truth.all() or not truth.any():
        which = "every" if truth.all() else "no"
        raise PredictionError(
            f"{which} test case of fold {fold.number} is of the class in question; a ranking metric needs both classes"
        )


def relative_sizes(fold: Fold, n_patients: int) -> Array:
    """Return each patient's number of cases (patients,) over that of an equal one, in the class where it is largest.

    It stands for the number of cases where the metric is no sum over classes: a patient with half of the cases of a
    rare class decides it, however few of all cases these are. Equal patients, each of one class, have equal sizes.
    """
    sizes = np.zeros(n_patients)
    for label in np.unique(fold.truth):
        own = _sizes(fold.patient[fold.truth == label], n_patients)
        sizes = np.maximum(sizes, own / own.sum() * int((own > 0).sum()))
    return sizes


def _sizes(patient: NDArray[np.int64], n_patients: int) -> Array:
    """Return the number of cases of each patient (patients,)."""
    return np.bincount(patient, minlength=n_patients).astype(np.float64)


def _seen(patient: NDArray[np.int64], n_patients: int) -> Mask:
    """Return a mask (patients,) of those that occur."""
    seen = np.zeros(n_patients, dtype=bool)
    seen[patient] = True
    return seen


def _by_patient(values: Array, patient: NDArray[np.int64], n_patients: int) -> Array:
    """Sum case influences (columns, n) within patients (columns, patients)."""
    if np.all(patient[1:] > patient[:-1]):  # one case each: no sum needed
        out = np.zeros((len(values), n_patients))
        for row, own in zip(out, values, strict=True):
            row[patient] = own
        return out
    return np.stack([np.bincount(patient, weights=row, minlength=n_patients) for row in values])
