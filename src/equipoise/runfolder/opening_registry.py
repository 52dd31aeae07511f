"""Remember on this machine which test cases were opened, by which plan: a second look at them is no longer the first.

A run folder that is deleted takes its ledger with it. Without a memory outside of it, the same test cases could be
opened with one split seed after another until the result pleases. The registry is a file in the user's cache to which
lines are only appended; a new machine, or a deleted cache, does not know them.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.cohorts.store import cache_folder
from equipoise.errors import LedgerError
from equipoise.progress import remark
from equipoise.runfolder.cache_lock import locked
from equipoise.runfolder.ledger import Event, Ledger
from equipoise.runfolder.paths import BY_CASE, LEDGER, STUDY_PLAN
from equipoise.runfolder.read import read_study_plan

_FILE, _LOCK = "openings.jsonl", "openings.lock"
_DIGITS = 16
_NO_PART_OF_THE_PLAN = ("locked_at", "machine", "code_folder", "prior_openings", "leaks", "telling", "not_leaks")
"""Keys of a lock that another place or day changes; two locks that agree in all others give the same numbers."""


@dataclass(frozen=True)
class Place:
    """Where a trial belongs: the study of which it is a trial, and the trial of which it is the contrast by case."""

    folder: Path
    study: str | None
    parent: str | None

    @classmethod
    def of(cls, folder: Path) -> "Place":
        """Find out where a run folder belongs."""
        study, parent = None, None
        if (folder.parent.parent / STUDY_PLAN).is_file():
            study = str(read_study_plan(folder.parent.parent).get("study_sha256"))
        if folder.name == BY_CASE and (folder.parent / LEDGER).is_file():
            events = Ledger(folder.parent).events
            parent = events[0].hash if events else None
        return cls(folder.resolve(), study, parent)


def case_hashes(cohort: Cohort, folds: Iterable[Fold]) -> list[str]:
    """Return a hash of every test case: of its files where no other case has the same, else of these and its name."""
    files = [json.dumps(sorted(case.sha256.values())) for case in cohort.cases]
    # One table of pixels may hold all cases; their names tell them apart then.
    shared = Counter(files)
    tested = sorted({int(index) for fold in folds for index in fold.test})
    texts = []
    for index in tested:
        alone = cohort.cases[index].sha256 and shared[files[index]] == 1
        name = cohort.cases[index].true_name or cohort.cases[index].id
        texts.append(files[index] if alone else f"{cohort.name}\x1f{name}\x1f{files[index]}")
    return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS] for text in texts]


def by_true_names(lock: Mapping[str, Any], cohort: Cohort) -> dict[str, Any]:
    """Return a lock as it would be without pseudonyms, which another key would have made others.

    So the plan keeps its identity. What is told in sentences, and the text of a protocol that names cases, is left out.
    """
    if cohort.known_fingerprint is None:
        return dict(lock)
    true = {case.id: case.true_name or case.id for case in cohort.cases}
    folds = [{part: [true[name] for name in names] for part, names in fold.items()} for fold in lock["split"]["folds"]]
    plan = {key: value for key, value in lock.items() if key not in ("ids", "protocol_file_sha256")}
    facts = {key: value for key, value in lock["cohort"].items() if key != "notes"}
    return plan | {"split": {**lock["split"], "folds": folds}, "cohort": facts}


def plan_identity(lock: Mapping[str, Any]) -> str:
    """Return the hash of all that decides the numbers of a trial: equal for the same plan in another folder."""
    plan = {key: value for key, value in lock.items() if key not in _NO_PART_OF_THE_PLAN}
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def prior_openings(lock: Mapping[str, Any], cases: Sequence[str], place: Place, run: str = "") -> list[dict[str, Any]]:
    """Return the earlier openings of any of these test cases, or of their cohort for the same question, by other plans.

    run: the hash of the trial's own first event, whose openings are its own. A repeat of the very same plan gives the
    same numbers, and is no further look. Where the registry cannot be read there are none, with a remark.
    """
    mine, identity = set(cases), plan_identity(lock)
    openings: dict[str, dict[str, Any]] = {}
    for row in _rows():
        own = (
            row["run"] == run or row["plan"] == identity or place.parent == row["run"] or (run and row["parent"] == run)
        )
        sibling = place.study is not None and row["study"] == place.study and row["protocol"] != lock["protocol_sha256"]
        shared, same = len(mine & set(row["cases"])), _same_question(row, lock)
        # The same question put to another part of the same cohort is one more attempt too: small test sets of different
        # seeds often share no case.
        again = shared or (same and row["fingerprint"] == lock["cohort"]["fingerprint"])
        if again and not own and not sibling:
            openings[row["opening"]] = {
                "opening": row["opening"],
                "opened_at": row["time"],
                "question": row["question"],
                "protocol_sha256": row["protocol"],
                "test_cases_shared": shared,
                "same_question": same,
            }
    return list(openings.values())


def register(lock: Mapping[str, Any], cases: Sequence[str], place: Place, ledger: Ledger, event: Event) -> None:
    """Append one opening; a cache that cannot be written causes a remark and no error."""
    row = {
        "opening": event.hash, "number": event.number, "time": event.time, "run": ledger.events[0].hash,
        "folder": str(place.folder), "study": place.study, "parent": place.parent, "plan": plan_identity(lock),
        "protocol": lock["protocol_sha256"], "fingerprint": lock["cohort"]["fingerprint"], "name": lock["name"],
        "question": lock["question"], "primary": lock["endpoints"]["primary"], "arms": _arms(lock),
        "seeds": lock["seeds"], "registered_at": datetime.now(UTC).isoformat(timespec="seconds"), "cases": list(cases),
    }  # fmt: skip
    try:
        with locked(cache_folder(), _LOCK) as folder, (folder / _FILE).open("ab+") as file:
            # What a killed writer left must not swallow this line.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            start = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(start + json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remark(f"the opening of the test set could not be recorded for later trials ({error})")


def refuse_replaced(ledger: Ledger, place: Place) -> None:
    """Raise LedgerError where this machine saw the same run folder with openings that its ledger no longer has."""
    if not ledger.events:
        return
    known = {event.hash for event in ledger.events}
    for row in _rows():
        if (row["run"], row["folder"]) == (ledger.events[0].hash, str(place.folder)) and row["opening"] not in known:
            raise LedgerError(
                f"{ledger.path} was cut or replaced: it lacks the opening of the test set of {row['time']}; restore "
                "the original file, or run the trial again in a new folder"
            )


def _same_question(row: Mapping[str, Any], lock: Mapping[str, Any]) -> bool:
    """Return whether two plans ask one question: one endpoint, and the same words or (two of) the same arms."""
    if row["primary"] != lock["endpoints"]["primary"]:
        return False
    arms = set(_arms(lock))
    words = [" ".join(str(one).casefold().split()) for one in (row["question"], lock["question"])]
    return words[0] == words[1] or len(arms & set(row["arms"])) >= min(2, len(arms))


def _arms(lock: Mapping[str, Any]) -> list[str]:
    """Return what every arm is, without its name, which anybody may change."""
    keys = ("model", "optimizer", "pretrained", "freeze")
    return sorted(json.dumps({key: arm.get(key) for key in keys}, sort_keys=True) for arm in lock["arms"])


_TEXTS = ("opening", "time", "run", "folder", "plan", "protocol", "fingerprint", "question", "primary")
_TEXTS_OR_NONE = ("study", "parent")
_LISTS = ("arms", "cases")


def _rows() -> Iterator[Mapping[str, Any]]:
    """Yield the rows of the registry; a row that a crash, a flipped bit or a hand spoilt is left out."""
    try:
        lines = (cache_folder() / _FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        remark(f"earlier openings of the test cases could not be looked up ({error})")
        return
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_whole(row):
            yield row


def _is_whole(row: object) -> bool:
    """Return whether a line has everything that its readers compare, of the types that `register` wrote."""
    # Every key that is read stands here: one spoilt line would otherwise end each later trial of this machine.
    return (
        isinstance(row, dict)
        and all(_is_text(row.get(key)) for key in _TEXTS)
        and all(key in row and (row[key] is None or _is_text(row[key])) for key in _TEXTS_OR_NONE)
        and all(isinstance(row.get(key), list) and all(map(_is_text, row[key])) for key in _LISTS)
    )


def _is_text(value: object) -> bool:
    """Return whether a value is text that can be written again; JSON can spell half a character."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
