"""Remember which seeds of which arms were trained and validated: a plan of the seeds that looked best there is no plan.

A trial that is ended before its opening leaves no mark in the registry of openings, but it shows which of its seeds
favour an arm. What matters are the seeds that a later plan leaves out: one that begins anew with all of them has chosen
none, whatever else it corrects. The rows stand in the registry of trainings (`training_registry`).
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.progress import remark
from equipoise.protocol import Protocol
from equipoise.runfolder.chosen_seeds import seeds_of
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.paths import JOBS
from equipoise.runfolder.registry_file import append
from equipoise.runfolder.relation import arms_of, in_common
from equipoise.runfolder.training_registry import FILE, registry_rows

_ELSEWHERE = ("trial", "cohort", "split", "endpoints", "arms")
"""Sections of a protocol that do not decide how an arm is trained on given cases; arms are compared by themselves."""


def design_of(lock: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """Return what is compared of two trainings: arms without names, and a hash of all settings apart from seeds."""
    settings = {k: v for k, v in protocol.model_dump(mode="json").items() if k not in _ELSEWHERE}
    settings["training"] = {k: v for k, v in settings["training"].items() if k != "seeds"}
    code = {key: lock.get(key) or {} for key in ("code", "modules", "pretrained")}
    text = json.dumps([settings, code], sort_keys=True)
    return {"arms": arms_of(lock), "settings": hashlib.sha256(text.encode()).hexdigest()}


def register_validated(job: Job) -> None:
    """Append that a job's first epoch was validated, whose result anybody can read from then on."""
    folder = next((place.parent for place in job.folder.parents if place.name == JOBS), None)
    try:
        events = () if folder is None else Ledger(folder).events
        if events:  # a job without a trial, as tests and benchmarks have them, has none
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            # A draw of tuning has no seed that a plan could choose, but its cases were validated on.
            of = {"kind": "validated", "seed": job.seed} if job.draw is None else {"kind": "validated cases"}
            append(FILE, [{**of, "training": f"{events[0].hash}/{job.fold}", "time": time}])
    except (OSError, EquipoiseError) as error:
        remark(f"the training of {job.name} could not be recorded for later trials ({error})")


def prior_seeds(
    lock: Mapping[str, Any], design: Mapping[str, Any], opened: OpenedCases, openings: Collection[str]
) -> list[dict[str, Any]]:
    """Return the earlier trials whose networks and optimizers this plan has, where it leaves out seeds of theirs.

    Counted are trials that trained on half of the cases of a fold or more, were never opened, and validated a seed;
    openings: the runs that were opened, which count by themselves. A row has the trial's `name` and `day`, the `seeds`
    that were validated, and `same`: whether arms and settings are this plan's in all but names and seeds.
    """
    known = list(registry_rows())
    seeds: dict[str, set[int]] = {}
    for row in known:
        if row["kind"] == "validated":
            seeds.setdefault(row["training"].partition("/")[0], set()).add(row["seed"])
    trials: dict[str, dict[str, Any]] = {}
    parts = set(in_common(design["arms"], lock))
    for row in known:
        run = row["key"].partition("/")[0] if row["kind"] == "training" else ""
        if run not in seeds or run in openings or not parts <= set(in_common(row.get("arms", ()), lock)):
            continue
        same = set(design["arms"]) <= set(row["arms"]) and row["settings"] == design["settings"]
        seen = (row["cases"], row["pixels"], row.get("parts", ()))
        if any(2 * part.shared_with(*seen) >= len(part.files) > 0 for part in opened.trained):
            trials[run] = {"name": row["name"], "day": row["time"][:10], "seeds": sorted(seeds[run]), "same": same}
    # Of all of them together: one seed a trial is as good a search as many in one.
    kinds = [[one for one in trials.values() if one["same"] is same] for same in (True, False)]
    return [one for kind in kinds if seeds_of(kind) - set(lock["seeds"]) for one in kind]
