"""Open the test set: prepare its cases, predict with the trivial baselines, and keep pictures for the report."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json
from equipoise.cohorts import Case, Cohort, Image
from equipoise.cohorts.read_once import seen_by
from equipoise.cohorts.splits.split import Fold
from equipoise.evaluation.display_planes import grey, region_bits, shown_slice, sides_of
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import NO_OTHER, Metric
from equipoise.preprocessing import Pipeline
from equipoise.runfolder.paths import DONE, PICTURES, PREDICTIONS, THUMBNAILS, TRUTHS, baseline_folder, samples_folder
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.training.data.samples import Samples
from equipoise.training.preparation import Opening, preparation_of
from equipoise.training.preparation.staging import stage

HELD_OUT = ("validation", "test")


def open_test(
    cohort: Cohort,
    folds: tuple[Fold, ...],
    pipeline: Pipeline,
    folder: Path,
    own: Mapping[str, Metric] = NO_OTHER,
    targets: str = "classes",
) -> None:
    """Stage validation and test cases of every fold under `folder`, and write baselines and pictures there.

    own: the user's own metrics of masks, applied to the baselines too. targets: as in [training].
    """
    # Repeated cross-validation tests a case several times; its pictures are needed once.
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    planes = ShownPlanes(cohort, tested)
    watched = seen_by(cohort, tested, planes.see)
    for number, fold in enumerate(folds):
        place = samples_folder(folder, number)

        # Defaults bind the loop's values now; a plain closure would prepare the last fold every time.
        def prepared(part: str, fold: Fold = fold, place: Path = place) -> Samples:
            """Prepare one part of this fold, or take what lies prepared."""
            return stage(watched, fold.part(part), pipeline, place / part, targets)

        held_out = {part: prepared(part) for part in HELD_OUT}
        opening = Opening(cohort, number, fold, held_out, partial(prepared, "train"), own)
        for table in preparation_of(cohort.task_record).baselines(opening):
            _write(table, number, folder)
    planes.write(folder)


def _write(table: Predictions, fold: int, folder: Path) -> None:
    (name,) = table.arms()
    place = baseline_folder(folder, name, fold)
    write_predictions(place / PREDICTIONS, table)
    write_json(place / DONE, {"status": "finished", "reason": None, "arm": name, "fold": fold, "seed": 0})


class ShownPlanes:
    """One grey plane per case, of its first channel; for masks the plane with the largest mask, and that mask.

    The planes are taken while the cases are prepared, which saves a second read of every image.
    """

    def __init__(self, cohort: Cohort, indices: NDArray[np.int64]) -> None:
        self.task = cohort.task_record
        self.cases = [cohort.cases[index] for index in indices]
        self.regions = self.task.structures(cohort)
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        self.outlines: dict[str, NDArray[np.uint8]] = {}
        self.places: dict[str, dict[str, Any]] = {}
        self.in_mm = cohort.spacing_stated

    def see(self, case: Case, image: Image) -> None:
        """Keep the plane of one case."""
        plane = image.array[0]
        spacing = [float(one) for one in image.spacing_mm[-2:]] if self.in_mm else None
        self.places[case.id] = {"spacing_mm": spacing, "sides": sides_of(image.affine, plane.ndim)}
        if not self.task.has_masks or image.mask is None:
            self.pictures[case.id] = grey(plane[len(plane) // 2] if plane.ndim == 3 else plane)
        else:
            at = shown_slice(image.mask)
            self.pictures[case.id] = grey(plane[at])
            self.outlines[case.id] = region_bits(image.mask[at], self.regions)

    def write(self, folder: Path) -> None:
        """Write the planes in the order of the cases; reads the images of cases that had been prepared before."""
        for case in self.cases:
            if case.id not in self.pictures:
                self.see(case, case.read())
        names = [case.id for case in self.cases]
        write_planes(folder / THUMBNAILS, {name: self.pictures[name] for name in names})
        write_json(folder / PICTURES, {name: self.places[name] for name in names if name in self.places})
        if self.outlines:
            write_planes(folder / TRUTHS, {name: self.outlines[name] for name in names if name in self.outlines})
