"""Endpoints of the user's own, named `module:attribute`: of one case's masks, or of the scores of all cases at once.

A function says with attributes what cannot be guessed: `higher_is_better` (True where it says nothing), its range `low`
and `high`, and its `unit`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import EquipoiseError, PredictionError, ProtocolError
from equipoise.evaluation.segmentation import Metric
from equipoise.lookup import imported, source_hash
from equipoise.statistics.kinds import Endpoint, Kind

SIDE = 6
"""Side of the masks that a function is tried on before anything is trained."""


def is_own(name: str) -> bool:
    """Whether a name stands for code outside the package."""
    return ":" in name


def function_of(name: str, regions: Iterable[str]) -> str:
    """The function behind an endpoint of masks: without the region whose value alone it names.

    >>> function_of("my:overlap_WT", ["WT", "TC"]), function_of("my:overlap", ["WT"])
    ('my:overlap', 'my:overlap')
    """
    return next((name.removesuffix(f"_{region}") for region in regions if name.endswith(f"_{region}")), name)


def own_endpoint(name: str, folder: Path, *, pooled: bool, regions: Iterable[str] = ()) -> Endpoint:
    """The endpoint of that name, its function imported from `folder` first.

    pooled: a function `(truth (n,), scores (n, classes)) -> number` of all cases; else one of a case's masks, whose
    values stand in a column of the predictions (of all `regions`, or of the one that the name ends with).
    """
    function = imported(name if pooled else function_of(name, regions), "endpoint", folder)
    return made(name, attributes_of(function), guarded(name, function) if pooled else None)


def made(name: str, attributes: Mapping[str, Any], pooled: Callable[..., float] | None = None) -> Endpoint:
    """The endpoint with these attributes: a function of all cases, or (None) the mean of a column."""
    kind, needs = (Kind.MEAN, "cases") if pooled is None else (Kind.POOLED, "function")
    return Endpoint(name, kind, **attributes, needs=needs, compute=pooled)


def per_case(name: str, folder: Path) -> Metric:
    """The function `(truth, prediction, spacing_mm) -> number` of that name; it raises PredictionError alone."""
    return guarded(name, imported(name, "endpoint", folder))


def per_case_functions(names: Iterable[str], folder: Path) -> dict[str, Metric]:
    """The functions of these names."""
    return {name: per_case(name, folder) for name in names}


def try_out(name: str, folder: Path, *, classes: int, regions: Sequence[str], spatial_dims: int) -> None:
    """Try the function on a small example: of `classes`, or of masks where `regions` are judged.

    Raises ProtocolError where it cannot be imported, fails, or does not answer with a finite number.
    """
    try:
        if regions:
            _try_masks(per_case(function_of(name, regions), folder), spatial_dims)
        else:
            _try_pooled(guarded(name, imported(name, "endpoint", folder)), classes)
    except PredictionError as error:
        raise ProtocolError(f"{error}; mend it, it was tried on a small example") from error


def describe_own(names: Iterable[str], folder: Path, *, masks: bool) -> dict[str, dict[str, Any]]:
    """What lock.json keeps of every function: direction, range, unit, and the hash of its source."""
    described = {}
    for name in dict.fromkeys(names):
        function = imported(name, "endpoint", folder)
        attributes = attributes_of(function)
        limits = {key: float(attributes[key]) if np.isfinite(attributes[key]) else None for key in ("low", "high")}
        described[name] = attributes | limits | {"pooled": not masks, "sha256": source_hash(name, function)}
    return described


def attributes_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Direction, range and unit of an endpoint, as its function states them."""
    return {
        "higher_is_better": bool(getattr(function, "higher_is_better", True)),
        "low": float(getattr(function, "low", -np.inf)),
        "high": float(getattr(function, "high", np.inf)),
        "unit": str(getattr(function, "unit", "")),
    }


def guarded(name: str, function: Callable[..., Any]) -> Callable[..., float]:
    """The function, whose failures are one sentence."""

    def call(*arguments: Any) -> float:
        try:
            value = float(function(*arguments))
        except EquipoiseError:
            raise
        except Exception as error:
            raise PredictionError(f"the endpoint {name!r} failed ({type(error).__name__}: {error})") from error
        if not np.isfinite(value):
            raise PredictionError(f"the endpoint {name!r} gave {value}, which is no finite number")
        return value

    return call


def _try_pooled(function: Callable[..., float], classes: int) -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(10 * classes) % classes
    scores = generator.random((len(truth), classes)) + np.eye(classes)[truth]
    function(truth, scores / scores.sum(axis=1, keepdims=True))


def _try_masks(metric: Metric, spatial_dims: int) -> None:
    """Two masks that overlap, and every way to be empty: a value must be stated for each."""
    some, other, nothing = (np.zeros((SIDE,) * spatial_dims, dtype=bool) for _ in range(3))
    some[: SIDE // 2], other[1 : SIDE - 1] = True, True
    spacing_mm = (1.0,) * spatial_dims
    for truth, prediction, what in (
        (some, other, "masks that overlap"),
        (some, nothing, "an empty prediction"),
        (nothing, some, "an empty truth"),
        (nothing, nothing, "two empty masks"),
    ):
        try:
            metric(truth, prediction, spacing_mm)
        except PredictionError as error:
            raise PredictionError(f"{error} for {what}") from error
