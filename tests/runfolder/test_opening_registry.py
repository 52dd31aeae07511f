"""Test cases that were opened once are remembered, whatever becomes of the run folder."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import split
from equipoise.errors import LedgerError
from equipoise.protocol import Protocol
from equipoise.runfolder import opening_registry
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.opening_registry import Place, case_hashes, prior_openings, refuse_replaced, register
from equipoise.runfolder.read import read_lock
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.lock import lock

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
    monkeypatch.setattr(opening_registry, "cache_folder", store.cache_folder)  # and not this test's own place
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(folder: Path, seed=0, question="Which is better?", primary="auc", other="densenet") -> dict:
    """Lock a plan, open its test set as a trial does, and give the lock."""
    text = TEXT.format(seed=seed, question=question, primary=primary, other=other)
    folds = split(COHORT, seed=seed)
    folder.mkdir(parents=True)
    ledger = lock(folder, Protocol.parse(text), COHORT, folds, {"device": "cpu", "code": {}})
    plan, cases = read_lock(folder), case_hashes(COHORT, folds)
    event = ledger.append(TEST_OPENED, jobs=[])
    register(plan, cases, Place.of(folder), ledger, event)
    return plan


def test_other_split_seeds_of_one_question_are_counted(tmp_path):
    counts = []
    for seed in range(6):
        counts.append(opened(tmp_path / "run", seed)["prior_openings"])
        shutil.rmtree(tmp_path / "run")
    assert [len(rows) for rows in counts] == [0, 1, 2, 3, 4, 5]
    assert all(row["same_question"] for rows in counts for row in rows)
    assert any(row["test_cases_shared"] for rows in counts for row in rows)


def test_the_same_plan_in_another_folder_is_no_further_look(tmp_path):
    opened(tmp_path / "one")
    assert opened(tmp_path / "two")["prior_openings"] == []


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"question": "Which  IS better?", "other": "deeplab"}, True),
        ({"question": "Is the first one better?"}, True),
        ({"question": "Another one?", "other": "deeplab"}, False),
        ({"primary": "accuracy"}, False),
    ],
)
def test_what_counts_as_the_same_question(tmp_path, changes, same):
    opened(tmp_path / "one")
    (row,) = opened(tmp_path / "two", **changes)["prior_openings"]
    assert row["same_question"] is same
    assert row["test_cases_shared"] == 6


def test_other_cases_are_no_prior_opening(tmp_path):
    plan = opened(tmp_path / "one")
    other = {**plan, "endpoints": {"primary": "dice"}}
    assert prior_openings(other, ["0" * 16], Place.of(tmp_path)) == []
    assert len(prior_openings(other, case_hashes(COHORT, split(COHORT))[:1], Place.of(tmp_path))) == 1


def test_files_are_recognised_under_other_names():
    import dataclasses

    folds = split(COHORT)
    named = [dataclasses.replace(case, sha256={"file": f"{k:064d}"}) for k, case in enumerate(COHORT.cases)]
    cohort = dataclasses.replace(COHORT, cases=tuple(named))
    renamed = [dataclasses.replace(case, id=f"x{case.id}", sha256={"y": case.sha256["file"]}) for case in named]
    other = dataclasses.replace(cohort, name="other", cases=tuple(renamed))
    assert case_hashes(cohort, folds) == case_hashes(other, folds)
    assert len(set(case_hashes(cohort, folds))) == len(folds[0].test)


def test_trials_of_one_study_are_no_prior_openings_of_each_other(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study-plan.json").write_text(json.dumps({"study_sha256": "s"}))
    opened(tmp_path / "study" / "data" / "unet")
    assert opened(tmp_path / "study" / "data" / "deeplab", other="deeplab")["prior_openings"] == []
    assert len(opened(tmp_path / "alone", seed=0, other="resnet")["prior_openings"]) == 2


def test_a_contrast_by_case_is_no_prior_opening_of_its_trial(tmp_path):
    opened(tmp_path / "run")
    assert opened(tmp_path / "run" / "by-case", seed=1)["prior_openings"] == []


def test_a_ledger_that_lost_an_opening_is_refused(tmp_path):
    opened(tmp_path / "run")
    ledger = Ledger(tmp_path / "run")
    refuse_replaced(ledger, Place.of(tmp_path / "run"))
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[:-1]))
    with pytest.raises(LedgerError, match="was cut or replaced: it lacks the opening of the test set"):
        refuse_replaced(Ledger(tmp_path / "run"), Place.of(tmp_path / "run"))


def test_a_cache_that_cannot_be_used_costs_a_remark_only(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, logger="equipoise"):
        plan = opened(tmp_path / "run")
    assert plan["prior_openings"] == []
    assert "could not be remembered" in caplog.text


def test_spoilt_lines_are_left_out(tmp_path, cache):
    opened(tmp_path / "one")
    with (cache / "openings.jsonl").open("ab") as file:
        file.write(b'{"opening": 3}\n[1]\n\xff\xfe\n{"torn": ')
    assert len(opened(tmp_path / "two", seed=1)["prior_openings"]) == 1
    assert len(opened(tmp_path / "three", seed=2)["prior_openings"]) == 2
