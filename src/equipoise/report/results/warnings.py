"""Warnings about a run's results, as reasons."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.cohorts.splits.leakage import IN_ONE_PART
from equipoise.protocol.nnunet_section import is_nnunet
from equipoise.report.results.missing_modality import channels_left_out
from equipoise.runfolder.chosen_seeds import prior_of
from equipoise.runfolder.earlier_openings import counts, is_validation, number_in, reuse_of, texts_in
from equipoise.runfolder.environments import differing
from equipoise.runfolder.read import RunFolder
from equipoise.statistics import Judgement
from equipoise.statistics.reasons import Reason

_MOST = 20
"""Contradictions that are listed; a folder of another trial would fill the page with them."""


def unequal_budgets(tuning: Mapping[str, Any] | None) -> list[Reason]:
    """Warn of unequal budgets of tuning, which the protocol allowed."""
    if tuning is None or tuning["equal"]:
        return []
    return [Reason("unequal_budgets", draws=tuple((arm["arm"], len(arm["draws"])) for arm in tuning["arms"]))]


def other_budgets(run: RunFolder, arms: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Warn of arms whose training had another budget than that of the networks, or than each other's."""
    own = {str(arm["name"]): _settings(arm) for arm in arms if is_nnunet(str(arm.get("model")))}
    networks = {str(arm["name"]) for arm in arms} - set(own)
    budgets = {(one.get("minutes"), one.get("epochs"), one.get("steps_per_epoch")) for one in own.values()}
    if not networks and len(budgets) < 2:
        return []
    epochs = {job.done["epochs"] for job in run.jobs if job.arm in networks and type(job.done.get("epochs")) is int}
    return [
        Reason(
            "other_budget", arm=name, minutes=one.get("minutes"), epochs=one.get("epochs"),
            steps_per_epoch=one.get("steps_per_epoch"), common=max(epochs, default=None),
        )
        for name, one in own.items()
    ]  # fmt: skip


def _settings(arm: Mapping[str, Any]) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = (arm.get("settings") or {}).get("model") or {}
    return settings


def run_warnings(run: RunFolder, judged: Judgement | None) -> list[Reason]:
    """Collect the warnings of the ledger, the jobs, the data and the judgement, each once."""
    warnings = [*_of_record(run), *_of_jobs(run), *_of_environments(run)]
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
    texts = [one.text for one in run.ledger.contradictions] or ([run.ledger.problem] if run.ledger.problem else [])
    warnings += [Reason("stated_problem", text=text) for text in dict.fromkeys(texts[:_MOST])]
    if len(texts) > _MOST:
        warnings.append(Reason("more_contradictions", number=len(texts) - _MOST))
    if run.ledger.retrained:
        warnings.append(Reason("retrained_jobs", names=run.ledger.retrained))
    registry = [*_of_registry(run.lock, run.ledger.registry), *_of_seeds(run.lock)]
    return [*warnings, *_of_openings(run), *registry, *_of_weights(run.lock)]


def _of_seeds(lock: Mapping[str, Any]) -> list[Reason]:
    """Name earlier trainings of these arms with seeds that the plan leaves out, which were never judged."""
    plan = set(lock.get("seeds") or ())
    rows = [
        Reason("prior_seeds", name=str(row["name"]), day=str(row["day"]), seeds=tuple(row["seeds"]),
               taken=len(plan & set(row["seeds"])), of=len(plan), same=row["same"])
        for row in prior_of(lock)
    ]  # fmt: skip
    more = [Reason("more_prior_seeds", number=len(rows) - _MOST)] if len(rows) > _MOST else []
    return [*rows[:_MOST], *more]


def _of_registry(lock: Mapping[str, Any], trouble: str = "") -> list[Reason]:
    """Name what the registry of this machine could not do, and earlier trainings on the test cases."""
    rows = lock.get("prior_trainings") or ()
    warnings = [Reason("openings_unknown", why=trouble)] if trouble else []
    if rows:
        names = tuple(f"{row['name']} of {row['day']}" for row in rows)
        warnings.append(Reason("prior_trainings", cases=max(row["test_cases"] for row in rows), trials=names))
    return warnings


def _of_weights(lock: Mapping[str, Any]) -> list[Reason]:
    """Say what is known of the cases on which the initial weights of each arm were trained."""
    return [
        Reason("initial_weights", arm=arm, file=row["file"], sha256=str(row.get("sha256")),
               test_cases=row.get("test_cases"), trials=tuple(row.get("trials") or ()))
        for arm, row in (lock.get("initial_weights") or {}).items()
    ]  # fmt: skip


def _of_openings(run: RunFolder) -> list[Reason]:
    """Name every earlier opening of the test cases, and the reason that the plan states for opening them again."""
    reason = reuse_of(run.lock)
    warnings = [Reason("stated_reuse", reason=reason)] if reason else []
    again = [row for row in run.ledger.prior_openings if row.get("same_plan") is True]
    for row in again[:_MOST]:
        day = str(row.get("opened_at", ""))[:10]
        unended = row.get("unended") is True
        warnings.append(Reason("interrupted_before", day=day) if unended else Reason("same_plan_before", day=day))
    seen = [row for row in run.ledger.prior_openings if is_validation(row)]
    for row in seen[:_MOST]:
        facts = {"shared": number_in(row, "test_cases_shared"), "cases": number_in(row, "test_cases")}
        who = {"name": str(row.get("name") or ""), "day": str(row.get("opened_at", ""))[:10]}
        common = texts_in(row, "in_common")
        warnings.append(Reason("prior_validation", **who, **facts, in_common=common, counts=counts(row, run.lock)))
    rows = [row for row in run.ledger.prior_openings if row not in again and row not in seen]
    for row in rows[:_MOST]:
        lists = {key: texts_in(row, key) for key in ("in_common", "differs")}
        numbers = {"shared": number_in(row, "test_cases_shared"), "cases": number_in(row, "test_cases")}
        name, day = str(row.get("name") or ""), str(row.get("opened_at", ""))[:10]
        warnings.append(Reason("prior_opening", name=name, day=day, **numbers, **lists, counts=counts(row, run.lock)))
    if len(rows) > _MOST:
        warnings.append(Reason("more_openings", number=len(rows) - _MOST))
    return warnings


def _of_jobs(run: RunFolder) -> list[Reason]:
    short = run.lock.get("short_training")
    opened = {"opened": True} if run.ledger.test_openings else {}
    warnings = [Reason("short_training", updates=short["updates"], fewest=short["fewest"], **opened)] if short else []
    for job in run.jobs:
        where = {"arm": job.arm, "fold": job.fold, "seed": job.seed}
        if job.status == "missing":
            warnings.append(Reason("missing_job", **where, text=job.reason))
        warnings += [Reason("warning_of_job", **where, text=text) for text in job.done.get("warnings") or ()]
    return warnings


def _of_environments(run: RunFolder) -> list[Reason]:
    """Name what differs between the environments of jobs: a difference between arms may be one of these."""
    jobs = [job for job in run.jobs if isinstance(job.done.get("environment"), Mapping)]
    several = differing([job.done["environment"] for job in jobs])
    return [Reason("environments_differ", values=tuple((key, tuple(one)) for key, one in several.items()))] * bool(
        several
    )


def _of_cohort(run: RunFolder) -> list[Reason]:
    warnings = []
    leaks, cohort = run.lock.get("leaks") or (), run.lock["cohort"]
    # Of stated patients, likeness alone is no leak that anybody had to allow.
    known = cohort.get("patients_known", True) and not cohort.get("patients_guessed")
    near = [one for one in leaks if one["kind"] == "near" and known]
    copies, alike = ([one for one in leaks if one["kind"] == kind] for kind in IN_ONE_PART)
    allowed = [one for one in leaks if one not in (*near, *copies, *alike)]
    if allowed:
        kinds = tuple(sorted({one["kind"] for one in allowed}))
        warnings.append(Reason("allowed_leaks", pairs=len(allowed), kinds=kinds))
    if near:
        warnings.append(Reason("near_pairs", pairs=len(near), a=near[0]["a"], b=near[0]["b"]))
    if copies:
        warnings.append(Reason("allowed_copies", pairs=len(copies), a=copies[0]["a"], b=copies[0]["b"]))
    if alike:
        warnings.append(Reason("near_copies", pairs=len(alike), a=alike[0]["a"], b=alike[0]["b"]))
    declared = run.lock.get("not_leaks") or ()
    if declared:
        warnings.append(Reason("not_leaks", pairs=len(declared), a=declared[0][0], b=declared[0][1]))
    if run.lock["cohort"].get("patients_guessed"):
        warnings.append(Reason("guessed_patients"))
    elif not run.lock["cohort"].get("patients_known", True):
        warnings.append(Reason("no_patients_stated"))
    for entry in run.lock.get("unsound_layers") or ():
        layers = tuple((row["layer"], row["fault"], row["route"]) for row in entry["layers"])
        warnings.append(Reason("unsound_layers", arm=entry["arm"], precision=entry["precision"], layers=layers))
    # "telling" is the key of version 0.1 for attributes that predict the class; locks keep it.
    return [*warnings, *(Reason("warning_of_lock", text=text) for text in run.lock.get("telling") or ())]
