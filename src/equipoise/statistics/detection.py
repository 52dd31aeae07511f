"""How much each patient moves CPM or average precision: the jackknife over patients of lists of candidates."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.detection import Marks, average_precision, cpm, leave_one_out

METRICS: dict[str, Callable[[Marks], float]] = {"cpm": cpm, "average_precision": average_precision}


def detection_influence(
    marks: tuple[Marks, ...], name: str, patient: NDArray[np.int64], n_patients: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metric of every column (columns,) and influence of every patient on it (columns, n_patients).

    patient: (scans,) of `marks`; patients without a scan have no influence. With P patients the influence of one is
    −(P − 1) / P times what its absence changes, about the mean of all such changes; rows sum to zero.
    """
    present, member = np.unique(patient, return_inverse=True)
    found = [leave_one_out(METRICS[name], column, member, len(present)) for column in marks]
    without = np.stack([each.without for each in found])
    part = np.zeros((len(marks), n_patients))
    part[:, present] = -(len(present) - 1) / len(present) * (without - without.mean(axis=1, keepdims=True))
    return np.array([each.value for each in found]), part
