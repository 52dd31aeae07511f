"""Segmentation metrics: overlap, volume, and the row of all metrics of one case in the table of predictions.

Two empty masks agree: Dice and IoU 1. Exactly one empty mask is the worst result: 0. No case is ever left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.brats_lesions import brats_lesions
from equipoise.evaluation.lesions import lesion_scores
from equipoise.evaluation.regions import region_masks
from equipoise.evaluation.surface import bounding_box, surface_distances

Mask = NDArray[np.bool_]
Metric = Callable[[Mask, Mask, tuple[float, ...]], float]
"""(truth, prediction, spacing in mm) → value of one region of one case."""
NO_OTHER: Mapping[str, Metric] = {}
COUNTS = ("truth_voxels", "predicted_voxels", "shared_voxels")
TOLERANCE_MM = 1.0


def dice(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...] = ()) -> float:  # noqa: ARG001
    """Compute Dice 2|A∩B| / (|A|+|B|). Range [0, 1], higher is better; both empty: 1, exactly one empty: 0.

    `spacing_mm` is not used: all endpoints per case have one signature.
    Reference: L. R. Dice, Ecology 26 (1945) 297–302.

    >>> dice(np.array([True, True, False]), np.array([False, True, True]))
    0.5
    """
    _same_grid(truth, prediction)
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(prediction))
    return 2 * int(np.count_nonzero(truth & prediction)) / total if total else 1.0


def iou(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...] = ()) -> float:  # noqa: ARG001
    """Compute the intersection over union |A∩B| / |A∪B|. Range [0, 1], higher is better; empty masks as in `dice`.

    Reference: P. Jaccard, New Phytologist 11 (1912) 37–50.
    """
    _same_grid(truth, prediction)
    union = int(np.count_nonzero(truth | prediction))
    return int(np.count_nonzero(truth & prediction)) / union if union else 1.0


def volume_error_ml(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Subtract the true from the predicted volume in ml (in 2D a slice counts as 1 mm thick). Range (−∞, ∞), best 0.

    Empty masks have volume 0, so the error is always defined.
    """
    _same_grid(truth, prediction)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    return (int(np.count_nonzero(prediction)) - int(np.count_nonzero(truth))) * voxel_ml


def case_metrics(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    regions: Mapping[str, Sequence[int]],
    spacing_mm: tuple[float, ...],
    tolerance_mm: float = TOLERANCE_MM,
    own: Mapping[str, Metric] = NO_OTHER,
) -> dict[str, float]:
    """Compute all metrics of one case as columns `<metric>_<region>` of the prediction table; `own` too.

    truth, prediction: class per voxel, one shape; regions: name → the classes that belong to it, e.g.
    {"whole": (1, 2, 3)}.
    """
    _same_grid(truth, prediction)
    true, predicted = region_masks(truth, regions), region_masks(prediction, regions)
    return region_metrics(true, predicted, spacing_mm, tolerance_mm, own)


def region_metrics(
    truth: Mapping[str, Mask],
    prediction: Mapping[str, Mask],
    spacing_mm: tuple[float, ...],
    tolerance_mm: float = TOLERANCE_MM,
    own: Mapping[str, Metric] = NO_OTHER,
) -> dict[str, float]:
    """Compute all metrics of one case from a mask per region: `<metric>_<region>`, and `<metric>`, the regions' mean.

    `truth_voxels`, `predicted_voxels` and `shared_voxels` of each region allow re-pooling over cases. `own` adds
    metrics of the user.
    """
    rows = {name: _one_region(truth[name], prediction[name], spacing_mm, tolerance_mm) for name in truth}
    for name, row in rows.items():
        row.update({metric: call(truth[name], prediction[name], spacing_mm) for metric, call in own.items()})
    means = {
        metric: float(np.mean([row[metric] for row in rows.values()]))
        for metric in next(iter(rows.values()))
        if metric not in COUNTS
    }
    return means | {f"{metric}_{name}": value for name, row in rows.items() for metric, value in row.items()}


def _one_region(true: Mask, predicted: Mask, spacing_mm: tuple[float, ...], tolerance_mm: float) -> dict[str, float]:
    distances, lesions = surface_distances(true, predicted, spacing_mm), lesion_scores(true, predicted)
    brats = brats_lesions(true, predicted, spacing_mm)
    anything = true | predicted
    # The remaining metrics only count voxels, so the box around both masks gives the same numbers in a fraction of the
    # time. The distances above crop by themselves, because they need the diagonal of the whole image.
    if anything.any():
        box = bounding_box(anything)
        true, predicted = true[box], predicted[box]
    return {
        "dice": dice(true, predicted),
        "iou": iou(true, predicted),
        "hd95": distances.hd95(),
        "assd": distances.assd(),
        "surface_dice": distances.surface_dice(tolerance_mm),
        "volume_error_ml": volume_error_ml(true, predicted, spacing_mm),
        "absolute_volume_error_ml": abs(volume_error_ml(true, predicted, spacing_mm)),
        "lesion_f1": lesions.f1,
        "lesion_dice": lesions.dice,
        "brats_lesion_f1": brats.f1,
        "brats_lesion_dice": brats.dice,
        "brats_lesion_hd95": brats.hd95,
        "truth_voxels": float(np.count_nonzero(true)),
        "predicted_voxels": float(np.count_nonzero(predicted)),
        "shared_voxels": float(np.count_nonzero(true & predicted)),
    }


METRICS: dict[str, Metric] = {
    "dice": dice,
    "iou": iou,
    "hd95": lambda true, predicted, mm: surface_distances(true, predicted, mm).hd95(),
    "assd": lambda true, predicted, mm: surface_distances(true, predicted, mm).assd(),
    "surface_dice": lambda true, predicted, mm: surface_distances(true, predicted, mm).surface_dice(TOLERANCE_MM),
    "volume_error_ml": volume_error_ml,
    "absolute_volume_error_ml": lambda true, predicted, mm: abs(volume_error_ml(true, predicted, mm)),
    "lesion_f1": lambda true, predicted, _: lesion_scores(true, predicted).f1,
    "lesion_dice": lambda true, predicted, _: lesion_scores(true, predicted).dice,
    "brats_lesion_f1": lambda true, predicted, mm: brats_lesions(true, predicted, mm).f1,
    "brats_lesion_dice": lambda true, predicted, mm: brats_lesions(true, predicted, mm).dice,
    "brats_lesion_hd95": lambda true, predicted, mm: brats_lesions(true, predicted, mm).hd95,
}
"""Every metric of one region as a function of its own: (truth, prediction, spacing in mm) → value."""


def metric_columns(regions: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """List the endpoints of segmentation predictions: of each region, and the mean over regions.

    >>> metric_columns(["WT"])[:2]
    ['dice', 'dice_WT']
    """
    names = list(regions)
    return [column for metric in (*METRICS, *own) for column in (metric, *(f"{metric}_{name}" for name in names))]


def one_metric(
    column: str,
    truth: Mapping[str, Mask],
    prediction: Mapping[str, Mask],
    spacing_mm: tuple[float, ...],
    own: Mapping[str, Metric] = NO_OTHER,
) -> float:
    """Compute one of `metric_columns` of one case; equals `region_metrics` without the cost of all other metrics."""
    metrics = {**METRICS, **own}
    # The longest prefix: "lesion_dice_core" also begins with the name of a shorter metric.
    metric = max((name for name in metrics if column == name or column.startswith(f"{name}_")), key=len)
    names = [name for name in truth if column == f"{metric}_{name}"] or list(truth)
    return float(np.mean([metrics[metric](truth[name], prediction[name], spacing_mm) for name in names]))


def _same_grid(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    if truth.shape != prediction.shape:
        raise PredictionError(
            f"a prediction of shape {prediction.shape} was compared with a truth of shape {truth.shape}; "
            "bring both to one grid"
        )
