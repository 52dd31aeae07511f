"""Trained jobs → predictions: asked for only after every job of the plan has ended."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from equipoise.evaluation.display_planes import packed, shown_slice
from equipoise.evaluation.matched_scans import detection_predictions
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.evaluation.segmentation import region_metrics
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import SLICES, without_channel
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.statistics.own import per_case_functions
from equipoise.training.data.samples import Samples
from equipoise.training.inference.missing_modality import Without
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.epoch import Learner
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks.classifying import classify
from equipoise.training.tasks.detecting import detect
from equipoise.training.tasks.detection_errors import error_planes
from equipoise.training.tasks.segmenting import decided, segment


def predict_job(job: Job) -> Path:
    """Write the job's predictions of its validation and test cases; returns the file.

    Beside a segmenter's rows lies slices.npz: of each test case the plane that the report shows; beside a detector's
    candidates.parquet, and in slices.npz what it missed and what it invented. Where the protocol
    asks what a missing modality costs, without-<channel>.parquet are the test cases with that channel blank.
    """
    file = job.predictions_file
    if file.is_file():
        return file
    with reproducible(job.training.threads):
        parts = {part: Samples.load(job.samples / part) for part in ("validation", "test")}
        learner = build_learner(job, device(), parts["validation"])
        learner.model.load_state_dict(load_file(job.weights_file))
        table, slices = _answered(learner, job, parts)
        for channel in range(job.channels if job.inference.missing_modalities else 0):
            blind = replace(learner, model=Without(learner.model, channel))
            found, _ = _answered(blind, job, {"test": parts["test"]})
            write_predictions(without_channel(job.folder, channel), found)
    if slices:
        write_planes(job.folder / SLICES, slices)
    write_predictions(file, table)
    return file


def _answered(
    learner: Learner, job: Job, parts: dict[str, Samples]
) -> tuple[Predictions, dict[str, NDArray[np.uint8]]]:
    """Rows of every part, and of masks the planes of the last one."""
    tables: list[Predictions] = []
    slices: dict[str, NDArray[np.uint8]] = {}
    for part, samples in parts.items():
        if job.task == "classification":
            tables.append(_classified(learner, job, part, samples))
        else:
            answer = _detected if job.task == "detection" else _segmented
            table, slices = answer(learner, job, part, samples)
            tables.append(table)
    return concatenate(tables), slices


def _classified(learner: Learner, job: Job, part: str, samples: Samples) -> Predictions:
    """Class probabilities as rows of the public table."""
    scores = classify(learner, samples, job).double().softmax(1).numpy()
    truth = np.asarray(samples.targets, dtype=np.int64)
    return _rows(job, part, samples, truth, scores, job.classes, {})


def _segmented(
    learner: Learner, job: Job, part: str, samples: Samples
) -> tuple[Predictions, dict[str, NDArray[np.uint8]]]:
    """Metrics of every case on its own grid as rows of the public table, and one plane of each answer."""
    rows, slices, own = [], {}, per_case_functions(job.own, job.code)
    for index, found in enumerate(segment(learner, samples, job)):
        truth, grid = _truth(samples, index), samples.grids[index]
        said = labelled_only({name: grid.back(mask) for name, mask in decided(job, found).items()}, truth)
        rows.append(region_metrics(region_masks(truth, job.regions), said, grid.spacing_mm, own=own))
        slices[samples.cases[index]] = packed([mask[shown_slice(truth)] for mask in said.values()])
    metrics = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    nothing = np.full(len(samples), -1)
    return _rows(job, part, samples, nothing, np.empty((len(samples), 0)), (), metrics), slices


def _detected(
    learner: Learner, job: Job, part: str, samples: Samples
) -> tuple[Predictions, dict[str, NDArray[np.uint8]]]:
    """Counts of every case as rows of the public table, its candidates beside it, and planes that tell of errors."""
    scans = list(detect(learner, samples, job, part))
    return detection_predictions(scans, job.arm.name, job.fold, job.seed), error_planes(scans, samples)


def _truth(samples: Samples, index: int) -> NDArray[np.uint8]:
    if samples.truths is None:
        raise ValueError("samples of a segmenter carry the masks they are judged by")
    return np.asarray(samples.truths[index])


def _rows(
    job: Job,
    split: str,
    samples: Samples,
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    classes: tuple[str, ...],
    metrics: dict[str, NDArray[np.float64]],
) -> Predictions:
    n = len(samples)
    return Predictions(
        case=np.array(samples.cases),
        patient=np.array(samples.patients),
        split=np.full(n, split),
        arm=np.full(n, job.arm.name),
        fold=np.full(n, job.fold),
        seed=np.full(n, job.seed),
        truth=truth,
        scores=scores,
        classes=classes,
        metrics=metrics,
    )
