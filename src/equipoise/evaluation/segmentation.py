"""How well a mask covers the truth: overlap, volume, and the row of metrics that one case leaves in the predictions.

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
    """Dice 2|A∩B| / (|A|+|B|). Range [0, 1], higher is better; both empty: 1, exactly one empty: 0.

    `spacing_mm` is not used: all endpoints per case have one signature.
    Reference: L. R. Dice, Ecology 26 (1945) 297–302.

    >>> dice(np.array([True, True, False]), np.array([False, True, True]))
    0.5
    """
    _same_grid(truth, prediction)
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(prediction))
    return 2 * int(np.count_nonzero(truth & prediction)) / total if total else 1.0


def iou(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...] = ()) -> float:  # noqa: ARG001
    """Intersection over union |A∩B| / |A∪B|. Range [0, 1], higher is better; both empty: 1, exactly one empty: 0.

    Reference: P. Jaccard, New Phytologist 11 (1912) 37–50.
    """
    _same_grid(truth, prediction)
    union = int(np.count_nonzero(truth | prediction))
    return int(np.count_nonzero(truth & prediction)) / union if union else 1.0


def volume_error_ml(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Predicted less true volume in millilitres (3D; in 2D the slice counts as 1 mm thick). Range (−∞, ∞), best 0.

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
    """All metrics of one case as columns `<metric>_<region>` of the prediction table; `own` stand beside the others.

    truth, prediction: class per voxel, one shape; regions: name → the classes that belong to it, e.g.
    {"whole": (1, 2, 3)}.
    """
    _same_grid(truth, prediction)
    true, said = region_masks(truth, regions), region_masks(prediction, regions)
    return region_metrics(true, said, spacing_mm, tolerance_mm, own)


def region_metrics(
    truth: Mapping[str, Mask],
    prediction: Mapping[str, Mask],
    spacing_mm: tuple[float, ...],
    tolerance_mm: float = TOLERANCE_MM,
    own: Mapping[str, Metric] = NO_OTHER,
) -> dict[str, float]:
    """All metrics of one case from a mask per region: `<metric>_<region>`, and `<metric>`, their mean over regions.

    `truth_voxels`, `predicted_voxels` and `shared_voxels` of each region allow re-pooling over cases. `own` metrics of
    anyone stand beside the others.
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


def _one_region(true: Mask, said: Mask, spacing_mm: tuple[float, ...], tolerance_mm: float) -> dict[str, float]:
    distances, lesions = surface_distances(true, said, spacing_mm), lesion_scores(true, said)
    brats = brats_lesions(true, said, spacing_mm)
    anything = true | said
    if anything.any():  # what follows only counts voxels
        box = bounding_box(anything)
        true, said = true[box], said[box]
    return {
        "dice": dice(true, said),
        "iou": iou(true, said),
        "hd95": distances.hd95(),
        "assd": distances.assd(),
        "surface_dice": distances.surface_dice(tolerance_mm),
        "volume_error_ml": volume_error_ml(true, said, spacing_mm),
        "absolute_volume_error_ml": abs(volume_error_ml(true, said, spacing_mm)),
        "lesion_f1": lesions.f1,
        "lesion_dice": lesions.dice,
        "brats_lesion_f1": brats.f1,
        "brats_lesion_dice": brats.dice,
        "brats_lesion_hd95": brats.hd95,
        "truth_voxels": float(np.count_nonzero(true)),
        "predicted_voxels": float(np.count_nonzero(said)),
        "shared_voxels": float(np.count_nonzero(true & said)),
    }


METRICS: dict[str, Metric] = {
    "dice": dice,
    "iou": iou,
    "hd95": lambda true, said, mm: surface_distances(true, said, mm).hd95(),
    "assd": lambda true, said, mm: surface_distances(true, said, mm).assd(),
    "surface_dice": lambda true, said, mm: surface_distances(true, said, mm).surface_dice(TOLERANCE_MM),
    "volume_error_ml": volume_error_ml,
    "absolute_volume_error_ml": lambda true, said, mm: abs(volume_error_ml(true, said, mm)),
    "lesion_f1": lambda true, said, _: lesion_scores(true, said).f1,
    "lesion_dice": lambda true, said, _: lesion_scores(true, said).dice,
    "brats_lesion_f1": lambda true, said, mm: brats_lesions(true, said, mm).f1,
    "brats_lesion_dice": lambda true, said, mm: brats_lesions(true, said, mm).dice,
    "brats_lesion_hd95": lambda true, said, mm: brats_lesions(true, said, mm).hd95,
}
"""Every metric of one region, each by itself: (truth, prediction, spacing in mm) → value."""


def metric_columns(regions: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """The endpoints that segmentation predictions offer: of each region, and the mean over regions.

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
    """One of `metric_columns` of one case; what `region_metrics` would say, without the cost of all the others."""
    metrics = {**METRICS, **own}
    metric = max((name for name in metrics if column == name or column.startswith(f"{name}_")), key=len)
    asked = [name for name in truth if column == f"{metric}_{name}"] or list(truth)
    return float(np.mean([metrics[metric](truth[name], prediction[name], spacing_mm) for name in asked]))


def _same_grid(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    if truth.shape != prediction.shape:
        raise PredictionError(
            f"a prediction of shape {prediction.shape} was compared with a truth of shape {truth.shape}; "
            "bring both to one grid"
        )
