"""Warnings about a run's results, as reasons."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.results.missing_modality import channels_left_out
from equipoise.runfolder.read import RunFolder
from equipoise.statistics import Judgement
from equipoise.statistics.reasons import Reason


def unequal_budgets(tuning: Mapping[str, Any] | None) -> list[Reason]:
    """Warn of unequal budgets of tuning, which the protocol allowed."""
    if tuning is None or tuning["equal"]:
        return []
    return [Reason("unequal_budgets", draws=tuple((arm["arm"], len(arm["draws"])) for arm in tuning["arms"]))]


def run_warnings(run: RunFolder, judged: Judgement | None) -> list[Reason]:
    """Collect the warnings of the ledger, the jobs, the data and the judgement, each once."""
    warnings = [*_of_record(run), *_of_jobs(run)]
    if judged is None:
        warnings.append(Reason("nothing_predicted"))
    warnings += _of_cohort(run)
    warnings += [Reason("stated_problem", text=text) for text in (*run.problems, *channels_left_out(run)[1])]
    if judged:
        warnings += judged.warnings
        warnings += [flag for pair in judged.comparisons if pair.role == "primary" for flag in pair.flags]
    return list(dict.fromkeys(warnings))


def _of_record(run: RunFolder) -> list[Reason]:
    warnings = []
    if run.ledger.unplanned:
        unplanned = run.ledger.unplanned if run.lock["endpoints"].get("looks") else None
        warnings.append(Reason("opened_often", times=run.ledger.test_openings, unplanned=unplanned))
    if run.ledger.plan_changed:
        warnings.append(Reason("plan_changed"))
    if run.ledger.problem:
        warnings.append(Reason("stated_problem", text=run.ledger.problem))
    return warnings


def _of_jobs(run: RunFolder) -> list[Reason]:
    warnings = []
    for job in run.jobs:
        where = {"arm": job.arm, "fold": job.fold, "seed": job.seed}
        if job.status == "missing":
            warnings.append(Reason("missing_job", **where, text=job.reason))
        warnings += [Reason("warning_of_job", **where, text=text) for text in job.done.get("warnings") or ()]
    return warnings


def _of_cohort(run: RunFolder) -> list[Reason]:
    warnings = []
    leaks = run.lock.get("leaks") or ()
    if leaks:
        warnings.append(Reason("allowed_leaks", pairs=len(leaks), kinds=tuple(sorted({one["kind"] for one in leaks}))))
    if run.lock["cohort"].get("patients_guessed"):
        warnings.append(Reason("guessed_patients"))
    elif not run.lock["cohort"].get("patients_known", True):
        warnings.append(Reason("no_patients_stated"))
    for entry in run.lock.get("unsound_layers") or ():
        layers = tuple((row["layer"], row["fault"], row["route"]) for row in entry["layers"])
        warnings.append(Reason("unsound_layers", arm=entry["arm"], precision=entry["precision"], layers=layers))
    # "telling" is the key of version 0.1 for attributes that predict the class; locks keep it.
    return [*warnings, *(Reason("warning_of_lock", text=text) for text in run.lock.get("telling") or ())]
