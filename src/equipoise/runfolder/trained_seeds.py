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
from equipoise.runfolder.relation import arms_of, plain_name, shares_arm
from equipoise.runfolder.training_registry import FILE, FILLED, registry_rows

ARM_DEFAULTS = "arm_defaults"
"""The key of what trying the arms tells of each: the default settings of its model and its optimizer."""
_ELSEWHERE = ("trial", "cohort", "split", "endpoints", "arms")
"""Sections of a protocol that do not decide how an arm is trained on given cases; arms are compared by themselves."""


def design_of(
    lock: Mapping[str, Any], protocol: Protocol, defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return what is compared of two trainings: arms without names, and a hash of all settings apart from seeds.

    defaults: of each arm's model and optimizer, by the arm's name, where its code was loaded: a setting that is written
    out and equals the default changes nothing.
    """
    settings = {k: v for k, v in protocol.model_dump(mode="json").items() if k not in _ELSEWHERE}
    settings["training"] = {k: v for k, v in settings["training"].items() if k != "seeds"}
    code = {key: lock.get(key) or {} for key in ("code", "modules", "pretrained")}
    text = json.dumps([settings, code], sort_keys=True)
    filled = sorted({_filled(arm, (defaults or {}).get(arm["name"], {})) for arm in lock["arms"]})
    return {"arms": arms_of(lock), FILLED: filled, "settings": hashlib.sha256(text.encode()).hexdigest()}


def _filled(arm: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the hash of an arm without its name, with every default written out."""
    parts: dict[str, Any] = {key: arm.get(key) for key in ("model", "optimizer", "pretrained", "freeze")}
    for key, values in defaults.items():
        parts[key] = {**values, **(parts.get(key) or {})}
    for key in ("model", "optimizer"):
        name = (parts[key] or {}).get("name")
        if isinstance(name, str):
            parts[key] = {**parts[key], "name": plain_name(name)}
    plain = json.loads(json.dumps(parts), parse_int=float)  # 1 and 1.0 are one setting
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


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
    lock: Mapping[str, Any],
    design: Mapping[str, Any],
    opened: OpenedCases,
    openings: Collection[str],
    until: str | None = None,
) -> list[dict[str, Any]]:
    """Return the earlier trials with an arm of this plan's network and optimizer, where it leaves out seeds of theirs.

    Counted are trials that trained on half of the cases of a fold or more and validated a seed; openings: the runs
    whose openings count by themselves. until: the plan's first opening; what was validated since chose nothing of it. A
    row has the trial's `name` and `day`, the `seeds` that were validated, and `same`: whether all arms and settings are
    this plan's in all but names and seeds.
    """
    known = list(registry_rows())
    seeds: dict[str, set[int]] = {}
    for row in known:
        if row["kind"] == "validated" and (until is None or row.get("time", "") <= until):
            seeds.setdefault(row["training"].partition("/")[0], set()).add(row["seed"])
    trials: dict[str, dict[str, Any]] = {}
    for row in known:
        run = row["key"].partition("/")[0] if row["kind"] == "training" else ""
        if run not in seeds or run in openings or not shares_arm(row.get("arms", ()), lock):
            continue
        key = FILLED if FILLED in row else "arms"  # earlier versions knew no defaults
        same = set(design[key]) <= set(row[key]) and row["settings"] == design["settings"]
        seen = (row["cases"], row["pixels"], row.get("parts", ()))
        if any(2 * part.shared_with(*seen) >= len(part.files) > 0 for part in opened.trained):
            trials[run] = {"name": row["name"], "day": row["time"][:10], "seeds": sorted(seeds[run]), "same": same}
    # Of all of them together: one seed a trial is as good a search as many in one.
    rows = sorted(trials.values(), key=lambda one: not one["same"])
    return rows if seeds_of(rows) - set(lock["seeds"]) else []
