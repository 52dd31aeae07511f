"""Predict with trained jobs, once every job of the plan has ended."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import SLICES, without_channel
from equipoise.runfolder.predicted_jobs import remember
from equipoise.runfolder.write import write_planes, write_predictions
from equipoise.runfolder.writer import Writer
from equipoise.training.data.samples import Samples
from equipoise.training.inference.missing_modality import without
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import Planes, training_of

Parts = dict[str, Samples]
BEAT_SECONDS = 3.0
"""Between two signs that a prediction goes on."""
Answered = tuple[Predictions, Planes]


def predict_job(job: Job) -> Path:
    """Write the predictions of a job whose network is trained here; see `written`."""

    def network(parts: Parts, beat: Callable[[], None]) -> Callable[[Parts, int | None], Answered]:
        """Build the job's network with its weights; each batch or window that it answers is a beat."""
        learner = build_learner(job, device(), parts["validation"])
        learner.model.load_state_dict(load_file(job.weights_file))
        learner.model.register_forward_hook(lambda *_: beat())
        return lambda inputs, channel: _answered(learner, job, inputs, channel)

    return written(job, network)


def written(job: Job, made: Callable[[Parts, Callable[[], None]], Callable[[Parts, int | None], Answered]]) -> Path:
    """Write the job's predictions of its validation and test cases, and return the file.

    made: from the prepared cases of both parts, and what to call whenever some are answered, to a function that answers
        some parts, with one channel blank or None.
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
        answer = made(parts, seldom(writer.beat))
        table, slices = answer(parts, None)
        # Before the first of these files can be read.
        remember(job, table)
        for channel in range(job.channels if job.inference.missing_modalities else 0):
            without, _ = answer({"test": parts["test"]}, channel)
            write_predictions(without_channel(job.folder, channel), without, writer.write)
    # The table comes last: its existence marks the job as predicted, so a kill before it only repeats this function.
    if slices:
        write_planes(job.folder / SLICES, slices, writer.write)
    write_predictions(file, table, writer.write)
    writer.end()
    return file


def seldom(act: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return a function that acts at most every few seconds, however often it is called: a disk may be a server."""
    last = float("-inf")

    def call() -> None:
        """Act, unless it did so a moment ago."""
        nonlocal last
        if clock() - last >= BEAT_SECONDS:
            last = clock()
            act()

    return call


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
