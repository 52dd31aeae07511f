"""Joint results of a study's trials: ranks, time to a target, divergences, and ranks by budget of tuning.

Every number is computed from the results and histories of the trials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import LedgerError
from equipoise.report.results.plain import json_safe
from equipoise.report.summary import results_of
from equipoise.runfolder.paths import REPORT, trial_folder
from equipoise.runfolder.read import is_predicted, read_folder, read_results, read_study_plan
from equipoise.runfolder.seal import is_sealed
from equipoise.runfolder.study_family import cohort_groups, related_trials
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.workloads import average_ranks, first_reached, friedman_p, profile, rank_differences

RATIOS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Multiples of the fastest optimizer's time at which performance profiles are computed."""
UNFINISHED = "not finished: the same command goes on with it"
KINDS = ("tuned", "untuned")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Workload:
    """One finished trial: its place, results.json, and validation losses by (arm, seed) in the order of epochs."""

    cohort: str
    model: str
    results: dict[str, Any]
    losses: dict[tuple[str, int], list[float]]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return the arms of one kind, in the order of the protocol."""
        entries: list[dict[str, Any]] = self.results["arms" if kind == "tuned" else "untuned"]
        return entries


def study_results(out: Path) -> dict[str, Any]:
    """Return the dictionary of study.json; unfinished trials are rows with their reason.

    Raises LedgerError where the folder holds no study.
    """
    plan = read_study_plan(out)
    cells = [_cell(out, cohort, model) for cohort in plan["cohorts"] for model in plan["models"]]
    done = [cell for cell in cells if isinstance(cell, Workload)]
    kinds = [kind for kind in KINDS if done and done[0].entries(kind)]
    groups = cohort_groups(plan["cohorts"], related_trials(plan))
    results = {
        "schema": 1,
        **plan,
        "trials": [_row(out, cell) for cell in cells],
        "endpoints": _endpoints(done[0]) if done else [],
        "values": [row for workload in done for kind in kinds for row in _values(workload, kind)],
        "ranks": {kind: _ranks(done, kind, plan["optimizers"], groups) for kind in kinds},
        "profiles": {kind: _profiles(done, kind, plan["optimizers"]) for kind in kinds},
        "failures": _failures(done, plan["optimizers"]),
        "ranks_by_draws": _by_draws(done, plan["optimizers"]),
    }
    safe: dict[str, Any] = json_safe(results)
    return safe


def _cell(out: Path, cohort: str, model: str) -> Workload | tuple[str, str, str]:
    """Read a finished trial, or return (cohort, model, the reason why there is none)."""
    folder = trial_folder(out, cohort, model)
    if not is_predicted(folder):
        return cohort, model, UNFINISHED
    try:
        run = read_folder(folder)
        # Made anew where they are not those that were written: somebody may have edited them.
        results = read_results(folder) if is_sealed(folder) else results_of(run)
    # A damaged trial is a row of the study with its reason, and does not prevent the report on all others.
    except LedgerError as error:
        return cohort, model, f"not readable ({error}); run the study again"
    if results is None:
        return cohort, model, UNFINISHED
    key = "validation_loss"
    losses = {(job.arm, job.seed): job.history[key].tolist() for job in run.jobs if key in job.history}
    return Workload(cohort, model, results, losses)


def _row(out: Path, cell: Workload | tuple[str, str, str]) -> dict[str, Any]:
    if not isinstance(cell, Workload):
        return {"cohort": cell[0], "model": cell[1], "status": "missing", "reason": cell[2]}
    cohort = cell.results["cohort"]
    return {
        "cohort": cell.cohort,
        "model": cell.model,
        "status": "finished",
        "reason": None,
        "exploratory": list(cell.results.get("exploratory_reasons") or ()),
        "report": str((trial_folder(out, cell.cohort, cell.model) / REPORT).relative_to(out)),
        "train": cohort["split"]["train"],
        "test": cohort["split"]["test"],
        "test_patients": cohort["split_patients"]["test"],
        "parameters": next((arm["parameters"] for arm in cell.results["arms"] if arm["parameters"]), None),
        "target": _target(cell),
    }


def _endpoints(workload: Workload) -> list[str]:
    plan = workload.results["endpoints"]
    return [plan["primary"], *plan["secondary"]]


def _higher(endpoint: str, workload: Workload) -> bool:
    return endpoint_named(endpoint, classes=list(workload.results["cohort"]["classes"])).higher_is_better


def _scores(workload: Workload, kind: str, endpoint: str) -> Values:
    """Return scores (arm, run); a failed run has the worst value of the workload and of its first trivial rule."""
    rows = []
    for entry in workload.entries(kind):
        by_seed = {one["seed"]: one["value"] for one in (entry["endpoints"].get(endpoint) or {}).get("by_seed") or ()}
        rows.append([by_seed.get(seed) for seed in entry["seeds"]])
    scores = np.array(rows, dtype=np.float64)  # None becomes nan
    # Left out, failed runs would reward an optimizer that diverges often and is good otherwise.
    worst = np.nanmin if _higher(endpoint, workload) else np.nanmax
    rules = [rule["endpoints"].get(endpoint) or {} for rule in workload.results["baselines"]]
    trivial = [rule.get("estimate") for rule in rules[:1]]
    known = [float(value) for value in (*scores[np.isfinite(scores)], *trivial) if value is not None]
    return np.where(np.isfinite(scores), scores, worst(known) if known else 0.0)


def _values(workload: Workload, kind: str) -> list[dict[str, Any]]:
    """Return each optimizer's means over runs of every endpoint, epochs to the target, and failures."""
    scores = {endpoint: _scores(workload, kind, endpoint) for endpoint in _endpoints(workload)}
    times = _times(workload, kind)
    return [
        {
            "cohort": workload.cohort,
            "model": workload.model,
            "kind": kind,
            "optimizer": _optimizer(entry),
            "failed": entry["failed_jobs"],
            "runs": len(entry["seeds"]),
            "endpoints": {
                name: {
                    "mean": float(table[at].mean()),
                    "sd": float(table[at].std(ddof=1)) if table.shape[1] > 1 else None,
                }
                for name, table in scores.items()
            },
            "epochs_to_target": float(times[at]),
            "train_seconds": entry["cost"]["train_seconds"],
        }
        for at, entry in enumerate(workload.entries(kind))
    ]


def _optimizer(entry: Mapping[str, Any]) -> str:
    return str(entry.get("untuned_of") or entry["name"])


def _target(workload: Workload) -> float:
    """Return the target: the median over all tuned runs of their best validation loss; failed runs are infinite."""
    bests = [
        min((loss for loss in workload.losses.get((entry["name"], seed), ()) if np.isfinite(loss)), default=np.inf)
        for entry in workload.entries("tuned")
        for seed in entry["seeds"]
    ]
    # Over all optimizers, so that none has a target of its own; a median, so that one good run does not set it.
    return float(np.median(bests))


def _times(workload: Workload, kind: str) -> Values:
    """Return the epochs to the target, the median over runs of each arm; inf where most never reached it."""
    target = _target(workload)
    return np.array(
        [
            np.median(
                [first_reached(workload.losses.get((entry["name"], seed), ()), target) for seed in entry["seeds"]]
            )
            for entry in workload.entries(kind)
        ]
    )


def _ranks(done: Sequence[Workload], kind: str, optimizers: Sequence[str], groups: Mapping[str, str]) -> dict[str, Any]:
    """Return by endpoint Friedman's p, and every optimizer's average rank with its interval."""
    # One data set under several names, such as several splits of it, is drawn as the one that it is.
    data_sets = [groups.get(workload.cohort, workload.cohort) for workload in done]
    out = {}
    for endpoint in _endpoints(done[0]):
        scores = np.stack([_scores(workload, kind, endpoint) for workload in done])
        higher = _higher(endpoint, done[0])
        averages = average_ranks(scores, data_sets, higher_is_better=higher)
        rows = [{"optimizer": name, **asdict(rank)} for name, rank in zip(optimizers, averages, strict=True)]
        out[endpoint] = {
            "friedman_p": friedman_p(scores.mean(axis=2)),
            "higher_is_better": higher,
            "arms": rows,
            "pairs": _pairs(scores, data_sets, higher, optimizers),
        }
    return out


def _pairs(scores: Values, cohorts: Sequence[str], higher: bool, optimizers: Sequence[str]) -> list[dict[str, Any]]:
    """Return the differences in average rank of all pairs, with names for their numbers."""
    pairs = rank_differences(scores, cohorts, higher_is_better=higher)
    return [{**asdict(pair), "a": optimizers[pair.a], "b": optimizers[pair.b]} for pair in pairs]


def _profiles(done: Sequence[Workload], kind: str, optimizers: Sequence[str]) -> list[dict[str, Any]]:
    times = np.stack([_times(workload, kind) for workload in done])
    shares = profile(times, np.array(RATIOS))
    return [
        {
            "optimizer": name,
            "reached": float(np.isfinite(times[:, at]).mean()),
            "profile": [
                {"ratio": ratio, "share": float(share)} for ratio, share in zip(RATIOS, shares[at], strict=True)
            ],
        }
        for at, name in enumerate(optimizers)
    ]


def _failures(done: Sequence[Workload], optimizers: Sequence[str]) -> list[dict[str, Any]]:
    """Count the failed draws and runs of each optimizer, and all of them."""
    rows = []
    for name in optimizers:
        draws = [
            draw["value"] is None
            for workload in done
            for arm in (workload.results["tuning"] or {"arms": ()})["arms"]
            if arm["arm"] == name
            for draw in arm["draws"]
        ]
        row: dict[str, Any] = {"optimizer": name, "draws_failed": sum(draws), "draws": len(draws)}
        for kind in KINDS:
            own = [entry for w in done for entry in w.entries(kind) if _optimizer(entry) == name]
            row |= {
                f"{kind}_failed": sum(e["failed_jobs"] for e in own),
                f"{kind}_runs": sum(len(e["seeds"]) for e in own),
            }
        rows.append(row)
    return rows


def _by_draws(done: Sequence[Workload], optimizers: Sequence[str]) -> list[dict[str, Any]]:
    """Average over workloads each optimizer's expected validation rank after k draws, for every k that all have."""
    tables = [
        {(row["draws"], row["arm"]): row["rank"] for row in workload.results["tuning"]["ranks"]}
        for workload in done
        if workload.results["tuning"] and workload.results["tuning"]["ranks"]
    ]
    most = min((max(draws for draws, _ in table) for table in tables), default=0)
    return [
        {"draws": draws, "arm": name, "rank": float(np.mean([table[draws, name] for table in tables]))}
        for draws in range(1, most + 1)
        for name in optimizers
    ]
