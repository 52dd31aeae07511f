"""What happens when the test set is opened: its cases are prepared, the trivial rules answer, pictures are kept."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json, write_planes, write_predictions
from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.evaluation.display_planes import grey, region_bits, shown_slice
from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.segmentation import NO_OTHER, Metric
from equipoise.preprocessing import Pipeline
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
    """Stage validation and test cases of every fold under `folder`, with baselines and pictures beside them.

    own: the user's own metrics of masks, by which the baselines are judged as well. targets: of [training].
    """
    for number, fold in enumerate(folds):

        def staged(part: str, fold: Fold = fold, place: Path = folder / "samples" / str(number)) -> Samples:
            return stage(cohort, fold.part(part), pipeline, place / part, targets)

        held_out = {part: staged(part) for part in HELD_OUT}
        opening = Opening(cohort, number, fold, pipeline, held_out, partial(staged, "train"), own)
        for table in preparation_of(cohort.task_record).baselines(opening):
            _write(table, number, folder / "baselines")
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    _keep_pictures(cohort, tested, folder)


def _write(table: Predictions, fold: int, folder: Path) -> None:
    (name,) = table.arms()
    place = folder / name / f"{fold}-0"
    write_predictions(place / "predictions.parquet", table)
    write_json(place / "done.json", {"status": "finished", "reason": None, "arm": name, "fold": fold, "seed": 0})


def _keep_pictures(cohort: Cohort, indices: NDArray[np.int64], folder: Path) -> None:
    """One grey plane a case, of its first channel; for masks the plane with the most truth, and that truth."""
    task = cohort.task_record
    regions = task.structures(cohort)
    pictures, outlines = {}, {}
    for index in indices:
        case = cohort.cases[index]
        image = case.read()
        plane = image.array[0]
        if not task.has_masks or image.mask is None:
            pictures[case.id] = grey(plane[len(plane) // 2] if plane.ndim == 3 else plane)
        else:
            at = shown_slice(image.mask)
            pictures[case.id], outlines[case.id] = grey(plane[at]), region_bits(image.mask[at], regions)
    write_planes(folder / "thumbnails.npz", pictures)
    if outlines:
        write_planes(folder / "truths.npz", outlines)
