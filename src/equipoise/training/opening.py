"""What happens when the test set is opened: its cases are prepared, the trivial rules answer, pictures are kept."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts import Cohort
from equipoise.cohorts.split import Fold
from equipoise.evaluation.predictions import write_parquet
from equipoise.preprocessing import Pipeline
from equipoise.training.baselines import baselines, predict_baseline
from equipoise.training.files import write_atomic, write_json
from equipoise.training.staging import samples_of, stage, thumbnails


def open_test(cohort: Cohort, folds: tuple[Fold, ...], pipeline: Pipeline, folder: Path) -> None:
    """Stage validation and test cases of every fold under `folder`, with baselines and thumbnails beside them."""
    for number, fold in enumerate(folds):
        for part in ("validation", "test"):
            stage(cohort, getattr(fold, part), pipeline, folder / "samples" / str(number) / part)
        _baselines(cohort, number, fold, pipeline, folder / "baselines")
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    pictures = thumbnails(cohort, tested.tolist())
    write_atomic(folder / "thumbnails.npz", lambda path: _save_pictures(path, pictures))


def _save_pictures(path: Path, pictures: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **pictures)


def _baselines(cohort: Cohort, number: int, fold: Fold, pipeline: Pipeline, folder: Path) -> None:
    """The trivial rules on the same cases; where no size is known, on the mean of the prepared images."""
    mean = None
    if cohort.size_attribute is None:
        everything = np.arange(len(cohort))
        mean = samples_of(cohort, everything, pipeline).images.reshape(len(everything), -1).mean(axis=1)
    parts = {part: getattr(fold, part) for part in ("validation", "test")}
    for rule in baselines(cohort, mean):
        table = predict_baseline(rule, cohort, number, fold.train, parts)
        place = folder / rule.name / f"{number}-0"
        write_atomic(place / "predictions.parquet", partial(write_parquet, table))
        write_json(
            place / "done.json", {"status": "finished", "reason": None, "arm": rule.name, "fold": number, "seed": 0}
        )
