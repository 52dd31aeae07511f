"""What happens when the test set is opened: its cases are prepared, the trivial rules answer, pictures are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json
from equipoise.cohorts import Case, Cohort, Image
from equipoise.cohorts.read_once import seen_by
from equipoise.cohorts.splits.split import Fold
from equipoise.evaluation.display_planes import grey, region_bits, shown_slice
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.regions import target_regions
from equipoise.evaluation.segmentation import NO_OTHER, Metric
from equipoise.preprocessing import Pipeline
from equipoise.runfolder.paths import DONE, PREDICTIONS, THUMBNAILS, TRUTHS, baseline_folder, samples_folder
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.training.data.samples import Samples
from equipoise.training.data.staging import stage
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
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    planes = ShownPlanes(cohort, tested)
    watched = seen_by(cohort, tested, planes.see)
    for number, fold in enumerate(folds):
        # rules on images learn from the prepared training cases
        sized = cohort.task == "classification" and cohort.size_attribute is not None
        parts = HELD_OUT if sized else ("train", *HELD_OUT)
        places = {part: samples_folder(folder, number) / part for part in parts}
        samples = {part: stage(watched, getattr(fold, part), pipeline, places[part], targets) for part in parts}
        if cohort.task == "classification":
            _class_baselines(cohort, number, fold, samples, folder)
        else:
            _image_baselines(cohort, number, samples.pop("train"), samples, folder, own)
    planes.write(folder)


def _class_baselines(cohort: Cohort, number: int, fold: Fold, samples: Mapping[str, Samples], folder: Path) -> None:
    """The trivial rules on the same cases; where no size is known, on the mean of the prepared images."""
    mean: Any = None
    if cohort.size_attribute is None:
        mean = np.zeros(len(cohort), np.float32)  # of cases outside this fold nothing is asked
        for part, prepared in samples.items():
            mean[getattr(fold, part)] = np.asarray(prepared.images).reshape(len(prepared), -1).mean(axis=1)
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
    place = baseline_folder(folder, name, fold)
    write_predictions(place / PREDICTIONS, table)
    write_json(place / DONE, {"status": "finished", "reason": None, "arm": name, "fold": fold, "seed": 0})


class ShownPlanes:
    """One grey plane a case, of its first channel; for masks the plane with the most truth, and that truth.

    The planes are taken while the cases are prepared, so that no image is read for them alone.
    """

    def __init__(self, cohort: Cohort, indices: NDArray[np.int64]) -> None:
        self.cohort = cohort
        self.cases = [cohort.cases[index] for index in indices]
        self.regions = target_regions(cohort.classes, cohort.regions)
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        self.outlines: dict[str, NDArray[np.uint8]] = {}

    def see(self, case: Case, image: Image) -> None:
        """Keep the plane of one case."""
        plane = image.array[0]
        if self.cohort.task == "classification" or image.mask is None:
            self.pictures[case.id] = grey(plane[len(plane) // 2] if plane.ndim == 3 else plane)
        else:
            at = shown_slice(image.mask)
            self.pictures[case.id] = grey(plane[at])
            self.outlines[case.id] = region_bits(image.mask[at], self.regions)

    def write(self, folder: Path) -> None:
        """Write the planes in the order of the cases; one whose case lay prepared already is read now."""
        for case in self.cases:
            if case.id not in self.pictures:
                self.see(case, case.read())
        names = [case.id for case in self.cases]
        write_planes(folder / THUMBNAILS, {name: self.pictures[name] for name in names})
        if self.outlines:
            write_planes(folder / TRUTHS, {name: self.outlines[name] for name in names if name in self.outlines})
