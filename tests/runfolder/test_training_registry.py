"""Weights carry the cases that they were trained on, whatever file they lie in; earlier trainings are named."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runfolder.test_reuse_of_test_cases import COHORT, TEXT, altered
from safetensors.torch import save_file

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import Fold, split
from equipoise.errors import CohortError, EquipoiseError
from equipoise.evaluation.predictions import Predictions, write_parquet
from equipoise.protocol import Protocol
from equipoise.report.results.warnings import _of_registry, _of_weights
from equipoise.report.text.reasons import sentence
from equipoise.runfolder import registry_file
from equipoise.runfolder.earlier_openings import cautions_of_openings, prior_openings
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.ledger_state import open_ledger, state_of
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.predicted_jobs import digest_of
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.training_registry import register_weights, trained_with
from equipoise.runfolder.weight_digests import digests_of
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials.lock import lock
from equipoise.trials.opening import record_opening, record_predictions

_FIRST = 'preset = "tiny"}\noptimizer = {name = "sgd", lr = 0.01}\n'
FROM_FILE = (f"{_FIRST}[[arms]]", f'{_FIRST}pretrained = "start.safetensors"\n[[arms]]')


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return {
        "encoder.weight": torch.randn(40, 20, generator=stream),
        "head.weight": torch.randn(30, 20, generator=stream),
        "head.bias": torch.zeros(400),
    }


def started(folder: Path, seed: int, text: str = TEXT, end: bool = True) -> tuple[Path, list[Fold]]:
    """Lock a trial and end its first job, as a trial that is killed before its opening does; return its weights."""
    protocol = replace_folder(Protocol.parse(altered(text, ("seed = 0", f"seed = {seed}"))), folder.parent)
    folds = split(COHORT, seed=seed, fractions=protocol.split.fractions)
    folder.mkdir(parents=True)
    lock(folder, protocol, COHORT, folds, {"device": "cpu", "code": {}})
    job: Job = plan_jobs(protocol, COHORT, len(folds), folder)[0]
    job.weights_file.parent.mkdir(parents=True)
    save_file(weights(seed), job.weights_file)
    if end:
        register_weights(job)
    return job.weights_file, folds


def replace_folder(protocol: Protocol, folder: Path) -> Protocol:
    protocol._folder = folder
    return protocol


RESAVED = {
    "the same": lambda own: own,
    "other names": lambda own: {f"x.{name}": value for name, value in own.items()},
    "a part": lambda own: {"encoder.weight": own["encoder.weight"]},
    "in half precision": lambda own: {name: value.half() for name, value in own.items()},
    "in double precision": lambda own: {name: value.double() for name, value in own.items()},
    "with a new head": lambda own: own | {"head.weight": torch.ones(3, 20)},
}


@pytest.mark.parametrize("how", RESAVED)
def test_weights_that_were_trained_on_test_cases_are_refused(tmp_path: Path, how: str) -> None:
    file, _ = started(tmp_path / "first", 0)
    save_file(RESAVED[how](weights(0)), tmp_path / "start.safetensors")
    file.unlink()
    with pytest.raises(CohortError, match=r"arm 'a' starts from start.safetensors, whose weights were trained or sel"):
        started(tmp_path / "second", 5, altered(TEXT, FROM_FILE))
    assert not (tmp_path / "second" / "lock.json").exists()


def test_the_same_split_and_unknown_weights_are_named_and_not_refused(tmp_path: Path) -> None:
    started(tmp_path / "first", 0)
    save_file(weights(0), tmp_path / "start.safetensors")
    started(tmp_path / "same split", 0, altered(TEXT, FROM_FILE, ("Which is", "What is")))
    plan = read_lock(tmp_path / "same split")
    assert plan["initial_weights"]["a"]["test_cases"] == 0
    assert "which trained or selected it on none of the test cases." in sentence(_of_weights(plan)[0])
    save_file(weights(99), tmp_path / "start.safetensors")
    started(tmp_path / "unknown", 5, altered(TEXT, FROM_FILE))
    plan = read_lock(tmp_path / "unknown")
    assert plan["initial_weights"]["a"]["test_cases"] is None
    text = sentence(_of_weights(plan)[0])
    assert "nothing is known here of the cases on which these weights were trained" in text
    assert plan["initial_weights"]["a"]["sha256"] in text


def test_what_weights_have_seen_is_inherited(tmp_path: Path) -> None:
    """Second training from the first's weights, on the same split; the third plan starts from the second's."""
    _, folds = started(tmp_path / "first", 0)
    save_file(weights(0), tmp_path / "start.safetensors")
    second, _ = started(tmp_path / "second", 0, altered(TEXT, FROM_FILE, ("Which is", "What is")), end=False)
    save_file(weights(7), second)
    protocol = replace_folder(Protocol.parse(altered(TEXT, FROM_FILE, ("Which is", "What is"))), tmp_path)
    register_weights(plan_jobs(protocol, COHORT, 1, tmp_path / "second")[0])
    assert {one.key for one in trained_with(digests_of(second).values())} > set()
    assert len(trained_with(digests_of(second).values())) == 2
    cases = opened_cases(COHORT, folds).trained[0].files
    assert all(set(one.cases) == set(cases) for one in trained_with(digests_of(second).values()))


def test_weights_of_public_origin_do_not_carry_the_cases_of_who_used_them(tmp_path: Path) -> None:
    """Frozen tensors of a public file lie in later checkpoints too; they have seen none of their cases."""
    public = weights(50)
    save_file(public, tmp_path / "start.safetensors")
    first, _ = started(tmp_path / "first", 0, altered(TEXT, FROM_FILE), end=False)
    save_file(public | {"head.weight": weights(51)["head.weight"]}, first)
    register_weights(plan_jobs(replace_folder(Protocol.parse(altered(TEXT, FROM_FILE)), tmp_path), COHORT, 1,
                               tmp_path / "first")[0])  # fmt: skip
    assert trained_with(digests_of(tmp_path / "start.safetensors").values()) == []
    assert len(trained_with(digests_of(first).values())) == 1


def test_earlier_trainings_on_test_cases_are_named(tmp_path: Path) -> None:
    _, folds = started(tmp_path / "first", 0)
    _, other = started(tmp_path / "second", 5)
    known = set(np.concatenate([folds[0].train, folds[0].validation]).tolist())
    shared = len(known & set(other[0].test.tolist()))
    plan = read_lock(tmp_path / "second")
    assert [row["test_cases"] for row in plan["prior_trainings"]] == [shared]
    assert f"trained or validated on up to {shared} test cases of this one" in sentence(_of_registry(plan)[0])
    started(tmp_path / "again", 0)
    assert {row["test_cases"] for row in read_lock(tmp_path / "again")["prior_trainings"]} == {
        len(set(np.concatenate([other[0].train, other[0].validation]).tolist()) & set(folds[0].test.tolist()))
    }, "the same plan is no earlier training"


def test_constants_and_small_tensors_tell_nothing(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(1000), "b": torch.randn(255), "c": torch.randn(256), "d": torch.arange(500)}, file)
    assert set(digests_of(file)) == {"c"}
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(EquipoiseError, match="cannot be read as safetensors"):
        digests_of(file)


def test_a_registry_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nope").write_text("a file where the cache should be")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "nope"))
    started(tmp_path / "first", 0)
    folder = tmp_path / "first"
    state = state_of(open_ledger(folder), folder, read_lock(folder), (), (), (), False)
    (reason,) = _of_registry(read_lock(folder), state.registry)
    assert sentence(reason).startswith("Openings of the test cases could not be recorded nor looked up on this machine")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    started(tmp_path / "second", 0)
    assert "unrecorded" not in read_lock(tmp_path / "second")


def predicted(folder: Path, score: float) -> list[str]:
    """Lock the plan, open its test set and predict, as a trial does; return why the results are exploratory."""
    started(folder, 0, end=False)
    protocol = Protocol.parse(TEXT)
    folds = split(COHORT, seed=0, fractions=protocol.split.fractions)
    trial = SimpleNamespace(
        out=folder, cohort=COHORT, folds=folds, protocol=protocol, cards=SimpleNamespace(all=lambda: None)
    )
    job = plan_jobs(protocol, COHORT, len(folds), folder)[0]
    write_parquet(replace(answers(), scores=np.array([[1 - score, score]])), job.predictions_file)
    ledger = Ledger(folder)
    opening = record_opening(trial, ledger, [job], None)
    record_predictions(trial, ledger, [job], opening, {"sha256": {}})
    return cautions_of_openings(read_lock(folder), prior_openings(read_lock(folder), Ledger(folder)))


def answers(case: str = "a") -> Predictions:
    texts = {name: np.array([value]) for name, value in (("case", case), ("patient", "p"), ("split", "test"))}
    numbers = {name: np.zeros(1, dtype=np.int64) for name in ("fold", "seed", "truth")}
    return Predictions(**texts, **numbers, arm=np.array(["a"]), scores=np.array([[0.4, 0.6]]), classes=("n", "y"))


def test_names_of_cases_and_the_seventh_digit_make_no_other_results() -> None:
    own = digest_of({"a/0-0": answers()}, {"a": "true"})
    assert digest_of({"a/0-0": answers("b")}, {"b": "true"}) == own
    assert digest_of({"a/0-0": replace(answers(), scores=np.array([[0.4, 0.6 + 1e-8]]))}, {"a": "true"}) == own
    assert digest_of({"a/0-0": replace(answers(), scores=np.array([[0.4, 0.6001]]))}, {"a": "true"}) != own
    assert digest_of({"a/0-1": answers()}, {"a": "true"}) != own


def test_the_same_plan_with_other_predictions_is_named_and_exploratory(tmp_path: Path) -> None:
    assert predicted(tmp_path / "first", 0.6) == []
    assert predicted(tmp_path / "equal", 0.6) == []
    (reason,) = predicted(tmp_path / "other", 0.7)
    assert reason.startswith("this plan was run before, on 2")
    assert reason.endswith(", and 1 time more, and gave other results")
    (after,) = predicted(tmp_path / "third", 0.6)
    assert "gave other results" in after, "a plan whose results differed before has been tried before"
