"""What an endpoint is: its direction, range and unit, and how a patient enters it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import FINDINGS

PooledFunction = Callable[[NDArray[np.int64], NDArray[np.float64]], float]
FAILURE_DICE = 0.1  # a segmentation below this Dice is a failure, not a poor result


class Kind(Enum):
    """How the metric is formed from cases, which decides its influence function and its interval."""

    RANK = "rank"  # AUC, average precision, sensitivity at a specificity: pairs of cases decide
    RATE = "rate"  # a proportion of cases, overall or within a class
    MEAN = "mean"  # a mean of per-case values
    FREE = "free"  # candidates anywhere in a scan: CPM, average precision of detection: patient jackknife
    POOLED = "pooled"  # a user's function of all cases at once: patient jackknife


@dataclass(frozen=True)
class Endpoint:
    """A metric: `low` and `high` are its possible values, `by_class` says that rare classes limit it."""

    name: str
    kind: Kind
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    by_class: bool = False
    probabilities: bool = False
    function: PooledFunction | None = None

    @property
    def sign(self) -> int:
        """+1 where a larger value is better, else -1."""
        return 1 if self.higher_is_better else -1


_BUILT_IN = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint("auc", Kind.RANK, by_class=True),
        Endpoint("average_precision", Kind.RANK, by_class=True),
        Endpoint("accuracy", Kind.RATE),
        Endpoint("balanced_accuracy", Kind.RATE, by_class=True),
        Endpoint("sensitivity", Kind.RATE, by_class=True),
        Endpoint("specificity", Kind.RATE, by_class=True),
        Endpoint("brier", Kind.MEAN, higher_is_better=False, probabilities=True),
        Endpoint("nll", Kind.MEAN, higher_is_better=False, high=np.inf, probabilities=True),
    )
}
CLASSIFICATION = frozenset(_BUILT_IN)
_DETECTION = {name: Endpoint(name, Kind.FREE) for name in ("cpm", "average_precision")}
_PER_CASE = (
    ("failure", Endpoint("failure_rate", Kind.RATE, higher_is_better=False)),
    ("hd95", Endpoint("hd95", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm")),
    ("assd", Endpoint("assd", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm")),
    ("dice", Endpoint("dice", Kind.MEAN)),
    ("iou", Endpoint("iou", Kind.MEAN)),
    ("surface_dice", Endpoint("surface_dice", Kind.MEAN)),
    ("lesion_", Endpoint("lesion", Kind.MEAN)),
    ("brats_lesion_hd95", Endpoint("hd95", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm")),
    ("brats_lesion_", Endpoint("lesion", Kind.MEAN)),
    ("absolute_volume", Endpoint("volume", Kind.MEAN, higher_is_better=False, high=np.inf, unit="ml")),
    ("hausdorff", Endpoint("hausdorff", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm")),
)
_AT_SPECIFICITY = re.compile(r"sensitivity@(0?\.\d+)$")


def specificity_of(name: str) -> float | None:
    """The specificity in `sensitivity@0.90`, or None for any other endpoint.

    >>> specificity_of("sensitivity@0.90"), specificity_of("auc")
    (0.9, None)
    """
    found = _AT_SPECIFICITY.match(name)
    return float(found.group(1)) if found else None


def metric_column(name: str, metrics: Sequence[str]) -> str | None:
    """The per-case column that feeds the endpoint; a failure rate is read from the Dice of the same structure.

    >>> metric_column("failure_rate_core", ["dice_core"])
    'dice_core'
    """
    if name in metrics:
        return name
    source = name.replace("failure_rate", "dice", 1)
    return source if source != name and source in metrics else None


def direction_known(name: str) -> bool:
    """Whether a per-case metric of this name is one of ours, so that it is known which values are better.

    >>> direction_known("hd95_core"), direction_known("my_score")
    (True, False)
    """
    return name.startswith(tuple(prefix for prefix, _ in _PER_CASE))


def endpoint_named(
    name: str,
    metrics: Sequence[str] = (),
    classes: Sequence[str] = (),
    custom: Mapping[str, Endpoint] | None = None,
) -> Endpoint:
    """The endpoint of that name for a table with these per-case metrics and classes; unknown names are refused."""
    if custom and name in custom:
        return custom[name]
    if metric_column(name, metrics) is not None:
        known = next((e for prefix, e in _PER_CASE if name.startswith(prefix)), None)
        return replace(known, name=name) if known else Endpoint(name, Kind.MEAN, low=-np.inf, high=np.inf)
    if FINDINGS in metrics and name in _DETECTION:
        return _DETECTION[name]
    if classes and name in _BUILT_IN:
        endpoint = _BUILT_IN[name]
        return replace(endpoint, high=2.0) if name == "brier" and len(classes) > 2 else endpoint
    if classes and specificity_of(name) is not None:
        return Endpoint(name, Kind.RANK, by_class=True)
    free = _DETECTION if FINDINGS in metrics else ()
    offered = sorted({*metrics, *(_BUILT_IN if classes else ()), *free, *(custom or {})})
    raise PredictionError(
        f"no endpoint {name!r} can be computed from these predictions; they offer {', '.join(offered)}"
    )
