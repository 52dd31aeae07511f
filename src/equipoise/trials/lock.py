"""Lock the plan in the run folder before training, and verify the lock when a run is resumed."""

import csv
import io
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json, write_text
from equipoise.cohorts import Cohort
from equipoise.cohorts.identities import PSEUDONYMS
from equipoise.cohorts.splits.split import Fold
from equipoise.errors import CohortError, LedgerError
from equipoise.lookup import source_of
from equipoise.progress import remark
from equipoise.protocol import Protocol
from equipoise.runfolder.chosen_seeds import PRIOR_SEEDS, caution_of_seeds
from equipoise.runfolder.earlier_openings import cautions_of_openings, remedy_of_openings
from equipoise.runfolder.environments import environment_changes
from equipoise.runfolder.evidence import RECORD, sha256_of
from equipoise.runfolder.ledger import LOCKED, Ledger
from equipoise.runfolder.names import IDS
from equipoise.runfolder.opened_cases import OpenedCases, opened_cases
from equipoise.runfolder.opening_registry import (
    by_true_names,
    first_opening,
    opened_runs,
    plan_identity,
    prior_openings,
    refuse_replaced,
)
from equipoise.runfolder.own_code import refuse_other_modules
from equipoise.runfolder.ownership import RUN, claim
from equipoise.runfolder.paths import BASELINES, CASES, JOBS, LEDGER, LOCK, PROTOCOL, REPORT, RESULTS, SAMPLES
from equipoise.runfolder.place import Place, contrast_of
from equipoise.runfolder.plan import plan_differences, plan_of
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.registry_file import trouble
from equipoise.runfolder.trained_seeds import ARM_DEFAULTS, design_of, prior_seeds
from equipoise.runfolder.training_registry import register_trainings, trainings_on
from equipoise.runfolder.validated_cases import prior_validations
from equipoise.runfolder.verify import FULL_RECORD
from equipoise.sinks import cells
from equipoise.statistics.own import describe_own
from equipoise.training.preparation.staging import own_metrics
from equipoise.trials.known_weights import initial_weights, leaking_weights

SCHEMA = FULL_RECORD
DRAWS_OF_SCIPY = 2
"""Locks of schema 1 hold draws of tuning from another scrambled Sobol sequence; all else reads alike."""
PACKAGES = ("equipoise", "torch", "numpy", "scipy")


def lock(
    folder: Path, protocol: Protocol, cohort: Cohort, folds: Sequence[Fold], record: dict[str, Any], text: str = "",
    opened: OpenedCases | None = None,
) -> Ledger:  # fmt: skip
    """Lock the plan before training, or verify that the folder holds this very plan.

    record: further facts of the plan (device, hashes of the user's own code, packages behind the arms). text: of the
    protocol, where the folder is to keep another than the protocol's own. opened: the test cases with their pixels; by
    their files alone without.
    Raises LedgerError where the folder belongs to another protocol, cohort or split; nothing is overwritten.
    """
    record = dict(record)
    defaults = record.pop(ARM_DEFAULTS, {})
    plan = describe(protocol, cohort, folds) | record
    file = folder / LOCK
    if file.is_file():
        _verify(folder, plan, protocol)
        ledger = Ledger(folder)
        _verify_record(folder, ledger)
        refuse_replaced(ledger, folder)
        _remark_environment(folder, plan)
        return ledger
    opened = opened or opened_cases(cohort, folds)
    leak = None if protocol.split.allow_leaks else leaking_weights(protocol, opened)
    if leak is not None:
        raise CohortError(leak)
    claim(folder, RUN)
    write_text(folder / PROTOCOL, text or protocol.text)
    write_text(folder / CASES, cases_table(cohort, folds))
    plan = locked_plan(folder, protocol, cohort, folds, record)
    plan |= {"protocol_file_sha256": sha256_of(folder / PROTOCOL)}
    design, place = design_of(plan, protocol, defaults), Place.of(folder, plan)
    _look_back(plan, protocol, cohort, opened, place, design)
    # The file is on the disk before its hash is in the ledger: a power cut between the two must not leave the hash of a
    # file that does not exist.
    write_json(file, plan)
    ledger = Ledger(folder)
    record_lock(folder, ledger)
    register_trainings(plan, plan_identity(by_true_names(plan, cohort)), opened, ledger, design, place)
    return ledger


def locked_plan(
    folder: Path, protocol: Protocol, cohort: Cohort, folds: Sequence[Fold], record: dict[str, Any]
) -> dict[str, Any]:
    """Return the plan as a new lock in `folder` states it: with the place of the user's code, versions and the time."""
    plan = describe(protocol, cohort, folds) | record | contrast_of(protocol)
    if plan["own"] or ":" in cohort.task:
        # Relative, so that the run folder and the code can be moved together.
        plan["code_folder"] = os.path.relpath(protocol.folder, folder)
        plan["own_modules"] = {name: _module_hash(name) for name in plan["own"]}
    # One table for readers: the packages behind the arms beside those behind every trial.
    plan |= {"versions": _versions() | plan.pop("packages", {}), "machine": platform.platform()}
    return plan | {"locked_at": datetime.now(UTC).isoformat(timespec="seconds")}


def _look_back(
    plan: dict[str, Any],
    protocol: Protocol,
    cohort: Cohort,
    opened: OpenedCases,
    place: Place,
    design: Mapping[str, Any],
) -> None:
    """Enter into the plan which trials opened its test cases before, and which of its own study open them too.

    Besides: which trials trained on them, and what is known of the weights from which its arms start.
    """
    plan |= {} if place.family is None else {"study": dict(place.family)}
    weights, unrecorded = initial_weights(protocol, opened), trouble()
    plan |= {"initial_weights": weights} if weights else {}
    plan |= {"unrecorded": unrecorded} if unrecorded else {}
    known = by_true_names(plan, cohort)
    trainings, openings = trainings_on(opened, plan_identity(known)), prior_openings(known, opened, place)
    if trainings and place.parent is None:
        plan["prior_trainings"] = [
            {"name": one.name, "day": one.time[:10], "test_cases": number} for one, number in trainings
        ]
    if place.parent is None:
        counted = opened_runs() if openings else set[str]()  # which count by themselves, and else not at all
        until = first_opening({plan_identity(known)}, place, "")
        seeds = prior_seeds(plan, design, opened, counted, until)
        plan |= {PRIOR_SEEDS: seeds} if seeds else {}
    for caution in caution_of_seeds(plan):
        remark(
            f"this trial is exploratory: {caution}; name every seed that was trained, or seeds that none was "
            "(training.seeds)"
        )
    plan["prior_openings"] = [*openings, *prior_validations(known, opened, place)]
    reasons = cautions_of_openings(plan, tuple(plan["prior_openings"]))
    if reasons:
        remedy = remedy_of_openings(plan, tuple(plan["prior_openings"]))
        remark(f"this trial is exploratory: {'; '.join(reasons)}; the report lists what was opened before; {remedy}")


def record_lock(folder: Path, ledger: Ledger) -> None:
    """Append the first event: the hashes of the plan's files."""
    hashes = {"lock_sha256": sha256_of(folder / LOCK), "cases_sha256": sha256_of(folder / CASES)}
    ledger.append(LOCKED, record=RECORD, protocol_sha256=read_lock(folder)["protocol_sha256"], **hashes)


def describe(protocol: Protocol, cohort: Cohort, folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the plan as in lock.json: everything that decides the result."""
    names = [case.id for case in cohort.cases]
    task = cohort.task_record
    parts = ("train", "validation", "test")
    plan = plan_of(protocol, len(folds))
    positive = cohort.classes[1] if task.has_labels and len(cohort.classes) == 2 else None
    split = [{part: [names[i] for i in getattr(fold, part)] for part in parts} for fold in folds]
    own = own_metrics(protocol, cohort) or protocol.endpoints.own
    return {
        "schema": SCHEMA,
        **plan,
        **({} if cohort.known_fingerprint is None else {IDS: PSEUDONYMS}),
        "cohort": describe_cohort(cohort),
        "split": plan["split"] | {"folds": split},
        # Only where it is so: the lock of a cohort with spacings keeps its form.
        "endpoints": plan["endpoints"] | {"positive": positive} | _units(cohort),
        "own": describe_own(own, protocol.folder, masks=task.has_masks),
    }


def _units(cohort: Cohort) -> dict[str, bool | str]:
    """Return that lengths are in pixels, or voxels, where no file states a spacing."""
    if cohort.spacing_stated:
        return {}
    return {"units_stated": False, "length_unit": "voxels" if cohort.spatial_dims == 3 else "pixels"}


def describe_cohort(cohort: Cohort) -> dict[str, Any]:
    """Describe the data for the report: numbers, classes, exclusions with their reasons."""
    patients: dict[str, set[str]] = {}
    for exclusion in cohort.excluded:
        patients.setdefault(str(exclusion), set()).add(exclusion.patient)
    counts = Counter(str(exclusion) for exclusion in cohort.excluded)
    return {
        "name": cohort.name,
        "task": cohort.task,
        "fingerprint": cohort.fingerprint(),
        "patients": len(set(cohort.patients.tolist())),
        "cases": len(cohort),
        "classes": cohort.task_record.counts(cohort),
        # Where cases have no class, nothing is counted; the classes of their masks have names all the same.
        "class_names": list(cohort.classes),
        "regions": list(cohort.task_record.structures(cohort)),
        "channels": list(cohort.channels),
        "excluded": [{"reason": r, "cases": n, "patients": len(patients[r])} for r, n in counts.items()],
        "notes": [*cohort.notes, *(_sentence(str(remark)) for remark in cohort.remarks)],
        "patients_known": cohort.patients_known,
        "patients_guessed": cohort.patients_guessed,
        "size_attribute": cohort.size_attribute,
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def cases_table(cohort: Cohort, folds: Sequence[Fold]) -> str:
    """Return cases.csv: every case with patient, label, its part in each fold, and its attributes."""
    every = dict.fromkeys(name for case in cohort.cases for name in case.attributes)
    attributes = [name for name in every if name not in cohort.unshown]
    part_of = [["" for _ in folds] for _ in cohort.cases]
    for number, fold in enumerate(folds):
        for part in ("train", "validation", "test"):
            for index in getattr(fold, part):
                part_of[index][number] = part
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cells(["case", "patient", "label", *(f"part_{n}" for n in range(len(folds))), *attributes]))
    for case, parts in zip(cohort.cases, part_of, strict=True):
        label = "" if case.label is None else cohort.classes[case.label]
        values = (case.attributes.get(name, "") for name in attributes)
        writer.writerow(cells([case.id, case.patient, label, *parts, *values]))
    return text.getvalue()


_KNOWN_AT_ONCE = (
    (("protocol_sha256",), "belongs to another protocol"),
    (("cohort", "fingerprint"), "was locked with other data: a file, label or patient of the cohort has changed"),
)
"""What a folder is compared by before an arm is tried: keys of the lock, and the complaint."""


def _verify(folder: Path, plan: dict[str, Any], protocol: Protocol) -> None:
    """Compare the folder's lock with the plan; raise LedgerError with the first difference."""
    locked = read_lock(folder)
    _refuse_difference(folder, locked, plan, (*_KNOWN_AT_ONCE, (("split",), "was locked with another split")))
    refuse_other_modules(locked, plan, protocol.folder, folder)  # before "code", because this names the file
    checks = (
        (("code",), f"was locked with other code of your own modules{_changed(locked, plan)}"),
        (("own",), "was locked with other endpoints of your own"),
        (("pretrained",), "was locked with other pretrained weights"),
        (("tuning",), _other_draws(locked.get("schema", 1))),
    )
    _refuse_difference(folder, locked, plan, checks)
    _refuse_other_packages(folder, locked.get("versions") or {}, plan.get("packages", {}))
    other = next(plan_differences(locked, protocol), None)
    if other is not None:
        raise LedgerError(f"{folder / LOCK} was changed after locking: {other}; restore it, or use a new run folder")


def refuse_other_plan(folder: Path, protocol: Protocol, cohort: Cohort) -> None:
    """Raise LedgerError where the run folder belongs to another protocol or cohort; `lock` compares all the rest."""
    if (folder / LOCK).is_file():
        plan = {"protocol_sha256": protocol.sha256(), "cohort": {"fingerprint": cohort.fingerprint()}}
        _refuse_difference(folder, read_lock(folder), plan, _KNOWN_AT_ONCE)


def _refuse_difference(
    folder: Path, locked: dict[str, Any], plan: dict[str, Any], checks: Sequence[tuple[tuple[str, ...], str]]
) -> None:
    for keys, complaint in checks:
        before, now = locked, plan
        for key in keys:
            # Missing keys compare as empty: the lock of an earlier version lacks keys that a plan without them has
            # empty.
            before, now = before.get(key, {}), now.get(key, {})
        if before != now:
            raise LedgerError(f"{folder} {complaint}; nothing was overwritten, name a new folder with --out")


def _refuse_other_packages(folder: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise LedgerError where a package behind the arms has another version; locks of earlier versions have none."""
    others = [name for name in now if name in before and before[name] != now[name]]
    if others:
        locked, here = (" and ".join(f"{name} {one[name]}" for name in others) for one in (before, now))
        install = " ".join(f"{name}=={before[name]}" for name in others)
        raise LedgerError(
            f"{folder} was locked with {locked}, and {here} is installed; nothing was overwritten, install the locked "
            f"version (pip install {install}), or name a new folder with --out"
        )


def _changed(locked: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Name the objects of the user's own whose modules have another source than in the lock."""
    before, now = locked.get("code") or {}, plan.get("code") or {}
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return f" ({', '.join(names)})" if names else ""


def _other_draws(schema: int) -> str:
    if schema < DRAWS_OF_SCIPY:
        return "was started with an earlier version, which drew other tuning settings; finish it with that version"
    return "was locked with other draws of tuning"


def _verify_record(folder: Path, ledger: Ledger) -> None:
    """Require the files whose hashes are in the first event; an event that a crash prevented is added.

    Raises LedgerError where a file of the plan was changed, or where a folder in which work was done has no ledger.
    """
    if not ledger.events:
        # A crash between the lock and its event leaves nothing else. With anything else the ledger was removed, and a
        # new one would turn a second opening of the test set into the first.
        worked = next((name for name in (JOBS, BASELINES, SAMPLES, RESULTS, REPORT) if (folder / name).exists()), None)
        if worked is not None:
            raise LedgerError(
                f"{folder} holds {worked} but no {LEDGER}, so its history is unknown; restore {LEDGER}, or use a new "
                "run folder with --out"
            )
        record_lock(folder, ledger)
        return
    locked = ledger.events[0]
    if locked.kind != LOCKED or locked.data.get("lock_sha256") != sha256_of(folder / LOCK):
        raise LedgerError(f"{folder / LOCK} was changed after locking; restore it, or use a new run folder")
    if locked.data.get("cases_sha256", sha256_of(folder / CASES)) != sha256_of(folder / CASES):
        raise LedgerError(f"{folder / CASES} was changed after locking; restore it, or use a new run folder")


def _remark_environment(folder: Path, plan: dict[str, Any]) -> None:
    """Say that a run goes on in another environment; the report names the jobs that were trained in it."""
    before, now = read_lock(folder).get("environment"), plan.get("environment")
    changes = environment_changes(before, now) if isinstance(before, dict) and isinstance(now, dict) else []
    if changes:
        remark(
            f"{folder} continues in another environment ({', '.join(changes)}); if jobs differ in it, the report says "
            "so"
        )


def _module_hash(name: str) -> str | None:
    """Return the hash of the source of a module of the user's own; None for compiled code."""
    file = source_of(name, None)
    return None if file is None else sha256_of(file)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
