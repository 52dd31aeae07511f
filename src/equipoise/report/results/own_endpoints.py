"""The user's own endpoints of a run, as described in its lock; functions of all cases are imported again."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equipoise.cohorts.identities import PSEUDONYMS
from equipoise.errors import PredictionError, ProtocolError
from equipoise.lookup import imported, module_hash, source_hash
from equipoise.runfolder.names import IDS
from equipoise.runfolder.own_code import CHANGED, MODULES, check_code, code_folder, from_source
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.own import guarded, made
from equipoise.tasks import task_named


def own_endpoints(
    lock: Mapping[str, Any], run: Path, columns: Iterable[str], trusted: bool = False
) -> dict[str, Endpoint]:
    """Return by name the endpoints of a run folder whose predictions have these metrics.

    A function of masks has left its values in the predictions. trusted: whether code that the lock names may be run.
    Raises PredictionError where a function of all cases may not be run, cannot be imported, or is not the locked one.
    """
    endpoints = {endpoint.name: endpoint for endpoint in task_endpoints(lock, run, trusted)}
    for name, record in (lock.get("own") or {}).items():
        if record["pooled"]:
            module = (lock.get("own_modules") or {}).get(name, record["sha256"])
            check_code(name, "endpoint", module, code_folder(lock, run), trusted, lock.get(MODULES))
            # An audit's plan says nothing of names, and its pages hide them unless somebody asks otherwise.
            hides = lock.get(IDS) == PSEUDONYMS or lock.get("protocol_sha256") is None
            endpoints[name] = _pooled(name, record, code_folder(lock, run), hides)
        else:
            own = (column for column in columns if column == name or column.startswith(f"{name}_"))
            endpoints |= {column: made(column, _stated(record)) for column in own}
    return endpoints


def task_endpoints(lock: Mapping[str, Any], run: Path, trusted: bool = False) -> tuple[Endpoint, ...]:
    """Return the endpoints of the run's task; none for predictions without a task.

    Raises PredictionError where the user's own task may not be run, cannot be imported, or is not the locked one.
    """
    name = lock["cohort"].get("task")
    if name is None:
        return ()
    if ":" in str(name):
        digest = (lock.get("code") or {}).get(name)
        check_code(str(name), "task", digest, code_folder(lock, run), trusted, lock.get(MODULES))
    try:
        with from_source():
            task = task_named(str(name), code_folder(lock, run))
    except ProtocolError as error:
        raise PredictionError(f"the run's own task cannot be read again: {error}") from error
    if ":" in name and module_hash(name) != lock.get("code", {}).get(name):
        raise PredictionError(f"the task {name!r} {CHANGED}")
    return task.endpoints


def _pooled(name: str, record: Mapping[str, Any], folder: Path, hides_names: bool) -> Endpoint:
    try:
        with from_source():
            function = imported(name, "endpoint", folder)
    except ProtocolError as error:
        raise PredictionError(f"the run's own endpoint cannot be computed again: {error}") from error
    # A report is made again long after the run; a function that was edited meanwhile would change the result silently.
    if source_hash(name, function) != record["sha256"]:
        raise PredictionError(f"the endpoint {name!r} {CHANGED}")
    return made(name, _stated(record), guarded(name, function, hides_names=hides_names))


def _stated(record: Mapping[str, Any]) -> dict[str, Any]:
    low, high = record.get("low"), record.get("high")
    # The lock holds None for infinity, which JSON lacks.
    limits = {"low": -math.inf if low is None else low, "high": math.inf if high is None else high}
    return {"higher_is_better": record["higher_is_better"], "unit": record.get("unit", ""), **limits}
