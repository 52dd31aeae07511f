"""The user's own endpoints of a run, as its lock describes them; functions of all cases are imported again."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import PredictionError, ProtocolError
from equipoise.lookup import imported, source_hash
from equipoise.statistics.endpoints import Endpoint, Kind
from equipoise.statistics.own import guarded


def own_endpoints(lock: Mapping[str, Any], run: Path, columns: Iterable[str]) -> dict[str, Endpoint]:
    """By name, those of a run folder whose predictions have these metrics: a function of masks left its values there.

    Raises PredictionError where a function of all cases is not to be found, or is not the one that was locked.
    """
    found: dict[str, Endpoint] = {}
    for name, said in (lock.get("own") or {}).items():
        if said["pooled"]:
            found[name] = _pooled(name, said, (run / lock.get("code_folder", ".")).resolve())
        else:
            own = (column for column in columns if column == name or column.startswith(f"{name}_"))
            found |= {column: Endpoint(column, Kind.MEAN, **_stated(said)) for column in own}
    return found


def _pooled(name: str, said: Mapping[str, Any], folder: Path) -> Endpoint:
    try:
        function = imported(name, "endpoint", folder)
    except ProtocolError as error:
        raise PredictionError(f"the run's own endpoint cannot be computed again: {error}") from error
    if source_hash(name, function) != said["sha256"]:
        raise PredictionError(
            f"the endpoint {name!r} is not the one that was locked: its source has changed; restore the file, or run "
            "the trial again into a new folder"
        )
    return Endpoint(name, Kind.POOLED, **_stated(said), function=guarded(name, function))


def _stated(said: Mapping[str, Any]) -> dict[str, Any]:
    low, high = said.get("low"), said.get("high")
    limits = {"low": -math.inf if low is None else low, "high": math.inf if high is None else high}
    return {"higher_is_better": said["higher_is_better"], "unit": said.get("unit", ""), **limits}
