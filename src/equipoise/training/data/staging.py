"""Cases → arrays on disk for the jobs of a fold; test cases are staged only when the test set is opened."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.errors import CohortError
from equipoise.evaluation.finding_masks import findings_in
from equipoise.evaluation.regions import target_regions
from equipoise.preprocessing import Pipeline, prepare
from equipoise.preprocessing.one_by_one import MaskCase, prepare_each
from equipoise.protocol import Protocol
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import job_folder, samples_folder
from equipoise.statistics.own import function_of
from equipoise.training.data.finding_targets import CLASSES, finding_target
from equipoise.training.data.samples import Grid, Ragged, Samples, SampleWriter, staged

Indices = NDArray[np.int64]


def samples_of(cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: str = "classes") -> Samples:
    """Prepared cases in the order of `indices`, in memory; targets: of [training], where they are masks."""
    if cohort.task == "detection":
        return _with_findings(cohort, indices, pipeline, targets)
    if cohort.task == "segmentation":
        return _collected(cohort, list(prepare_each(cohort, indices, pipeline)))
    images, labels = prepare(cohort, indices, pipeline)
    finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if not finite.all():
        bad = cohort.cases[indices[int(np.argmin(finite))]]
        raise CohortError(f"case {bad.id} has values that are not finite; mend or exclude it")
    chosen = [cohort.cases[index] for index in indices]
    return Samples(images, labels, tuple(case.id for case in chosen), tuple(case.patient for case in chosen))


def stage(cohort: Cohort, indices: Indices, pipeline: Pipeline, folder: Path, targets: str = "classes") -> Samples:
    """The prepared cases, written to `folder` for other processes unless they lie there as they were written."""
    if not staged(folder, [cohort.cases[index].id for index in indices]):
        if cohort.task == "classification":
            samples_of(cohort, indices, pipeline).save(folder)
        else:
            with SampleWriter(folder) as writer:
                for found in prepare_each(cohort, indices, pipeline):
                    _add(writer, cohort, found, targets)
    return Samples.load(folder)


def _add(writer: SampleWriter, cohort: Cohort, found: MaskCase, targets: str) -> None:
    case, grid = cohort.cases[found.index], Grid(found.record.to_json(), found.spacing_mm)
    arrays: dict[str, NDArray[Any]] = {"images": found.image}
    if cohort.task == "detection":
        findings = findings_in(found.truth, found.spacing_mm)
        writer.add(
            case.id, case.patient, arrays | {"targets": finding_target(found, findings, targets)}, grid, findings
        )
    else:
        writer.add(case.id, case.patient, arrays | {"targets": found.target, "truths": found.truth}, grid)


def _with_findings(cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: str) -> Samples:
    chosen = list(prepare_each(cohort, indices, pipeline))
    findings = tuple(findings_in(found.truth, found.spacing_mm) for found in chosen)
    targeted = [finding_target(*pair, targets) for pair in zip(chosen, findings, strict=True)]
    collected = _collected(cohort, chosen)
    return replace(collected, targets=_joined(targeted), truths=None, findings=findings)


def _collected(cohort: Cohort, found: Sequence[MaskCase]) -> Samples:
    chosen = [cohort.cases[one.index] for one in found]
    return Samples(
        _joined([one.image for one in found]),
        _joined([one.target for one in found]),
        tuple(case.id for case in chosen),
        tuple(case.patient for case in chosen),
        tuple(Grid(one.record.to_json(), one.spacing_mm) for one in found),
        _joined([one.truth for one in found]),
    )


def _joined(arrays: Sequence[NDArray[Any]]) -> Any:
    return np.stack(arrays) if len({array.shape for array in arrays}) == 1 else Ragged.of(arrays)


def own_metrics(protocol: Protocol, cohort: Cohort) -> tuple[str, ...]:
    """Names of the functions of the user's own that give every case of masks a value."""
    if cohort.task == "classification":
        return ()
    regions = target_regions(cohort.classes, cohort.regions)
    return tuple(dict.fromkeys(function_of(name, regions) for name in protocol.endpoints.own))


def plan_jobs(protocol: Protocol, cohort: Cohort, folds: int, out: Path) -> list[Job]:
    """Every job of the protocol: all arms of one seed after another, so that an interrupted trial compares early."""
    common: dict[str, Any] = {
        "code": protocol.folder,
        "task": protocol.cohort.task,
        "classes": CLASSES if cohort.task == "detection" else cohort.classes,
        "regions": target_regions(cohort.classes, cohort.regions) if cohort.task == "segmentation" else {},
        "channels": len(cohort.channels),
        "spatial_dims": cohort.spatial_dims,
        "training": protocol.training,
        "inference": protocol.inference,
        "augmentation": protocol.augmentation,
        "primary": protocol.endpoints.primary,
        "own": own_metrics(protocol, cohort),
        "ignores": cohort.ignores,
    }
    return [
        Job(arm, fold, seed, job_folder(out, arm.name, fold, seed), samples_folder(out, fold), **common)
        for fold in range(folds)
        for seed in protocol.training.seeds
        for arm in (*protocol.arms, *protocol.untuned())
    ]
