"""Measure before training: what each arm costs, and which difference the planned test set can show."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.engines import local
from equipoise.engines.jobs import OUT_OF_MEMORY, Engine
from equipoise.errors import EquipoiseError
from equipoise.progress import Watch, silent, under_way
from equipoise.protocol import Protocol
from equipoise.statistics import planning
from equipoise.statistics.criterion import Criterion, criterion
from equipoise.statistics.looks import nominal_alpha
from equipoise.statistics.planning import Plan
from equipoise.statistics.seed_spread import recall
from equipoise.training.loop.forecast import Forecast
from equipoise.trials.plan import Trial, endpoint_of, first_samples
from equipoise.trials.rehearsal import rehearse
from equipoise.trials.run import try_arms
from equipoise.trials.sound_layers import unsound_layers, with_routes
from equipoise.trials.spread_memory import design_of, seed_spreads

_FORECAST = "equipoise.training.jobs:forecast"


def forecasts_of(trial: Trial, workers: Engine, watch: Watch = silent) -> list[Forecast]:
    """Try the arms and forecast time and memory of one job of each, from a few timed cases; in the arms' order.

    Raises ProtocolError for an arm that cannot train, EquipoiseError where its cost cannot be measured.
    """
    with under_way(watch, "testing the layers of every arm"):
        trial = with_routes(trial, unsound_layers(trial, workers))
    with under_way(watch, "testing a first step of every arm"):
        record = try_arms(trial, workers)
    with under_way(watch, "writing every output once, with stand-ins"):
        rehearse(trial, workers, record)
    forecasts, failures = _timed(trial, workers, watch)
    if failures:
        scarce = failures[0].kind in (local.DIED, local.KILLED, OUT_OF_MEMORY)
        remedy = (
            "give the machine more memory" if scarce else "correct what it names; --debug shows where it comes from"
        )
        raise EquipoiseError(f"the cost of an arm cannot be predicted ({failures[0]}); {remedy}")
    return forecasts


def forecasts_in(trial: Trial, precision: str, workers: Engine) -> list[Forecast] | None:
    """Return the forecasts in another precision; None where an arm cannot train in it."""
    jobs = [job.settled(precision, False) for job in trial.jobs]
    forecasts, failures = _timed(replace(trial, jobs=jobs), workers)
    return None if failures else forecasts


def _timed(trial: Trial, workers: Engine, watch: Watch = silent) -> tuple[list[Forecast], list[local.Failure]]:
    fold, arms = trial.folds[0], len(trial.protocol.arms)
    first = first_samples(trial)
    jobs = [job for job in trial.jobs[:arms] if not job.members]  # an ensemble trains nothing
    requests = [(job, first, len(fold.train), len(fold.validation)) for job in jobs]
    # In a worker, with the threads of a job: this process has no torch, and its own speed would not be that of a job.
    results = {}
    for number, result in workers.run(_FORECAST, requests, lambda: None):
        results[number] = result
        watch("timing a few steps of every arm", len(results), arms)
    failures = [result for result in results.values() if isinstance(result, local.Failure)]
    return [results[number] for number in range(len(jobs)) if not isinstance(results[number], local.Failure)], failures


def detectable_of(protocol: Protocol, cohort: Cohort, folds: Sequence[Fold]) -> tuple[Plan | None, str | None]:
    """Plan for the test set (of all folds); or return the sentence that states why this is impossible."""
    # Each case once: repeated cross-validation tests a case several times and has no more patients for it.
    test = np.unique(np.concatenate([fold.test for fold in folds]))
    endpoints = protocol.endpoints
    seeds = len(protocol.training.seeds)
    primary = endpoint_of(endpoints.primary, cohort, protocol.folder)
    task = cohort.task_record
    if task.unplannable:
        patients = len(set(cohort.patients[test]))
        return None, f"the {primary.label} of {patients} test patients cannot be planned: {task.unplannable}"
    try:
        return planning.plan(
            len(set(cohort.patients[test])),
            task.counts(cohort, test) or {"cases": len(test)},
            seeds,
            endpoint=primary,
            margin=endpoints.margin,
            rule=_rule(protocol),
            spread=recall(seed_spreads(), design_of(protocol, cohort)),
        ), None
    except EquipoiseError as error:
        return None, str(error)


def _rule(protocol: Protocol) -> Criterion:
    """Return what a difference between two arms will have to pass: the level, the family, and the folds."""
    endpoints, arms, seeds = protocol.endpoints, len(protocol.arms), len(protocol.training.seeds)
    alpha = nominal_alpha(endpoints.looks, seeds, endpoints.alpha) if endpoints.looks else endpoints.alpha
    pairs = list(combinations(range(arms), 2)) if endpoints.family == "all" else [(0, arm) for arm in range(1, arms)]
    split = protocol.split
    folds, repeats = (split.folds, split.repeats) if split.scheme == "kfold" else (1, 1)
    return criterion(pairs or [(0, 1)], alpha, folds=folds, repeats=repeats)
