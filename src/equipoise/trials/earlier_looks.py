"""Say before training that a trial will be exploratory, because its test cases were seen before on this machine."""

from collections.abc import Sequence
from pathlib import Path

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.split import Fold
from equipoise.protocol import Protocol
from equipoise.runfolder.earlier_openings import cautions_of_openings, remedy_of_openings
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import by_true_names, prior_openings
from equipoise.runfolder.place import Place
from equipoise.runfolder.validated_cases import prior_validations
from equipoise.trials.lock import describe


def earlier_looks(protocol: Protocol, cohort: Cohort, folds: Sequence[Fold], cards: CaseCards) -> list[str]:
    """Return the sentence that a new trial of this plan will be exploratory, and what helps; nothing where it will not.

    It names no case. A trial of the same protocol on the same data is the same trial again, and no further look.
    """
    plan = by_true_names(describe(protocol, cohort, folds), cohort)
    nowhere = Place(Path(), None, None)
    opened = opened_cases(cohort, folds, cards.all(), with_training=False)
    lists = [look(plan, opened, nowhere, planned=True) for look in (prior_openings, prior_validations)]
    rows = tuple(row for rows in lists for row in rows)
    reasons = cautions_of_openings(plan, rows)
    if not reasons:
        return []
    return [f"This trial would be exploratory: {'; '.join(reasons)}; {remedy_of_openings(plan, rows)}."]
