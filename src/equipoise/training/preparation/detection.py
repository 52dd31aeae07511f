"""Detection before torch: prepare cases with findings, match candidates on their grids, fit trivial detectors.

no-candidates marks no place; the spot rule marks the brightest or darkest spots of one channel, or those that differ
most from their surroundings: channel, sign and contrast are chosen on training cases. Neither rule has a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.cohorts import Cohort
from equipoise.errors import PredictionError
from equipoise.evaluation.candidates import Candidates, most_suspicious, peak_candidates
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
"""Limits of the evenly spread training cases that the rule uses: their number, and voxels in all; at least 3 cases."""


def marked(samples: Samples, index: int, split: str, candidates: Candidates) -> MarkedScan:
    """Map the candidates of a prepared case to its own grid and match them with its findings."""
    grid, prepared = samples.grids[index], samples.images[index].shape[1:]
    own = Candidates(grid.places_back(candidates.centre_mm, prepared), candidates.score)
    return MarkedScan.of(samples.cases[index], samples.patients[index], split, own, samples.findings[index])


@dataclass(frozen=True)
class SpotBaseline:
    """A trivial detector: its name and `fit(training samples) -> answer`."""

    name: str
    fit: Callable[[Samples], Answer]


@dataclass(frozen=True)
class _Spots:
    """Peaks of one channel after smoothing at the median finding's size; the score is their height, scaled to 0–1.

    sign: −1 seeks dark spots. contrast: subtract the surroundings, smoothed at twice that size.
    """

    channel: int
    sign: int
    contrast: bool
    radius_mm: float
    low: float = 0.0
    high: float = 1.0

    def height(self, image: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the suspicion of each voxel of an image (channel, *spatial), in units of the image."""
        plane = np.asarray(image[self.channel], dtype=np.float32)
        # A Laplacian of Gaussian responds most to a ball of radius r at sigma = r / sqrt(dimensions).
        sigma = self.radius_mm / np.sqrt(plane.ndim) / np.array(spacing_mm)
        smooth = ndimage.gaussian_filter(plane, sigma, mode="nearest")
        around = ndimage.gaussian_filter(plane, 2 * sigma, mode="nearest") if self.contrast else 0.0
        return np.asarray(self.sign * (smooth - around), dtype=np.float32)

    def __call__(self, samples: Samples, index: int) -> Candidates:
        """Return the highest peaks above the lowest value of the training cases."""
        spacing = samples.grids[index].prepared_spacing_mm
        height = self.height(np.asarray(samples.images[index]), spacing)
        # Scaled by training cases and not by this scan, so that scores of all scans can be ranked together (FROC).
        score = np.clip((height - self.low) / ((self.high - self.low) or 1.0), 0, 1)
        return most_suspicious(peak_candidates(score, spacing, float(np.finfo(np.float32).eps), self.radius_mm))


def _nothing(_: Samples) -> Answer:
    def answer(samples: Samples, index: int) -> Candidates:
        """The rule's candidates in one case."""
        return Candidates(np.empty((0, samples.images[index].ndim - 1)), np.empty(0))

    return answer


def _spots(train: Samples) -> Answer:
    """Choose the channel, sign and contrast with the largest CPM on training cases, the first of equals."""
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
    """Return the rule with its score scaled to the lowest and highest value over the training cases."""
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
    """Fit the rule on training cases and predict the cases of `parts` (split name → samples), with candidates."""
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
        """See `TaskPreparation.prepared`."""
        for case in prepare_each(cohort, indices, pipeline):
            name, patient = cohort.cases[case.index].id, cohort.cases[case.index].patient
            findings = findings_in(case.truth, case.spacing_mm)
            arrays = {"images": case.image, "targets": finding_target(case, findings, targets)}
            yield PreparedCase(name, patient, arrays, Grid(case.record.to_json(), case.spacing_mm), findings)

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        """See `TaskPreparation.baselines`."""
        train = opening.train()
        for rule in SPOT_BASELINES:
            yield predict_spots(rule, opening.number, train, opening.held_out)


PREPARATION = _Preparation()
