"""Write every output of a trial once, with stand-ins for its answers, before the plan is locked.

A trial trains for hours before its report is written, and by then its test set is open. What can fail only there (a
name that no figure can bear, an endpoint of one's own that cannot judge an answer, a network that trains and cannot
answer) is tried now, in a folder that is removed.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json, write_text
from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.engines import local
from equipoise.engines.jobs import Engine, interrupted
from equipoise.errors import EquipoiseError, Interrupted, ProtocolError
from equipoise.evaluation.candidate_table import FINDINGS, CandidateTable, joined
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report import write_report
from equipoise.runfolder.evidence import beside_predictions, end_of_job, sha256_of
from equipoise.runfolder.ledger import FINISHED, PREDICTED, STARTED, TEST_OPENED, Ledger
from equipoise.runfolder.paths import (
    CASES,
    DONE,
    HISTORY,
    LOCK,
    PREDICTIONS,
    PROTOCOL,
    SLICES,
    baseline_folder,
    candidates_beside,
    job_folder,
    job_name,
)
from equipoise.runfolder.write import write_planes, write_predictions, write_rows
from equipoise.training.data.samples import Samples
from equipoise.training.inference.test_opening import HELD_OUT, ShownPlanes
from equipoise.trials.lock import cases_table, locked_plan, record_lock
from equipoise.trials.plan import Trial, first_samples

MOST_CASES = 60
"""Held-out cases of a fold and part that get stand-ins; beside them one of every group of the subgroups."""
MOST_SEEDS = 3
RULE = "stand-in"
"""The name of the trivial rule of a rehearsal."""
_Run = tuple[str, int, int]
"""The arm, fold and seed of a job."""


@dataclass(frozen=True)
class _Answers:
    """What an untrained network answered: rows, and pictures by case."""

    table: Predictions
    planes: dict[str, NDArray[np.uint8]]


def rehearse(trial: Trial, workers: Engine, record: dict[str, Any]) -> None:
    """Write lock, cases, predictions, results, figures and pages of made-up answers into a folder that is removed.

    record: further facts of the plan, as for the lock. Arms whose network is not ours (nnU-Net, ensembles) get the
    stand-ins of the first one; where every arm is such, nothing is rehearsed.
    Raises ProtocolError where an arm cannot answer or an output cannot be written, Interrupted where a process was
    killed or lacked memory.
    """
    if (trial.out / LOCK).is_file():  # a trial that goes on
        return
    answers = _answers(trial, first_samples(trial), workers)
    if not answers:
        return
    with tempfile.TemporaryDirectory(prefix="equipoise-") as place:
        try:
            folder = Path(place) / "run"
            _write(folder, trial, answers, record)
            write_report(folder, trust_code=True)
        except EquipoiseError as error:
            raise ProtocolError(f"the outputs of this trial cannot be written: {_placeless(error, place)}") from error
        except Exception as error:
            sentence = f"{type(error).__name__}: {_placeless(error, place)}"
            raise ProtocolError(
                f"the outputs of this trial cannot be written ({sentence}); tried with stand-ins for its answers; "
                "nothing was locked: change the names, endpoints or subgroups that the message names"
            ) from error


def _placeless(error: Exception, place: str) -> str:
    return (str(error).split("\n") or [""])[0].replace(place, "OUT")


def _answers(trial: Trial, first: Samples, workers: Engine) -> dict[str, _Answers]:
    """Return the stand-ins of every arm with a network of ours, by its name."""
    jobs = [job for job in trial.jobs[: len(trial.protocol.arms)] if job.is_network]
    ended = dict(workers.run("equipoise.training.jobs:stand_ins", [(job, first) for job in jobs], lambda: None))
    answers = {}
    for number, job in enumerate(jobs):
        outcome = ended[number]
        if interrupted(outcome):
            raise Interrupted(f"arm {job.arm.name!r}: {outcome.text} in its first answers; run the same command again")
        if isinstance(outcome, local.Failure):
            raise ProtocolError(outcome.text)
        answers[job.arm.name] = _Answers(*outcome)
    return answers


def _write(folder: Path, trial: Trial, answers: dict[str, _Answers], record: dict[str, Any]) -> None:
    """Write a run folder as a finished trial leaves it."""
    cohort, seeds = trial.cohort, trial.protocol.training.seeds[:MOST_SEEDS]
    folds = [_few(fold, cohort, trial.protocol.endpoints.subgroups) for fold in trial.folds]
    plan = locked_plan(folder, trial.protocol, cohort, folds, record)
    jobs = [(job["arm"], job["fold"], job["seed"]) for job in plan["jobs"] if job["seed"] in seeds]
    plan["jobs"] = [{"arm": arm, "fold": fold, "seed": seed} for arm, fold, seed in jobs]
    write_text(folder / PROTOCOL, trial.protocol.text)
    write_text(folder / CASES, cases_table(cohort, folds))
    hashes: dict[str, Any] = {"protocol_file_sha256": sha256_of(folder / PROTOCOL), "prior_openings": []}
    write_json(folder / LOCK, plan | hashes)
    first = next(iter(answers.values()))
    for job in jobs:
        _write_job(job_folder(folder, *job), answers.get(job[0], first), cohort, folds[job[1]], job)
    for number, fold in enumerate(folds):
        _write_job(baseline_folder(folder, RULE, number), first, cohort, fold, (RULE, number, 0))
    _write_pictures(folder, cohort, folds)
    _write_record(folder, jobs)


def _write_record(folder: Path, jobs: Sequence[_Run]) -> None:
    """Write the ledger of a trial that went undisturbed: without one, every comparison is refused."""
    ledger, names = Ledger(folder), [job_name(*job) for job in jobs]
    places = [job_folder(folder, *job) for job in jobs]
    record_lock(folder, ledger)
    ledger.append(STARTED, jobs=names)
    for name, place in zip(names, places, strict=True):
        ledger.append(FINISHED, job=name, reason=None, files=end_of_job(place))
    ledger.append(TEST_OPENED, jobs=names)
    tables = {name: place / PREDICTIONS for name, place in zip(names, places, strict=True)}
    lists = {name: candidates_beside(file) for name, file in tables.items() if candidates_beside(file).is_file()}
    hashed = {"sha256": {name: sha256_of(file) for name, file in tables.items()}}
    hashed |= {"candidates_sha256": {name: sha256_of(file) for name, file in lists.items()}} if lists else {}
    ledger.append(PREDICTED, **hashed, files=beside_predictions(folder, places))


def _few(fold: Fold, cohort: Cohort, subgroups: Sequence[str]) -> Fold:
    """Return the fold with few cases held out: some at equal distances, and one of every group."""

    def chosen(part: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return some of the cases of a part, ascending."""
        spread = part[np.unique(np.linspace(0, len(part) - 1, min(MOST_CASES, len(part))).astype(int))]
        of_group = {(name, str(cohort.cases[i].attributes.get(name, ""))): i for name in subgroups for i in part}
        return np.unique(np.concatenate([spread, np.array(list(of_group.values()), dtype=np.int64)]))

    return replace(fold, validation=chosen(fold.validation), test=chosen(fold.test))


def _write_job(place: Path, answers: _Answers, cohort: Cohort, fold: Fold, job: _Run) -> None:
    """Write what a job leaves: its end, a curve, its predictions and pictures."""
    arm, number, seed = job
    rng = np.random.default_rng([number, seed, *arm.encode()])
    tables = []
    planes: dict[str, NDArray[np.uint8]] = {}
    for part in HELD_OUT:
        indices = fold.part(part)
        # The same for all jobs of a fold: a case has one truth, whoever answers it.
        source = np.random.default_rng(number).integers(0, len(answers.table), len(indices))
        tables.append(_rows(answers.table, source, rng, cohort, indices, part, job))
        named = zip(source, (cohort.cases[index].id for index in indices), strict=True)
        shown = {case: answers.planes.get(str(answers.table.case[row])) for row, case in named}
        planes |= {case: plane for case, plane in shown.items() if plane is not None and part == "test"}
    write_rows(place / HISTORY, [{"epoch": n, "train_loss": 1 / n, "validation_loss": 1 / n} for n in (1, 2)])
    if planes:
        write_planes(place / SLICES, planes)
    cost = {"parameters": 1, "train_seconds": 1.0, "latency_ms": 1.0, "peak_memory_mb": 1.0}
    end = {"status": "finished", "reason": None, "arm": arm, "fold": number, "seed": seed}
    write_json(place / DONE, end | cost)
    write_predictions(place / PREDICTIONS, concatenate(tables))


def _rows(
    table: Predictions, source: NDArray[np.int64], rng: np.random.Generator, cohort: Cohort,
    indices: NDArray[np.int64], part: str, job: _Run,
) -> Predictions:  # fmt: skip
    """Return rows for the cases `indices` (n,), each with the answer in row `source` (n,), made unlike other jobs'."""
    rows, n = table.where(source), len(indices)
    labels = cohort.labels[indices]
    truth = np.where(labels >= 0, labels, rows.truth) if table.classes else rows.truth
    # Jobs with equal answers count as one, and most figures need several. Scores keep their sum, measures their range.
    share = rng.random((n, 1))
    scores = share * rows.scores + (1 - share) * rng.permuted(rows.scores, axis=1)
    metrics = {
        name: values if name == FINDINGS else values * rng.uniform(0.5, 1, n) for name, values in rows.metrics.items()
    }
    candidates = None
    if table.candidates is not None:
        candidates = _candidates(table, table.candidates, source, cohort, indices, part, job)
        candidates = replace(candidates, score=candidates.score * rng.uniform(0.5, 1, len(candidates)))
    columns = _columns(cohort, indices, part, job)
    return replace(rows, **columns, truth=truth, scores=scores, metrics=metrics, candidates=candidates)


def _columns(cohort: Cohort, indices: NDArray[np.int64], part: str, job: _Run) -> dict[str, Any]:
    arm, fold, seed = job
    n, cases = len(indices), [cohort.cases[index] for index in indices]
    return {
        "case": np.array([case.id for case in cases], dtype=str),
        "patient": np.array([case.patient for case in cases], dtype=str),
        "split": np.full(n, part), "arm": np.full(n, arm), "fold": np.full(n, fold), "seed": np.full(n, seed),
    }  # fmt: skip


def _candidates(
    table: Predictions, known: CandidateTable, source: NDArray[np.int64], cohort: Cohort,
    indices: NDArray[np.int64], part: str, job: _Run,
) -> CandidateTable:  # fmt: skip
    """Return the candidates of the rows `source`, under the names of the cases `indices`."""
    tables = []
    for row, index in zip(source, indices, strict=True):
        own = known.where(known.case == table.case[row])
        tables.append(replace(own, **_columns(cohort, np.full(len(own), index), part, job)))
    return joined(tables)


def _write_pictures(folder: Path, cohort: Cohort, folds: Sequence[Fold]) -> None:
    """Write the picture of a training case in place of every test case's."""
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    case = cohort.cases[folds[0].train[0]]
    planes = ShownPlanes(cohort, tested)
    planes.see(case, case.read())
    everyone: list[dict[str, Any]] = [planes.pictures, planes.outlines, planes.places]
    for shown in everyone:
        if case.id in shown:
            shown |= {other.id: shown[case.id] for other in planes.cases}
    planes.write(folder)
