"""Predict with trained jobs, once every job of the plan has ended."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import SLICES, without_channel
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.runfolder.writer import Writer
from equipoise.training.data.samples import Samples
from equipoise.training.inference.missing_modality import without
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import Planes, training_of

Parts = dict[str, Samples]
Answered = tuple[Predictions, Planes]


def predict_job(job: Job) -> Path:
    """Write the predictions of a job whose network is trained here; see `written`."""

    def network(parts: Parts) -> Callable[[Parts, int | None], Answered]:
        """Build the job's network with its weights."""
        learner = build_learner(job, device(), parts["validation"])
        learner.model.load_state_dict(load_file(job.weights_file))
        return lambda inputs, channel: _answered(learner, job, inputs, channel)

    return written(job, network)


def written(job: Job, made: Callable[[Parts], Callable[[Parts, int | None], Answered]]) -> Path:
    """Write the job's predictions of its validation and test cases, and return the file.

    made: from the prepared cases of both parts to a function that answers some parts, with one channel blank or None.
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
        answer = made(parts)
        table, slices = answer(parts, None)
        for channel in range(job.channels if job.inference.missing_modalities else 0):
            without, _ = answer({"test": parts["test"]}, channel)
            write_predictions(without_channel(job.folder, channel), without, writer.write)
    # The table comes last: its existence marks the job as predicted, so a kill before it only repeats this function.
    if slices:
        write_planes(job.folder / SLICES, slices, writer.write)
    write_predictions(file, table, writer.write)
    writer.end()
    return file


def _answered(learner: Learner, job: Job, parts: Parts, channel: int | None) -> Answered:
    blind = learner if channel is None else replace(learner, model=without(learner.model, channel))
    return each_part(parts, lambda samples, part: training_of(job).predict(blind, samples, job, part))


def each_part(parts: Parts, predict: Callable[[Samples, str], Answered]) -> Answered:
    """Return the rows of every part, and the pictures of the last one."""
    tables = []
    pictures: Planes = {}
    for part, samples in parts.items():
        table, pictures = predict(samples, part)
        tables.append(table)
    return concatenate(tables), pictures
