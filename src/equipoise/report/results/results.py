"""Compute every number of a run from predictions alone (and costs); `report.summary` adds the sentences."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report.results.audit import recommendation
from equipoise.report.results.contrast import contrast, divided_patients
from equipoise.report.results.early_stopping import stop_warnings, stops
from equipoise.report.results.entries import classification, cost, ensemble, of_one_score
from equipoise.report.results.gradient_evaluations import counts_of, unequal_evaluations
from equipoise.report.results.initialization import start
from equipoise.report.results.interim_analysis import first_seeds, looks_taken
from equipoise.report.results.missing_modality import channels_left_out
from equipoise.report.results.own_endpoints import own_endpoints, task_endpoints
from equipoise.report.results.perfect import perfect_arms
from equipoise.report.results.plain import json_safe
from equipoise.report.results.recommendation import mark_pareto, recommend
from equipoise.report.results.refusals import without_contradicted
from equipoise.report.results.rows import part
from equipoise.report.results.subgroups import subgroup_results
from equipoise.report.results.tuning import chosen_settings, tuning_results
from equipoise.report.results.warnings import other_budgets, run_warnings, unequal_budgets
from equipoise.runfolder.chosen_seeds import PRIOR_SEEDS, prior_of
from equipoise.runfolder.earlier_openings import is_validation, reuse_of
from equipoise.runfolder.paths import BY_CASE, LOCK
from equipoise.runfolder.place import CONTRAST, plans_contrast
from equipoise.runfolder.read import JobRecord, RunFolder, read_folder
from equipoise.statistics import Comparison, Interval, Judgement, judge
from equipoise.statistics.endpoints import at_threshold, endpoint_named, of_case
from equipoise.statistics.kinds import Endpoint, Kind
from equipoise.statistics.reasons import Reason

SCHEMA = 1
_INTERVAL = ("estimate", "low", "high", "seed_sd", "se", "df", "n_patients", "n_cases", "n_events", "method", "reason")
_NO_RESULT = {"estimate": None, "low": None, "high": None, "seed_sd": None, "n_patients": 0, "n_cases": 0}


def numbers_of(run: RunFolder) -> dict[str, Any]:
    """Return the dictionary of results.json for a run folder in memory, with a `Reason` for every sentence."""
    task_endpoints(run.lock, run.path, run.trusted)  # refuses a changed task, also without predictions
    plan, test = run.lock["endpoints"], _test_rows(run, run.arms())
    judged = None if test is None else _judged(run, test)
    sign = 1 if test is None else _primary(run, test).sign
    tuning = tuning_results(run, sign > 0)
    arms, baselines = [_arm(run, arm, judged, tuning) for arm in run.lock["arms"]], _baselines(run, judged)
    untuned, beside = _untuned(run)
    comparisons = [_comparison(pair, run) for pair in judged.comparisons] if judged else []
    rules = {entry["name"] for entry in baselines}
    primary = [pair for pair in comparisons if pair["role"] == "primary"]
    between = [pair for pair in primary if pair["b"] not in rules]
    against = [pair for pair in primary if pair["b"] in rules]
    mark_pareto(arms, plan["primary"], sign)
    second, beyond = _second_run(run)
    perfect = [] if test is None or judged is None else perfect_arms(arms, _planned(run, test), judged.n_cases)
    results = {
        "schema": SCHEMA,
        "protocol_sha256": run.lock["protocol_sha256"],
        "cohort": _cohort(run, test),
        "endpoints": {**plan, "higher_is_better": sign > 0},
        "arms": arms,
        "untuned": untuned,
        "baselines": baselines,
        "tuning": tuning,
        "comparisons": between,
        "baseline_comparisons": against,
        "untuned_comparisons": beside,
        "secondary_comparisons": [pair for pair in comparisons if pair["role"] != "primary"],
        "subgroups": subgroup_results(run, test, positive_index(run)) if test and judged else [],
        "ranking": judged.ranking if judged else [],
        "arithmetic": _arithmetic(run),
        "missing_modalities": _missing(run, arms),
        "contrast": None if second is None else contrast([*arms, *baselines], second, numbers_of(second)),
        "variance": judged.variance if judged else None,
        "recommendation": recommendation(arms, between, plan["primary"], sign)
        if run.sources
        else recommend(arms, baselines, between, against, plan["primary"], sign),
        **_record(run),
        "looks": _looks(run, test),
        "warnings": [*perfect, *_budget_warnings(run, tuning, arms, untuned), *run_warnings(run, judged), *beyond],
        "failures": _failures(run.jobs),
        **({"perfect": perfect} if perfect else {}),
        **({"audit": True, "sources": run.sources, "lists": run.lists} if run.sources else {}),
    }
    safe: dict[str, Any] = json_safe(results)
    return safe


def _budget_warnings(
    run: RunFolder, tuning: dict[str, Any] | None, arms: list[dict[str, Any]], untuned: list[dict[str, Any]]
) -> list[Reason]:
    """Return the warnings of arms that were not trained alike, or stopped before they had learned."""
    uneven = unequal_evaluations(counts_of(arms))
    return [*unequal_budgets(tuning), *other_budgets(run, arms), *uneven, *stop_warnings([*arms, *untuned])]


def _arithmetic(run: RunFolder) -> dict[str, Any] | None:
    """Return the measured choice of precision and compiling, and the layers that run another way; None without both."""
    unsound = run.lock.get("unsound_layers")
    measured = {key: value for key, value in (run.ledger.settled or {}).items() if key != CONTRAST}
    chosen = {**measured, **({"unsound_layers": unsound} if unsound else {})}
    return chosen or None


def _own(run: RunFolder, test: Predictions) -> dict[str, Endpoint]:
    endpoints = own_endpoints(run.lock, run.path, test.metrics, run.trusted)
    plan = run.lock["endpoints"]
    endpoints |= {} if plan.get("threshold") is None else at_threshold(float(plan["threshold"]))
    # Stated in an audit, for a column of its table whose name is not known.
    for key, higher in (("lower_is_better", False), ("stated_higher", True)):
        for name in (name for name in plan.get(key) or () if not of_case(name, plan.get("structures")).direction_known):
            endpoints[name] = Endpoint(name, Kind.MEAN, higher_is_better=higher, low=-math.inf, high=math.inf)
    if not plan.get("units_stated", True):
        measured = {name: endpoints.get(name) or of_case(name) for name in test.metrics}
        unit = plan.get("length_unit", "")
        endpoints |= {name: one.counted_in(unit) for name, one in measured.items() if one.unit}
    for name, value in (plan.get("failure_values") or {}).items():
        endpoints[name] = replace(endpoints.get(name) or of_case(name), failed=value, failed_known=True)
    return endpoints


def _primary(run: RunFolder, test: Predictions) -> Endpoint:
    return endpoint_named(run.lock["endpoints"]["primary"], list(test.metrics), test.classes, _own(run, test))


def _planned(run: RunFolder, test: Predictions) -> dict[str, Endpoint]:
    """Return the records of the planned endpoints by name, the primary one first; those that can be computed."""
    plan, custom = run.lock["endpoints"], _own(run, test)
    records = {}
    for name in (plan["primary"], *plan["secondary"]):
        with suppress(PredictionError):
            records[name] = endpoint_named(name, list(test.metrics), test.classes, custom)
    return records


def _missing(run: RunFolder, arms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the primary endpoint of every arm without each modality, where the trial measured it."""
    rows, primary = [], run.lock["endpoints"]["primary"]
    whole = {arm["name"]: arm["endpoints"] for arm in arms}
    for modality, table in channels_left_out(run)[0]:
        judged = _judged(run, table)
        for arm in table.arms():
            value = _interval(judged.endpoints[arm][primary])
            full, less = whole[arm][primary]["estimate"], value["estimate"]
            change = None if full is None or less is None else less - full
            numbers = {key: value[key] for key in ("estimate", "low", "high")}
            rows.append({"arm": arm, "modality": modality, "endpoint": primary, **numbers, "change": change})
    return rows


def _record(run: RunFolder) -> dict[str, Any]:
    """Return what the ledger proves of the trial, and what an audit left out."""
    validations = [row for row in run.ledger.prior_openings if is_validation(row)]
    return {
        "ledger": {
            "test_openings": run.ledger.test_openings,
            "unplanned_openings": run.ledger.unplanned,
            "verified": run.ledger.verified,
        },
        "prior_openings": [row for row in run.ledger.prior_openings if not is_validation(row)],
        **({"prior_validations": validations} if validations else {}),
        **({PRIOR_SEEDS: prior_of(run.lock)} if prior_of(run.lock) else {}),
        **({"retrained": list(run.ledger.retrained)} if run.ledger.retrained else {}),
        "exploratory": run.ledger.exploratory,
        **({"reuse": reuse_of(run.lock)} if reuse_of(run.lock) else {}),
        **({"left_out": run.lock["left_out"]} if run.lock.get("left_out") else {}),
    }


def _second_run(run: RunFolder) -> tuple[RunFolder | None, list[Reason]]:
    """Return the second run, split by case, and the first of what speaks against it; None without one to trust."""
    if not (run.path / BY_CASE / LOCK).is_file():
        return None, []
    second = read_folder(run.path / BY_CASE, run.trusted)
    if not plans_contrast(run.lock, run.ledger.settled, second.lock):
        text = f"the folder {BY_CASE}/ holds no run that this trial planned as its contrast; its numbers are left out"
        return None, [Reason("stated_problem", text=text)]
    contradictions = second.ledger.contradictions
    return second, [Reason("stated_problem", text=f"in {BY_CASE}/, {one.text}") for one in contradictions[:1]]


def _test_rows(run: RunFolder, arms: Sequence[str]) -> Predictions | None:
    """Return the test rows of these arms and of every baseline."""
    jobs = [*(job for job in run.jobs if job.arm in arms), *run.baselines]
    tables = [part([job], "test") for job in jobs]
    present = [table for table in tables if table is not None]
    return concatenate(present) if present else None


def _looks(run: RunFolder, test: Predictions | None) -> list[dict[str, Any]] | None:
    """Return every look of a sequential trial, with the comparisons between arms at that look."""
    plan, rules, taken = run.lock["endpoints"], _rules(run), {}
    looks = plan.get("looks") or ()
    for look in looks:
        if test is not None and look <= (run.ledger.look or 0):
            judged = _judged(run, first_seeds(test, run.lock["seeds"][:look], rules), look)
            taken[look] = [pair for pair in judged.comparisons if pair.role == "primary" and pair.b not in rules]
    return looks_taken(looks, plan.get("alpha", 0.05), taken)


def _rules(run: RunFolder) -> list[str]:
    return list(dict.fromkeys(job.arm for job in run.baselines))


def _judged(run: RunFolder, test: Predictions, look: int | None = None) -> Judgement:
    usable = [name for name in _rules(run) if any(job.predictions is not None for job in run.finished(name))]
    family = run.lock["endpoints"].get("family", "all")
    return _judge(run, test, look, family=family, deterministic=usable, arms=[*run.arms(), *usable])


def _judge(run: RunFolder, test: Predictions, look: int | None = None, **options: Any) -> Judgement:
    plan = run.lock["endpoints"]
    judged = judge(
        test,
        primary=plan["primary"],
        secondary=tuple(plan["secondary"]),
        margin=plan.get("margin"),
        alpha=plan.get("alpha", 0.05),
        positive=plan.get("positive"),
        planned_seeds=None if run.sources else look or len(run.lock["seeds"]),
        looks=tuple(plan.get("looks") or ()),
        shared_seeds=bool(run.lock.get("shared_seeds")),
        networks=bool(run.lock.get("networks")),
        elsewhere=bool(run.sources),
        patients_known=run.lock["cohort"].get("patients_known", True) or run.lock["cohort"].get("patients_guessed"),
        below_chance=bool(plan.get("below_chance")),
        growing=plan.get("growing"),
        margins=plan.get("margins"),
        custom=_own(run, test),
        **options,
    )
    return without_contradicted(judged, run.ledger.refused)


def _untuned(run: RunFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the untuned twins as entries, and the comparisons of every tuned arm with its twin."""
    pairs = list(zip(run.arms(), (str(arm["name"]) for arm in run.untuned()), strict=False))
    everyone = [name for pair in pairs for name in pair]
    test = _test_rows(run, everyone) if pairs else None
    if test is None:
        return [_arm(run, arm, None, None) for arm in run.untuned()], []
    test = test.where(np.isin(test.arm, everyone))
    # A separate family: whether tuning helped is another question than which arm is best, and must not change its
    # p-values.
    judged = _judge(run, test, pairs=pairs, arms=everyone)
    entries = [
        _arm(run, plan, judged, None) | {"untuned_of": arm} for (arm, _), plan in zip(pairs, run.untuned(), strict=True)
    ]
    return entries, [_comparison(pair, run) for pair in judged.comparisons if pair.role == "primary"]


def _arm(
    run: RunFolder, plan: Mapping[str, Any], judged: Judgement | None, tuning: Mapping[str, Any] | None
) -> dict[str, Any]:
    name = str(plan["name"])
    chosen = chosen_settings(tuning, name)
    finished = run.finished(name)
    parameters = [job.done.get("parameters") for job in finished if job.done.get("parameters") is not None]
    return {
        "name": name,
        "model": _name(plan.get("model")),
        "optimizer": _name(plan.get("optimizer")),
        "settings": {part: _settings(plan.get(part)) | chosen[part] for part in ("model", "optimizer")},
        "start": start(plan),
        "parameters": parameters[0] if parameters else None,
        "seeds": list(dict.fromkeys(job.seed for job in run.jobs if job.arm == name)),
        "failed_jobs": sum(job.arm == name and job.status != "finished" for job in run.jobs),
        "stopped_early": stops(finished),
        "endpoints": _endpoints(run, name, judged),
        "cost": cost(finished, _same_network(run, plan)),
        **ensemble(plan),
        # An audit's arm without some cases has no estimate, and may lack those on which it fails.
        **classification(finished, positive_index(run), len(run.cases) if run.sources else None),
    }


def _same_network(run: RunFolder, plan: Mapping[str, Any]) -> list[JobRecord]:
    def network(arm: Mapping[str, Any]) -> Any:
        """Return what decides how long an answer takes: the model, or the members of an ensemble."""
        return arm.get("model"), arm.get("ensemble"), arm.get("members")

    everyone = (*run.lock["arms"], *run.untuned())
    return [job for arm in everyone if network(arm) == network(plan) for job in run.finished(str(arm["name"]))]


def _baselines(run: RunFolder, judged: Judgement | None) -> list[dict[str, Any]]:
    entries = []
    for name in dict.fromkeys(job.arm for job in run.baselines):
        finished = run.finished(name)
        entries.append(
            {
                "name": name,
                "model": name,
                "optimizer": None,
                "parameters": None,
                "seeds": [0],
                "failed_jobs": sum(job.arm == name and job.status != "finished" for job in run.baselines),
                "endpoints": of_one_score(_endpoints(run, name, judged), finished),
                "cost": cost(finished),
                "baseline": True,
                **classification(finished, positive_index(run)),
            }
        )
    return entries


def positive_index(run: RunFolder) -> int | None:
    """Return the positive class's index: as planned, else the second of two; None with more classes."""
    classes, positive = list(run.lock["cohort"]["classes"]), run.lock["endpoints"].get("positive")
    if positive is not None:
        if positive not in classes:
            raise PredictionError(f"{LOCK} names the positive class {positive!r}, the cohort has {classes}; restore it")
        return classes.index(positive)
    return 1 if len(classes) == 2 else None


def _name(part: Any) -> str | None:
    """Return the name of a model or optimizer, which the plan states alone or with settings."""
    return None if part is None else str(part["name"] if isinstance(part, Mapping) else part)


def _settings(part: Any) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "name"} if isinstance(part, Mapping) else {}


def _endpoints(run: RunFolder, name: str, judged: Judgement | None) -> dict[str, Any]:
    plan = run.lock["endpoints"]
    names = [plan["primary"], *plan["secondary"]]
    if judged is None or name not in judged.endpoints:
        return {endpoint: dict(_NO_RESULT) for endpoint in names}
    return {endpoint: _interval(value) for endpoint, value in judged.endpoints[name].items()}


def _interval(value: Interval) -> dict[str, Any]:
    out = {key: getattr(value, key) for key in _INTERVAL} | {"reason": value.reason or ""}
    low, high = value.beside or (None, None)
    out["beside"] = {"low": low, "high": high, "method": value.beside_method} if value.beside_method else None
    out["by_seed"] = [{"seed": seed, "value": one} for seed, one in value.by_seed]
    safe: dict[str, Any] = json_safe(out)
    return safe


def _comparison(pair: Comparison, run: RunFolder) -> dict[str, Any]:
    plain: dict[str, Any] = json_safe(pair)
    # A trial's verdicts are always about methods; what a fixed sequence confirms is told where one was asked for.
    left = {"claims", *({"confirmed"} if pair.confirmed is None else ())}
    left |= set() if run.sources else {"about", *({"non_inferior"} if pair.confirmed is None else ())}
    return {key: plain[key] for key in plain if key not in left}


def _cohort(run: RunFolder, test: Predictions | None) -> dict[str, Any]:
    cohort, folds = run.lock["cohort"], run.lock["split"]["folds"]
    patient = {row["case"]: row["patient"] for row in run.cases if "case" in row and "patient" in row}
    if not patient and test is not None:
        patient = dict(zip(test.case.tolist(), test.patient.tolist(), strict=True))
    label = {row["case"]: row.get("label", "") for row in run.cases}
    split, patients, classes = {}, {}, {}
    for name in ("train", "validation", "test"):
        # Test cases of all folds together; training and validation parts overlap between folds, so those of the first
        # fold are counted.
        ids = dict.fromkeys(case for fold in (folds if name == "test" else folds[:1]) for case in fold[name])
        split[name] = len(ids)
        patients[name] = len({patient[case] for case in ids if case in patient})
        classes[name] = {c: sum(label.get(case) == c for case in ids) for c in cohort["classes"]}
    return {
        **{key: cohort.get(key) for key in ("name", "task", "patients", "cases", "classes")},
        "split": split,
        "split_patients": patients,
        "split_classes": classes,
        "divided_patients": divided_patients(folds, patient),
        "folds": len(folds),
        "fingerprint": cohort.get("fingerprint"),
        "excluded": cohort.get("excluded", []),
        "notes": cohort.get("notes", []),
    }


def _failures(jobs: Sequence[JobRecord]) -> list[dict[str, Any]]:
    return [
        {"arm": job.arm, "fold": job.fold, "seed": job.seed, "status": job.status, "reason": job.reason}
        for job in jobs
        if job.status != "finished"
    ]
