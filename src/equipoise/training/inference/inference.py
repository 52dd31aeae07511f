"""Predict with trained jobs, once every job of the plan has ended."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import SLICES, without_channel
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.runfolder.writer import Writer
from equipoise.training.data.samples import Samples
from equipoise.training.inference.missing_modality import Without
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import Planes, training_of


def predict_job(job: Job) -> Path:
    """Write the job's predictions of its validation and test cases, and return the file.

    A segmenter also writes slices.npz with the plane of each test case that the report shows. A detector writes
    candidates.parquet, and slices.npz with missed findings and false positives. If the protocol examines missing
    modalities, without-<channel>.parquet holds the predictions of the test cases with that channel blank.
    """
    file = job.predictions_file
    if file.is_file():
        return file
    writer = Writer.begin(job.folder)
    with reproducible(job.training.threads):
        parts = {part: Samples.load(job.samples / part) for part in ("validation", "test")}
        learner = build_learner(job, device(), parts["validation"])
        learner.model.load_state_dict(load_file(job.weights_file))
        table, slices = _answered(learner, job, parts)
        for channel in range(job.channels if job.inference.missing_modalities else 0):
            blind = replace(learner, model=Without(learner.model, channel))
            without, _ = _answered(blind, job, {"test": parts["test"]})
            write_predictions(without_channel(job.folder, channel), without, writer.write)
    # The table comes last: its existence marks the job as predicted, so a kill before it only repeats this function.
    if slices:
        write_planes(job.folder / SLICES, slices, writer.write)
    write_predictions(file, table, writer.write)
    writer.end()
    return file


def _answered(learner: Learner, job: Job, parts: dict[str, Samples]) -> tuple[Predictions, Planes]:
    """Return the rows of every part, and the pictures of the last one."""
    training, tables = training_of(job), []
    pictures: Planes = {}
    for part, samples in parts.items():
        table, pictures = training.predict(learner, samples, job, part)
        tables.append(table)
    return concatenate(tables), pictures
