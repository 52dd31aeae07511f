"""Predictions of the test cases: what an interrupted opening left is made again, and must be what it was."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import split
from equipoise.errors import Interrupted
from equipoise.evaluation.candidate_table import CandidateTable
from equipoise.evaluation.predictions import Predictions, read_parquet
from equipoise.protocol import Protocol
from equipoise.runfolder import registry_file
from equipoise.runfolder.chronology import order_problems
from equipoise.runfolder.earlier_openings import prior_openings
from equipoise.runfolder.ledger import JOB_PREDICTED, PREDICTED, REMOVED, TEST_OPENED, Event, Ledger
from equipoise.runfolder.ledger_state import cautions
from equipoise.runfolder.opening_registry import OF_CANDIDATES
from equipoise.runfolder.predicted_jobs import digest_of, remember
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.write import write_predictions
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials import opening, prediction
from equipoise.trials.lock import lock

TEXT = """
[cohort]
source = "phantom"
[training]
seeds = [0, 1]
[[arms]]
name = "net"
model = {name = "unet", preset = "tiny"}
"""
COHORT = phantom(cases=60, size=16)
FOLDS = split(COHORT)


class Trials:
    """Open the test set of a trial whose jobs answer what the test says, up to a job that stops the opening."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.patch = tmp_path, monkeypatch
        monkeypatch.setattr(prediction, "open_test", lambda *_: None)

    def at(self, name: str, scores: dict[str, float], stop: str = "", text: str = TEXT, killed: bool = False) -> None:
        """Run `name` as far as it comes: `scores` by job, "" for all others; `stop` is the job that is never predicted.

        killed: the leading process dies before it has recorded the job before `stop`.
        """
        folder, protocol = self.path / name, Protocol.parse(text)
        folder.mkdir(exist_ok=True)
        ledger = lock(folder, protocol, COHORT, FOLDS, {"device": "cpu", "code": {}})
        jobs = plan_jobs(protocol, COHORT, len(FOLDS), folder)
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            job.done_file.write_text('{"status": "finished", "reason": null}')
        trial = SimpleNamespace(
            out=folder, cohort=COHORT, folds=FOLDS, protocol=protocol, jobs=jobs, pipeline=None,
            cards=SimpleNamespace(all=lambda: None), how=SimpleNamespace(stall_minutes=None),
        )  # fmt: skip

        def answered(_, __, missing, ___):
            self.seen_at_the_first = registered(self.path / "cache", "opening")
            for job in missing:
                if job.name == stop:
                    raise Interrupted("killed")
                table = answers(scores.get(job.name, scores[""]))
                remember(job, table)
                write_predictions(job.predictions_file, table)
                if not killed:
                    yield job, job.predictions_file
            if killed:
                raise Interrupted("killed")

        self.patch.setattr(prediction, "run_jobs", answered)
        for look in protocol.endpoints.looks or (None,):
            seeds = protocol.training.seeds[:look]
            trial.jobs = [job for job in jobs if job.seed in seeds]
            prediction.predict_test(trial, ledger, None, lambda *_: None, look)

    def interrupted(self, name: str, scores: dict[str, float], **more) -> None:
        with pytest.raises(Interrupted):
            self.at(name, scores, stop=more.pop("stop", "net/0-1"), **more)

    def why(self, name: str) -> tuple[str, ...]:
        """Why the results of a run are exploratory."""
        return cautions(read_lock(self.path / name), Ledger(self.path / name))


def registered(cache: Path, key: str) -> int:
    return sum(f'"{key}": ' in line for line in (cache / "openings.jsonl").read_text().splitlines())


def answers(score: float) -> Predictions:
    texts = {name: np.array([value]) for name, value in (("case", "a"), ("patient", "p"), ("split", "test"))}
    numbers = {name: np.zeros(1, dtype=np.int64) for name in ("fold", "seed", "truth")}
    return Predictions(
        **texts, **numbers, arm=np.array(["net"]), scores=np.array([[1 - score, score]]), classes=("n", "y")
    )


@pytest.fixture
def trials(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    return Trials(tmp_path, monkeypatch)


@pytest.mark.long
def test_a_killed_opening_that_goes_on_with_the_same_answers_is_no_further_look(trials):
    for _ in range(2):
        trials.interrupted("run", {"": 0.6})
        assert trials.seen_at_the_first == 1, "registered before the first prediction"
    trials.interrupted("run", {"": 0.6}, killed=True)
    trials.at("run", {"": 0.6})
    assert trials.why("run") == ()
    kinds = [event.kind for event in Ledger(trials.path / "run").events]
    assert (kinds.count(TEST_OPENED), kinds.count(REMOVED), kinds.count(PREDICTED)) == (1, 3, 1)
    assert kinds.index(TEST_OPENED) < kinds.index(JOB_PREDICTED)
    trials.at("again", {"": 0.6})
    assert trials.why("again") == ()


@pytest.mark.long
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
def test_other_answers_after_an_interrupted_opening_are_named(trials, killed, hidden):
    trials.interrupted("run", {"": 0.6}, killed=killed)
    if hidden:  # the reader removes what was read
        (trials.path / "run" / "jobs" / "net" / "0-0" / "predictions.parquet").unlink()
    trials.at("run", {"": 0.7})
    assert trials.why("run") == ("jobs that were predicted again gave other predictions than before: net/0-0",)


@pytest.mark.long
def test_a_file_that_was_laid_into_an_interrupted_opening_is_named(trials):
    trials.interrupted("run", {"": 0.6}, stop="net/0-0")
    job = trials.path / "run" / "jobs" / "net" / "0-1"
    write_predictions(job / "predictions.parquet", answers(0.9))
    (trials.path / "run" / "jobs" / "net" / "0-0" / "predictions.parquet").write_text("no table")
    trials.at("run", {"": 0.6})
    assert trials.why("run") == ("jobs that were predicted again gave other predictions than before: net/0-1",)


OTHER = TEXT + '[[arms]]\nname = "sgd"\nmodel = {name = "unet", preset = "tiny"}\noptimizer = "sgd"\n'


@pytest.mark.long
def test_an_opening_whose_registration_was_prevented_is_registered_when_it_goes_on(trials, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(opening, "register", lambda *_: (_ for _ in ()).throw(Interrupted("killed")))
        trials.interrupted("run", {"": 0.6})
    assert not any(trials.path.glob("cache/openings.jsonl"))
    trials.at("run", {"": 0.6})
    assert trials.seen_at_the_first == 1
    trials.at("other", {"": 0.6}, text=OTHER)
    (reason,) = trials.why("other")
    assert "6 of its 6 test cases had been opened once before by other plans" in reason


@pytest.mark.long
def test_a_run_folder_of_another_machine_is_registered_with_its_results(trials):
    trials.at("run", {"": 0.6})
    shutil.rmtree(trials.path / "cache")
    trials.at("run", {"": 0.6})
    trials.at("equal", {"": 0.6})
    assert trials.why("equal") == ()
    trials.at("other", {"": 0.7})
    assert "gave other results" in trials.why("other")[0]


LOOKS = (
    TEXT.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]\n[endpoints]\nlooks = [3, 5]")
    + '[[arms]]\nname = "b"\nmodel = {name = "unet", preset = "tiny"}\noptimizer = "sgd"\n'
)


@pytest.mark.long
def test_a_look_is_compared_with_the_same_look_of_an_earlier_run(trials):
    trials.at("first", {"": 0.6}, text=LOOKS)
    trials.at("equal", {"": 0.6}, text=LOOKS)
    assert trials.why("equal") == ()
    trials.at("other", {"": 0.6, "net/0-4": 0.7}, text=LOOKS)
    (reason,) = trials.why("other")
    assert reason.startswith("this plan was run before, on 2")
    assert "1 time more" in reason  # both of the earlier runs, each once


@pytest.mark.long
def test_a_second_look_that_has_not_ended_counts_in_another_folder(trials):
    trials.interrupted("first", {"": 0.6}, text=LOOKS, stop="net/0-3")
    trials.at("second", {"": 0.6}, text=LOOKS)
    (reason,) = trials.why("second")
    assert reason.endswith("in an opening that has not ended")


@pytest.mark.long
def test_an_opening_that_was_begun_in_another_folder_counts(trials):
    trials.interrupted("first", {"": 0.6})
    trials.at("second", {"": 0.7})
    (reason,) = trials.why("second")
    assert reason.startswith("the test set of this plan was opened before, on 2")
    (row,) = prior_openings(read_lock(trials.path / "second"), Ledger(trials.path / "second"))
    assert row["unended"]


def test_predictions_that_no_event_holds_are_removed_and_their_digests_kept(tmp_path):
    ledger, tables = Ledger(tmp_path), {name: answers(value) for name, value in (("net/0-0", 0.6), ("net/0-1", 0.7))}
    jobs = [SimpleNamespace(name=name, predictions_file=tmp_path / f"{k}.parquet") for k, name in enumerate(tables)]
    for job in jobs:
        write_predictions(job.predictions_file, tables[job.name])
    ledger.append(PREDICTED, sha256={"net/0-0": "its hash"})
    prediction._remove_unrecorded(jobs, ledger)
    assert [job.predictions_file.is_file() for job in jobs] == [True, False]
    assert ledger.last(REMOVED).data["jobs"] == {"net/0-1": digest_of({"net/0-1": tables["net/0-1"]})}


def test_predictions_of_a_job_before_the_opening_are_a_contradiction():
    events = [Event(k, "", kind, {}, "", "") for k, kind in enumerate(("locked", JOB_PREDICTED))]
    problems = list(order_problems(events, {"seeds": [], "jobs": [], "split": {"folds": []}}))
    assert problems == ["predictions were recorded before the test set was opened"]


def test_a_table_has_the_same_digest_in_memory_and_in_its_file(tmp_path):
    scored = answers(0.6)
    masks = replace(
        scored, scores=np.empty((1, 0)), classes=(), truth=np.array([-1]), metrics={"dice": np.array([np.nan])}
    )
    marks = CandidateTable(
        *(np.array([value, value]) for value in ("a", "p", "test", "net")), *np.zeros((3, 2), dtype=np.int64),
        np.zeros((2, 3)), np.array([0.25, 0.5]), np.array([-1, 0]), np.array([True, False]),
    )  # fmt: skip
    lesions = replace(masks, metrics={"findings": np.array([1.0])}, candidates=marks)
    for number, table in enumerate((scored, masks, lesions)):
        file = tmp_path / str(number) / "predictions.parquet"
        write_predictions(file, table)
        assert digest_of({"net/0-0": read_parquet(file)}) == digest_of({"net/0-0": table})
    other = replace(lesions, candidates=replace(marks, score=np.array([0.25, 0.75])))
    digests = {digest_of({"net/0-0": table}) for table in (lesions, other)}
    assert len(digests) == 2, "counts alone do not tell candidates apart"
    assert all(digest.startswith(OF_CANDIDATES) for digest in digests)
