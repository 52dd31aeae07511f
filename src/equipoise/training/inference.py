"""Trained jobs → predictions: asked for only after every job of the plan has ended."""

from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from equipoise.evaluation.predictions import Predictions, concatenate, write_parquet
from equipoise.training.determinism import device, reproducible
from equipoise.training.files import write_atomic
from equipoise.training.job import Job
from equipoise.training.loop import predict
from equipoise.training.samples import Samples
from equipoise.training.train import build_learner


def predictions_of(
    job: Job, split: str, samples: Samples, scores: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Predictions:
    """Class probabilities (n, classes) of some samples as rows of the public table."""
    n = len(samples)
    return Predictions(
        case=np.array(samples.cases),
        patient=np.array(samples.patients),
        split=np.full(n, split),
        arm=np.full(n, job.arm.name),
        fold=np.full(n, job.fold),
        seed=np.full(n, job.seed),
        truth=np.asarray(samples.targets, dtype=np.int64),
        scores=scores,
        classes=job.classes,
    )


def predict_job(job: Job) -> Path:
    """Write the job's predictions of its validation and test cases; returns the file."""
    file = job.predictions_file
    if file.is_file():
        return file
    with reproducible(job.training.threads):
        parts = {part: Samples.load(job.samples / part) for part in ("validation", "test")}
        learner = build_learner(job, device(), parts["validation"])
        learner.model.load_state_dict(load_file(job.weights_file))
        tables = []
        for part, samples in parts.items():
            logits = predict(learner, samples, job.training.batch_size)
            tables.append(predictions_of(job, part, samples, logits.double().softmax(1).numpy()))
    table = concatenate(tables)
    write_atomic(file, partial(write_parquet, table))
    return file
