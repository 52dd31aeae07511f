"""Seeds that were trained, looked at and chosen from make a trial exploratory; a new beginning does not."""

from dataclasses import replace
from pathlib import Path

import pytest
from runfolder.test_reuse_of_test_cases import COHORT, TEXT, altered

from equipoise.cohorts import store
from equipoise.cohorts.splits.split import split
from equipoise.protocol import Protocol
from equipoise.report.results.warnings import _of_seeds
from equipoise.report.text.reasons import sentence
from equipoise.runfolder import registry_file
from equipoise.runfolder.chosen_seeds import chosen_seeds, ranges
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.ledger_state import cautions
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import Place, register
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.trained_seeds import register_validated
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials.lock import lock

RATE = ("lr = 0.01", "lr = 0.011")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def locked(
    folder: Path, seeds: list[int], *changes: tuple[str, str], split_seed: int = 0, epochs: int = 3
) -> list[Job]:
    """Lock a trial, as one that is killed before its opening leaves it; return its jobs."""
    training = f"[training]\nseeds = {seeds}\nepochs = {epochs}\n[endpoints]"
    text = altered(TEXT, ("[endpoints]", training), ("seed = 0", f"seed = {split_seed}"), *changes)
    protocol = Protocol.parse(text)
    folds = split(COHORT, seed=split_seed, fractions=protocol.split.fractions)
    folder.mkdir(parents=True)
    lock(folder, protocol, COHORT, folds, {"device": "cpu", "code": {}})
    return plan_jobs(protocol, COHORT, len(folds), folder)


def validated(folder: Path, seeds: list[int], *changes: tuple[str, str], first: int = 100, epochs: int = 3) -> None:
    """Lock a trial and validate its first jobs."""
    for job in locked(folder, seeds, *changes, epochs=epochs)[:first]:
        register_validated(job)


def reasons(folder: Path) -> tuple[str, ...]:
    return cautions(read_lock(folder), Ledger(folder))


def warnings(folder: Path) -> list[str]:
    return [sentence(reason) for reason in _of_seeds(read_lock(folder))]


def test_seeds_chosen_from_those_that_were_validated_are_exploratory(tmp_path: Path) -> None:
    validated(tmp_path / "pilot", list(range(40)))
    locked(tmp_path / "final", [2, 3, 22], ("Which is better?", "Another question?"), ('name = "a"', 'name = "new"'))
    (reason,) = reasons(tmp_path / "final")
    assert reason == (
        "the same arms were trained before on these cases with the seeds 0–39, and those of this plan that are among "
        "them (2, 3, 22) may have been chosen by their validation results"
    )
    (text,) = warnings(tmp_path / "final")
    assert "the same arms on these cases with the seeds 0–39; 3 of the 3 seeds of this plan are among them." in text


def test_many_trials_of_one_seed_each_are_one_search(tmp_path: Path) -> None:
    for seed in range(5):
        validated(tmp_path / str(seed), [seed])
    locked(tmp_path / "final", [1, 3])
    assert chosen_seeds(read_lock(tmp_path / "final")) == ([0, 1, 2, 3, 4], [1, 3])


@pytest.mark.parametrize(
    ("seeds", "changes", "options"),
    [
        ([0, 1, 2], (), {}),  # the same plan in another folder
        ([0, 1, 2], (RATE,), {}),
        ([0, 1, 2], (), {"epochs": 9}),
        ([0, 1, 2, 3, 4], (), {}),  # none is left out
    ],
)
def test_a_new_beginning_with_all_the_seeds_is_as_planned(tmp_path, seeds, changes, options) -> None:
    validated(tmp_path / "aborted", [0, 1, 2])
    locked(tmp_path / "again", seeds, *changes, **options)
    assert reasons(tmp_path / "again") == ()
    assert warnings(tmp_path / "again") == []


def test_seeds_that_were_planned_and_never_validated_cannot_have_been_chosen_from(tmp_path: Path) -> None:
    validated(tmp_path / "aborted", list(range(40)), first=0)
    locked(tmp_path / "again", [0, 1])
    assert reasons(tmp_path / "again") == ()


@pytest.mark.parametrize(("changes", "options"), [((RATE,), {}), ((), {"epochs": 4})])
def test_arms_of_other_settings_with_some_of_the_seeds_are_told(tmp_path, changes, options) -> None:
    validated(tmp_path / "pilot", [0, 1, 2, 3])
    locked(tmp_path / "final", [1, 2], *changes, **options)
    assert reasons(tmp_path / "final") == ()
    (text,) = warnings(tmp_path / "final")
    assert "with other settings, on these cases with the seeds 0–3; 2 of the 2 seeds" in text


def test_seeds_that_nobody_trained_are_told_and_confirmatory(tmp_path: Path) -> None:
    validated(tmp_path / "pilot", [0, 1, 2])
    locked(tmp_path / "final", [7, 8])
    assert reasons(tmp_path / "final") == ()
    assert "with the seeds 0–2; none is in this plan." in warnings(tmp_path / "final")[0]


def test_other_networks_and_other_cases_are_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated(tmp_path / "pilot", [0, 1, 2])
    locked(tmp_path / "networks", [1], ("densenet", "deeplab"))
    assert read_lock(tmp_path / "networks").get("prior_seeds") is None
    files = [replace(case, sha256={"x.png": f"{900 + k:064d}"}) for k, case in enumerate(COHORT.cases)]
    monkeypatch.setitem(globals(), "COHORT", replace(COHORT, cases=tuple(files)))
    locked(tmp_path / "cases", [1])
    assert read_lock(tmp_path / "cases").get("prior_seeds") is None


def test_a_trial_that_was_opened_counts_as_an_opening(tmp_path: Path) -> None:
    validated(tmp_path / "first", [0, 1, 2])
    lock_of, ledger = read_lock(tmp_path / "first"), Ledger(tmp_path / "first")
    event = ledger.append(TEST_OPENED, jobs=[])
    folds = split(COHORT, seed=0, fractions=Protocol.parse(TEXT).split.fractions)
    register(lock_of, opened_cases(COHORT, folds), Place.of(tmp_path / "first", lock_of), ledger, event)
    locked(tmp_path / "second", [1])
    assert read_lock(tmp_path / "second").get("prior_seeds") is None
    (reason,) = reasons(tmp_path / "second")
    assert "had been opened once before" in reason


def test_a_pilot_of_more_arms_holds_the_arms_of_the_plan(tmp_path: Path) -> None:
    third = '[[arms]]\nname = "c"\nmodel = "deeplab"\noptimizer = "adam"\n'
    name = '[[arms]]\nname = "a"'
    validated(tmp_path / "pilot", [0, 1, 2], (name, f"{third}{name}"))
    locked(tmp_path / "final", [0, 1])
    assert chosen_seeds(read_lock(tmp_path / "final")) == ([0, 1, 2], [0, 1])


def test_numbers_are_written_with_ranges() -> None:
    assert ranges([4, 5, 7, 8, 9]) == "4, 5, 7–9"
    assert ranges([]) == ""
