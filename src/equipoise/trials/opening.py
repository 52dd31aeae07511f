"""Open the test set of a trial: what the ledger and the registry of this machine keep of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import CHANGED, PREDICTED, TEST_OPENED, Event, Ledger
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import (
    by_true_names,
    is_registered,
    other_results,
    plan_identity,
    prior_openings,
    register,
    register_predictions,
)
from equipoise.runfolder.place import Place
from equipoise.runfolder.predicted_jobs import changed_jobs, digest_of
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.registry_file import trouble
from equipoise.runfolder.validated_cases import prior_validations
from equipoise.trials.plan import Trial


def record_opening(trial: Trial, ledger: Ledger, finished: Sequence[Job], look: int | None) -> Event:
    """Record an opening of the test set in the ledger, and in the registry of this machine; return its event."""
    plan = by_true_names(read_lock(trial.out), trial.cohort)
    cases = opened_cases(trial.cohort, trial.folds, trial.cards.all())
    place = Place.of(trial.out, plan)
    data: dict[str, Any] = {} if look is None else {"look": look}
    # Looked up again, because another plan may have opened the cases since this one was locked.
    prior = [*prior_openings(plan, cases, place, ledger), *prior_validations(plan, cases, place, ledger)]
    data |= {"prior_openings": prior} if prior else {}
    # In the ledger, and so in the results: without a registry no later trial knows of this opening.
    unrecorded = trouble()
    data |= {"unrecorded": unrecorded} if unrecorded else {}
    event = ledger.append(TEST_OPENED, jobs=[job.name for job in finished], **data)
    register(plan, cases, place, ledger, event)
    return event


def register_unregistered(trial: Trial, ledger: Ledger, opening: Event) -> bool:
    """Register an opening of the ledger that the registry of this machine lacks; return whether it lacked it.

    A kill between the two records left it out, or the run folder comes from another machine.
    """
    if is_registered(opening):
        return False
    plan = by_true_names(read_lock(trial.out), trial.cohort)
    cases = opened_cases(trial.cohort, trial.folds, trial.cards.all())
    register(plan, cases, Place.of(trial.out, plan), ledger, opening)
    return True


def register_results(trial: Trial, ledger: Ledger, finished: Sequence[Job], opening: Event) -> None:
    """Register the predictions that ended an opening, which the ledger holds already."""
    tables = {job.name: read_parquet(job.predictions_file) for job in finished}
    identity, digest = _identity_and_digest(trial, tables)
    register_predictions(identity, ledger.events[0].hash, digest, str(trial.protocol.trial.name), opening)


def _identity_and_digest(trial: Trial, tables: Mapping[str, Predictions]) -> tuple[str, str]:
    """Return by what the registry knows the plan, and the predictions of all its jobs."""
    names = {case.id: case.true_name or case.id for case in trial.cohort.cases}
    return plan_identity(by_true_names(read_lock(trial.out), trial.cohort)), digest_of(tables, names)


def record_predictions(
    trial: Trial, ledger: Ledger, finished: Sequence[Job], opening: Event, data: Mapping[str, Any]
) -> None:
    """Record the predictions in the ledger, with earlier runs of this very plan that gave others.

    Besides: jobs that gave others before, in an opening that was interrupted. opening: the event that they end. data:
    what the ledger keeps of the predictions.
    """
    tables = {job.name: read_parquet(job.predictions_file) for job in finished}
    identity, digest = _identity_and_digest(trial, tables)
    run = ledger.events[0].hash
    others = other_results(identity, ledger, opening, digest)
    changed = changed_jobs(ledger, {name: digest_of({name: table}) for name, table in tables.items()})
    more: dict[str, Any] = {"prior_openings": others} if others else {}
    more |= {CHANGED: changed} if changed else {}
    # Before the ledger's line: a kill between the two must not leave an opening that never ends for other runs.
    register_predictions(identity, run, digest, str(trial.protocol.trial.name), opening)
    ledger.append(PREDICTED, **data, **more)
