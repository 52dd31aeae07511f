"""TensorBoard and MLflow as places for curves; both packages are optional, and neither needs torch."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.live.state import FINISHED, JobState
from equipoise.plain_files import inside, refuse_linked_folder
from equipoise.runfolder.read import read_lock

_TAG = "equipoise.job"


class TensorBoard:
    """One series of event files for each job: PLACE/<arm>/<fold>-<seed>."""

    def __init__(self, package: ModuleType, place: Path) -> None:
        self._package, self._place = package, place
        self._writers: dict[str, Any] = {}

    def epochs(self, job: JobState, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Copy new epochs of a job."""
        writer = self._writers.get(job.name)
        if writer is None:
            # A resumed trial copies from its first epoch again; `purge_step` has the earlier copy hidden.
            folder = self._place / job.name
            with inside(self._place):
                refuse_linked_folder(folder)
            writer = self._package.SummaryWriter(logdir=str(folder), purge_step=rows[0][0], write_to_disk=True)
            self._writers[job.name] = writer
        for epoch, values in rows:
            for name, value in values.items():
                if math.isfinite(value):
                    writer.add_scalar(name, value, epoch)
        writer.flush()

    def end(self, job: JobState) -> None:
        """Close the files of a job."""
        writer = self._writers.pop(job.name, None)
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class MLflow:
    """One MLflow run for each job, in an experiment with the trial's name; a resumed trial goes on in the same runs."""

    def __init__(self, package: ModuleType, folder: Path, uri: str) -> None:
        self._entities: Any = package.entities
        self._client = package.MlflowClient(tracking_uri=uri)
        self._folder = folder
        self._runs: dict[str, tuple[str, int]] = {}
        self._experiment = ""

    def epochs(self, job: JobState, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Copy new epochs of a job; those that an earlier process copied are left out."""
        run, last = self._run(job)
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(name.replace("@", "_at_"), value, now, epoch)
            for epoch, values in rows
            if epoch > last
            for name, value in values.items()
            if math.isfinite(value)
        ]
        if metrics:
            self._client.log_batch(run, metrics=metrics)

    def end(self, job: JobState) -> None:
        """Set how the job ended."""
        run, _ = self._run(job)
        self._client.set_terminated(run, "FINISHED" if job.status == FINISHED else "FAILED")

    def close(self) -> None:
        """Nothing is kept in memory."""

    def _run(self, job: JobState) -> tuple[str, int]:
        """Return the identifier of the job's run, and the last epoch that it held when this process began."""
        if job.name in self._runs:
            return self._runs[job.name]
        lock = read_lock(self._folder)
        if not self._experiment:
            known = self._client.get_experiment_by_name(str(lock["name"]))
            self._experiment = known.experiment_id if known else self._client.create_experiment(str(lock["name"]))
        # The hash of the plan too: another trial of the same name has runs of its own.
        tag = f"{lock['protocol_sha256'][:16]}/{self._folder.resolve().name}/{job.name}"
        before = self._client.search_runs([self._experiment], f"tags.`{_TAG}` = '{tag}'", max_results=1)
        run = before[0] if before else self._client.create_run(self._experiment, run_name=job.name, tags={_TAG: tag})
        identifier = str(run.info.run_id)
        if not before:
            for name, value in _parameters(lock, job).items():
                self._client.log_param(identifier, name, value)
        history = self._client.get_metric_history(identifier, "train_loss") if before else ()
        self._runs[job.name] = (identifier, max((metric.step for metric in history), default=0))
        return self._runs[job.name]


def tensorboard_tracker(folder: Path, place: str | None) -> TensorBoard:
    """Return a writer of event files below PLACE, by default beside the run folder."""
    package = _package("tensorboardX", "tensorboard")
    return TensorBoard(package, Path(place) if place else _beside(folder, "tensorboard"))


def mlflow_tracker(folder: Path, place: str | None) -> MLflow:
    """Return a client of the server or folder PLACE, by default MLFLOW_TRACKING_URI, else a folder beside the run."""
    # A server that is down is asked a few times, not for minutes: the default is seven times with growing pauses.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    package = _package("mlflow", "mlflow")
    uri = place or os.environ.get("MLFLOW_TRACKING_URI") or _beside(folder, "mlflow").as_uri()
    if uri.startswith("file:"):
        # A folder needs no server and no database; MLflow asks for this consent since it would rather have a database.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return MLflow(package, folder, uri)


def _beside(folder: Path, kind: str) -> Path:
    """Return the folder beside a run folder; EquipoiseError where it is a link, which came with the run folder."""
    place = folder.resolve()
    place = place.with_name(f"{place.name}-{kind}")
    with inside(place.parent):
        refuse_linked_folder(place)
    return place


def _package(name: str, kind: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise EquipoiseError(
            f"--track {kind} needs the package {name} ({error}); install it with `pip install 'equipoise[tracking]'`, "
            "or leave --track out"
        ) from error


def _parameters(lock: Mapping[str, Any], job: JobState) -> dict[str, Any]:
    """Return what tells one arm from another: names and settings of its model and its optimizer."""
    arm: Mapping[str, Any] = next((arm for arm in lock["arms"] if arm["name"] == job.arm), {})
    values: dict[str, Any] = {"arm": job.arm, "fold": job.fold, "seed": job.seed}
    for part in ("model", "optimizer"):
        settings = arm.get(part)
        for key, value in settings.items() if isinstance(settings, Mapping) else ():
            values[part if key == "name" else f"{part}.{key}"] = value
    return values
