"""What a user should know before training, and what forbids nothing: rare classes, patients who prevail, copies."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.sources import parameters_of
from equipoise.cohorts.splits import attribute_leakage
from equipoise.cohorts.splits.copies import copies
from equipoise.cohorts.splits.leakage import Leak
from equipoise.cohorts.splits.person_stems import some_sides
from equipoise.cohorts.splits.shared_channels import names_of_common
from equipoise.protocol import Arm
from equipoise.report.text.configuration import arms_alike, empty_masks, one_patient_prevails, rare_class
from equipoise.report.text.doubtful_truths import channel_of_all, equal_pictures
from equipoise.trials.mask_shares import mask_doubts
from equipoise.trials.plan import Trial, confirms_patients, images_as_patients

_ENOUGH_CASES, _RARE_SHARE = 10, 0.02
"""Cases from which it can be told that a class is rare, and the share of them up to which it is."""
_LARGE_SHARE, _TIMES_EQUAL = 0.2, 4
"""Share of the cases from which a patient prevails, which must be so many times that of patients with equal shares."""


def cautions(trial: Trial, leaks: Sequence[Leak] = (), *, named: bool = False) -> list[str]:
    """Return the warnings of a planned trial that stand in `check` and in the report.

    leaks: across its parts. named: whether sentences name cases; a lock keeps them as they are, and names none.
    """
    return [
        *attribute_leakage.warnings(trial.cohort, trial.protocol.label),
        *prevailing_patient(trial.cohort),
        *doubtful_patients(trial, named=named),
        *equal_patients(trial.cohort, trial.cards, leaks, trial.protocol.split.not_leaks, named=named),
        *(channel_of_all(*row, len(trial.cohort)) for row in names_of_common(trial.cohort, trial.cards.all())),
        *mask_doubts(trial.cohort, trial.cards.all(), named=named),
        *equal_arms(trial.protocol.arms),
    ]


def equal_arms(arms: Sequence[Arm]) -> list[str]:
    """Return a sentence for arms that are equal in all but their names.

    It refuses nothing: a trial of a treatment against itself shows what chance alone gives, and may be meant.
    """
    groups: dict[str, list[str]] = {}
    for arm in arms:
        if not arm.ensemble:
            content = json.loads(arm.model_dump_json(exclude={"name"}), parse_int=float)  # 1 and 1.0 are one setting
            groups.setdefault(json.dumps(content, sort_keys=True), []).append(arm.name)
    return [arms_alike(names) for names in groups.values() if len(names) > 1]


def doubtful_patients(trial: Trial, *, named: bool = False) -> list[str]:
    """Return a sentence where names look like images of fewer persons, and they count as patients all the same."""
    images = images_as_patients(trial, named=named)
    if confirms_patients(trial) and images:
        return [f"{images}; the protocol confirms that each is a patient"]
    if trial.protocol.split.allow_leaks and images:
        return [f"{images}; split.allow_leaks lets each count as a patient, which makes intervals too narrow"]
    sides = "" if trial.cohort.patients_guessed or images else some_sides(trial.cohort.patients.tolist())
    if not sides:
        return []
    if confirms_patients(trial):
        return [f"{sides}; the protocol confirms that each is a patient"]
    takes = "patient_pattern" in parameters_of(trial.protocol.cohort.source)
    remedy = "state the patients with cohort.patient_pattern" if takes else "give the true patients"
    return [f"{sides}: if they are, {remedy}"]


def equal_patients(
    cohort: Cohort,
    cards: CaseCards,
    leaks: Sequence[Leak],
    others: Iterable[Sequence[str]] = (),
    *,
    named: bool = False,
) -> list[str]:
    """Return a sentence where cases of different patients have equal pixels within one part.

    leaks: across parts, which are told as such. others: further pairs of cases that are no copies.
    """
    known = {frozenset((leak.a, leak.b)) for leak in leaks} | {frozenset(pair) for pair in others}
    pairs = copies(cohort, cards, known)
    return [equal_pictures(pairs, named=named)] if pairs else []


def rare_classes(cohort: Cohort, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each class of masks that hardly any case holds, and one for masks without any class.

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
    empty = [
        str(row["case"])
        for row in rows
        if "label_voxels" in row and not any(row["label_voxels"].get(str(k), 0) for k in range(1, len(cohort.classes)))
    ]
    without = [empty_masks(empty, len(masked))] if empty and len(empty) < len(masked) else []
    return without + [rare_class(name, count, len(masked)) for name, count in counts.items() if count <= most]


def prevailing_patient(cohort: Cohort) -> list[str]:
    """Return a sentence where one of several patients has a large share of all cases."""
    counts = Counter(cohort.patients.tolist())
    most = max(counts.values())
    if len(counts) < 2 or most < len(cohort) * max(_LARGE_SHARE, _TIMES_EQUAL / len(counts)):
        return []
    return [one_patient_prevails(most, len(cohort), cohort.patients_guessed)]
