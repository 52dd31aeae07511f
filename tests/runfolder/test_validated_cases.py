"""Cases that another plan validated on are no fresh test cases; those of its own design are, and what nobody saw."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from runfolder.test_reuse_of_test_cases import COHORT, OTHER_ARMS, REUSE, TEXT, altered

from equipoise.cohorts import store
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.split import Fold, split
from equipoise.protocol import Protocol
from equipoise.report.results.warnings import _of_openings
from equipoise.report.text.reasons import sentence
from equipoise.runfolder import registry_file
from equipoise.runfolder.earlier_openings import prior_openings, remedy_of_openings
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.ledger_state import cautions
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import plan_identity, register, register_predictions
from equipoise.runfolder.place import Place
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.relation import in_common
from equipoise.runfolder.trained_seeds import register_validated
from equipoise.runfolder.training_registry import FILE, registry_rows
from equipoise.training.preparation.staging import plan_jobs
from equipoise.trials.earlier_looks import earlier_looks
from equipoise.trials.lock import lock
from equipoise.trials.opening import record_opening

RATE = ("lr = 0.01", "lr = 0.011")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def swapped(folds: list[Fold]) -> list[Fold]:
    """The validation cases become the test cases, and the other way round."""
    return [Fold(train=fold.train, validation=fold.test, test=fold.validation) for fold in folds]


def the_split(seed: int = 0) -> list[Fold]:
    return split(COHORT, seed=seed, fractions=(0.3, 0.4, 0.3))


def locked(folder: Path, folds: list[Fold], *changes: tuple[str, str]) -> list[Job]:
    """Lock a trial, as one that is killed before its opening leaves it; return its jobs."""
    protocol = Protocol.parse(altered(TEXT, *changes))
    folder.mkdir(parents=True)
    lock(folder, protocol, COHORT, folds, {"device": "cpu", "code": {}})
    return plan_jobs(protocol, COHORT, len(folds), folder)


def opened(folder: Path, folds: list[Fold]) -> None:
    lock_of, ledger = read_lock(folder), Ledger(folder)
    event = ledger.append(TEST_OPENED, jobs=[])
    register(lock_of, opened_cases(COHORT, folds), Place.of(folder, lock_of), ledger, event)
    register_predictions(plan_identity(lock_of), ledger.events[0].hash, "digest", "trial", event)


def reasons(folder: Path) -> tuple[str, ...]:
    return cautions(read_lock(folder), Ledger(folder))


def test_validation_cases_of_a_stopped_pilot_are_no_test_cases(tmp_path: Path) -> None:
    """As whoever makes the validation part, on which one arm looked better, the test part."""
    folds = the_split()
    register_validated(locked(tmp_path / "pilot", folds)[0])
    number = len(folds[0].validation)
    locked(tmp_path / "final", swapped(folds), RATE)
    (reason,) = reasons(tmp_path / "final")
    assert reason == (
        f"{number} of its {number} test cases had been validated on once before by other plans, with the same network "
        "densenet, network unet, optimizer sgd"
    )
    plan = read_lock(tmp_path / "final")
    rows = tuple(plan["prior_openings"])
    assert remedy_of_openings(plan, rows) == "a verdict needs test cases that no trial has opened or validated on"


def test_a_part_of_them_counts_as_well(tmp_path: Path) -> None:
    folds = the_split()
    register_validated(locked(tmp_path / "pilot", folds)[0])
    (fold,) = folds
    picked = Fold(train=fold.train, validation=fold.test, test=fold.validation[:5])
    locked(tmp_path / "final", [picked], RATE)
    assert "5 of its 5 test cases had been validated on" in reasons(tmp_path / "final")[0]


def test_few_cases_of_trials_that_were_stopped_count_together(tmp_path: Path) -> None:
    """Whoever stops a slow trial and splits anew meets some of its validation cases; who does it often meets many."""
    (fold,) = the_split()
    tested = fold.test
    for number in range(3):
        seen = tested[number * len(tested) // 10 : (number + 1) * len(tested) // 10]
        stopped = Fold(train=fold.validation, validation=[*seen, *fold.train], test=[])
        register_validated(locked(tmp_path / f"stopped-{number}", [stopped], ("lr = 0.01", f"lr = 0.02{number}"))[0])
        locked(tmp_path / f"final-{number}", [fold], RATE)
        assert bool(reasons(tmp_path / f"final-{number}")) == (number == 2), number


def test_few_cases_of_a_trial_whose_jobs_have_ended_count(tmp_path: Path) -> None:
    (fold,) = the_split()
    pilot = Fold(train=fold.validation, validation=[*fold.test[:1], *fold.train], test=[])
    register_validated(locked(tmp_path / "pilot", [pilot], ("lr = 0.01", "lr = 0.02"))[0])
    key = f"{Ledger(tmp_path / 'pilot').events[0].hash}/0"
    registry_file.append(FILE, [{"kind": "weights", "digests": ["0" * 64], "trainings": [key]}])
    locked(tmp_path / "final", [fold], RATE)
    assert "1 of its" in reasons(tmp_path / "final")[0]


def test_a_trial_that_was_stopped_before_anything_was_validated_showed_nothing(tmp_path: Path) -> None:
    locked(tmp_path / "aborted", the_split())
    locked(tmp_path / "final", swapped(the_split()), RATE)
    assert reasons(tmp_path / "final") == ()


def test_the_same_split_with_other_settings_is_what_validation_is_for(tmp_path: Path) -> None:
    register_validated(locked(tmp_path / "pilot", the_split())[0])
    locked(tmp_path / "final", the_split(), RATE)
    assert reasons(tmp_path / "final") == ()


def folds_of(count: int) -> list[Fold]:
    """Cross-validation: every case is validated on in one fold, and a test case in another."""
    whole = the_split()[0]
    parts = [whole.train, whole.validation, whole.test]
    turns = [parts[k:] + parts[:k] for k in range(count)]
    return [Fold(train=one[0], validation=one[1], test=one[2]) for one in turns]


def test_folds_of_a_plan_are_its_own_design_and_not_that_of_another(tmp_path: Path) -> None:
    for job in locked(tmp_path / "first", folds_of(3)):
        register_validated(job)
    locked(tmp_path / "again", folds_of(3))
    assert reasons(tmp_path / "again") == (), "the same plan in another folder"
    locked(tmp_path / "other", folds_of(3), RATE)
    cases = len(COHORT.cases)
    assert f"{cases} of its {cases} test cases had been validated on once" in reasons(tmp_path / "other")[0]


def test_a_draw_of_tuning_validates_on_its_cases(tmp_path: Path) -> None:
    job = locked(tmp_path / "pilot", the_split())[0]
    register_validated(Job(**{**vars(job), "draw": 0}))
    assert [row["kind"] for row in registry_rows()][-1] == "validated cases"
    locked(tmp_path / "final", swapped(the_split()), RATE)
    assert "had been validated on once" in reasons(tmp_path / "final")[0]


def test_wholly_other_arms_may_state_why_and_related_ones_may_not(tmp_path: Path) -> None:
    register_validated(locked(tmp_path / "pilot", the_split())[0])
    locked(tmp_path / "other arms", swapped(the_split()), *OTHER_ARMS)
    assert "with other arms, and the plan states no split.reuse" in reasons(tmp_path / "other arms")[0]
    locked(tmp_path / "reason", swapped(the_split()), *OTHER_ARMS, REUSE)
    assert reasons(tmp_path / "reason") == ()
    locked(tmp_path / "vain", swapped(the_split()), RATE, REUSE)
    assert "had been validated on" in reasons(tmp_path / "vain")[0]


def test_what_others_validated_after_the_first_opening_does_not_count_against_a_repeat(tmp_path: Path) -> None:
    folds = the_split()
    locked(tmp_path / "first", folds)
    opened(tmp_path / "first", folds)
    register_validated(locked(tmp_path / "later", swapped(folds), RATE)[0])
    locked(tmp_path / "repeat", folds)
    assert reasons(tmp_path / "repeat") == ()


def test_validation_between_the_lock_and_the_opening_counts(tmp_path: Path) -> None:
    """Whoever locks all divisions first, and then looks which of them pleases."""
    folds = the_split()
    locked(tmp_path / "final", swapped(folds), RATE)
    register_validated(locked(tmp_path / "pilot", folds)[0])
    assert reasons(tmp_path / "final") == ()
    trial = SimpleNamespace(out=tmp_path / "final", cohort=COHORT, folds=swapped(folds), cards=CaseCards(COHORT))
    record_opening(trial, Ledger(tmp_path / "final"), [], None)
    assert "had been validated on once before" in reasons(tmp_path / "final")[0]


def test_an_opened_pilot_is_no_way_around(tmp_path: Path) -> None:
    folds = the_split()
    register_validated(locked(tmp_path / "pilot", folds)[0])
    opened(tmp_path / "pilot", folds)
    locked(tmp_path / "final", swapped(folds), RATE)
    assert any("had been validated on once before" in one for one in reasons(tmp_path / "final"))


def test_check_says_it_before_training(tmp_path: Path) -> None:
    folds = the_split()
    register_validated(locked(tmp_path / "pilot", folds)[0])
    protocol = Protocol.parse(altered(TEXT, RATE))
    (text,) = earlier_looks(protocol, COHORT, swapped(folds), CaseCards(COHORT))
    assert "This trial would be exploratory: " in text
    assert "had been validated on once before" in text
    assert earlier_looks(Protocol.parse(TEXT), COHORT, swapped(folds), CaseCards(COHORT)) == [], "the same protocol"


def test_the_page_names_the_trial(tmp_path: Path) -> None:
    folds = the_split()
    register_validated(locked(tmp_path / "pilot", folds)[0])
    locked(tmp_path / "final", swapped(folds), RATE)
    plan = read_lock(tmp_path / "final")
    state = SimpleNamespace(prior_openings=prior_openings(plan, Ledger(tmp_path / "final")))
    (warning,) = _of_openings(SimpleNamespace(lock=plan, ledger=state))
    assert "test cases had been validated on before, on " in sentence(warning)
    assert "what it showed may have chosen them, so these results are exploratory." in sentence(warning)


def test_lines_of_an_earlier_version_and_spoilt_ones_are_left_out(tmp_path: Path) -> None:
    register_validated(locked(tmp_path / "pilot", the_split())[0])
    whole = len(list(registry_rows()))
    before = [{**row} for row in registry_rows() if row["kind"] == "training"]
    registry_file.append(FILE, [{**before[0], "validation": {"cases": 3}}, {**before[0], "validation": [], "arms": 1}])
    assert len(list(registry_rows())) == whole
    file = tmp_path / "cache" / FILE
    file.write_text("")
    registry_file.append(FILE, [{k: v for k, v in before[0].items() if k != "validation"}])
    locked(tmp_path / "final", swapped(the_split()), RATE)
    assert reasons(tmp_path / "final") == ()


def test_built_in_names_are_one_in_every_spelling() -> None:
    lock_of = {"arms": [{"model": {"name": "u-net"}, "optimizer": {"name": "Adam_W"}}]}
    assert in_common(['{"model": {"name": "unet"}, "optimizer": {"name": "adamw"}}'], lock_of) == [
        "network u-net",
        "optimizer adam_w",
    ]
