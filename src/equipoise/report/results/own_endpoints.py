"""The user's own endpoints of a run, as described in its lock; functions of all cases are imported again."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import PredictionError, ProtocolError
from equipoise.lookup import imported, module_hash, source_hash
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.own import guarded, made
from equipoise.tasks import task_named

_CHANGED = (
    "is not the one that was locked: its source has changed; restore the file, or run the trial again into a new folder"
)


def own_endpoints(lock: Mapping[str, Any], run: Path, columns: Iterable[str]) -> dict[str, Endpoint]:
    """Return by name the endpoints of a run folder whose predictions have these metrics.

    A function of masks has left its values in the predictions. Raises PredictionError where a function of all cases
    cannot be imported, or is not the locked one.
    """
    endpoints = {endpoint.name: endpoint for endpoint in task_endpoints(lock, run)}
    for name, record in (lock.get("own") or {}).items():
        if record["pooled"]:
            endpoints[name] = _pooled(name, record, _code_folder(lock, run))
        else:
            own = (column for column in columns if column == name or column.startswith(f"{name}_"))
            endpoints |= {column: made(column, _stated(record)) for column in own}
    return endpoints


def task_endpoints(lock: Mapping[str, Any], run: Path) -> tuple[Endpoint, ...]:
    """Return the endpoints of the run's task; none for predictions without a task.

    Raises PredictionError where the user's own task cannot be imported, or is not the locked one.
    """
    name = lock["cohort"].get("task")
    if name is None:
        return ()
    try:
        task = task_named(str(name), _code_folder(lock, run))
    except ProtocolError as error:
        raise PredictionError(f"the run's own task cannot be read again: {error}") from error
    if ":" in name and module_hash(name) != lock.get("code", {}).get(name):
        raise PredictionError(f"the task {name!r} {_CHANGED}")
    return task.endpoints


def _code_folder(lock: Mapping[str, Any], run: Path) -> Path:
    return (run / str(lock.get("code_folder", "."))).resolve()


def _pooled(name: str, record: Mapping[str, Any], folder: Path) -> Endpoint:
    try:
        function = imported(name, "endpoint", folder)
    except ProtocolError as error:
        raise PredictionError(f"the run's own endpoint cannot be computed again: {error}") from error
    # A report is made again long after the run; a function that was edited meanwhile would change the result silently.
    if source_hash(name, function) != record["sha256"]:
        raise PredictionError(f"the endpoint {name!r} {_CHANGED}")
    return made(name, _stated(record), guarded(name, function))


def _stated(record: Mapping[str, Any]) -> dict[str, Any]:
    low, high = record.get("low"), record.get("high")
    limits = {"low": -math.inf if low is None else low, "high": math.inf if high is None else high}
    return {"higher_is_better": record["higher_is_better"], "unit": record.get("unit", ""), **limits}
