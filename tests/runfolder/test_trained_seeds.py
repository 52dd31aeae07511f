"""Seeds that were trained, looked at and chosen from make a trial exploratory; a new beginning does not."""

import time
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
from equipoise.runfolder.opened_cases import OpenedCases, opened_cases
from equipoise.runfolder.opening_registry import Place, register
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.trained_seeds import ARM_DEFAULTS, register_validated
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials.lock import lock

RATE = ("lr = 0.01", "lr = 0.011")
CLIP = ("epochs = 3", "epochs = 3\nclip_norm = 1e9")


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
    sgd = {"lr": 1e-3, "momentum": 0.0, "betas": (0.9, 0.99)}
    defaults = {arm.name: {"model": {"preset": "small"}, "optimizer": sgd} for arm in protocol.arms}
    lock(folder, protocol, COHORT, folds, {"device": "cpu", "code": {}, ARM_DEFAULTS: defaults})
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
    assert ARM_DEFAULTS not in read_lock(tmp_path / "final"), "the plan and its identity keep their form"
    (reason,) = reasons(tmp_path / "final")
    assert reason == (
        "the same arms were trained before on these cases with the seeds 0–39, and those of this plan that are among "
        "them (2, 3, 22) may have been chosen by their validation results"
    )
    (text,) = warnings(tmp_path / "final")
    assert "trained the same arms on these cases with the seeds 0–39, and validated them; 3 of the 3 seeds of" in text


def test_many_trials_of_one_seed_each_are_one_search(tmp_path: Path) -> None:
    for seed in range(5):
        validated(tmp_path / str(seed), [seed])
    locked(tmp_path / "final", [1, 3])
    assert chosen_seeds(read_lock(tmp_path / "final")) == ([0, 1, 2, 3, 4], [1, 3], True)


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
def test_arms_of_other_settings_with_few_of_the_seeds_are_told(tmp_path, changes, options) -> None:
    validated(tmp_path / "pilot", [0, 1, 2, 3])
    locked(tmp_path / "final", [1, 7, 8], *changes, **options)
    assert reasons(tmp_path / "final") == ()
    (text,) = warnings(tmp_path / "final")
    assert "with other settings, on these cases with the seeds 0–3, and validated them; 1 of the 3 seeds" in text


@pytest.mark.parametrize("seeds", [[1, 2], [1, 2, 7, 8]])
@pytest.mark.parametrize(("changes", "options"), [((RATE,), {}), ((CLIP,), {}), ((), {"epochs": 4})])
def test_seeds_that_come_from_a_larger_set_are_exploratory_whatever_the_settings(
    tmp_path, seeds, changes, options
) -> None:
    """As the four best of thirty seeds with a rate in its third digit, or a bound on gradients that binds nothing."""
    validated(tmp_path / "pilot", [0, 1, 2, 3])
    locked(tmp_path / "final", seeds, *changes, **options)
    (reason,) = reasons(tmp_path / "final")
    assert reason == (
        "arms of these networks and optimizers were trained before on these cases with the seeds 0–3, and those of "
        "this plan that are among them (1, 2) may have been chosen by their validation results"
    )


@pytest.mark.parametrize(
    "written",
    [
        ("lr = 0.01", "lr = 0.01, momentum = 0"),
        ("lr = 0.01", "lr = 0.01, betas = [0.9, 0.99]"),
        ('"sgd"', '"SGD"'),
        ("epochs = 3", 'epochs = 3\nschedule = "constant"'),
    ],
)
def test_a_default_that_is_written_out_is_no_other_setting(tmp_path: Path, written: tuple[str, str]) -> None:
    validated(tmp_path / "pilot", [0, 1, 2, 3])
    locked(tmp_path / "final", [1, 7, 8], written)
    (reason,) = reasons(tmp_path / "final")
    assert reason.startswith("the same arms were trained before")


def test_one_arm_of_the_plan_is_enough_to_choose_seeds_against_it(tmp_path: Path) -> None:
    validated(tmp_path / "pilot", [0, 1, 2, 3], ("densenet", "deeplab"))
    locked(tmp_path / "final", [1, 2])
    (reason,) = reasons(tmp_path / "final")
    assert reason.startswith("arms of these networks and optimizers were trained before")


def opened(folder: Path, fingerprint: str = "", cases: OpenedCases | None = None) -> None:
    lock_of, ledger = read_lock(folder), Ledger(folder)
    event = ledger.append(TEST_OPENED, jobs=[])
    if cases is None:
        cases = opened_cases(COHORT, split(COHORT, seed=0, fractions=Protocol.parse(TEXT).split.fractions))
    lock_of["cohort"]["fingerprint"] = fingerprint or lock_of["cohort"]["fingerprint"]
    register(lock_of, cases, Place.of(folder, lock_of), ledger, event)


def test_a_pilot_that_was_opened_on_cases_of_another_cohort_is_no_way_around(tmp_path: Path) -> None:
    validated(tmp_path / "pilot", [1, 2, 3])
    opened(tmp_path / "pilot", "other", OpenedCases(("0" * 16,), ("",), images="others"))
    locked(tmp_path / "final", [1, 3])
    assert reasons(tmp_path / "final")[0].startswith("the same arms were trained before on these cases with the seeds")


def test_seeds_of_others_after_the_first_opening_chose_nothing_of_a_repeat(tmp_path: Path) -> None:
    validated(tmp_path / "first", [1, 2])
    opened(tmp_path / "first")
    time.sleep(0.002)
    validated(tmp_path / "later", [1, 2, 3])
    locked(tmp_path / "repeat", [1, 2])
    assert "prior_seeds" not in read_lock(tmp_path / "repeat")


def test_seeds_that_nobody_trained_are_told_and_confirmatory(tmp_path: Path) -> None:
    validated(tmp_path / "pilot", [0, 1, 2])
    locked(tmp_path / "final", [7, 8])
    assert reasons(tmp_path / "final") == ()
    assert "with the seeds 0–2, and validated them; none is in this plan." in warnings(tmp_path / "final")[0]


def test_other_networks_and_other_cases_are_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated(tmp_path / "pilot", [0, 1, 2])
    locked(tmp_path / "networks", [1], ("densenet", "deeplab"), ("unet", "resnet"))
    assert read_lock(tmp_path / "networks").get("prior_seeds") is None
    files = [replace(case, sha256={"x.png": f"{900 + k:064d}"}) for k, case in enumerate(COHORT.cases)]
    monkeypatch.setitem(globals(), "COHORT", replace(COHORT, cases=tuple(files)))
    locked(tmp_path / "cases", [1])
    assert read_lock(tmp_path / "cases").get("prior_seeds") is None


def test_a_trial_that_was_opened_counts_as_an_opening(tmp_path: Path) -> None:
    validated(tmp_path / "first", [0, 1, 2])
    opened(tmp_path / "first")
    locked(tmp_path / "second", [1])
    assert read_lock(tmp_path / "second").get("prior_seeds") is None
    (reason,) = reasons(tmp_path / "second")
    assert "had been opened once before" in reason


def test_a_pilot_of_more_arms_holds_the_arms_of_the_plan(tmp_path: Path) -> None:
    third = '[[arms]]\nname = "c"\nmodel = "deeplab"\noptimizer = "adam"\n'
    name = '[[arms]]\nname = "a"'
    validated(tmp_path / "pilot", [0, 1, 2], (name, f"{third}{name}"))
    locked(tmp_path / "final", [0, 1])
    assert chosen_seeds(read_lock(tmp_path / "final")) == ([0, 1, 2], [0, 1], True)


def test_numbers_are_written_with_ranges() -> None:
    assert ranges([4, 5, 7, 8, 9]) == "4, 5, 7–9"
    assert ranges([]) == ""
