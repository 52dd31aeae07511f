"""Stage cases as arrays on disk for the jobs of a fold; test cases only when the test set is opened."""

from pathlib import Path
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.preprocessing import Pipeline
from equipoise.protocol import Arm, Protocol, TrainingSection
from equipoise.protocol.ensembles import member_runs
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import job_folder, samples_folder
from equipoise.statistics.own import function_of
from equipoise.training.data.samples import Samples, SampleWriter, staged
from equipoise.training.preparation.task_preparation import Indices, preparation_of


def samples_of(cohort: Cohort, indices: Indices, pipeline: Pipeline, targets: str = "classes") -> Samples:
    """Prepare cases in the order of `indices`, in memory; targets: as in [training], for tasks with masks."""
    return Samples.of(preparation_of(cohort.task_record).prepared(cohort, indices, pipeline, targets))


def stage(cohort: Cohort, indices: Indices, pipeline: Pipeline, folder: Path, targets: str = "classes") -> Samples:
    """Write the prepared cases to `folder` for other processes, unless it already holds them undamaged; map them."""
    # Checked by hash and not by existence: a run may have been killed between two files.
    if not staged(folder, [cohort.cases[index].id for index in indices]):
        with SampleWriter(folder) as writer:
            for case in preparation_of(cohort.task_record).prepared(cohort, indices, pipeline, targets):
                writer.add(case)
    return Samples.load(folder)


def own_metrics(protocol: Protocol, cohort: Cohort) -> tuple[str, ...]:
    """Return the names of the user's functions that give every case with masks a value."""
    if not cohort.task_record.has_masks:
        return ()
    regions = cohort.task_record.structures(cohort)
    return tuple(dict.fromkeys(function_of(name, regions) for name in protocol.endpoints.own))


def plan_jobs(protocol: Protocol, cohort: Cohort, folds: int, out: Path) -> list[Job]:
    """List every job of the protocol, seed by seed over all arms, so that an interrupted trial can already compare."""
    task = cohort.task_record
    common: dict[str, Any] = {
        "code": protocol.folder,
        "task": protocol.cohort.task,
        "classes": task.network_classes(cohort),
        "regions": task.judged_structures(cohort),
        "channels": len(cohort.channels),
        "spatial_dims": cohort.spatial_dims,
        "inference": protocol.inference,
        "augmentation": protocol.augmentation,
        "primary": protocol.endpoints.primary,
        "own": own_metrics(protocol, cohort),
        "ignores": cohort.ignores,
    }

    def training(arm: Arm) -> TrainingSection:
        """Return the arm's training: the common one, with the epochs of nnU-Net where it has its own."""
        if arm.nnunet is None:
            return protocol.training
        return protocol.training.model_copy(update={"epochs": arm.nnunet.epochs_of(protocol.training.epochs)})

    arms = {arm.name: arm for arm in protocol.arms}

    def job(arm: Arm, fold: int, seed: int) -> Job:
        """Return the job of an arm on a fold with a seed."""
        places = job_folder(out, arm.name, fold, seed), samples_folder(out, fold)
        runs = member_runs(arm, seed, protocol.training.seeds) if arm.ensemble else []
        members = tuple(job(arms[name], fold, one) for name, one in runs)
        return Job(arm, fold, seed, *places, training=training(arm), members=members, **common)

    return [job(arm, fold, seed) for fold in range(folds) for arm, seed in protocol.runs()]
