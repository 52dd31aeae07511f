"""The numbers of test cases in every run of every arm, by which cases of one image or one person are recognised."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from equipoise.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TELLING = 0.9
"""Share of different cases whose numbers must differ in a run, for equal numbers to be no chance."""
FEWEST_DISTINCT = 10
"""Different cases that are needed to tell so: constant numbers are equal whatever the images."""


@dataclass(frozen=True)
class CaseNumbers:
    """The test cases with their patients, true classes, and numbers in every run (cases, runs × numbers).

    arm: of each column. NaN where a case has no number.
    """

    case: NDArray[np.str_]
    patient: NDArray[np.str_]
    truth: Ints
    values: Floats
    arm: NDArray[np.str_]

    @classmethod
    def of(cls, test: Predictions) -> "CaseNumbers":
        """Return the numbers of a table's rows."""
        cases, first, place = np.unique(test.case, return_index=True, return_inverse=True)
        keys = np.stack([test.arm, test.seed.astype(str)], axis=1)
        jobs, number = np.unique(keys, axis=0, return_inverse=True)
        # The last class follows from the others; sizes of true masks are alike in small structures.
        own = [*test.scores[:, 1:].T, *(one for name, one in test.metrics.items() if "voxels" not in name)]
        values = np.full((len(cases), len(jobs), len(own)), np.nan)
        if own:
            values[place, number.ravel()] = np.stack(own, axis=1)
        arm = np.repeat(jobs[:, 0], len(own)) if len(jobs) else np.empty(0, dtype=np.str_)
        return cls(cases, test.patient[first], test.truth[first], values.reshape(len(cases), -1), arm)

    @cached_property
    def telling(self) -> Floats:
        """Return the columns in which cases differ, of those that lack no case."""
        whole = self.values[:, np.isfinite(self.values).all(axis=0)]
        distinct = len(np.unique(whole, axis=0)) if whole.shape[1] else 0
        if distinct < FEWEST_DISTINCT:
            return whole[:, :0]
        return whole[:, [c for c in range(whole.shape[1]) if len(np.unique(whole[:, c])) >= TELLING * distinct]]


def one_name(patient: NDArray[np.str_], group: Ints) -> dict[str, str]:
    """Return, for every patient that shares a group with others, through others too, the name of the first of them."""
    names, owner = np.unique(patient, return_inverse=True)
    size = max(len(names), int(group.max(initial=-1)) + 1)
    edges = coo_array((np.ones(len(group)), (owner, len(names) + group)), shape=(len(names) + size, len(names) + size))
    label = connected_components(edges, directed=False)[1][: len(names)]
    first = np.unique(label, return_index=True)[1]
    chosen = {int(label[k]): str(names[k]) for k in first}
    return {str(name): chosen[int(one)] for name, one in zip(names, label, strict=True) if chosen[int(one)] != name}
