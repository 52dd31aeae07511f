"""Scans with matched candidates, and their tables: one row per scan, and one row per candidate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.candidate_table import FINDINGS, CandidateTable
from equipoise.evaluation.candidates import Candidates
from equipoise.evaluation.detection import NO_FINDING, Findings, Marks, Matches, match
from equipoise.evaluation.predictions import Predictions


@dataclass(frozen=True)
class MarkedScan:
    """One scan with its candidates and its true findings, both in mm from the centre of its first voxel."""

    case: str
    patient: str
    split: str
    candidates: Candidates
    findings: Findings
    matches: Matches

    @classmethod
    def of(cls, case: str, patient: str, split: str, candidates: Candidates, findings: Findings) -> "MarkedScan":
        """Match the candidates with the findings."""
        return cls(case, patient, split, candidates, findings, match(candidates.centre_mm, findings))

    def best_scores(self) -> NDArray[np.float64]:
        """Return the highest score on each finding (m,); −inf for findings without a hit and for irrelevant ones."""
        best = np.full(len(self.findings.relevant), -np.inf)
        hit = self.matches.finding != NO_FINDING
        np.maximum.at(best, self.matches.finding[hit], self.candidates.score[self.matches.candidate[hit]])
        return best

    def false_positives(self) -> NDArray[np.int64]:
        """Return the numbers of the candidates outside all findings, irrelevant ones too, most suspicious first."""
        wrong = (self.matches.finding == NO_FINDING) & ~self.matches.irrelevant
        return np.asarray(self.matches.candidate[wrong])

    def counts(self) -> dict[str, float]:
        """Count relevant findings, those of them with a hit, candidates, and false positives."""
        hit = self.matches.finding[self.matches.finding != NO_FINDING]
        return {
            FINDINGS: float(self.findings.relevant.sum()),
            "found": float(len(np.unique(hit))),
            "candidates": float(len(self.candidates)),
            "false_positives": float(len(self.false_positives())),
        }


def marks_of(scans: Sequence[MarkedScan]) -> Marks:
    """Join the matched candidates of several scans."""
    return Marks.of_scans([(scan.matches, scan.candidates.score, scan.findings) for scan in scans])


def detection_predictions(scans: Sequence[MarkedScan], arm: str, fold: int, seed: int) -> Predictions:
    """Make the rows of one job or rule, with their candidates."""
    n, rows = len(scans), [scan.counts() for scan in scans]
    return Predictions(
        case=np.array([scan.case for scan in scans]),
        patient=np.array([scan.patient for scan in scans]),
        split=np.array([scan.split for scan in scans]),
        arm=np.full(n, arm),
        fold=np.full(n, fold),
        seed=np.full(n, seed),
        truth=np.full(n, -1),
        scores=np.empty((n, 0)),
        metrics={name: np.array([row[name] for row in rows]) for name in rows[0]},
        candidates=_candidate_rows(scans, arm, fold, seed),
    )


def _candidate_rows(scans: Sequence[MarkedScan], arm: str, fold: int, seed: int) -> CandidateTable:
    counts = [len(scan.matches.candidate) for scan in scans]
    k = sum(counts)

    def each(value: Callable[[MarkedScan], Any]) -> NDArray[Any]:
        """Repeat one value per scan for each of its rows."""
        return np.repeat(np.array([value(scan) for scan in scans]), counts)

    return CandidateTable(
        case=each(lambda scan: scan.case),
        patient=each(lambda scan: scan.patient),
        split=each(lambda scan: scan.split),
        arm=np.full(k, arm),
        fold=np.full(k, fold),
        seed=np.full(k, seed),
        candidate=np.concatenate([scan.matches.candidate for scan in scans]),
        place_mm=np.concatenate([scan.candidates.centre_mm[scan.matches.candidate] for scan in scans]),
        score=np.concatenate([scan.candidates.score[scan.matches.candidate] for scan in scans]),
        finding=np.concatenate([scan.matches.finding for scan in scans]),
        irrelevant=np.concatenate([scan.matches.irrelevant for scan in scans]),
    )
