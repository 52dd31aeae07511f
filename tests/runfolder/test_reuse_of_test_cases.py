"""A trial is exploratory where its test cases were opened before, whatever the two trials are called.

The first part are ways in which a second look was hidden and the results were called confirmatory.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts import Cohort, store
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.identities import with_pseudonyms
from equipoise.cohorts.splits.split import split
from equipoise.protocol import Protocol
from equipoise.protocol.study import Study
from equipoise.report.results.warnings import _of_openings
from equipoise.report.text.reasons import sentence
from equipoise.runfolder import registry_file
from equipoise.runfolder.earlier_openings import cautions_of_openings, prior_openings
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import by_true_names, plan_identity, register, register_predictions
from equipoise.runfolder.opening_registry import prior_openings as looked_up
from equipoise.runfolder.place import Place
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.study_family import FAMILIES, MEMBERS, families, members
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.lock import lock

TEXT = """
[trial]
question = "Which is better?"
[cohort]
source = "phantom"
[split]
seed = 0
[endpoints]
primary = "sensitivity@0.9"
margin = 0.03
[[arms]]
name = "a"
model = {name = "unet", preset = "tiny"}
optimizer = {name = "sgd", lr = 0.01}
[[arms]]
name = "b"
model = {name = "densenet", preset = "tiny"}
optimizer = {name = "sgd", lr = 0.01}
"""
OTHER_ARMS = (("unet", "resnet"), ("densenet", "deeplab"), ("sgd", "adam"), ("lr = 0.01", "lr = 0.001"))
REUSE = ("seed = 0", 'seed = 0\nreuse = "wholly other networks; the first trial never judged them"')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


def with_files(cohort: Cohort, start: int = 0) -> Cohort:
    """The cohort as if each case had a file of its own."""
    cases = [replace(case, sha256={f"{k}.png": f"{start + k:064d}"}) for k, case in enumerate(cohort.cases)]
    return replace(cohort, cases=tuple(cases))


COHORT = with_files(phantom(cases=60, size=16))


def altered(text: str, *changes: tuple[str, str]) -> str:
    """The text with every change made, each of which must change something."""
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def carried_out(folder: Path, text: str = TEXT, cohort: Cohort = COHORT, pixels: bool = False) -> list[str]:
    """Lock a plan and open its test set as a trial does; return why its results are exploratory."""
    protocol = Protocol.parse(text)
    folds = split(cohort, seed=protocol.split.seed, fractions=protocol.split.fractions)
    folder.mkdir(parents=True)
    cases = opened_cases(cohort, folds, CaseCards(cohort).all() if pixels else None)
    ledger = lock(folder, protocol, cohort, folds, {"device": "cpu", "code": {}}, opened=cases)
    plan = by_true_names(read_lock(folder), cohort)
    place = Place.of(folder, plan)
    prior = looked_up(plan, cases, place, ledger)
    event = ledger.append(TEST_OPENED, jobs=[], **({"prior_openings": prior} if prior else {}))
    register(plan, cases, place, ledger, event)
    register_predictions(plan_identity(plan), ledger.events[0].hash, "equal for equal plans", "trial", event)
    return reasons(folder)


def reasons(folder: Path) -> list[str]:
    """Why the record of a run folder calls its results exploratory."""
    plan = read_lock(folder)
    return cautions_of_openings(plan, prior_openings(plan, Ledger(folder)))


def first_row(folder: Path) -> dict:
    return dict(prior_openings(read_lock(folder), Ledger(folder))[0])


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ([("@0.9", "@.90"), ("Which is", "Is which")], ["the question"]),
        ([("@0.9", "@9e-1"), ("Which is", "Is which")], ["the question"]),
        (
            [("sensitivity@0.9", "balanced_accuracy"), ("0.03", "0.9")],
            ["the primary endpoint (sensitivity@0.9 then)", "the margin (0.03 then)"],
        ),
        (
            [("lr = 0.01", "lr = 0.0100001"), ("Which is better", "Does SGD do as well")],
            ["the question", "settings of the arms"],
        ),
        # Relatives of these: only names differ, one arm is kept, or only a network or an optimizer.
        ([('name = "a"', 'name = "x"'), ('name = "b"', 'name = "y"')], []),
        ([("densenet", "deeplab"), ("sgd", "adam"), ("Which", "What")], ["the question", "the arms"]),
        ([("unet", "resnet"), ("densenet", "deeplab"), ("Which", "What")], ["the question", "the arms"]),
        ([("[[arms]]", "[training]\nseeds = [7, 8, 9]\n[[arms]]")], ["the seeds"]),
    ],
)
def test_a_second_plan_on_the_same_test_cases_is_exploratory(tmp_path, changes, differs):
    assert carried_out(tmp_path / "one") == []
    text = TEXT
    for before, after in changes:
        text = text.replace(before, after, 1 if before == "[[arms]]" else -1)
    (reason,) = carried_out(tmp_path / "two", text)
    assert reason.startswith("6 of its 6 test cases had been opened once before by other plans, with the same ")
    assert first_row(tmp_path / "two")["differs"] == differs


@pytest.mark.long
def test_wholly_other_arms_are_exploratory_unless_the_plan_states_a_reason(tmp_path):
    carried_out(tmp_path / "one")
    (reason,) = carried_out(tmp_path / "two", altered(TEXT, *OTHER_ARMS))
    assert reason == (
        "6 of its 6 test cases had been opened once before by other plans, with other arms, and the plan states no "
        "split.reuse"
    )
    shutil.rmtree(tmp_path / "cache")
    carried_out(tmp_path / "three")
    assert carried_out(tmp_path / "four", altered(TEXT, *OTHER_ARMS, REUSE)) == []
    assert first_row(tmp_path / "four")["test_cases_shared"] == 6
    assert read_lock(tmp_path / "four")["reuse"].startswith("wholly other networks")


@pytest.mark.long
def test_a_stated_reason_does_not_cover_related_arms(tmp_path):
    carried_out(tmp_path / "one")
    (reason,) = carried_out(tmp_path / "two", altered(TEXT, REUSE, ("lr = 0.01", "lr = 0.02")))
    assert "network densenet, network unet, optimizer sgd" in reason


@pytest.mark.long
def test_the_report_says_which_opening_how_many_cases_and_what_differed(tmp_path):
    from types import SimpleNamespace

    carried_out(tmp_path / "one")
    carried_out(tmp_path / "two", altered(TEXT, ("0.03", "0.9")))
    plan = read_lock(tmp_path / "two")
    state = SimpleNamespace(prior_openings=prior_openings(plan, Ledger(tmp_path / "two")))
    (text,) = [sentence(one) for one in _of_openings(SimpleNamespace(lock=plan, ledger=state))]
    day = first_row(tmp_path / "two")["opened_at"][:10]
    assert text == (
        f"6 of its 6 test cases had been opened before, on {day}, by the trial trial, which has the same network "
        "densenet, network unet and optimizer sgd and differs in the margin (0.03 then), so these results are "
        "exploratory."
    )


@pytest.mark.long
def test_a_rerun_of_the_first_plan_stays_what_it_was(tmp_path):
    assert carried_out(tmp_path / "first") == []
    assert carried_out(tmp_path / "second", altered(TEXT, ("0.03", "0.9")))
    assert carried_out(tmp_path / "first again") == []
    assert carried_out(tmp_path / "second again", altered(TEXT, ("0.03", "0.9")))


STUDY = """
[study]
name = "seeds"
[[study.cohorts]]
name = "a"
cohort = {source = "phantom"}
[[study.cohorts]]
name = "b"
cohort = {source = "phantom"}
split = {seed = 1}
[[study.models]]
name = "tiny"
model = {name = "unet", preset = "tiny"}
[[study.optimizers]]
name = "adam"
optimizer = "adam"
[[study.optimizers]]
name = "sgd"
optimizer = "sgd"
[split]
fractions = [0.5, 0.2, 0.3]
"""


def study_carried_out(out: Path, text: str) -> dict[str, list[str]]:
    """Carry out every trial of a study as `run_study` does; return why each is exploratory."""
    out.mkdir()
    (out / "study.toml").write_text(text)
    study = Study.load(out / "study.toml")
    trials = {f"{cohort}/{model}": one for (cohort, model), one in study.trials(out).items()}
    cases = {
        name: (
            COHORT.fingerprint(),
            opened_cases(COHORT, split(COHORT, seed=one.split.seed, fractions=(0.5, 0.2, 0.3))),
        )
        for name, one in trials.items()
    }
    plans = {name: (one.sha256(), COHORT.fingerprint()) for name, one in trials.items()}
    plan = {"name": "seeds", "study_sha256": study.sha256(), MEMBERS: members(plans), FAMILIES: families(cases)}
    plan |= {} if study.study.correction == "none" else {"correction": study.study.correction}
    (out / "study-plan.json").write_text(json.dumps(plan))
    return {name: carried_out(out / name, one.text) for name, one in trials.items()}


@pytest.mark.long
def test_a_study_cannot_hide_one_look_behind_another(tmp_path):
    by_trial = study_carried_out(tmp_path / "S", STUDY)
    for name, other in (("a/tiny", "b/tiny"), ("b/tiny", "a/tiny")):
        (reason,) = by_trial[name]
        assert reason.startswith("it is one of 2 trials of the study seeds on these test cases or their cohort")
        shutil.copytree(tmp_path / "S" / name, tmp_path / f"picked-{name[0]}")
        assert reasons(tmp_path / f"picked-{name[0]}") == [reason]
        assert other in reason
        # Nor by the same plan alone, outside of the study: the family it belonged to is then an earlier opening.
        text = (tmp_path / "S" / name / "protocol.toml").read_text()
        (alone,) = carried_out(tmp_path / f"alone-{name[0]}", text)
        assert "test cases had been opened" in alone


@pytest.mark.long
def test_a_study_that_corrects_for_its_trials_is_confirmatory(tmp_path):
    corrected = altered(STUDY, ('name = "seeds"', 'name = "seeds"\ncorrection = "bonferroni"'))
    assert study_carried_out(tmp_path / "S", corrected) == {"a/tiny": [], "b/tiny": []}
    assert [row["name"] for row in prior_openings(read_lock(tmp_path / "S" / "b" / "tiny"), Ledger(tmp_path))] == [
        "a-tiny"
    ]
    assert read_lock(tmp_path / "S" / "a" / "tiny")["endpoints"]["alpha"] == 0.025


CORRECTED = STUDY.replace('name = "seeds"', 'name = "seeds"\ncorrection = "bonferroni"')


@pytest.mark.long
@pytest.mark.parametrize("change", ["none", "the list is gone", "the plan is entered"])
def test_another_plan_in_the_folder_of_a_trial_of_a_study_is_no_trial_of_it(tmp_path, change):
    study_carried_out(tmp_path / "S", CORRECTED)
    member = tmp_path / "S" / "a" / "tiny"
    text = altered((member / "protocol.toml").read_text(), ("alpha = 0.025", "alpha = 0.05"))
    shutil.move(member, tmp_path / "away")
    file = tmp_path / "S" / "study-plan.json"
    plan = json.loads(file.read_text())
    if change == "the list is gone":
        del plan[MEMBERS]
    elif change == "the plan is entered":
        plan[MEMBERS]["a/tiny"]["protocol_sha256"] = Protocol.parse(text).sha256()
    file.write_text(json.dumps(plan))
    (reason,) = carried_out(member, text)
    assert "of its 18 test cases had been opened 2 times before by other plans" in reason
    assert ("study" in read_lock(member)) is (change != "none")


@pytest.mark.long
def test_a_study_that_is_run_again_elsewhere_stays_one_family(tmp_path):
    for place in ("one", "two"):
        assert study_carried_out(tmp_path / place, CORRECTED) == {"a/tiny": [], "b/tiny": []}


def renamed(cohort: Cohort) -> Cohort:
    """Other names for the cohort, its cases and files; the patients' order, and so the split, is kept."""
    cases = [
        replace(case, id=f"x{case.id}", sha256={"moved/z": next(iter(case.sha256.values()))}) for case in cohort.cases
    ]
    return replace(cohort, name="another", cases=tuple(cases))


def recoded(cohort: Cohort) -> Cohort:
    """The same pixels in other files, of which only the pixels tell."""
    return with_files(replace(cohort, name="recoded"), start=10_000)


def disturbed(cohort: Cohort) -> Cohort:
    """Other files whose pixels differ in their last digits."""

    def reader(case):
        def read():
            image = case.read()
            return replace(image, array=image.array + np.float32(1e-3))

        return read

    return replace(recoded(cohort), cases=tuple(replace(case, read=reader(case)) for case in recoded(cohort).cases))


@pytest.mark.long
@pytest.mark.parametrize("change", [renamed, lambda cohort: with_pseudonyms(cohort, bytes(32)), recoded])
def test_the_same_images_are_known_under_other_names_and_in_other_files(tmp_path, change):
    cohort = replace(COHORT, cases=COHORT.cases[:30])
    carried_out(tmp_path / "one", cohort=cohort, pixels=True)
    (reason,) = carried_out(tmp_path / "two", altered(TEXT, ("0.03", "0.9")), change(cohort), pixels=True)
    assert reason.startswith("3 of its 3 test cases had been opened once before")


@pytest.mark.long
def test_a_part_of_a_cohort_is_known_by_its_cases(tmp_path):
    carried_out(tmp_path / "one")
    tested = split(COHORT)[0].test
    kept = [case for index, case in enumerate(COHORT.cases) if index % 2 or index in tested]
    part = replace(COHORT, name="part", cases=tuple(kept))
    new = altered(TEXT, ("seed = 0", "seed = 0\nfractions = [0.3, 0.2, 0.5]"))
    (reason,) = carried_out(tmp_path / "two", new, part)
    assert "test cases had been opened once before by other plans" in reason


@pytest.mark.long
def test_pixels_that_were_changed_are_not_known(tmp_path):
    """A limit that the decision note names: other files with other pixels are other images."""
    cohort = replace(COHORT, cases=COHORT.cases[:30])
    carried_out(tmp_path / "one", cohort=cohort, pixels=True)
    assert carried_out(tmp_path / "two", altered(TEXT, ("0.03", "0.9")), disturbed(cohort), pixels=True) == []


@pytest.mark.long
def test_phantoms_of_another_size_are_other_images(tmp_path):
    small, large = (replace(phantom(cases=30, size=size)) for size in (16, 20))
    carried_out(tmp_path / "one", cohort=small, pixels=True)
    assert carried_out(tmp_path / "two", altered(TEXT, ("0.03", "0.9")), large, pixels=True) == []
    assert carried_out(tmp_path / "three", altered(TEXT, ("0.03", "0.8")), small, pixels=True)


def test_what_an_earlier_version_recorded_counts_by_its_cases():
    row = {"opening": "x", "test_cases_shared": 4, "same_question": False}
    (reason,) = cautions_of_openings({}, (row,))
    assert reason.startswith("4 of its test cases had been opened once before by other plans, with other arms")
    assert cautions_of_openings({"reuse": "a reason in words"}, (row,)), "whether the arms were related is not known"


def encoded_again(cohort: Cohort) -> Cohort:
    """The cohort as files of another kind hold it: three equal colours, turned, and other bytes."""

    def turned(case):
        image = case.read()
        return replace(image, array=np.repeat(np.swapaxes(image.array, 1, 2)[:, ::-1], 3, axis=0))

    cases = tuple(replace(case, read=lambda case=case: turned(case)) for case in cohort.cases)
    return with_files(replace(cohort, cases=cases, channels=("r", "g", "b")), start=5000)


@pytest.mark.long
def test_test_cases_that_were_encoded_again_are_recognised(tmp_path):
    cohort = with_files(phantom(cases=60, size=32))
    assert carried_out(tmp_path / "first", cohort=cohort, pixels=True) == []
    (reason,) = carried_out(tmp_path / "second", altered(TEXT, *OTHER_ARMS), encoded_again(cohort), pixels=True)
    assert "6 of its 6 test cases had been opened once before" in reason
    assert first_row(tmp_path / "second")["test_cases_shared"] == 6


@pytest.mark.long
def test_a_line_that_an_earlier_version_wrote_is_still_recognised(tmp_path):
    cohort = with_files(phantom(cases=60, size=32))
    carried_out(tmp_path / "first", cohort=cohort, pixels=True)
    file = tmp_path / "cache" / "openings.jsonl"
    row = json.loads(file.read_text().splitlines()[0])
    half = len(row["pixels"]) // 2
    file.write_text(json.dumps(row | {"pixels": row["pixels"][:half]}) + "\n")
    (reason,) = carried_out(tmp_path / "second", altered(TEXT, *OTHER_ARMS), with_files(cohort, 5000), pixels=True)
    assert "6 of its 6 test cases had been opened once before" in reason
