"""What happens when the test set is opened: its cases are prepared, the trivial rules answer, pictures are kept."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json, write_planes, write_predictions
from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.evaluation.display_planes import grey, region_bits, shown_slice
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.regions import target_regions
from equipoise.evaluation.segmentation import NO_OTHER, Metric
from equipoise.preprocessing import Pipeline
from equipoise.training.data.samples import Samples
from equipoise.training.data.staging import samples_of, stage
from equipoise.training.tasks.baselines import baselines, predict_baseline
from equipoise.training.tasks.mask_baselines import MASK_BASELINES, predict_masks
from equipoise.training.tasks.spot_baselines import SPOT_BASELINES, predict_spots

HELD_OUT = ("validation", "test")


def open_test(
    cohort: Cohort,
    folds: tuple[Fold, ...],
    pipeline: Pipeline,
    folder: Path,
    own: Mapping[str, Metric] = NO_OTHER,
    targets: str = "classes",
) -> None:
    """Stage validation and test cases of every fold under `folder`, with baselines and pictures beside them.

    own: the user's own metrics of masks, by which the baselines are judged as well. targets: of [training].
    """
    for number, fold in enumerate(folds):
        # rules on images learn from the prepared training cases
        parts = HELD_OUT if cohort.task == "classification" else ("train", *HELD_OUT)
        places = {part: folder / "samples" / str(number) / part for part in parts}
        samples = {part: stage(cohort, getattr(fold, part), pipeline, places[part], targets) for part in parts}
        if cohort.task == "classification":
            _class_baselines(cohort, number, fold, pipeline, folder / "baselines")
        else:
            _image_baselines(cohort, number, samples.pop("train"), samples, folder / "baselines", own)
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    _keep_pictures(cohort, tested, folder)


def _class_baselines(cohort: Cohort, number: int, fold: Fold, pipeline: Pipeline, folder: Path) -> None:
    """The trivial rules on the same cases; where no size is known, on the mean of the prepared images."""
    mean = None
    if cohort.size_attribute is None:
        everything = np.arange(len(cohort))
        mean = np.asarray(samples_of(cohort, everything, pipeline).images).reshape(len(everything), -1).mean(axis=1)
    parts = {part: getattr(fold, part) for part in HELD_OUT}
    for rule in baselines(cohort, mean):
        _write(predict_baseline(rule, cohort, number, fold.train, parts), rule.name, number, folder)


def _image_baselines(
    cohort: Cohort,
    number: int,
    train: Samples,
    held_out: Mapping[str, Samples],
    folder: Path,
    own: Mapping[str, Metric],
) -> None:
    """The trivial segmenters, or the trivial detectors."""
    if cohort.task == "detection":
        for spots in SPOT_BASELINES:
            _write(predict_spots(spots, number, train, held_out), spots.name, number, folder)
        return
    regions = target_regions(cohort.classes, cohort.regions)
    for rule in MASK_BASELINES:
        _write(predict_masks(rule, number, train, held_out, regions, own), rule.name, number, folder)


def _write(table: Predictions, name: str, fold: int, folder: Path) -> None:
    place = folder / name / f"{fold}-0"
    write_predictions(place / "predictions.parquet", table)
    write_json(place / "done.json", {"status": "finished", "reason": None, "arm": name, "fold": fold, "seed": 0})


def _keep_pictures(cohort: Cohort, indices: NDArray[np.int64], folder: Path) -> None:
    """One grey plane a case, of its first channel; for masks the plane with the most truth, and that truth."""
    regions = target_regions(cohort.classes, cohort.regions)
    pictures, outlines = {}, {}
    for index in indices:
        case = cohort.cases[index]
        image = case.read()
        plane = image.array[0]
        if cohort.task == "classification" or image.mask is None:
            pictures[case.id] = grey(plane[len(plane) // 2] if plane.ndim == 3 else plane)
        else:
            at = shown_slice(image.mask)
            pictures[case.id], outlines[case.id] = grey(plane[at]), region_bits(image.mask[at], regions)
    write_planes(folder / "thumbnails.npz", pictures)
    if outlines:
        write_planes(folder / "truths.npz", outlines)
