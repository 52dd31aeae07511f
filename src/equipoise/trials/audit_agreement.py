"""Which rows of predictions made elsewhere can be judged together: for an audit, and for a pilot of a sample size."""

from dataclasses import replace

import numpy as np

from equipoise.cohorts.splits.patient_names import one_spelling, spelling_note
from equipoise.evaluation.external import Collected
from equipoise.evaluation.external.agreement import (
    alike_means,
    common,
    disjoint,
    same_truths,
    unpredicted,
)
from equipoise.evaluation.external.doubtful_arms import called_arms, perfect_arms
from equipoise.evaluation.external.fold_sets import whole_folds
from equipoise.evaluation.external.likeness import alike_arms, alike_cases, alike_patients
from equipoise.evaluation.external.lists import TRAINING
from equipoise.evaluation.external.other_parts import no_trained_rows, not_counted, not_trained
from equipoise.evaluation.external.twins import joined_twins
from equipoise.evaluation.predictions import Predictions
from equipoise.trials.audit_settings import AuditSettings

_APART = "No case was predicted by more than one arm, so arms cannot be compared, only listed case by case"


def agreed(collected: Collected, settings: AuditSettings) -> tuple[Predictions, list[str]]:
    """Return the rows that can be judged together, and sentences about assumptions and omissions.

    Raises PredictionError for predictions that cannot: of other cases, truths or patients, or trained on.
    """
    common_cases, allowed = settings.common_cases, settings.allow_trained
    notes = [*collected.notes, *unpredicted(collected.predictions, collected.unpredicted, common_cases=common_cases)]
    alike_arms(collected.predictions)
    notes += alike_cases(collected.predictions, common_cases=common_cases)
    table, more = same_truths(collected.predictions, common_cases=common_cases)
    notes += more
    # First joined, then looked at: what was taken for one patient is not also said to have been taken for two.
    table, more = _one_spelling(table)
    notes += more
    table, more = joined_twins(table)
    notes += [*more, *alike_patients(table), *whole_folds(table, allowed=allowed)]
    table, more = alike_means(table)
    notes += more
    if common_cases:
        table, more = common(table)
        notes += more
    trained = [one for one in collected.lists if one.kind == TRAINING]
    notes += [note for one in trained for note in not_trained(table, one, allowed=allowed)]
    notes += [*no_trained_rows(table, allowed=allowed), *not_counted(table)]
    notes += [*called_arms(table), *perfect_arms(table)]
    notes += [_APART] if disjoint(table) else []
    if settings.cases_are_patients:
        notes.append("Every case was treated as a different patient, as the caller stated")
    return table, notes


def _one_spelling(table: Predictions) -> tuple[Predictions, list[str]]:
    """Give every patient one name, and say where names were joined."""
    spellings = one_spelling(table.patient.tolist())
    if not spellings:
        return table, []
    names = np.array([spellings.get(name, name) for name in table.patient.tolist()])
    return replace(table, patient=names), [spelling_note(spellings)]
