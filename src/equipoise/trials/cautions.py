"""What a user should know before training, and what forbids nothing: rare classes, patients who prevail."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.cohorts.splits import attribute_leakage
from equipoise.report.text.configuration import one_patient_prevails, rare_class
from equipoise.trials.plan import Trial

_ENOUGH_CASES, _RARE_SHARE = 10, 0.02
"""Cases from which it can be told that a class is rare, and the share of them up to which it is."""
_LARGE_SHARE, _TIMES_EQUAL = 0.2, 4
"""Share of the cases from which a patient prevails, which must be so many times that of patients with equal shares."""


def cautions(trial: Trial) -> list[str]:
    """Return the warnings of a planned trial that need no image: they stand in `check` and in the report.

    No sentence names a case or a patient, because a lock keeps them as they are.
    """
    return [
        *attribute_leakage.warnings(trial.cohort, trial.protocol.label),
        *prevailing_patient(trial.cohort),
    ]


def rare_classes(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each class of masks that hardly any case holds.

    rows: of the cases as in `check --json`, with "label_voxels" (voxels by class number) where a case has a mask.
    """
    masked = [row["label_voxels"] for row in rows if "label_voxels" in row]
    if not cohort.task_record.has_masks or len(masked) < _ENOUGH_CASES:
        return []
    counts = {
        name: sum(voxels.get(str(value), 0) > 0 for voxels in masked)
        for value, name in enumerate(cohort.classes[1:], start=1)
    }
    most = max(1, int(_RARE_SHARE * len(masked)))
    return [rare_class(name, count, len(masked)) for name, count in counts.items() if count <= most]


def prevailing_patient(cohort: Cohort) -> list[str]:
    """Return a sentence where one of several patients has a large share of all cases."""
    counts = Counter(cohort.patients.tolist())
    most = max(counts.values())
    if len(counts) < 2 or most < len(cohort) * max(_LARGE_SHARE, _TIMES_EQUAL / len(counts)):
        return []
    return [one_patient_prevails(most, len(cohort), cohort.patients_guessed)]
