"""Open the test set of a trial: what the ledger and the registry of this machine keep of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import PREDICTED, TEST_OPENED, Ledger
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import (
    by_true_names,
    other_results,
    plan_identity,
    prior_openings,
    register,
    register_predictions,
)
from equipoise.runfolder.place import Place
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.registry_file import trouble
from equipoise.trials.plan import Trial


def record_opening(trial: Trial, ledger: Ledger, finished: Sequence[Job], look: int | None) -> None:
    """Record an opening of the test set in the ledger, and in the registry of this machine."""
    plan = by_true_names(read_lock(trial.out), trial.cohort)
    cases = opened_cases(trial.cohort, trial.folds, trial.cards.all())
    place = Place.of(trial.out, plan)
    data: dict[str, Any] = {} if look is None else {"look": look}
    # Looked up again, because another plan may have opened the cases since this one was locked.
    prior = prior_openings(plan, cases, place, ledger.events[0].hash)
    data |= {"prior_openings": prior} if prior else {}
    # In the ledger, and so in the results: without a registry no later trial knows of this opening.
    unrecorded = trouble()
    data |= {"unrecorded": unrecorded} if unrecorded else {}
    event = ledger.append(TEST_OPENED, jobs=[job.name for job in finished], **data)
    register(plan, cases, place, ledger, event)


def record_predictions(trial: Trial, ledger: Ledger, finished: Sequence[Job], event: Mapping[str, Any]) -> None:
    """Record the predictions in the ledger, with earlier runs of this very plan that gave others.

    event: what the ledger keeps of the predictions.
    """
    identity = plan_identity(by_true_names(read_lock(trial.out), trial.cohort))
    names = {case.id: case.true_name or case.id for case in trial.cohort.cases}
    digest = digest_of({job.name: read_parquet(job.predictions_file) for job in finished}, names)
    run = ledger.events[0].hash
    others = other_results(identity, run, digest)
    ledger.append(PREDICTED, **event, **({"prior_openings": others} if others else {}))
    register_predictions(identity, run, digest, str(trial.protocol.trial.name))


def digest_of(predictions: Mapping[str, Predictions], names: Mapping[str, str]) -> str:
    """Return a hash of the predictions of all jobs, by the true names of cases: pseudonyms differ with the user's key.

    Numbers count to six digits behind the point; another machine may round the next one otherwise.
    """
    state = hashlib.sha256()
    for job, table in sorted(predictions.items()):
        true = np.array([names.get(case, case) for case in table.case.tolist()])
        order = np.argsort(true, kind="stable")
        numbers = [*table.scores.T, *(table.metrics[name] for name in sorted(table.metrics))]
        state.update(json.dumps([job, true[order].tolist(), table.truth[order].tolist()]).encode())
        for column in numbers:
            state.update((np.round(np.asarray(column, dtype=np.float64)[order], 6) + 0.0).tobytes())
    return state.hexdigest()
