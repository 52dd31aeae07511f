"""Detection metrics: hits of candidates by the LUNA16 rule, FROC, its score (CPM), and average precision.

A candidate inside a relevant finding (not farther from its centre than its radius) hits it. Several candidates on one
finding count once, with the highest score. A candidate without a hit that is inside an irrelevant finding (a
non-nodule, a nodule below 3 mm or marked by too few readers) is neither a hit nor a false positive. Every other
candidate is a false positive. Reference: A. A. A. Setio et al., Medical Image Analysis 42 (2017) 1–13.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which the CPM reads the sensitivity."""
UNKNOWN_DIAMETER_MM = 10.0
"""Diameter of a finding that was marked but not measured, as in LUNA16."""
NO_FINDING = -1


@dataclass(frozen=True)
class Findings:
    """True findings of one scan, in the frame of its candidates: centre_mm (m, axes) in array order, the others (m,).

    A diameter that is not a number, or not above 0, is unknown: see `UNKNOWN_DIAMETER_MM`.
    """

    centre_mm: Numbers
    diameter_mm: Numbers
    relevant: NDArray[np.bool_]

    @property
    def radius_mm(self) -> Numbers:
        """Half the diameter (m,)."""
        known = np.nan_to_num(self.diameter_mm, nan=0.0) > 0
        return np.where(known, self.diameter_mm, UNKNOWN_DIAMETER_MM) / 2


@dataclass(frozen=True)
class Matches:
    """One scan's rows (k,): number of the candidate, of the relevant finding that it hits or −1, and irrelevance.

    A candidate inside two relevant findings has a row for each; every other candidate has one row.
    """

    candidate: Indices
    finding: Indices
    irrelevant: NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """Matched candidates of several scans as rows (k,), and the relevant `findings` (scans,) of every scan.

    scan: index of the row's scan; score: higher is more suspicious; finding and irrelevant: as in `Matches`.
    """

    scan: Indices
    score: Numbers
    finding: Indices
    irrelevant: NDArray[np.bool_]
    findings: Indices

    @classmethod
    def of_scans(cls, scans: Sequence[tuple[Matches, Numbers, Findings]]) -> Self:
        """Join the rows of several scans, each given as its matches, the scores of its candidates and its findings."""
        return cls(
            np.repeat(np.arange(len(scans)), [len(matches.candidate) for matches, _, _ in scans]),
            np.concatenate([score[matches.candidate] for matches, score, _ in scans]),
            np.concatenate([matches.finding for matches, _, _ in scans]),
            np.concatenate([matches.irrelevant for matches, _, _ in scans]),
            np.array([int(findings.relevant.sum()) for _, _, findings in scans], dtype=np.int64),
        )

    def of_scans_where(self, keep: NDArray[np.bool_]) -> "Marks":
        """Select the rows of the scans to keep (scans,), and renumber the scans."""
        rows, number = keep[self.scan], np.cumsum(keep) - 1
        own = self.score[rows], self.finding[rows], self.irrelevant[rows]
        return Marks(number[self.scan[rows]], *own, self.findings[keep])


@dataclass(frozen=True)
class Froc:
    """False positives per scan and sensitivity at falling thresholds, from (0, 0) on; neither ever falls."""

    false_positives: Numbers
    sensitivity: Numbers
    thresholds: Numbers

    def at(self, rate: float) -> float:
        """Return the sensitivity at a number of false positives per scan, linear between points, then constant."""
        return float(np.interp(rate, self.false_positives, self.sensitivity))


@dataclass(frozen=True)
class LeftOut:
    """A metric of all scans, and its value without each patient in turn (patients,)."""

    value: float
    without: Numbers


def match(centre_mm: Numbers, findings: Findings) -> Matches:
    """Match the candidates at `centre_mm` (n, axes) of one scan with its findings.

    >>> findings = Findings(np.array([[0.0, 0, 0], [0, 0, 50]]), np.array([6.0, 8]), np.array([True, False]))
    >>> matches = match(np.array([[0.0, 0, 3], [0, 0, 47], [0, 20, 0]]), findings)
    >>> matches.finding.tolist(), matches.irrelevant.tolist()
    ([0, -1, -1], [False, True, False])
    """
    apart = np.linalg.norm(centre_mm[:, None] - findings.centre_mm[None], axis=2)
    inside = apart <= findings.radius_mm
    hits = inside & findings.relevant
    hitting, hit = np.nonzero(hits)
    others = np.flatnonzero(~hits.any(axis=1))
    candidate = np.concatenate([hitting, others])
    finding = np.concatenate([hit, np.full(len(others), NO_FINDING)])
    irrelevant = np.concatenate([np.zeros(len(hitting), dtype=bool), inside[others].any(axis=1)])
    order = np.argsort(candidate, kind="stable")
    return Matches(candidate[order], finding[order].astype(np.int64), irrelevant[order])


def froc(marks: Marks) -> Froc:
    """Compute the free-response curve: a point for each distinct score, and (0, 0) before the first."""
    curve = _Curve(marks)
    thresholds, group = np.unique(-curve.score, return_inverse=True)
    false_positives = np.bincount(group[~curve.hit], minlength=len(thresholds)).cumsum() / curve.scans
    hits = np.bincount(group[curve.hit], minlength=len(thresholds)).cumsum() / curve.findings
    return Froc(np.append(0.0, false_positives), np.append(0.0, hits), np.append(np.inf, -thresholds))


def cpm(marks: Marks) -> float:
    """Compute LUNA16's score: the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan.

    Range [0, 1], higher is better. Without a candidate it is 0; without a relevant finding PredictionError is raised.
    """
    curve = _Curve(marks)
    return _cpm(curve.false.cumsum(), curve.hits.cumsum(), curve.scans, curve.findings)


def average_precision(marks: Marks) -> float:
    """Average, over all relevant findings, the precision at the score that finds them, 0 for those never found.

    Range [0, 1], higher is better; equal scores enter together, without interpolation. Empty inputs as in `cpm`.
    """
    curve = _Curve(marks)
    return _average_precision(curve.false.cumsum(), curve.hits.cumsum(), curve.scans, curve.findings)


@dataclass(frozen=True)
class FrocBand:
    """Mean sensitivity over runs at each number of false positives per scan, with its pointwise 95 % band."""

    rates: Numbers
    sensitivity: Numbers
    low: Numbers
    high: Numbers


def froc_band(
    runs: Sequence[tuple[Marks, Indices]], rates: Numbers, generator: np.random.Generator, draws: int = 500
) -> FrocBand:
    """Average the runs' curves at `rates`, with a band from draws of patients and runs with replacement.

    runs: marks and the patient of each scan (scans,), as numbers from 0 that all runs share. A draw without any finding
    for some run is left out. The band serves a figure; verdicts come from `statistics`.
    """
    curves = [(_Curve(marks), patient) for marks, patient in runs]
    patients = 1 + max(int(patient.max()) for _, patient in runs)
    own = np.array([curve.sensitivity_at(rates, np.ones(curve.scans)) for curve, _ in curves])
    drawn = np.full((draws, len(rates)), np.nan)
    # Patients are weights and not copies of rows: the counts of each curve are made once and reweighted per draw.
    for row in drawn:
        weight = np.bincount(generator.integers(patients, size=patients), minlength=patients)
        chosen = [curves[index] for index in generator.integers(len(runs), size=len(runs))]
        if all(weight[patient] @ curve.by_scan > 0 for curve, patient in chosen):
            row[:] = np.mean([curve.sensitivity_at(rates, weight[patient]) for curve, patient in chosen], axis=0)
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    return FrocBand(rates, own.mean(axis=0), low, high)


def leave_one_out(metric: Callable[[Marks], float], marks: Marks, patient: Indices, n_patients: int) -> LeftOut:
    """Compute `cpm` or `average_precision` of all scans, and without each patient; patient (scans,) < n_patients.

    Raises PredictionError where one patient has every scan or every relevant finding.
    """
    # Matching is within scans, so a patient's rows can be subtracted from the cumulative counts. The cost is linear in
    # the rows, plus for each patient linear in the findings; matching again for each patient would be quadratic.
    curve, formula = _Curve(marks), _FORMULAS[metric]
    false, hits = curve.false.cumsum(), curve.hits.cumsum()
    scans = curve.scans - np.bincount(patient, minlength=n_patients)
    findings = curve.findings - np.bincount(patient, weights=marks.findings, minlength=n_patients)
    if scans.min() < 1 or findings.min() < 1:
        raise PredictionError(
            f"without patient number {int(np.argmin(np.minimum(scans, findings)))} no relevant finding is left in the "
            "test part, so nothing can be said of other patients; use a larger test part"
        )
    owner = patient[curve.scan]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(n_patients + 1))
    without = np.empty(n_patients)
    for number in range(n_patients):
        own = order[bounds[number] : bounds[number + 1]]
        step, hit = curve.step[own], curve.hit[own]
        own_false, own_hits = (np.bincount(step[k], minlength=len(false)).cumsum() for k in (~hit, hit))
        without[number] = formula(false - own_false, hits - own_hits, scans[number], findings[number])
    return LeftOut(formula(false, hits, curve.scans, curve.findings), without)


class _Curve:
    """Counts of the first hit of each finding and of false positives, in steps of falling scores.

    Step 2j + 1 holds the rows with the j-th highest score that hits a finding, step 2j the rows between it and the
    score before. Within even steps the sensitivity is constant, so the steps describe the whole FROC curve.
    """

    def __init__(self, marks: Marks) -> None:
        self.scans, self.findings, self.by_scan = len(marks.findings), int(marks.findings.sum()), marks.findings
        if not self.findings:
            raise PredictionError(
                "no scan of this part has a relevant finding, so nothing can be found; use a larger part"
            )
        if not np.isfinite(marks.score).all():
            raise PredictionError("a candidate's score is not a number; give every candidate a finite score")
        best = _best_of_each(marks)
        if (np.bincount(marks.scan[best], minlength=self.scans) > marks.findings).any():
            raise PredictionError("more findings of a scan were hit than it has; count its relevant findings again")
        rows = np.concatenate([best, np.flatnonzero((marks.finding == NO_FINDING) & ~marks.irrelevant)])
        self.scan, self.score = marks.scan[rows], marks.score[rows]
        self.hit = np.arange(len(rows)) < len(best)
        # Twice the number of distinct hits bounds the steps: millions of false positives do not lengthen the arrays
        # that `leave_one_out` copies for each patient.
        levels = np.unique(-self.score[self.hit])
        self.step = np.searchsorted(levels, -self.score, "left") + np.searchsorted(levels, -self.score, "right")
        self.false = np.bincount(self.step[~self.hit], minlength=2 * len(levels) + 1)
        self.hits = np.bincount(self.step[self.hit], minlength=2 * len(levels) + 1)

    def sensitivity_at(self, rates: Numbers, weight: NDArray[Any]) -> Numbers:
        """Return the sensitivity at false positives per scan, where scan k counts weight[k] times."""
        mass = weight[self.scan]
        false, hits = (np.bincount(self.step[k], mass[k], len(self.false)).cumsum() for k in (~self.hit, self.hit))
        share = np.append(0.0, hits / (weight @ self.by_scan))
        sensitivity: Numbers = np.interp(rates, np.append(0.0, false / weight.sum()), share)
        return sensitivity


def _best_of_each(marks: Marks) -> Indices:
    """Return the row of the highest score on each finding that was hit."""
    rows = np.flatnonzero(marks.finding != NO_FINDING)
    rows = rows[np.lexsort((-marks.score[rows], marks.finding[rows], marks.scan[rows]))]
    named = np.stack([marks.scan[rows], marks.finding[rows]])
    first = np.append(True, (named[:, 1:] != named[:, :-1]).any(axis=0))[: len(rows)]
    return np.asarray(rows[first], dtype=np.int64)


def _cpm(false: Indices, hits: Indices, scans: float, findings: float) -> float:
    rates, sensitivity = np.append(0.0, false / scans), np.append(0.0, hits / findings)
    return float(np.interp(RATES, rates, sensitivity).mean())


def _average_precision(false: Indices, hits: Indices, scans: float, findings: float) -> float:  # noqa: ARG001
    new = np.diff(hits, prepend=0)
    return float((new * hits / np.maximum(hits + false, 1)).sum() / findings)


_FORMULAS: dict[Callable[[Marks], float], Callable[[Indices, Indices, float, float], float]] = {
    cpm: _cpm,
    average_precision: _average_precision,
}
