"""Detection before torch: prepared cases with findings, candidates on their grids, and trivial detectors.

no-candidates marks nothing; the spot rule marks the brightest or darkest spots, or those that differ most from what is
around them, in one channel: all of that is chosen on training cases. Neither has a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.cohorts import Cohort
from equipoise.errors import PredictionError
from equipoise.evaluation.candidates import Candidates, peak_candidates
from equipoise.evaluation.detection import cpm
from equipoise.evaluation.finding_masks import findings_in
from equipoise.evaluation.matched_scans import MarkedScan, detection_predictions, marks_of
from equipoise.evaluation.predictions import Predictions
from equipoise.preprocessing import Pipeline
from equipoise.preprocessing.one_by_one import prepare_each
from equipoise.training.data.finding_targets import finding_target
from equipoise.training.data.samples import Grid, PreparedCase, Samples
from equipoise.training.preparation.task_preparation import Indices, Opening

Array = NDArray[np.float32]
# (samples, index) → candidates on the prepared grid
Answer = Callable[[Samples, int], Candidates]

MOST_CASES = 50
MOST_VOXELS = 2**28
"""Training cases that the rule looks at, evenly spread, and their voxels together (three cases at least)."""

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


@dataclass(frozen=True)
class SpotBaseline:
    """A rule: its name and `fit(training samples) -> answer`."""

    name: str
    fit: Callable[[Samples], Answer]


@dataclass(frozen=True)
class _Spots:
    """Peaks of one channel, smoothed over the size of a usual finding; their height, scaled to 0–1, is the score.

    sign: −1 seeks dark spots. contrast: against what is around, smoothed over twice that size.
    """

    channel: int
    sign: int
    contrast: bool
    radius_mm: float
    low: float = 0.0
    high: float = 1.0

    def height(self, image: Array, spacing_mm: tuple[float, ...]) -> Array:
        """How suspicious each voxel of (channel, *spatial) is, in units of the image."""
        plane = np.asarray(image[self.channel], dtype=np.float32)
        sigma = self.radius_mm / np.sqrt(plane.ndim) / np.array(spacing_mm)  # at which a ball stands out most
        smooth = ndimage.gaussian_filter(plane, sigma, mode="nearest")
        around = ndimage.gaussian_filter(plane, 2 * sigma, mode="nearest") if self.contrast else 0.0
        return np.asarray(self.sign * (smooth - around), dtype=np.float32)

    def __call__(self, samples: Samples, index: int) -> Candidates:
        """Every peak that is no lower than the lowest place of the training cases."""
        spacing = samples.grids[index].prepared_spacing_mm
        height = self.height(np.asarray(samples.images[index]), spacing)
        score = np.clip((height - self.low) / ((self.high - self.low) or 1.0), 0, 1)
        return most_suspicious(peak_candidates(score, spacing, float(np.finfo(np.float32).eps), self.radius_mm))


def _nothing(_: Samples) -> Answer:
    def answer(samples: Samples, index: int) -> Candidates:
        return Candidates(np.empty((0, samples.images[index].ndim - 1)), np.empty(0))

    return answer


def _spots(train: Samples) -> Answer:
    """The channel, sign and kind of spot with the largest CPM on training cases, the first of equals."""
    radii = np.concatenate([findings.radius_mm[findings.relevant] for findings in train.findings])
    radius = float(np.median(radii)) if len(radii) else 1.0
    chosen = _chosen(train)
    kinds = product(range(train.images[0].shape[0]), (1, -1), (True, False))
    rules = [_scaled(_Spots(channel, sign, contrast, radius), train, chosen) for channel, sign, contrast in kinds]
    return max(rules, key=lambda rule: _cpm(rule, train, chosen))


def _chosen(samples: Samples) -> list[int]:
    voxels = int(np.prod(samples.images[0].shape[1:]))
    most = max(3, min(MOST_CASES, MOST_VOXELS // voxels))
    return [int(index) for index in np.linspace(0, len(samples) - 1, min(most, len(samples)))]


def _scaled(rule: _Spots, train: Samples, chosen: list[int]) -> _Spots:
    """The rule with the lowest and highest place of the training cases as the ends of its score."""
    ends = []
    for index in chosen:
        height = rule.height(np.asarray(train.images[index]), train.grids[index].prepared_spacing_mm)
        ends.append((float(height.min()), float(height.max())))
    low, high = np.min(ends), np.max(ends)
    return _Spots(rule.channel, rule.sign, rule.contrast, rule.radius_mm, float(low), float(high))


def _cpm(rule: _Spots, train: Samples, chosen: list[int]) -> float:
    scans = [marked(train, index, "train", rule(train, index)) for index in chosen]
    try:
        return cpm(marks_of(scans))
    except PredictionError:  # none of these cases has a finding
        return 0.0


SPOT_BASELINES = (SpotBaseline("no-candidates", _nothing), SpotBaseline("spot-rule", _spots))


def predict_spots(rule: SpotBaseline, fold: int, train: Samples, parts: Mapping[str, Samples]) -> Predictions:
    """The rule, fitted on training cases, on the cases of `parts` (split name → samples), with its candidates."""
    answer = rule.fit(train)
    scans = [
        marked(samples, index, part, answer(samples, index))
        for part, samples in parts.items()
        for index in range(len(samples))
    ]
    return detection_predictions(scans, rule.name, fold, 0)


class _Preparation:
    """See `TaskPreparation`."""

    def prepared(self, cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: str) -> Iterator[PreparedCase]:
        for case in prepare_each(cohort, indices, pipeline):
            name, patient = cohort.cases[case.index].id, cohort.cases[case.index].patient
            findings = findings_in(case.truth, case.spacing_mm)
            arrays = {"images": case.image, "targets": finding_target(case, findings, targets)}
            yield PreparedCase(name, patient, arrays, Grid(case.record.to_json(), case.spacing_mm), findings)

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        train = opening.train()
        for rule in SPOT_BASELINES:
            yield predict_spots(rule, opening.number, train, opening.held_out)


PREPARATION = _Preparation()
