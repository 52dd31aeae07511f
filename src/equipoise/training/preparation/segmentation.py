"""Segmentation before torch: prepare cases with their masks, and fit trivial segmenters for comparison with the arms.

empty-mask leaves every region empty; mean-mask gives every case the thresholded mean mask of the training cases; the
intensity rule thresholds one channel, at a level chosen on training cases. None of the rules has a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.cohorts.cohort import IGNORED
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.evaluation.segmentation import NO_OTHER, Metric, region_metrics
from equipoise.preprocessing import Pipeline
from equipoise.preprocessing.geometry import Resampling
from equipoise.preprocessing.one_by_one import prepare_each
from equipoise.training.data.samples import Grid, PreparedCase, Samples
from equipoise.training.preparation.task_preparation import Indices, Opening, prediction_rows

Mask = NDArray[np.bool_]
Regions = Mapping[str, tuple[int, ...]]
# (samples, index) → a mask per region on the case's own grid
Answer = Callable[[Samples, int], dict[str, Mask]]

MOST_CASES = 200
"""Training cases that a rule uses, evenly spread over all: enough to choose a threshold."""
CANONICAL_SIDE = {2: 64, 3: 32}
BINS = 64
THRESHOLDS = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class MaskBaseline:
    """A trivial segmenter: its name and `fit(training samples, regions) -> answer`."""

    name: str
    fit: Callable[[Samples, Regions], Answer]


def _chosen(samples: Samples) -> list[int]:
    return [int(index) for index in np.linspace(0, len(samples) - 1, min(MOST_CASES, len(samples)))]


def _truth(samples: Samples, index: int) -> NDArray[np.integer]:
    if samples.truths is None:
        raise ValueError("the samples of a segmentation carry the masks they are judged by")
    return np.asarray(samples.truths[index])


def _empty(_: Samples, regions: Regions) -> Answer:
    def answer(samples: Samples, index: int) -> dict[str, Mask]:
        """The rule's masks of one case, by region."""
        return {name: np.zeros(_truth(samples, index).shape, bool) for name in regions}

    return answer


def _mean_mask(train: Samples, regions: Regions) -> Answer:
    """Average the masks at each position, relative to the image's sides, and cut the mean at the best threshold."""
    dims = _truth(train, 0).ndim
    # Cases differ in shape, so their masks are averaged on one small grid, which also keeps all of them in memory.
    canonical = (CANONICAL_SIDE[dims],) * dims
    shares: dict[str, list[NDArray[np.float32]]] = {name: [] for name in regions}
    for index in _chosen(train):
        truth = _truth(train, index)
        there = Resampling(truth.shape, canonical)
        for name, mask in region_masks(truth, regions).items():
            shares[name].append(there.forward(mask.astype(np.float32)))
    means = {name: np.mean(masks, axis=0) for name, masks in shares.items()}
    cut = {name: _best_threshold(means[name], np.stack(masks) >= 0.5) for name, masks in shares.items()}

    def answer(samples: Samples, index: int) -> dict[str, Mask]:
        """The rule's masks of one case, by region."""
        back = Resampling(canonical, _truth(samples, index).shape)
        return {name: back.forward(mean) >= cut[name] for name, mean in means.items()}

    return answer


def _best_threshold(mean: NDArray[np.float32], masks: Mask) -> float:
    """Choose the threshold on a mean (*grid) with the best mean Dice over masks (n, *grid), the lowest of equals."""
    return float(max(THRESHOLDS, key=lambda t: _mean_dice(mean >= t, masks)))


def _mean_dice(answer: Mask, masks: Mask) -> float:
    axes = tuple(range(1, masks.ndim))
    total = masks.sum(axis=axes) + answer.sum()
    # Two empty masks agree perfectly, as in the endpoint.
    return float(np.where(total > 0, 2 * (masks & answer).sum(axis=axes) / np.maximum(total, 1), 1.0).mean())


@dataclass(frozen=True)
class _Cut:
    """Call the voxels of a channel above (or not above) a level; `dice` is the mean over training cases."""

    dice: float
    channel: int
    level: float
    above: bool

    def __call__(self, image: NDArray[np.float32]) -> Mask:
        bright: Mask = image[self.channel] > self.level
        return bright if self.above else ~bright


def _intensity(train: Samples, regions: Regions) -> Answer:
    chosen = _chosen(train)
    channels = train.images[0].shape[0]
    cuts = {name: max(_cuts(train, chosen, c, members) for c in range(channels)) for name, members in regions.items()}
    rules = {name: cut for name, (_, cut) in cuts.items()}

    def answer(samples: Samples, index: int) -> dict[str, Mask]:
        """The rule's masks of one case, by region."""
        image, grid = np.asarray(samples.images[index]), samples.grids[index]
        return {name: grid.back(rule(image)) for name, rule in rules.items()}

    return answer


def _cuts(train: Samples, chosen: list[int], channel: int, members: tuple[int, ...]) -> tuple[tuple[float, int], _Cut]:
    """Return the best cut of one channel, with its sort key: Dice, then the first channel."""
    # Common edges for all cases: one level must serve every case, and histograms replace a pass over voxels per level.
    low = min(float(train.images[i][channel].min()) for i in chosen)
    high = max(float(train.images[i][channel].max()) for i in chosen)
    edges = np.linspace(low, high, BINS + 1)
    above, below = np.zeros(BINS), np.zeros(BINS)
    for index in chosen:
        target = np.asarray(train.targets[index])
        image = np.asarray(train.images[index][channel])
        hard = target if target.ndim == image.ndim else target.argmax(axis=0)
        everything = np.histogram(image[hard != IGNORED], edges)[0]
        inside = np.histogram(image[np.isin(hard, members)], edges)[0]
        above += _dice_of_cuts(everything[::-1], inside[::-1])[::-1]
        below += _dice_of_cuts(everything, inside)
    best, side = max((float(dice.max()), -k) for k, dice in enumerate((above, below)))
    if side == 0:
        cut = _Cut(best / len(chosen), channel, float(edges[int(above.argmax())]), True)
    else:
        cut = _Cut(best / len(chosen), channel, float(edges[int(below.argmax()) + 1]), False)
    return (cut.dice, -channel), cut


def _dice_of_cuts(everything: NDArray[np.int64], inside: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Dice of calling the first 1, 2, … bins, from the voxels per bin in all and inside the region."""
    called, hit = np.cumsum(everything), np.cumsum(inside)
    total = called + inside.sum()
    return np.asarray(2 * hit / np.maximum(total, 1))


MASK_BASELINES = (
    MaskBaseline("empty-mask", _empty),
    MaskBaseline("mean-mask", _mean_mask),
    MaskBaseline("intensity-rule", _intensity),
)


def predict_masks(
    rule: MaskBaseline,
    fold: int,
    train: Samples,
    parts: Mapping[str, Samples],
    regions: Regions,
    own: Mapping[str, Metric] = NO_OTHER,
) -> Predictions:
    """Fit the rule on training cases and predict the cases of `parts` (split name → samples), as rows of the table."""
    answer = rule.fit(train, regions)
    rows = []
    for samples in parts.values():
        for index in range(len(samples)):
            truth = _truth(samples, index)
            masks = labelled_only(answer(samples, index), truth)
            spacing_mm = samples.grids[index].spacing_mm
            rows.append(region_metrics(region_masks(truth, regions), masks, spacing_mm, own=own))
    metrics = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return prediction_rows(parts, rule.name, fold, 0, metrics=metrics)


class _Preparation:
    """See `TaskPreparation`."""

    def prepared(
        self,
        cohort: Cohort,
        indices: Indices,
        pipeline: Pipeline,
        targets: str,  # noqa: ARG002 (regions are made from classes by the loss)
    ) -> Iterator[PreparedCase]:
        """See `TaskPreparation.prepared`."""
        for case in prepare_each(cohort, indices, pipeline):
            name, patient = cohort.cases[case.index].id, cohort.cases[case.index].patient
            arrays = {"images": case.image, "targets": case.target, "truths": case.truth}
            yield PreparedCase(name, patient, arrays, Grid(case.record.to_json(), case.spacing_mm))

    def baselines(self, opening: Opening) -> Iterator[Predictions]:
        """See `TaskPreparation.baselines`."""
        regions = opening.cohort.task_record.structures(opening.cohort)
        train = opening.train()
        for rule in MASK_BASELINES:
            yield predict_masks(rule, opening.number, train, opening.held_out, regions, opening.own)


PREPARATION = _Preparation()
