"""Results of tuning: every draw, the choice, and the ranks of the arms after fewer draws."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.runfolder.read import JobRecord, RunFolder
from equipoise.statistics.draws import best, best_after, expected_ranks

Values = NDArray[np.float64]


def tuning_results(run: RunFolder, higher_is_better: bool) -> dict[str, Any] | None:
    """Return the "tuning" of results.json; None for a trial without tuning.

    higher_is_better: direction of the primary endpoint, used where draws are selected by it.
    """
    plan = run.tuning
    if plan is None:
        return None
    primary = plan["select"] == "primary"
    metric = f"validation_{run.lock['endpoints']['primary']}" if primary else "validation_loss"
    lower = not (primary and higher_is_better)
    arms = [_arm(run, name, arm, metric, lower) for name, arm in plan["arms"].items()]
    return {
        **{key: plan[key] for key in ("draws", "seed", "epochs", "select", "equal")},
        "metric": metric,
        "lower_is_better": lower,
        "arms": arms,
        **_after(arms, lower),
    }


def chosen_settings(tuning: Mapping[str, Any] | None, arm: str) -> dict[str, dict[str, Any]]:
    """Return an arm's tuned settings by part: {"optimizer": {"lr": 0.01}}; a list where folds chose differently."""
    by_part: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    entry = next((one for one in (tuning or {}).get("arms", ()) if one["arm"] == arm), None)
    chosen = [choice["settings"] for choice in entry["chosen"]] if entry else []
    for name in chosen[0] if chosen and all(chosen) else ():
        part, _, key = name.partition(".")
        values = [settings[name] for settings in chosen]
        by_part[part][key] = values[0] if all(value == values[0] for value in values) else values
    return by_part


def _arm(run: RunFolder, name: str, plan: Mapping[str, Any], metric: str, lower: bool) -> dict[str, Any]:
    folds = range(len(run.lock["split"]["folds"]))
    jobs = {(job.fold, job.draw): job for job in run.draws if job.arm == name}
    draws = [
        _draw(number, settings, [jobs[fold, number] for fold in folds], metric)
        for number, settings in enumerate(plan["draws"])
    ]
    chosen = []
    for fold in folds:
        number = best([draw["values"][fold] for draw in draws], lower_is_better=lower)
        settings = {} if number is None else draws[number]["settings"]
        chosen.append({"fold": fold, "draw": number, "settings": settings})
    return {"arm": name, "space": plan["space"], "draws": draws, "chosen": chosen}


def _draw(number: int, settings: Mapping[str, Any], jobs: list[JobRecord], metric: str) -> dict[str, Any]:
    """Describe one draw; its value is the mean over folds, None where it failed in any."""
    values = [_value(job, metric) for job in jobs]
    usable = [value for value in values if value is not None]
    return {
        "draw": number,
        "settings": dict(settings),
        "value": float(np.mean(usable)) if len(usable) == len(values) else None,
        "values": values,
        "reasons": [job.reason for job in jobs if job.reason],
    }


def _value(job: JobRecord, metric: str) -> float | None:
    """Return the metric in the epoch that validation selected; None for a failed draw."""
    if job.status != "finished" or metric not in job.history:
        return None
    at = np.flatnonzero(job.history["epoch"] == job.done.get("chosen_epoch"))
    value = float(job.history[metric][at[0]]) if at.size else float("nan")
    return value if np.isfinite(value) else None


def _after(arms: list[dict[str, Any]], lower: bool) -> dict[str, Any]:
    """Return each arm's best value after k draws, and the ranks of all arms for every k that all arms have.

    A failed draw counts as the worst value of any draw of any arm, because its compute is spent without a result.
    """
    known = [draw["value"] for arm in arms for draw in arm["draws"] if draw["value"] is not None]
    if not known:
        return {"best_after": [], "ranks": []}
    worst = max(known) if lower else min(known)
    values = [_filled(arm, worst) for arm in arms]
    bests = [
        {"arm": arm["arm"], **asdict(best_after(own_values, draws, lower_is_better=lower))}
        for arm, own_values in zip(arms, values, strict=True)
        for draws in range(1, len(own_values) + 1)
    ]
    ranks = [
        {"draws": draws, "arm": arm["arm"], "rank": float(rank)}
        for draws in range(1, min(map(len, values)) + 1)
        for arm, rank in zip(arms, expected_ranks(values, draws, lower_is_better=lower), strict=True)
    ]
    return {"best_after": bests, "ranks": ranks}


def _filled(arm: Mapping[str, Any], worst: float) -> Values:
    return np.array([worst if draw["value"] is None else draw["value"] for draw in arm["draws"]])
