"""Candidates on a prepared grid → the scan they belong to, matched with its findings."""

from equipoise.evaluation.candidates import Candidates
from equipoise.evaluation.matched_scans import MarkedScan
from equipoise.training.data.samples import Samples

MOST_CANDIDATES = 200
"""Of one scan, the most suspicious: a model that has learnt nothing marks everything."""


def marked(samples: Samples, index: int, split: str, candidates: Candidates) -> MarkedScan:
    """The candidates of a prepared case, brought to its own grid and matched with its findings."""
    grid, prepared = samples.grids[index], samples.images[index].shape[1:]
    own = Candidates(grid.places_back(candidates.centre_mm, prepared), candidates.score)
    return MarkedScan.of(samples.cases[index], samples.patients[index], split, own, samples.findings[index])


def most_suspicious(candidates: Candidates) -> Candidates:
    """The first `MOST_CANDIDATES`."""
    return Candidates(candidates.centre_mm[:MOST_CANDIDATES], candidates.score[:MOST_CANDIDATES])
