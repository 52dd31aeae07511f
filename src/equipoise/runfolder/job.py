"""One job of a trial (an arm on a fold with a seed), as data that can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import json_bytes
from equipoise.protocol import Arm, InferenceSection, TrainingSection
from equipoise.runfolder.chronology import record_of
from equipoise.runfolder.evidence import RECORD_OF_BINDING
from equipoise.runfolder.ledger import first_event
from equipoise.runfolder.paths import CHECKPOINT, DONE, HISTORY, JOBS, PREDICTIONS, WEIGHTS, draw_name, job_name
from equipoise.runfolder.read import read_done, read_history
from equipoise.runfolder.writer import Writer
from equipoise.tasks import Task, task_named

RUN = "run"
"""The key of done.json with the run that the job belongs to; see `Job.run_hash`."""
LATE_MODULES = "late_modules"
"""The key of done.json with the hashes of modules of the user's own that a job loaded and the lock does not name."""


@dataclass(frozen=True)
class Job:
    """Everything a job needs; `samples` holds the folders `train` and `validation` of its fold.

    classes: names of the model's classes. regions: the evaluated structures as sets of classes; only in segmentation.
    code: the folder of the user's own modules. own: names of the user's own endpoints of a case's masks.
    draw: the number of a draw of tuning, None for a job of the trial itself.
    ignores: whether masks may hold voxels that nobody labelled.
    routes: by precision, (layer, route) of layers that this machine computes soundly only in another layout or
    precision.
    modules: SHA-256 of the user's own modules by name, as locked; None where the lock names none, or none is there yet.
    hides_names: whether outputs name cases by pseudonyms, and errors of own code are written without their text.
    members: the jobs that an ensemble is made of; none for a job that trains.
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
    routes: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    modules: Mapping[str, str] | None = None
    hides_names: bool = False
    members: tuple["Job", ...] = ()

    @property
    def name(self) -> str:
        """The job's path in the run folder: arm/fold-seed, or arm/draws/fold-draw for a draw of tuning."""
        if self.draw is not None:
            return draw_name(self.arm.name, self.fold, self.draw)
        return job_name(self.arm.name, self.fold, self.seed)

    @property
    def is_network(self) -> bool:
        """Whether the job trains a network here: no ensemble of other jobs, and none of nnU-Net's."""
        return not self.members and self.arm.nnunet is None

    @property
    def task_record(self) -> Task:
        """The record of the job's task."""
        return task_named(self.task, self.code)

    @property
    def stream(self) -> str:
        """The name from which the random streams derive: the job's, or fold and seed alone where arms share seeds."""
        # A name and not a counter: a job draws the same numbers whichever jobs ran before it or run beside it.
        return f"{self.fold}-{self.seed}" if self.training.shared_seeds else self.name

    @property
    def outputs(self) -> int:
        """Number of the model's output channels: one per class, or one per region with targets = "regions"."""
        return len(self.regions) if self.training.targets == "regions" else len(self.classes)

    @property
    def done_file(self) -> Path:
        """The file that is written last; its presence means that the job ended."""
        return self.folder / DONE

    @property
    def weights_file(self) -> Path:
        """The weights of the chosen epoch."""
        return self.folder / CHECKPOINT / WEIGHTS

    @property
    def run_folder(self) -> Path | None:
        """The run folder in which the job lies; None of a job without a trial."""
        return next((place.parent for place in self.folder.parents if place.name == JOBS), None)

    def run_hash(self) -> str:
        """Return the hash of the run's first event, which holds that of the plan: the job's files are bound to it.

        Empty for a job without a trial, and in a run that an earlier version began, whose files name no run. Raises
        LedgerError where the ledger cannot be read.
        """
        folder = self.run_folder
        first = None if folder is None else first_event(folder)
        return first.hash if first is not None and record_of([first]) >= RECORD_OF_BINDING else ""

    @property
    def predictions_file(self) -> Path:
        """The predictions of validation and test cases, written after the test set is opened."""
        return self.folder / PREDICTIONS

    def settled(self, precision: str, compile: bool) -> "Job":  # noqa: A002 (the protocol's word)
        """Return the job with the precision and compiling that a measurement chose."""
        training = self.training.model_copy(update={"precision": precision, "compile": compile})
        members = tuple(member.settled(precision, compile) for member in self.members)
        return replace(self, training=training, members=members)

    def done(self) -> dict[str, Any] | None:
        """Read done.json; None while the job has not ended. Raises LedgerError where the file is damaged."""
        return read_done(self.folder)

    def history(self) -> dict[str, NDArray[np.float64]]:
        """Read the columns of history.csv by name, each (completed epochs,); none before the first epoch has ended."""
        return read_history(self.folder / HISTORY)

    def epochs_behind(self) -> int:
        """Return the number of completed epochs, counted in the history; all of them once the job has ended."""
        # A job with early stopping ends before its last epoch; counted as all epochs, so that progress reaches 100 %.
        return self.training.epochs if self.done_file.is_file() else len(self.history().get("epoch", ()))

    def write_end(self, writer: Writer | None = None, **outcome: Any) -> dict[str, Any]:
        """Write done.json, last of all files: `status` "finished" or "failed", `reason`, and the job's cost.

        writer: who trains the job; without one the job is taken over, so that nobody who did can write afterwards.
        Raises Superseded where another process trains the job now.
        """
        # Precision and compiling as they were used: the protocol may say "auto".
        done = {"status": "finished", "reason": None, "arm": self.arm.name, "fold": self.fold, "seed": self.seed}
        done |= {} if self.draw is None else {"draw": self.draw}
        done |= {"epochs": self.training.epochs, "threads": self.training.threads}
        done |= {"precision": self.training.precision, "compile": self.training.compile} | outcome
        run = self.run_hash()
        done |= {RUN: run} if run else {}
        content, writer = json_bytes(done), writer or Writer.begin(self.folder)
        writer.write(self.done_file, lambda file: file.write_bytes(content))
        writer.end()
        return done
