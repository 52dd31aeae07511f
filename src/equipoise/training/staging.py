"""Cases → arrays on disk for the jobs of a fold; test cases are staged only when the test set is opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.errors import CohortError
from equipoise.preprocessing import Pipeline, prepare
from equipoise.protocol import Protocol
from equipoise.training.job import Job
from equipoise.training.samples import Samples

Indices = NDArray[np.int64]


def samples_of(cohort: Cohort, indices: Indices, pipeline: Pipeline) -> Samples:
    """Prepared cases in the order of `indices`."""
    images, targets = prepare(cohort, indices, pipeline)
    if not np.isfinite(images).all():
        bad = int(indices[int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1)))])
        raise CohortError(f"case {cohort.cases[bad].id} has values that are not finite; mend or exclude it")
    chosen = [cohort.cases[index] for index in indices]
    return Samples(images, targets, tuple(case.id for case in chosen), tuple(case.patient for case in chosen))


def stage(cohort: Cohort, indices: Indices, pipeline: Pipeline, folder: Path) -> Samples:
    """The prepared cases, written to `folder` for other processes unless they are there already."""
    if (folder / "cases.json").is_file():
        return Samples.load(folder)
    samples = samples_of(cohort, indices, pipeline)
    samples.save(folder)
    return samples


def plan_jobs(protocol: Protocol, cohort: Cohort, folds: int, out: Path) -> list[Job]:
    """Every job of the protocol: all arms of one seed after another, so that an interrupted trial compares early."""
    common: dict[str, Any] = {
        "code": protocol.folder,
        "task": protocol.cohort.task,
        "classes": cohort.classes,
        "channels": len(cohort.channels),
        "spatial_dims": cohort.spatial_dims,
        "training": protocol.training,
        "augmentation": protocol.augmentation,
        "primary": protocol.endpoints.primary,
    }
    return [
        Job(arm, fold, seed, out / "jobs" / arm.name / f"{fold}-{seed}", out / "samples" / str(fold), **common)
        for fold in range(folds)
        for seed in protocol.training.seeds
        for arm in protocol.arms
    ]


def thumbnails(cohort: Cohort, indices: Sequence[int]) -> dict[str, NDArray[np.uint8]]:
    """One grey picture (h, w) a case, of its first channel (a volume's middle slice), as the source gave it."""
    pictures = {}
    for index in indices:
        case = cohort.cases[index]
        plane = case.read().array[0]
        plane = plane[len(plane) // 2] if plane.ndim == 3 else plane
        low, high = float(plane.min()), float(plane.max())
        pictures[case.id] = np.round(255 * (plane - low) / ((high - low) or 1.0)).astype(np.uint8)
    return pictures
