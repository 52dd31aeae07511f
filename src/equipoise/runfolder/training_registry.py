"""Remember on this machine which cases were trained and validated on, and which weights came of it.

The registry of openings knows what was judged. Weights carry test cases too: a trial that is ended before its opening
leaves a checkpoint, and the next plan may start from it. Both registries are files in the user's cache to which lines
are only appended (`opening_registry.py`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.progress import remark
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.place import Place
from equipoise.runfolder.registry_file import append, are_texts, is_text, rows_of
from equipoise.runfolder.weight_digests import digests_of

FILE = "trainings.jsonl"
VALIDATION = "validation"
"""The key of a training with the hashes of the cases that its jobs are validated on; earlier versions kept none."""
FILLED = "filled"
"""The key of a training with the hash of each arm, its defaults written out; earlier versions kept none."""
VALIDATED_KINDS = ("validated", "validated cases")
"""Kinds of rows on the first epoch of a job, which has a seed, and of a draw of tuning."""


@dataclass(frozen=True)
class Training:
    """The cases on which the jobs of one fold were trained and validated.

    key: of the run and the fold. name: of the trial. time: of its lock, in ISO 8601. cases, pixels, parts: hashes, as
    in `OpenedCases`; earlier versions recorded no parts.
    """

    key: str
    name: str
    time: str
    plan: str
    cases: tuple[str, ...]
    pixels: tuple[str, ...]
    parts: tuple[str, ...] = ()


def register_trainings(
    lock: Mapping[str, Any], plan: str, opened: OpenedCases, ledger: Ledger, design: Mapping[str, Any], place: Place
) -> None:
    """Append the cases on which each fold of a trial is trained and validated; plan: the plan's identity.

    design: of the training, as `trained_seeds.design_of` returns it.
    """
    run = ledger.events[0].hash
    rows = [
        {
            "kind": "training", "key": f"{run}/{fold}", "name": lock["name"], "plan": plan,
            "time": datetime.now(UTC).isoformat(timespec="seconds"), "cases": list(cases.files),
            "pixels": cases.pixels_to_keep, "parts": cases.parts_to_keep, "study": place.study, "parent": place.parent,
            "protocol": lock["protocol_sha256"], "fingerprint": lock["cohort"]["fingerprint"], **design,
            VALIDATION: {"cases": list(seen.files), "pixels": seen.pixels_to_keep, "parts": seen.parts_to_keep},
        }
        for fold, (cases, seen) in enumerate(zip(opened.trained, opened.validated, strict=True))
    ]  # fmt: skip
    try:
        append(FILE, rows)
    except OSError as error:
        remark(f"the cases that are trained on could not be recorded for later trials ({error})")


def register_weights(job: Job) -> None:
    """Append the weights of a job that has ended, with the cases that they have seen, also through initial weights."""
    folder = job.run_folder
    try:
        events = () if folder is None else Ledger(folder).events
        if not events:
            return  # a job without a trial, as tests and benchmarks have them
        own, before = digests_of(job.weights_file), set[str]()
        trainings = {f"{events[0].hash}/{job.fold}"}
        if job.arm.pretrained is not None:
            start = digests_of(job.code / Path(job.arm.pretrained.file).expanduser())
            before = set(start.values())
            trainings |= {one.key for one in trained_with(before)}
        digests = sorted(set(own.values()) - before)
        append(FILE, [{"kind": "weights", "digests": digests, "trainings": sorted(trainings)}])
    except (OSError, EquipoiseError) as error:
        remark(f"the weights of {job.name} could not be recorded for later trials ({error})")


def trained_with(digests: Collection[str]) -> list[Training]:
    """Return the trainings of this machine that made weights with any of these digests."""
    known, keys = set(digests), set[str]()
    rows = list(registry_rows())
    for row in rows:
        if row["kind"] == "weights" and not known.isdisjoint(row["digests"]):
            keys.update(row["trainings"])
    return [one for one in _trainings(rows) if one.key in keys]


def trainings_on(opened: OpenedCases, plan: str, run: str = "") -> list[tuple[Training, int]]:
    """Return the earlier trainings by other plans on any of these test cases, and on how many; one for each trial.

    run: the hash of the trial's own first event.
    """
    shared: dict[str, tuple[Training, int]] = {}
    for one in _trainings(registry_rows()):
        trial = one.key.partition("/")[0]
        number = 0 if one.plan == plan or trial == run else opened.shared_with(one.cases, one.pixels, one.parts)
        if number > shared.get(trial, (one, 0))[1]:
            shared[trial] = (one, number)
    return list(shared.values())


def runs_of_the_plan(run: str) -> list[str]:
    """Return the other runs of this machine of a run's very plan; all by the hashes of their first events."""
    plans = {one.key.partition("/")[0]: one.plan for one in _trainings(registry_rows())}
    return [other for other, plan in plans.items() if other != run and plan == plans.get(run)]


def _trainings(rows: Iterable[Mapping[str, Any]]) -> Iterator[Training]:
    for row in rows:
        if row["kind"] == "training":
            texts = (row["key"], row["name"], row["time"], row["plan"])
            yield Training(*texts, tuple(row["cases"]), tuple(row["pixels"]), tuple(row.get("parts", ())))


def registry_rows() -> Iterator[Mapping[str, Any]]:
    """Yield the whole rows of the registry; none, with a remark, where it cannot be read."""
    try:
        yield from rows_of(FILE, _is_whole)
    except OSError as error:
        remark(f"earlier trainings on the test cases could not be looked up ({error})")


def _is_whole(row: object) -> bool:
    """Return whether a line has everything that its readers compare, of the types that were written."""
    if not isinstance(row, dict):
        return False
    if row.get("kind") in VALIDATED_KINDS:
        has_seed = row["kind"] == "validated cases" or type(row.get("seed")) is int
        return has_seed and is_text(row.get("training")) and is_text(row.get("time", ""))
    if VALIDATION in row and not _has_validation(row):
        return False
    if "arms" in row and not (are_texts(row["arms"]) and is_text(row.get("settings"))):
        return False
    if not are_texts(row.get(FILLED, [])):
        return False
    if row.get("kind") == "weights":
        return are_texts(row.get("digests")) and are_texts(row.get("trainings"))
    return (
        row.get("kind") == "training"
        and all(is_text(row.get(key)) for key in ("key", "name", "time", "plan"))
        and all(are_texts(row.get(key)) for key in ("cases", "pixels"))
        and are_texts(row.get("parts", []))
    )


def _has_validation(row: Mapping[str, Any]) -> bool:
    """Return whether a training tells what it validated on, by which plan, as `register_trainings` wrote it."""
    seen = row[VALIDATION]
    return (
        isinstance(seen, dict)
        and all(are_texts(seen.get(key)) for key in ("cases", "pixels", "parts"))
        and all(is_text(row.get(key)) for key in ("protocol", "fingerprint"))
        and all(row.get(key) is None or is_text(row[key]) for key in ("study", "parent"))
        and are_texts(row.get("arms"))
    )
