"""Trained jobs → predictions: asked for only after every job of the plan has ended."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from equipoise.evaluation.pictures import packed, shown_slice
from equipoise.evaluation.predictions import Predictions, concatenate, write_parquet
from equipoise.evaluation.regions import region_masks
from equipoise.evaluation.segmentation import region_metrics
from equipoise.statistics.own import per_case_functions
from equipoise.training.classifying import classify
from equipoise.training.determinism import device, reproducible
from equipoise.training.files import write_atomic
from equipoise.training.job import Job
from equipoise.training.loop import Learner
from equipoise.training.missing import Without
from equipoise.training.samples import Samples
from equipoise.training.segmenting import decided, segment
from equipoise.training.train import build_learner


def predict_job(job: Job) -> Path:
    """Write the job's predictions of its validation and test cases; returns the file.

    Beside a segmenter's rows lies slices.npz: of each test case the plane that the report shows. Where the protocol
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
            write_atomic(job.folder / f"without-{channel}.parquet", partial(write_parquet, found))
    if slices:
        write_atomic(job.folder / "slices.npz", lambda path: _save(path, slices))
    write_atomic(file, partial(write_parquet, table))
    return file


def _answered(
    learner: Learner, job: Job, parts: dict[str, Samples]
) -> tuple[Predictions, dict[str, NDArray[np.uint8]]]:
    """Rows of every part, and a segmenter's planes of the last one."""
    tables: list[Predictions] = []
    slices: dict[str, NDArray[np.uint8]] = {}
    for part, samples in parts.items():
        if job.task == "classification":
            tables.append(_classified(learner, job, part, samples))
        else:
            table, slices = _segmented(learner, job, part, samples)
            tables.append(table)
    return concatenate(tables), slices


def _save(path: Path, arrays: dict[str, NDArray[np.uint8]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


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
        said = {name: grid.back(mask) for name, mask in decided(job, found).items()}
        rows.append(region_metrics(region_masks(truth, job.regions), said, grid.spacing_mm, own=own))
        slices[samples.cases[index]] = packed([mask[shown_slice(truth)] for mask in said.values()])
    metrics = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    nothing = np.full(len(samples), -1)
    return _rows(job, part, samples, nothing, np.empty((len(samples), 0)), (), metrics), slices


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
