"""Which rows of predictions made elsewhere can be judged together: for an audit, and for a pilot of a sample size."""

from dataclasses import replace

import numpy as np

from equipoise.cohorts.splits.patient_names import one_spelling, spelling_key, spelling_note
from equipoise.cohorts.splits.person_stems import some_sides
from equipoise.evaluation.external import Collected
from equipoise.evaluation.external.agreement import (
    alike_means,
    common,
    disjoint,
    same_truths,
    unpredicted,
    valued,
)
from equipoise.evaluation.external.doubtful_arms import called_arms, perfect_arms
from equipoise.evaluation.external.fold_sets import whole_folds
from equipoise.evaluation.external.likeness import alike_arms, alike_cases, alike_patients
from equipoise.evaluation.external.lists import TRAINING
from equipoise.evaluation.external.other_parts import no_trained_rows, not_counted, not_trained
from equipoise.evaluation.external.reference_patients import contradicted_patients
from equipoise.evaluation.external.twins import joined_twins
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.margins import parse_margins
from equipoise.trials.audit_plan import compared_metric
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
    table, spelled = _same_persons(collected.predictions)
    notes += [*spelled, *(OnPersons(one) for one in contradicted_patients(table, collected.lists))]
    table, more = same_truths(table, common_cases=common_cases)
    notes += more
    table, on_persons = _persons(table, collected, settings)
    notes += [*on_persons, *whole_folds(table, allowed=allowed)]
    table, more = alike_means(table)
    notes += more
    if common_cases:
        cases = len(set(table.case[table.split == "test"].tolist()))
        table, more = common(table, _named_endpoints(settings))
        notes += more
        compared = compared_metric(table, collected, settings)
        table, more = (table, []) if compared is None else valued(table, compared, cases)
        notes += more
    trained = [one for one in collected.lists if one.kind == TRAINING]
    notes += [note for one in trained for note in not_trained(table, one, allowed=allowed)]
    notes += [*no_trained_rows(table, allowed=allowed), *not_counted(table)]
    notes += [*called_arms(table), *perfect_arms(table)]
    notes += [_APART] if disjoint(table) else []
    return table, notes


def _named_endpoints(settings: AuditSettings) -> set[str]:
    """Return the endpoints that the caller names, by any option."""
    directions = (*settings.higher_is_better, *settings.lower_is_better)
    parts = (one.strip() for text in directions for one in text.split(","))
    return {settings.primary, *(settings.secondary or ()), *parse_margins(settings.margins), *directions, *parts}


class OnPersons(str):
    """A note on who was counted as a patient, which a command prints as well: it decides how wide intervals are."""

    __slots__ = ()


def _persons(table: Predictions, collected: Collected, settings: AuditSettings) -> tuple[Predictions, list[OnPersons]]:
    """Return the table in which cases of one person have one patient, and notes on that."""
    # First joined, then looked at: what was taken for one patient is not also said to have been taken for two.
    table, notes = _one_spelling(table)
    table, more = joined_twins(table)
    notes += [*more, *alike_patients(table)]
    sides = some_sides(table.patient.tolist())
    notes += [f"{sides}: if they are, {_remedy(collected, settings)}."] if sides else []
    if settings.cases_are_patients:
        notes.append(_statement(table))
    return table, [OnPersons(note) for note in notes]


def _remedy(collected: Collected, settings: AuditSettings) -> str:
    """Return how the caller states the patients of these files."""
    if settings.patients is not None:
        return "correct the list of patients (--patients)"
    if any(one.columns.get("patient") not in (None, one.columns.get("case")) for one in collected.sources):
        return "correct the column of patients"
    instead = " in place of --cases-are-patients" if settings.cases_are_patients else ""
    return f"state the patients with --patients FILE{instead}"


def _statement(table: Predictions) -> str:
    """Return what became of the statement that every case is a patient: names and numbers of cases overrule it."""
    cases, patients = len(set(table.case.tolist())), len(set(table.patient.tolist()))
    if cases == patients:
        return "Every case was treated as a different patient, as the caller stated"
    return (
        f"The statement that every case is a different patient (--cases-are-patients) was overruled, because names or "
        f"numbers of cases are those of one patient, as a note says: {cases} cases count as {patients} patients"
    )


def _same_persons(table: Predictions) -> tuple[Predictions, list[OnPersons]]:
    """Give patients that arms spell differently (7432 and 0007432, of Excel and of text) the first arm's name.

    Two things make a join certain: the arms name them so for the same case, and no arm has both spellings.
    """
    doubtful: set[str] = set()
    for arm in table.arms():
        own = one_spelling(table.patient[table.arm == arm].tolist())
        doubtful |= {spelling_key(name) for name in own}
    first: dict[str, str] = {}
    names = []
    spellings: dict[str, str] = {}
    for case, patient in zip(table.case.tolist(), table.patient.tolist(), strict=True):
        known = first.setdefault(case, patient)
        key = spelling_key(patient)
        joined = known if key == spelling_key(known) and key not in doubtful else patient
        spellings |= {} if joined == patient else {patient: joined}
        names.append(joined)
    if not spellings:
        return table, []
    return replace(table, patient=np.array(names)), [OnPersons(spelling_note(spellings))]


def _one_spelling(table: Predictions) -> tuple[Predictions, list[str]]:
    """Give every patient one name, and say where names were joined."""
    spellings = one_spelling(table.patient.tolist())
    if not spellings:
        return table, []
    names = np.array([spellings.get(name, name) for name in table.patient.tolist()])
    return replace(table, patient=names), [spelling_note(spellings)]
