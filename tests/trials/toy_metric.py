"""A metric of anyone's own, in one file: the overlap of the bounding boxes of two masks."""

import numpy as np


def box_overlap(truth, prediction, spacing_mm):
    """Intersection over union of the bounding boxes of two masks; two empty masks agree."""
    if not truth.any() or not prediction.any():
        return float(truth.any() == prediction.any())
    corners = [(np.argwhere(mask).min(axis=0), np.argwhere(mask).max(axis=0) + 1) for mask in (truth, prediction)]
    low, high = np.maximum(corners[0][0], corners[1][0]), np.minimum(corners[0][1], corners[1][1])
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (sum(np.prod(end - start) for start, end in corners) - shared))


box_overlap.low, box_overlap.high = 0.0, 1.0
