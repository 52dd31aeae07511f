"""The user's own endpoints, named `module:attribute`: of one case's masks, or of the scores of all cases at once.

The function's attributes state its properties: `higher_is_better` (default True), its range `low` and `high`, and its
`unit`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import EquipoiseError, PredictionError, ProtocolError
from equipoise.evaluation.segmentation import Metric
from equipoise.lookup import imported, raised, source_hash
from equipoise.progress import remark
from equipoise.statistics.kinds import Endpoint, Kind

_WITHHELD = "what it says may name patients, and stands on the terminal alone"
SIDE = 6
"""Side in voxels of the masks on which a function is tried before training."""


def is_own(name: str) -> bool:
    """Return whether a name refers to code outside the package."""
    return ":" in name


def function_of(name: str, regions: Iterable[str]) -> str:
    """Return the function's name of an endpoint of masks: the name without the suffix of a region.

    >>> function_of("my:overlap_WT", ["WT", "TC"]), function_of("my:overlap", ["WT"])
    ('my:overlap', 'my:overlap')
    """
    return next((name.removesuffix(f"_{region}") for region in regions if name.endswith(f"_{region}")), name)


def own_endpoint(name: str, folder: Path, *, pooled: bool, regions: Iterable[str] = ()) -> Endpoint:
    """Return the endpoint of that name; its function is imported from `folder` first.

    pooled: a function `(truth (n,), scores (n, classes)) -> number` of all cases; else one of a case's masks, whose
    values are a column of the predictions (of all `regions`, or of the one that is the name's suffix).
    """
    function = imported(name if pooled else function_of(name, regions), "endpoint", folder)
    return made(name, attributes_of(function), guarded(name, function) if pooled else None)


def made(name: str, attributes: Mapping[str, Any], pooled: Callable[..., float] | None = None) -> Endpoint:
    """Return the endpoint with these attributes: a function of all cases, or (None) the mean of a column."""
    kind, needs = (Kind.MEAN, "cases") if pooled is None else (Kind.POOLED, "function")
    return Endpoint(name, kind, **attributes, needs=needs, compute=pooled)


def per_case(name: str, folder: Path) -> Metric:
    """Import the function `(truth, prediction, spacing_mm) -> number`; it then raises only EquipoiseError."""
    return guarded(name, imported(name, "endpoint", folder))


def per_case_functions(names: Iterable[str], folder: Path) -> dict[str, Metric]:
    """Import the functions of these names."""
    return {name: per_case(name, folder) for name in names}


def try_out(name: str, folder: Path, *, classes: int, regions: Sequence[str], spatial_dims: int) -> None:
    """Try the function on a small example: of `classes`, or of masks where `regions` are evaluated.

    Raises ProtocolError where it cannot be imported, fails, or does not return a finite number.
    """
    try:
        if regions:
            _try_masks(per_case(function_of(name, regions), folder), spatial_dims)
        else:
            _try_pooled(guarded(name, imported(name, "endpoint", folder)), classes)
    except PredictionError as error:
        raise ProtocolError(f"{error}; correct it, it was tried on a small example") from error


def describe_own(names: Iterable[str], folder: Path, *, masks: bool) -> dict[str, dict[str, Any]]:
    """Describe every function for lock.json: direction, range, unit, and the hash of its source."""
    described = {}
    for name in dict.fromkeys(names):
        function = imported(name, "endpoint", folder)
        attributes = attributes_of(function)
        # JSON has no infinity.
        limits = {key: float(attributes[key]) if np.isfinite(attributes[key]) else None for key in ("low", "high")}
        described[name] = attributes | limits | {"pooled": not masks, "sha256": source_hash(name, function)}
    return described


def attributes_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return direction, range and unit of an endpoint, as its function states them."""
    return {
        "higher_is_better": bool(getattr(function, "higher_is_better", True)),
        "low": float(getattr(function, "low", -np.inf)),
        "high": float(getattr(function, "high", np.inf)),
        "unit": str(getattr(function, "unit", "")),
    }


def guarded(name: str, function: Callable[..., Any], *, hides_names: bool = False) -> Callable[..., float]:
    """Wrap the function so that each of its failures is a PredictionError of one sentence.

    hides_names: whether the sentence leaves out what the function says, which may name patients; the terminal has it.
    """

    def call(*arguments: Any) -> float:
        """Call the user's function; whatever it raises becomes a sentence."""
        try:
            value = float(function(*arguments))
        # A user's code may raise anything; callers handle one kind of error with one sentence.
        except Exception as error:
            if hides_names:
                remark(f"the endpoint {name!r} failed ({raised(error)})")
                raise PredictionError(f"the endpoint {name!r} failed ({type(error).__name__}); {_WITHHELD}") from error
            if isinstance(error, EquipoiseError):
                raise
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
    """Try two masks that overlap, and all combinations of empty masks."""
    # Before training and not at the end: a metric that fails on an empty mask fails in nearly every real test set,
    # after the test set was opened.
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
