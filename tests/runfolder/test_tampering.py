"""Every edit of a finished run folder is named by its report, and takes the verdict from the arms that it concerns."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runfolder.forgery import edit_events, edit_json, edit_table, rehash

from equipoise.report import summarise

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-run"
Edit = Callable[[Path], object]
JOB = "jobs/unet/0-1"
UNET, BOTH, NOBODY = {"unet"}, {"unet", "densenet"}, set[str]()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run folder to tamper with."""
    return Path(shutil.copytree(RECORDED, tmp_path / "run"))


def remove(name: str) -> Edit:
    def edit(run: Path) -> None:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()

    return edit


def then_rehash(edit: Edit) -> Edit:
    def both(run: Path) -> None:
        edit(run)
        rehash(run)

    return both


def in_json(name: str, change: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda run: edit_json(run / name, change)


def in_text(name: str, old: str, new: str) -> Edit:
    def edit(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return edit


def in_table(name: str, **columns: Callable[[list[Any]], list[Any]]) -> Edit:
    return lambda run: edit_table(run / name, **columns)


def in_events(change: Callable[[list[dict[str, Any]]], object]) -> Edit:
    def edit(run: Path) -> None:
        def changed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            outcome = change(events)
            return outcome if isinstance(outcome, list) else events

        edit_events(run, changed)

    return edit


def of(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["kind"] == kind)


def without(kind: str) -> Edit:
    return in_events(lambda events: [event for event in events if event["kind"] != kind])


def move_opening_forward(events: list[dict[str, Any]]) -> None:
    opening = of(events, "test opened")
    events.remove(opening)
    events.insert(3, opening)
    for event, time in zip(events, sorted(event["time"] for event in events), strict=True):
        event["time"] = time


def swap(run: Path) -> None:
    for old, new in (("0-0", "x"), ("0-1", "0-0"), ("x", "0-1")):
        (run / "jobs" / "unet" / old).rename(run / "jobs" / "unet" / new)


def copy(old: str, new: str) -> Edit:
    return lambda run: shutil.copy(run / old, run / new)


def margin(lock: dict[str, Any]) -> None:
    lock["endpoints"]["margin"] = 0.9


def drop_seed(lock: dict[str, Any]) -> None:
    lock["seeds"] = [0, 1]
    lock["jobs"] = [job for job in lock["jobs"] if job["seed"] != 2]


def move_case(lock: dict[str, Any]) -> None:
    fold = lock["split"]["folds"][0]
    fold["test"].append(fold["train"].pop())


def at(kind: str, **data: Any) -> Edit:
    return in_events(lambda events: of(events, kind)["data"].update(data))


def time_of(index: int, time: str) -> Edit:
    return in_events(lambda events: events[index].update(time=time))


def failed_in_both(run: Path) -> None:
    edit_json(run / JOB / "done.json", lambda done: done.update(status="failed", reason="it diverged"))

    def change(events: list[dict[str, Any]]) -> None:
        end = next(event for event in events if event["data"].get("job") == "unet/0-1")
        end["kind"] = "failed"

    edit_events(run, change)  # type: ignore[arg-type]
    rehash(run)


def better(scores: list[Any]) -> list[Any]:
    return sorted(scores)


def other_labels(labels: list[Any]) -> list[Any]:
    return ["benign" if label == "malignant" else "malignant" for label in labels]


END = {"data": {"job": "unet/0-9", "reason": None, "files": {}}, "kind": "finished"}
AGAIN = {"data": {"jobs": ["unet/0-1"]}, "kind": "restarted"}
LATER = "2099-01-01T00:00:00.000+00:00"

TAMPERINGS: dict[str, tuple[Edit, str, set[str]]] = {
    "a job deleted": (remove(JOB), f"{JOB}/done.json is missing", UNET),
    "its outcome deleted": (remove(f"{JOB}/done.json"), f"{JOB}/done.json is missing", UNET),
    "its history deleted": (remove(f"{JOB}/history.csv"), f"{JOB}/history.csv is missing", UNET),
    "its predictions deleted": (remove(f"{JOB}/predictions.parquet"), f"{JOB}/predictions.parquet is missing", UNET),
    "a trivial rule deleted": (remove("baselines/size-rule"), "size-rule/0-0/predictions.parquet is missing", NOBODY),
    "all trivial rules deleted": (remove("baselines"), "size-rule/0-0/predictions.parquet is missing", NOBODY),
    "the cases deleted": (remove("cases.csv"), "cases.csv is missing", NOBODY),
    "the ledger deleted": (remove("ledger.jsonl"), "ledger.jsonl is missing", BOTH),
    "the ledger emptied": (lambda run: (run / "ledger.jsonl").write_text(""), "missing or empty", BOTH),
    "the protocol deleted": (remove("protocol.toml"), "protocol.toml is not the one", NOBODY),
    "pictures deleted": (remove("thumbnails.npz"), "thumbnails.npz is missing", NOBODY),
    "a job called failed": (
        in_json(f"{JOB}/done.json", lambda done: done.update(status="failed", reason="bad luck")),
        "done.json says 'failed'",
        UNET,
    ),
    "a job called failed in both": (failed_in_both, "disagree on unet/0-1", NOBODY),
    "its cost made smaller": (
        in_json(f"{JOB}/done.json", lambda done: done.update(parameters=3)), f"{JOB}/done.json is not the file", UNET
    ),
    "scores improved": (
        in_table(f"{JOB}/predictions.parquet", score_malignant=better), f"{JOB}/predictions.parquet is not the", UNET
    ),
    "labels turned": (
        then_rehash(in_table(f"{JOB}/predictions.parquet", truth=other_labels)), "and cases.csv says", UNET
    ),
    "patients renamed": (
        then_rehash(in_table(f"{JOB}/predictions.parquet", patient=lambda names: [f"x{name}" for name in names])),
        "and cases.csv says",
        UNET,
    ),
    "validation passed off as test": (
        then_rehash(in_table(f"{JOB}/predictions.parquet", split=lambda parts: ["test"] * len(parts))),
        "in test, where the plan does not have it",
        UNET,
    ),
    "a case counted twice": (
        then_rehash(in_table(f"{JOB}/predictions.parquet", case=lambda names: [names[0], *names[:1], *names[2:]])),
        "more than one row",
        UNET,
    ),
    "two runs exchanged": (swap, f"{JOB}/done.json is not the file", UNET),
    "two runs exchanged and hashed": (then_rehash(swap), "is that of seed '0'", UNET),
    "another arm's predictions": (
        then_rehash(copy("jobs/densenet/0-1/predictions.parquet", f"{JOB}/predictions.parquet")),
        "is that of arm 'densenet'",
        UNET,
    ),
    "one run taken for three": (
        then_rehash(copy("jobs/unet/0-0/predictions.parquet", f"{JOB}/predictions.parquet")), "seed '0'", UNET
    ),
    "a seed renamed": (
        lambda run: (run / JOB).rename(run / "jobs/unet/0-7"), f"{JOB}/done.json is missing", UNET
    ),
    "an arm renamed": (
        lambda run: (run / "jobs/unet").rename(run / "jobs/unet2"), f"{JOB}/done.json is missing", UNET
    ),
    "the size rule made weaker": (
        in_table("baselines/size-rule/0-0/predictions.parquet", score_malignant=better),
        "baselines/size-rule/0-0/predictions.parquet is not the file",
        NOBODY,
    ),
    "a trivial rule added": (
        lambda run: shutil.copytree(run / "baselines/size-rule", run / "baselines/rule-of-thumb"),
        "is that of arm 'size-rule'",
        NOBODY,
    ),
    "labels of cases edited": (
        lambda run: (run / "cases.csv").write_text((run / "cases.csv").read_text().replace(",benign,", ",malignant,")),
        "cases.csv is not the file",
        NOBODY,
    ),
    "sizes edited": (in_text("cases.csv", "00003", "00003 "), "cases.csv is not the file", NOBODY),
    "a learning curve smoothed": (in_text(f"{JOB}/history.csv", "0.", "1."), f"{JOB}/history.csv is not", UNET),
    "the margin of the lock": (in_json("lock.json", margin), "lock.json is not the file", NOBODY),
    "the margin of the lock, hashed": (
        then_rehash(in_json("lock.json", margin)), "endpoints.margin is 0.9, and 0.03 in the protocol", NOBODY
    ),
    "a seed dropped from the plan": (then_rehash(in_json("lock.json", drop_seed)), "seeds is [0, 1]", NOBODY),
    "another question": (
        then_rehash(in_json("lock.json", lambda lock: lock.update(question="Which is smaller?"))), "question is", NOBODY
    ),
    "another endpoint": (
        then_rehash(in_json("lock.json", lambda lock: lock["endpoints"].update(primary="accuracy"))),
        "endpoints.primary is 'accuracy', and 'auc'",
        NOBODY,
    ),
    "a training case tested": (then_rehash(in_json("lock.json", move_case)), "cases.csv has the case", BOTH),
    "the margin of the protocol": (
        lambda run: (run / "protocol.toml").write_text(
            (run / "protocol.toml").read_text().replace("[endpoints]", "[endpoints]\nmargin = 0.9")
        ),
        "protocol.toml is not the one",
        NOBODY,
    ),
    "the last event cut off": (
        in_events(lambda events: events[:-1]), "test predictions that ledger.jsonl does not record", BOTH
    ),
    "the opening cut off": (in_events(lambda events: events[:-2]), "records no opening of the test set", BOTH),
    "all but the lock cut off": (in_events(lambda events: events[:1]), "records no opening of the test set", BOTH),
    "a line removed": (
        lambda run: (run / "ledger.jsonl").write_text(
            "".join((run / "ledger.jsonl").read_text().splitlines(keepends=True)[:4])
            + "".join((run / "ledger.jsonl").read_text().splitlines(keepends=True)[5:])
        ),
        "was changed at line 5",
        BOTH,
    ),
    "the opening removed": (without("test opened"), "before the test set was opened", BOTH),
    "the lock removed": (without("locked"), "the plan must be locked first", NOBODY),
    "the start removed": (without("started"), "without having been started", NOBODY),
    "an opening before the end": (in_events(move_opening_forward), "ended after the test set was opened", NOBODY),
    "the end of a job removed": (
        in_events(lambda events: [event for event in events if event["data"].get("job") != "unet/0-1"]),
        "opened before unet/0-1 had ended",
        UNET,
    ),
    "the end of a job told twice": (
        in_events(lambda events: events.insert(3, dict(events[2]))), "ended twice", NOBODY
    ),
    "a job that was not planned": (
        in_events(lambda events: events.insert(3, {**events[2], **END})), "which is not a job of the plan", NOBODY
    ),
    "a job trained again at the end": (
        in_events(lambda events: events.append({**events[-1], **AGAIN})), "trained after the test set", NOBODY
    ),
    "locked twice": (in_events(lambda events: events.insert(1, dict(events[0]))), "more than once", NOBODY),
    "predictions left out of the record": (
        in_events(lambda events: of(events, "predicted")["data"]["sha256"].pop("unet/0-1")),
        "records no predictions of unet/0-1",
        UNET,
    ),
    "a job left out of the opening": (at("test opened", jobs=["unet/0-0"]), "disagree on", NOBODY),
    "the record made an old one": (
        in_events(lambda events: of(events, "locked")["data"].pop("record")), "lacks the hashes", NOBODY
    ),
    "the clock put back": (time_of(4, "2020-01-01T00:00:00.000+00:00"), "clock ran backwards", NOBODY),
    "an event in the future": (time_of(-1, LATER), "lies in the future", NOBODY),
    "a time that is none": (time_of(4, "yesterday"), "which is not a valid time", NOBODY),
    "locked after the fact": (
        then_rehash(in_json("lock.json", lambda lock: lock.update(locked_at=LATER))), "after the first event", NOBODY
    ),
    "a job laid beside those of the plan": (
        lambda run: shutil.copytree(run / "jobs" / "unet" / "0-0", run / "jobs" / "unet" / "0-9"),
        "holds unet/0-9, which the plan has not",
        NOBODY,
    ),
    "an event of no known kind": (
        in_events(lambda events: events.append({**events[-1], "kind": "blessed"})),
        "'blessed', which this version",
        NOBODY,
    ),
    "a key that stands twice": (
        lambda run: (run / "ledger.jsonl").write_text(
            (run / "ledger.jsonl").read_text().replace('{"data"', '{"kind": "blessed", "data"', 1)
        ),
        "a key stands twice",
        BOTH,
    ),
    "a lock of another protocol": (
        in_json("lock.json", lambda lock: lock.update(protocol_sha256="0" * 64)), "another protocol", NOBODY
    ),
}  # fmt: skip


@pytest.mark.long
def test_a_folder_that_nobody_touched_is_verified() -> None:
    results = summarise(RECORDED)
    assert results["ledger"] == {"test_openings": 1, "unplanned_openings": 0, "verified": True}
    assert not results["exploratory"]
    assert results["exploratory_reasons"] == []
    assert [pair["verdict"] for pair in results["comparisons"]] != ["refused"]


def test_there_are_thirty_kinds_of_tampering() -> None:
    assert len(TAMPERINGS) >= 30


SAMPLE = [pytest.param(name, marks=[] if k % 6 == 0 else pytest.mark.long) for k, name in enumerate(TAMPERINGS)]
"""Every sixth runs with the quick tests: all take ten seconds."""


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLE)
def test_it_is_named(name: str, run: Path) -> None:
    edit, words, refused = TAMPERINGS[name]
    edit(run)
    results = summarise(run)
    assert results["exploratory"]
    assert results["exploratory_reasons"]
    assert any(words.lower() in warning.lower() for warning in results["warnings"]), results["warnings"]
    if "protocol.toml" not in words:
        assert not results["ledger"]["verified"]
    named = {arm for arm in BOTH if any(arm in (pair["a"], pair["b"]) for pair in _refused(results))}
    assert refused <= named
    json.dumps(results, allow_nan=False)


def _refused(results: dict[str, Any]) -> list[dict[str, Any]]:
    pairs = [*results["comparisons"], *results["baseline_comparisons"]]
    return [pair for pair in pairs if pair["verdict"] == "refused"]
