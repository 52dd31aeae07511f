"""All built-in endpoints, one record each, and the only function that turns a name into an endpoint.

A new metric is one record here: audit, planning, report and `docs/endpoints.md` read what they need from it. No other
code depends on the name of an endpoint.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation import detection
from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.statistics import case_values, influence, own
from equipoise.statistics.kinds import Area, ClassRecall, Endpoint, Kind, Precision
from equipoise.statistics.side_rates import SidePrecision, SideRecall

__all__ = ["Endpoint", "Kind", "described", "documented", "endpoint_named"]

NEGATIVES_BEYOND = 5  # with fewer, a threshold is chance, and so was the winner in up to 37 % of audits of equal arms
FAILURE_DICE = 0.1  # a segmentation below this Dice is a failure, not a poor result
FAILURE_IOU = FAILURE_DICE / (2 - FAILURE_DICE)  # the same overlap
FAILED_MM = 374.0  # of a structure that is missed: the diagonal of a BraTS image, by the rules of BraTS 2023
FEWEST_SEGMENTED = 30  # below, the interval of a mean Dice missed the truth in up to 28 % of studies

AUC = Endpoint(
    "auc", Area(), needs="scores", display="AUC", by_class=True, compute=influence.area, references=("delong",
    "obuchowski"),
    curve="roc", display_of_several="macro AUC",
    summary="Area under the ROC curve: the probability that a positive case has a higher score than a negative one.",
)  # fmt: skip
AVERAGE_PRECISION = Endpoint(
    "average_precision", Precision(), needs="scores", display="average precision", by_class=True, chance="prevalence",
    compute=influence.average_precision, summary="Mean over positive cases of the precision at their score.",
)  # fmt: skip
ACCURACY = Endpoint(
    "accuracy", Kind.RATE, needs="scores", display="accuracy", classes_alike=True, in_contrast=True,
    compute=case_values.correct,
    summary="Share of cases whose highest score is that of the true class.",
)  # fmt: skip
BALANCED_ACCURACY = Endpoint(
    "balanced_accuracy", ClassRecall(), needs="scores", display="balanced accuracy", by_class=True, classes_alike=True,
    summary="Mean over classes of the share of correctly classified cases.",
)  # fmt: skip
SENSITIVITY = Endpoint(
    "sensitivity", SideRecall(of_positives=True), needs="scores", display="sensitivity", by_class=True,
    summary="Share of positive cases that are predicted positive.",
)  # fmt: skip
SPECIFICITY = Endpoint(
    "specificity", SideRecall(of_positives=False), needs="scores", display="specificity", by_class=True,
    summary="Share of negative cases that are predicted negative.",
)  # fmt: skip
PPV = Endpoint(
    "ppv", SidePrecision(of_positives=True), needs="scores", display="PPV", by_class=True,
    summary="Positive predictive value: share of the cases predicted positive that are positive.",
)  # fmt: skip
NPV = Endpoint(
    "npv", SidePrecision(of_positives=False), needs="scores", display="NPV", by_class=True,
    summary="Negative predictive value: share of the cases predicted negative that are negative.",
)  # fmt: skip
BRIER = Endpoint(
    "brier", Kind.MEAN, needs="scores", higher_is_better=False, display="Brier score", probabilities=True,
    classes_alike=True,
    compute=case_values.squared_error, high_of_several=2.0,
    summary="Mean squared distance of the probabilities from the truth.",
)  # fmt: skip
NLL = Endpoint(
    "nll", Kind.MEAN, needs="scores", higher_is_better=False, high=np.inf, display="negative log-likelihood",
    probabilities=True,
    classes_alike=True, compute=case_values.log_loss, failed=case_values.LARGEST_LOSS,
    summary="Mean negative logarithm of the probability of the true class.",
)  # fmt: skip
OF_SCORES = (AUC, AVERAGE_PRECISION, ACCURACY, BALANCED_ACCURACY, SENSITIVITY, SPECIFICITY, PPV, NPV, BRIER, NLL)
"""Endpoints of classifiers, made from class scores."""
OF_CALLS = (SENSITIVITY, SPECIFICITY, PPV, NPV)
"""Endpoints of a positive class at a threshold."""
CALLED = (BALANCED_ACCURACY, ACCURACY, *OF_CALLS)
"""Endpoints that called classes suffice for, without scores."""

_AT_SPECIFICITY = re.compile(r"sensitivity@(0?\.\d+)$")
AT_SPECIFICITY = Endpoint(
    "sensitivity@0.90", Kind.RANK, needs="scores", by_class=True,
    summary=(
        "Sensitivity at the lowest threshold with at least that specificity, which may be any number between 0 and 1."
    ),
)  # fmt: skip
"""The pattern of a family, whose members are named by the specificity."""

CPM = Endpoint(
    "cpm", Kind.FREE, needs="candidates", display="CPM", compute=detection.cpm, rules=("mean-sensitivity",),
    curve="froc",
    summary="Mean sensitivity of a detector at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan.",
)  # fmt: skip
DETECTED_PRECISION = Endpoint(
    "average_precision", Kind.FREE, needs="candidates", display="average precision",
    compute=detection.average_precision,
    summary="Of a detector: mean over findings of the precision at the score of the candidate that hits them.",
)  # fmt: skip
OF_CANDIDATES = (CPM, DETECTED_PRECISION)
"""Endpoints of detectors, made from lists of candidates."""

DICE = Endpoint(
    "dice", Kind.MEAN, display="Dice", companions=("failure_rate",), fails_below=FAILURE_DICE,
    fewest_cases=FEWEST_SEGMENTED, rules=("empty-masks",), decimals=3, short="Dice",
    summary="Overlap of two masks: twice the size of their intersection, divided by the sum of their sizes.",
)  # fmt: skip
IOU = Endpoint(
    "iou", Kind.MEAN, display="IoU", fails_below=FAILURE_IOU, fewest_cases=FEWEST_SEGMENTED, decimals=3, short="IoU",
    summary="Overlap of two masks: the size of their intersection, divided by the size of their union.",
)  # fmt: skip
HD95 = Endpoint(
    "hd95", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm", display="HD95", rules=("empty-masks",),
    failed=FAILED_MM, decimals=1, short="HD95, mm",
    summary="95th percentile of the distances between two surfaces, the larger of both directions.",
)  # fmt: skip
ASSD = Endpoint(
    "assd", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm", display="mean surface distance",
    failed=FAILED_MM, decimals=2,
    short="ASSD, mm", summary="Average symmetric surface distance.",
)  # fmt: skip
SURFACE_DICE = Endpoint(
    "surface_dice", Kind.MEAN, display="surface Dice",
    summary="Share of both surfaces that lies within 1 mm (without a stated spacing, 1 pixel) of the other.",
)  # fmt: skip
VOLUME_ERROR = Endpoint(
    "volume_error_ml", Kind.MEAN, higher_is_better=False, low=-np.inf, high=np.inf, unit="ml", display="volume error",
    distance_from_zero=True,
    summary="Predicted volume minus true volume; arms are compared by the mean of its distance from 0.",
)  # fmt: skip
ABSOLUTE_VOLUME_ERROR = Endpoint(
    "absolute_volume_error_ml", Kind.MEAN, higher_is_better=False, high=np.inf, unit="ml",
    display="absolute volume error", summary="Distance of the predicted volume from the true one.",
)  # fmt: skip
LESION_F1 = Endpoint(
    "lesion_f1", Kind.MEAN, display="lesion F1",
    summary="F1 of the connected components of two masks, matched one to one.",
)  # fmt: skip
LESION_DICE = Endpoint(
    "lesion_dice", Kind.MEAN, display="lesion Dice",
    summary="Mean Dice over connected components; 0 for a missed or a false positive component.",
)  # fmt: skip
BRATS_LESION_F1 = Endpoint(
    "brats_lesion_f1", Kind.MEAN, display="lesion F1 (BraTS)", summary="F1 of lesions by the rules of BraTS 2023.",
)  # fmt: skip
BRATS_LESION_DICE = Endpoint(
    "brats_lesion_dice", Kind.MEAN, display="lesion Dice (BraTS)",
    summary="Mean Dice over lesions by the rules of BraTS 2023.",
)  # fmt: skip
BRATS_LESION_HD95 = Endpoint(
    "brats_lesion_hd95", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm", display="lesion HD95 (BraTS)",
    failed=FAILED_MM, summary="Mean HD95 over lesions by the rules of BraTS 2023.",
)  # fmt: skip
FAILURE_RATE = Endpoint(
    "failure_rate", Kind.RATE, higher_is_better=False, display="failure rate", share_of="dice",
    share_below=FAILURE_DICE, summary="Share of cases with a Dice below 0.1.",
)  # fmt: skip
OF_MASKS = (
    DICE, IOU, HD95, ASSD, SURFACE_DICE, VOLUME_ERROR, ABSOLUTE_VOLUME_ERROR, LESION_F1, LESION_DICE, BRATS_LESION_F1,
    BRATS_LESION_DICE, BRATS_LESION_HD95, FAILURE_RATE,
)  # fmt: skip
"""Endpoints of each case, as the mean over regions and for each region."""

_OF_TOOLS = (
    Endpoint("failure", Kind.RATE, higher_is_better=False),
    Endpoint(
        "hausdorff", Kind.MEAN, higher_is_better=False, high=np.inf, unit="mm", failed=FAILED_MM, decimals=1,
        short="Hausdorff, mm",
    ),
)  # fmt: skip
"""Further columns of other tools."""
_QUANTITIES = frozenset(
    (
        *(
            "loss",
            "losses",
            "std",
            "sd",
            "stdev",
            "deviation",
            "var",
            "variance",
            "sem",
            "se",
            "err",
            "error",
            "errors",
        ),
        *(
            "miss",
            "missed",
            "rate",
            "ratio",
            "diff",
            "difference",
            "delta",
            "change",
            "gain",
            "count",
            "counts",
            "number",
        ),
        *("n", "time", "seconds", "uncertainty", "entropy", "weight", "distance", "volume", "rank", "p", "pvalue"),
    )
)
"""Words after the name of a metric that make it another quantity: "dice_loss" is no Dice of a region "loss"."""

PRIMARY_OF_SCORES, SECONDARY_OF_SCORES = AUC, (ACCURACY, BRIER, AVERAGE_PRECISION)
"""Default endpoints of an audit of scores."""
PRIMARY_OF_CANDIDATES = CPM
"""Default endpoint of an audit of detectors."""
PRIMARY_OF_MASKS, SECONDARY_OF_MASKS = DICE, (DICE, HD95)
"""Default endpoints of an audit of masks: every column that begins with these."""
KNOWN = (*OF_SCORES, AT_SPECIFICITY, *OF_CANDIDATES, *OF_MASKS)
"""All endpoints that the documentation lists."""


_OF_EVERY_CASE = (AUC, AVERAGE_PRECISION, ACCURACY, BALANCED_ACCURACY, CPM, DICE, IOU)
"""Endpoints whose best value needs a right answer in every case; calling all cases positive is perfectly sensitive."""


def perfect_value(record: Endpoint) -> float | None:
    """Return the best value of an endpoint that only right answers in all cases reach; None for any other endpoint.

    A function of the user's own counts as such, where it states its best value.

    >>> perfect_value(AUC), perfect_value(of_case("dice_core")), perfect_value(SENSITIVITY), perfect_value(BRIER)
    (1.0, 1.0, None, None)
    """
    if (record.stem or record.name) not in {one.name for one in _OF_EVERY_CASE} and not own.is_own(record.name):
        return None
    best = record.high if record.higher_is_better else record.low
    return float(best) if np.isfinite(best) and record.direction_known else None


def endpoint_named(
    name: str,
    metrics: Sequence[str] = (),
    classes: Sequence[str] = (),
    custom: Mapping[str, Endpoint] | None = None,
    *,
    folder: Path | None = None,
    regions: Iterable[str] = (),
) -> Endpoint:
    """Return the endpoint of that name for a table with these per-case metrics and classes.

    custom: endpoints by name that take precedence. folder: the place from which a user's own `module:attribute` is
    imported (None: nothing is imported): a function of all cases where there are classes, else of masks of these
    `regions`. Raises PredictionError for a name that such a table does not offer, ProtocolError for a failed import.
    """
    if custom and name in custom:
        return custom[name]
    if folder is not None and own.is_own(name):
        return own.own_endpoint(name, folder, pooled=bool(classes), regions=regions)
    # A column of the table comes before a computed endpoint: an audit's file may hold a metric of the same name.
    per_case = of_case(name)
    if per_case.column(metrics) is not None:
        return per_case
    offers = _offered(metrics, classes)
    if name in offers:
        return _of_classes(offers[name], len(classes))
    if classes and (member := _at_specificity(name)):
        return member
    offered = sorted({*metrics, *offers, *(custom or {})})
    offer = ", ".join(offered) or "none, as where every mask is empty; correct the masks"
    raise PredictionError(f"no endpoint {name!r} can be computed from these predictions; they offer {offer}")


def at_threshold(threshold: float) -> dict[str, Endpoint]:
    """Return sensitivity, specificity, PPV and NPV where a score of the threshold or more is called positive."""
    return {
        one.name: replace(one, kind=replace(one.kind, threshold=threshold))
        for one in OF_CALLS
        if isinstance(one.kind, SideRecall | SidePrecision)
    }


def described(name: str, classes: int = 2) -> Endpoint:
    """Return the record of any name, whatever table it is computed from: for sentences, tables and plans.

    >>> described("auc", 4).heading, described("sensitivity@0.90").heading, described("dice_core").heading
    ('macro AUC', 'sensitivity at 90 % specificity', 'Dice core')
    >>> described("hd95_core").label, described("my_lab.metrics:edge_error").label
    ('HD95 core', 'edge error')
    """
    record = next((one for one in (*OF_SCORES, *OF_CANDIDATES) if one.name == name), None)
    if record is None:
        return _at_specificity(name) or of_case(name)
    return _of_classes(record, classes)


def of_case(name: str, regions: Iterable[str] | None = None) -> Endpoint:
    """Return a per-case column's endpoint: a whole known name, alone or with a region; else an unknown metric.

    regions: those that exist; None: not known here, and any word is taken for one that names no other quantity.

    >>> of_case("failure_rate_core").column(["dice_core"]), of_case("hd95_core", ["edema"]).direction_known
    ('dice_core', False)
    >>> [of_case(name).direction_known for name in ("dice", "dice_core", "dice_loss", "lesion_miss_rate")]
    [True, True, False, False]
    """
    known = None if regions is None else set(regions)
    fitting = [one for one in (*OF_MASKS, *_OF_TOOLS) if name == one.name or _is_region(name, one.name, known)]
    if own.is_own(name) or not fitting:
        return Endpoint(name, Kind.MEAN, low=-np.inf, high=np.inf, direction_known=False)
    # The longest name, because "failure_rate" is also "failure" with a region "rate".
    record = max(fitting, key=lambda one: len(one.name))
    return replace(record, name=name, stem=record.name)


def is_share(name: str) -> bool:
    """Return whether a per-case metric is known as a share, whose values are 0 to 1 and may be written in percent.

    >>> [is_share(name) for name in ("dice", "iou_core", "hd95", "lesion_miss_rate", "mine")]
    [True, True, False, False, False]
    """
    record = of_case(name)
    return record.direction_known and (record.low, record.high) == (0, 1)


def _is_region(name: str, metric: str, regions: set[str] | None) -> bool:
    """Return whether the name is that of the metric with a region."""
    region = name.removeprefix(f"{metric}_")
    if region in (name, ""):
        return False
    return region in regions if regions is not None else not _QUANTITIES & set(region.lower().split("_"))


def in_case_table() -> list[Endpoint]:
    """Return the per-case metrics of the table of cases, in its order: overlaps, then distances."""
    shown = [one for one in (*OF_MASKS, *_OF_TOOLS) if one.decimals is not None]
    return sorted(shown, key=lambda one: (not one.higher_is_better, one.decimals))


def offered_by_candidates() -> list[str]:
    """Return the names of endpoints that a detector's predictions offer."""
    return [one.name for one in OF_CANDIDATES]


def on_curve(curve: str) -> Endpoint:
    """Return the endpoint whose values are shown in a figure ("roc", "froc")."""
    return next(one for one in KNOWN if one.curve == curve)


def documented(endpoints: Iterable[Endpoint] = KNOWN) -> str:
    """Return a Markdown table of endpoints: name, display name, range, direction and meaning."""
    rows = ["| endpoint | called | values | better | what it is |", "|---|---|---|---|---|"]
    for one in endpoints:
        low, high = (f"{bound:g}".replace("inf", "∞").replace("-", "−") for bound in (one.low, one.high))
        several = one.high_of_several
        values = f"{low} to {high}" + (f" ({several:g} with several classes)" if several is not None else "")
        better = ("higher" if one.higher_is_better else "lower") if one.direction_known else "–"
        summary = one.summary or "–"
        rows.append(
            f"| `{one.name}` | {(_at_specificity(one.name) or one).heading} | {values} | {better} | {summary} |"
        )
    return "\n".join(rows) + "\n"


def _offered(metrics: Sequence[str], classes: Sequence[str]) -> dict[str, Endpoint]:
    """Return the records that need no column of their own; candidates take precedence over class scores."""
    of_scores = {one.name: one for one in OF_SCORES} if classes else {}
    of_candidates = {one.name: one for one in OF_CANDIDATES} if FINDINGS in metrics else {}
    return of_scores | of_candidates


def _of_classes(record: Endpoint, classes: int) -> Endpoint:
    """Return the record with its range and its name for this number of classes."""
    if classes <= 2:
        return record
    high, display = record.high_of_several, record.display_of_several
    return replace(record, high=record.high if high is None else high, display=display or record.display)


def negatives_needed(endpoint: Endpoint) -> int | None:
    """Return the patients without the positive class that a verdict on the endpoint needs; None where none decide.

    Its threshold lies where `NEGATIVES_BEYOND` of them are expected beyond it.

    >>> negatives_needed(described("sensitivity@0.95")), negatives_needed(AUC)
    (100, None)
    """
    match = _AT_SPECIFICITY.match(endpoint.name)
    if match is None or endpoint.needs != "scores":
        return None
    return ceil(NEGATIVES_BEYOND / (1.0 - float(match.group(1))) - 1e-9)


def _at_specificity(name: str) -> Endpoint | None:
    """Return the member of the family "sensitivity@specificity"; None for any other name."""
    match = _AT_SPECIFICITY.match(name)
    if match is None:
        return None
    specificity = float(match.group(1))
    display = f"{SENSITIVITY.display} at {100 * specificity:.0f} % {SPECIFICITY.display}"
    compute = influence.at_specificity(specificity)
    return replace(AT_SPECIFICITY, name=name, display=display, compute=compute, guessed=1 - specificity)
