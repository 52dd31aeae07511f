"""What a trial asks of an arm of nnU-Net besides training: a try before the lock, a forecast, predictions."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.external.budget import Rows
from equipoise.training.external.installed import refuse_absent
from equipoise.training.external.nnunet import run_process, settings_of, tried
from equipoise.training.external.nnunet_answers import Answers
from equipoise.training.external.nnunet_process import PROGRESS
from equipoise.training.inference.inference import Answered, Parts, each_part, written
from equipoise.training.loop.ending import DivergedError
from equipoise.training.loop.forecast import Forecast
from equipoise.training.tasks.segmentation import judged


def preflight(job: Job, samples: Samples) -> None:
    """Let nnU-Net plan, and make one update, on two cases; ProtocolError, naming the arm, where it cannot."""
    try:
        _tried(job, samples, 1)
    except (DivergedError, EquipoiseError) as error:
        text = str(error)
        named = text if text.startswith("arm ") else f"arm {job.arm.name!r}: {text}"
        raise ProtocolError(named) from error


def forecast(job: Job, samples: Samples) -> Forecast:
    """Return the stated minutes, or the time of the planned updates from one that is timed, and the memory of both."""
    memory_mb, rows = _tried(job, samples, 2)
    settings = settings_of(job)
    # The second epoch, because the first pays for what happens once.
    update = (rows[1]["budget_seconds"] - rows[0]["budget_seconds"]) / job.training.threads
    planned = job.training.epochs * settings.steps_per_epoch * update
    seconds = planned if settings.minutes is None else 60 * settings.minutes / job.training.threads
    return Forecast(job.arm.name, seconds, memory_mb, update, 0.0, 0.0)


def _tried(job: Job, samples: Samples, epochs: int) -> tuple[float, list[dict[str, float]]]:
    """Run nnU-Net for epochs of one update and one batch of validation; return its memory in MB and its rows."""
    refuse_absent(job.arm.name)
    if len(samples) < 2:
        raise ProtocolError("nnU-Net needs a training case and a validation case; use larger parts")
    parts = {"train": samples.head(1), "validation": _second(samples)}
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        place = Path(folder) / "first-step"
        memory_mb = run_process(tried(job, epochs), parts, place)
        return memory_mb, Rows(place / PROGRESS).read()


def _second(samples: Samples) -> Samples:
    two = samples.head(2)
    images, targets = ([arrays[1]] for arrays in (two.images, two.targets))
    return Samples(np.stack(images), np.stack(targets), two.cases[1:], two.patients[1:], two.grids[1:])


def predict(job: Job) -> Path:
    """Write the job's predictions by nnU-Net's own predictor; see `inference.inference.written`."""

    def network(_: Parts, __: Callable[[], None]) -> "_Network":
        """Load the job's network; it depends on no case."""
        return _Network(job)

    return written(job, network)


class _Network:
    """Answers parts of the cases, with one channel blank or None."""

    def __init__(self, job: Job) -> None:
        self.job, self.answers = job, Answers(job)

    def __call__(self, parts: Parts, channel: int | None) -> Answered:
        return each_part(
            parts, lambda samples, part: judged(self._probabilities(samples, channel), samples, self.job, part)
        )

    def _probabilities(self, samples: Samples, channel: int | None) -> Iterator[NDArray[np.float32]]:
        return (self.answers.of(samples, index, channel) for index in range(len(samples)))
