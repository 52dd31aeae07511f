"""Classification: one class per case."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import CohortError
from equipoise.tasks.task import LABEL, CohortLike, Task


def class_strata(cohort: CohortLike) -> NDArray[np.int64]:
    """Return the class of every case (n,)."""
    return cohort.labels


def class_counts(cohort: CohortLike, indices: NDArray[np.int64] | None = None) -> dict[str, int]:
    """Count cases per class; every class is named, also an empty one."""
    return cohort.class_counts(indices)


def case_sizes(cohort: CohortLike, attribute: str) -> NDArray[np.float64]:
    """Return the size attribute of every case (n,), on which the trivial size rule is fitted.

    Raises CohortError for a case where it is not a finite number.
    """
    values = [case.attributes.get(attribute) for case in cohort.cases]
    for case, value in zip(cohort.cases, values, strict=True):
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise CohortError(
                f"case {case.id} has {attribute} = {value!r}, and the size rule needs a number; correct or exclude it"
            )
    return np.array(values, dtype=np.float64)


def check_sizes(cohort: CohortLike) -> None:
    """Refuse a case without its size; raises CohortError."""
    # Before training: the baseline reads the sizes only after the test set was opened, when an error costs the whole
    # trial.
    if cohort.size_attribute is not None:
        case_sizes(cohort, cohort.size_attribute)


CLASSIFICATION = Task(
    name="classification",
    truth=LABEL,
    network="classification",
    preparation="equipoise.training.preparation.classification:PREPARATION",
    training="equipoise.training.tasks.classification:TRAINING",
    losses=("cross-entropy", "focal"),
    defaults=MappingProxyType(
        {
            "endpoints": {"primary": "auc", "secondary": ("accuracy", "brier", "average_precision")},
            "training": {"loss": "cross-entropy"},
        }
    ),
    strata=class_strata,
    counts=class_counts,
    check=check_sizes,
    explained=True,
)
