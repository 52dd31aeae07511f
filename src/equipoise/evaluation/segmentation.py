"""How well a mask covers the truth: overlap, volume, and the row of metrics that one case leaves in the predictions.

Two empty masks agree: Dice and IoU 1. Exactly one empty mask is the worst result: 0. No case is ever left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.lesions import lesion_scores
from equipoise.evaluation.surface import surface_distances

Mask = NDArray[np.bool_]


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
    tolerance_mm: float = 1.0,
) -> dict[str, float]:
    """All metrics of one case as columns `<metric>_<region>` of the prediction table.

    truth, prediction: class per voxel, one shape; regions: name → the classes that belong to it, e.g.
    {"whole": (1, 2, 3)}. `truth_voxels`, `predicted_voxels` and `shared_voxels` allow re-pooling over cases.
    """
    _same_grid(truth, prediction)
    row: dict[str, float] = {}
    for region, classes in regions.items():
        true, said = np.isin(truth, classes), np.isin(prediction, classes)
        distances, lesions = surface_distances(true, said, spacing_mm), lesion_scores(true, said)
        row |= {
            f"dice_{region}": dice(true, said),
            f"iou_{region}": iou(true, said),
            f"hd95_{region}": distances.hd95(),
            f"assd_{region}": distances.assd(),
            f"surface_dice_{region}": distances.surface_dice(tolerance_mm),
            f"volume_error_ml_{region}": volume_error_ml(true, said, spacing_mm),
            f"lesion_f1_{region}": lesions.f1,
            f"lesion_dice_{region}": lesions.dice,
            f"truth_voxels_{region}": float(np.count_nonzero(true)),
            f"predicted_voxels_{region}": float(np.count_nonzero(said)),
            f"shared_voxels_{region}": float(np.count_nonzero(true & said)),
        }
    return row


def _same_grid(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    if truth.shape != prediction.shape:
        raise PredictionError(
            f"a prediction of shape {prediction.shape} was compared with a truth of shape {truth.shape}; "
            "bring both to one grid"
        )
