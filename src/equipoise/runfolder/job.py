"""One job of a trial: an arm on a fold with a seed, as data that can be sent to another process."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json
from equipoise.protocol import Arm, InferenceSection, TrainingSection
from equipoise.runfolder.paths import CHECKPOINT, DONE, HISTORY, PREDICTIONS, WEIGHTS, draw_name, job_name
from equipoise.runfolder.read import read_done, read_history
from equipoise.tasks import Task, task_named


@dataclass(frozen=True)
class Job:
    """Everything a job needs; `samples` holds the folders `train` and `validation` of its fold.

    classes: what the model tells apart. regions: the judged structures as sets of classes; only in segmentation.
    code: the folder where the user's own modules lie. own: names of the user's own endpoints of a case's masks.
    draw: the number of a draw of tuning, None for a job of the trial itself.
    ignores: whether masks may hold voxels that nobody labelled.
    """

    arm: Arm
    fold: int
    seed: int
    folder: Path
    samples: Path
    code: Path
    task: str
    classes: tuple[str, ...]
    channels: int
    spatial_dims: int
    training: TrainingSection
    augmentation: dict[str, Any]
    primary: str
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inference: InferenceSection = field(default_factory=InferenceSection)
    own: tuple[str, ...] = ()
    draw: int | None = None
    ignores: bool = False

    @property
    def name(self) -> str:
        """arm/fold-seed, as in the run folder; arm/draws/fold-draw where the job is a draw of tuning."""
        if self.draw is not None:
            return draw_name(self.arm.name, self.fold, self.draw)
        return job_name(self.arm.name, self.fold, self.seed)

    @property
    def task_record(self) -> Task:
        """What the task is."""
        return task_named(self.task, self.code)

    @property
    def stream(self) -> str:
        """What the job's random streams are named after: itself, or its seed alone where arms share their seeds."""
        return f"{self.fold}-{self.seed}" if self.training.shared_seeds else self.name

    @property
    def outputs(self) -> int:
        """Channels of the model's answer: one a class, or one a region where regions are answered by themselves."""
        return len(self.regions) if self.training.targets == "regions" else len(self.classes)

    @property
    def done_file(self) -> Path:
        """Written last; its presence means that the job ended."""
        return self.folder / DONE

    @property
    def weights_file(self) -> Path:
        """The weights of the chosen epoch."""
        return self.folder / CHECKPOINT / WEIGHTS

    @property
    def predictions_file(self) -> Path:
        """The job's predictions of its validation and test cases, made when the test set is opened."""
        return self.folder / PREDICTIONS

    def settled(self, precision: str, compile: bool) -> "Job":  # noqa: A002 (the protocol's word)
        """The job with what its protocol left to a measurement."""
        return replace(self, training=self.training.model_copy(update={"precision": precision, "compile": compile}))

    def done(self) -> dict[str, Any] | None:
        """What done.json says; None while the job has not ended. Raises LedgerError where the file is damaged."""
        return read_done(self.folder)

    def history(self) -> dict[str, NDArray[np.float64]]:
        """The columns of history.csv by name, each (epochs so far,); none before the first epoch has ended."""
        return read_history(self.folder / HISTORY)

    def epochs_behind(self) -> int:
        """How many epochs the job has behind it, counted in its history; all of them once it has ended."""
        return self.training.epochs if self.done_file.is_file() else len(self.history().get("epoch", ()))

    def write_end(self, **found: Any) -> dict[str, Any]:
        """Write done.json, last of all files: `status` "finished" or "failed", `reason`, and what the job cost."""
        done = {"status": "finished", "reason": None, "arm": self.arm.name, "fold": self.fold, "seed": self.seed}
        done |= {} if self.draw is None else {"draw": self.draw}
        done |= {"epochs": self.training.epochs, "threads": self.training.threads}
        done |= {"precision": self.training.precision, "compile": self.training.compile} | found
        write_json(self.done_file, done)
        return done
