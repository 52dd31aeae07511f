"""The user's own endpoints of a run, as its lock describes them; functions of all cases are imported again."""

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
    """By name, those of a run folder whose predictions have these metrics: a function of masks left its values there.

    Raises PredictionError where a function of all cases is not to be found, or is not the one that was locked.
    """
    found = {endpoint.name: endpoint for endpoint in task_endpoints(lock, run)}
    for name, said in (lock.get("own") or {}).items():
        if said["pooled"]:
            found[name] = _pooled(name, said, _code_folder(lock, run))
        else:
            own = (column for column in columns if column == name or column.startswith(f"{name}_"))
            found |= {column: made(column, _stated(said)) for column in own}
    return found


def task_endpoints(lock: Mapping[str, Any], run: Path) -> tuple[Endpoint, ...]:
    """Those of the run's task; none where predictions came without one.

    Raises PredictionError where a task of the user's own is not to be found, or is not the one that was locked.
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


def _pooled(name: str, said: Mapping[str, Any], folder: Path) -> Endpoint:
    try:
        function = imported(name, "endpoint", folder)
    except ProtocolError as error:
        raise PredictionError(f"the run's own endpoint cannot be computed again: {error}") from error
    if source_hash(name, function) != said["sha256"]:
        raise PredictionError(f"the endpoint {name!r} {_CHANGED}")
    return made(name, _stated(said), guarded(name, function))


def _stated(said: Mapping[str, Any]) -> dict[str, Any]:
    low, high = said.get("low"), said.get("high")
    limits = {"low": -math.inf if low is None else low, "high": math.inf if high is None else high}
    return {"higher_is_better": said["higher_is_better"], "unit": said.get("unit", ""), **limits}
