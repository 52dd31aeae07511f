"""Test cases that were opened once are remembered, whatever becomes of the run folder."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import split
from equipoise.errors import LedgerError
from equipoise.protocol import Protocol
from equipoise.runfolder import cache_lock, registry_file
from equipoise.runfolder.earlier_openings import cautions_of_openings, remedy_of_openings
from equipoise.runfolder.ledger import SETTLED, TEST_OPENED, Ledger
from equipoise.runfolder.opened_cases import OpenedCases, opened_cases
from equipoise.runfolder.opening_registry import (
    plan_identity,
    prior_openings,
    refuse_replaced,
    register,
    register_predictions,
)
from equipoise.runfolder.place import Place, contrast_of
from equipoise.runfolder.read import read_lock
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.lock import lock
from equipoise.trials.run import _with_arithmetic

TEXT = """
[trial]
question = "{question}"
[cohort]
source = "phantom"
[split]
seed = {seed}
[endpoints]
primary = "{primary}"
[[arms]]
name = "a"
model = "unet"
[[arms]]
name = "b"
model = "{other}"
"""
COHORT = phantom(cases=60, size=16)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)  # and not this test's own place
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def protocol_of(seed=0, question="Which is better?", primary="auc", other="densenet", split="") -> Protocol:
    text = TEXT.format(seed=seed, question=question, primary=primary, other=other)
    return Protocol.parse(text.replace("[endpoints]", f"{split}\n[endpoints]"))


def opened(folder: Path, seed=0, protocol: Protocol | None = None, ends=True, **changes) -> dict:
    """Lock a plan, open its test set as a trial does, and give the lock."""
    folds = split(COHORT, seed=seed)
    folder.mkdir(parents=True)
    protocol = protocol or protocol_of(seed, **changes)
    ledger = lock(folder, protocol, COHORT, folds, {"device": "cpu", "code": {}})
    plan, cases = read_lock(folder), opened_cases(COHORT, folds)
    event = ledger.append(TEST_OPENED, jobs=[])
    register(plan, cases, Place.of(folder, plan), ledger, event)
    if ends:
        register_predictions(plan_identity(plan), ledger.events[0].hash, "equal for equal plans", "trial", event)
    return plan


def test_other_split_seeds_of_one_question_are_counted(tmp_path):
    counts = []
    for seed in range(6):
        counts.append(opened(tmp_path / "run", seed)["prior_openings"])
        shutil.rmtree(tmp_path / "run")
    assert [len(rows) for rows in counts] == [0, 1, 2, 3, 4, 5]
    assert all("network unet" in row["in_common"] for rows in counts for row in rows)
    assert any(row["test_cases_shared"] for rows in counts for row in rows)


def test_the_same_plan_in_another_folder_is_no_further_look(tmp_path):
    opened(tmp_path / "one")
    assert opened(tmp_path / "two")["prior_openings"] == []


@pytest.mark.long
def test_an_opening_of_the_same_plan_that_has_not_ended_counts_in_other_folders(tmp_path):
    for attempt in range(3):
        rows = opened(tmp_path / str(attempt), ends=False)["prior_openings"]
        assert [row["unended"] for row in rows] == [True] * attempt
    plan = opened(tmp_path / "last")
    (reason,) = cautions_of_openings(plan, tuple(plan["prior_openings"]))
    assert reason.startswith("the test set of this plan was opened before, on 2")
    assert reason.endswith(", and 2 times more, in an opening that has not ended")
    assert remedy_of_openings(plan, tuple(plan["prior_openings"])).startswith("end the run that was interrupted")
    # One that ends later, in its own folder, is an opening like others.
    for attempt in range(3):
        ledger = Ledger(tmp_path / str(attempt))
        register_predictions(plan_identity(plan), ledger.events[0].hash, "x", "trial", ledger.last(TEST_OPENED))
    assert opened(tmp_path / "after")["prior_openings"] == []


@pytest.mark.long
def test_a_copy_of_a_run_folder_knows_the_opening_that_was_begun_in_the_other(tmp_path):
    plan = opened(tmp_path / "run", ends=False)
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    cases = opened_cases(COHORT, split(COHORT))
    assert prior_openings(plan, cases, Place(tmp_path / "moved", None, None), Ledger(tmp_path / "moved")) == []
    ledger = tmp_path / "moved" / "ledger.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:1]))
    (row,) = prior_openings(plan, cases, Place(tmp_path / "moved", None, None), Ledger(tmp_path / "moved"))
    assert row["unended"]


def test_other_cases_are_no_prior_opening(tmp_path):
    plan = opened(tmp_path / "one")
    other = {**plan, "protocol_sha256": "x", "cohort": {"fingerprint": "another"}}
    nothing, one = OpenedCases(("0" * 16,), ("",)), opened_cases(COHORT, split(COHORT)).files[:1]
    assert prior_openings(other, nothing, Place(tmp_path, None, None)) == []
    assert len(prior_openings(other, OpenedCases(one, ("",)), Place(tmp_path, None, None))) == 1


def test_a_contrast_by_case_is_no_prior_opening_of_its_trial(tmp_path):
    with_contrast = protocol_of(split='contrast = "case"')
    opened(tmp_path / "run", protocol=with_contrast)
    assert opened(tmp_path / "run" / "by-case", seed=1, protocol=with_contrast.by_case())["prior_openings"] == []


@pytest.mark.long
@pytest.mark.parametrize("planned", ["", 'contrast = "case"'])
def test_another_plan_in_the_folder_of_the_contrast_is_one_more_look(tmp_path, planned):
    opened(tmp_path / "run", protocol=protocol_of(split=planned))
    foreign = protocol_of(question="Which is better now?")
    assert len(opened(tmp_path / "run" / "by-case", protocol=foreign)["prior_openings"]) == 1
    assert len(opened(tmp_path / "elsewhere", protocol=foreign)["prior_openings"]) == 1


@pytest.mark.long
def test_a_contrast_that_was_written_into_the_lock_afterwards_is_none(tmp_path):
    opened(tmp_path / "run")
    foreign = protocol_of(question="Which is better now?")
    file = tmp_path / "run" / "lock.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"contrast_sha256": foreign.sha256()}))
    assert len(opened(tmp_path / "run" / "by-case", protocol=foreign)["prior_openings"]) == 1


@pytest.mark.long
def test_a_contrast_with_the_measured_arithmetic_is_that_of_its_trial(tmp_path):
    with_contrast = protocol_of(split='contrast = "case"\n[training]\nprecision = "auto"')
    opened(tmp_path / "run", protocol=with_contrast)
    measured = _with_arithmetic(with_contrast, {"precision": "bfloat16", "compile": False})
    Ledger(tmp_path / "run").append(SETTLED, **contrast_of(measured))
    assert opened(tmp_path / "run" / "by-case", protocol=measured.by_case())["prior_openings"] == []


def test_a_ledger_that_lost_an_opening_is_refused(tmp_path):
    opened(tmp_path / "run")
    ledger = Ledger(tmp_path / "run")
    refuse_replaced(ledger, tmp_path / "run")
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[:-1]))
    with pytest.raises(LedgerError, match="was cut or replaced: it lacks the opening of the test set"):
        refuse_replaced(Ledger(tmp_path / "run"), tmp_path / "run")


def test_a_cache_that_cannot_be_used_costs_a_remark_only(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, logger="equipoise"):
        plan = opened(tmp_path / "run")
    assert plan["prior_openings"] == []
    assert "could not be recorded" in caplog.text


ROW_KEYS = (
    "opening", "time", "run", "folder", "study", "parent", "plan", "protocol", "fingerprint", "question", "primary",
    "arms", "cases",
)  # fmt: skip
"""What later trials read of a row."""


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A sound line of the registry, whose test cases every trial of this file opens too."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("sound")
        patch.setattr(registry_file, "cache_folder", store.cache_folder)
        patch.setenv("EQUIPOISE_CACHE", str(place))
        opened(place / "run", seed=3)
        return (place / "openings.jsonl").read_bytes().splitlines()[0]


def readers(cache, content: bytes, tmp_path) -> int:
    """Write the registry; every reader of it must come through. Returns how many prior openings there are."""
    cache.mkdir(exist_ok=True)
    (cache / "openings.jsonl").write_bytes(content)
    count = len(opened(tmp_path / "run")["prior_openings"])
    refuse_replaced(Ledger(tmp_path / "run"), tmp_path / "run")
    return count


def test_the_sound_line_is_a_prior_opening(tmp_path, cache, line):
    assert set(json.loads(line)) >= set(ROW_KEYS)
    assert readers(cache, line + b"\n", tmp_path) == 1


def test_rows_without_a_key_or_with_a_value_of_another_type_are_left_out(tmp_path, cache, line):
    row = json.loads(line)
    spoilt = [{name: value for name, value in row.items() if name != key} for key in ROW_KEYS]
    values = (3, True, {"a": 1}, [["a"]], [{}], [None], "\ud800")
    newer = ("name", "endpoints", "images", "pixels", "parts")
    spoilt += [row | {key: value} for key in (*ROW_KEYS, *newer) for value in values]
    spoilt += [row | {"look": value} for value in values[1:]]
    spoilt += [row | {key: None} for key in ROW_KEYS if key not in ("study", "parent")]
    spoilt += [row | {key: "text"} for key in ("arms", "cases")]
    lines = [json.dumps(one).encode() for one in spoilt]
    assert len(set(lines)) == len(lines) > 100
    assert readers(cache, b"\n".join([*lines, line]) + b"\n", tmp_path) == 1


def test_lines_that_are_no_rows_are_left_out(tmp_path, cache, line):
    lines = [
        b'{"opening": 3}', b"[1]", b"null", b"7", b'"text"', b"NaN", b"\xff\xfe", b'{"torn": ', line[: len(line) // 2],
        line + line, b"[" * 100_000, b"1" * 5000, b"\0" * 40, b"", line.replace(b'"', b"'"),
    ]  # fmt: skip
    assert readers(cache, b"\n".join([*lines, line, line[:-1]]), tmp_path) == 1


def test_an_opening_is_remembered_behind_spoilt_lines(tmp_path, cache):
    opened(tmp_path / "one")
    with (cache / "openings.jsonl").open("ab") as file:
        file.write(b'[1]\n{"torn": ')
    assert len(opened(tmp_path / "two", seed=1)["prior_openings"]) == 1
    assert len(opened(tmp_path / "three", seed=2)["prior_openings"]) == 2


def test_an_opening_is_remembered_where_there_is_no_fcntl(tmp_path, cache, monkeypatch):
    asked = []

    def find(name):
        if name == "fcntl":
            raise ImportError(name)
        return SimpleNamespace(LK_LOCK=1, locking=lambda handle, mode, count: asked.append((mode, count)))

    monkeypatch.setattr(cache_lock, "import_module", find)
    opened(tmp_path / "one")
    assert set(asked) == {(1, 1)}
    assert len(opened(tmp_path / "two", seed=1)["prior_openings"]) == 1
