"""Pseudonyms sort as names do, hide words of tables and sentences, and are found again in a run folder."""

import dataclasses
import tomllib

import numpy as np
import pytest

from equipoise.cohorts.cohort import Exclusion, Problem, Remark
from equipoise.cohorts.identities import kept_attributes, pseudonyms, with_pseudonyms
from equipoise.cohorts.name_sieve import without_names
from equipoise.cohorts.splits.leakage import Leak
from equipoise.cohorts.splits.split import split
from equipoise.errors import LedgerError
from equipoise.evaluation.predictions import Predictions
from equipoise.protocol import Protocol
from equipoise.runfolder.names import as_locked
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.opening_registry import by_true_names, plan_identity
from equipoise.runfolder.read import JobRecord, read_lock
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials import audit_names
from equipoise.trials.lock import lock
from equipoise.trials.names import (
    for_outputs,
    leaks_named,
    names_of,
    new_names,
    pairs_named,
    study_text_named,
    text_named,
)

TEXT = """
[cohort]
source = "phantom"
cases = 60
[split]
not_leaks = [["{a}", "{b}"]]  # looked at
[[arms]]
name = "a"
model = "unet"
[[arms]]
name = "b"
model = "densenet"
"""
KEY = bytes(range(32))
COHORT = phantom(cases=60, size=12)
PROTOCOL = Protocol.parse(TEXT.format(a=COHORT.cases[0].id, b=COHORT.cases[1].id))


def locked(folder, key=KEY):
    """A run folder of the phantoms by pseudonyms."""
    cohort, folds = with_pseudonyms(COHORT, key), split(COHORT)
    folder.mkdir()
    known = new_names(COHORT, cohort)
    lock(folder, PROTOCOL, cohort, folds, {"device": "cpu", "code": {}}, text_named(PROTOCOL, known))
    return cohort, folds


STUDY = """
[split]  # of all
not_leaks = [["{a}", "Nobody-Here"]]
[[study.cohorts]]
name = "one"
split = {{not_leaks = [["{a}", "{b}"]]}}
[[study.cohorts]]
name = "two"
"""


@pytest.mark.parametrize("source", ["manifest", "phantom"])
def test_the_copy_of_a_study_names_pairs_as_a_trials_copy_does(source):
    a, b = (case.id for case in COHORT.cases[:2])
    text = STUDY.format(a=a, b=b)
    protocol = Protocol.parse(TEXT.format(a=a, b=b).replace('"phantom"\ncases = 60', f'"{source}"\npath = "x.csv"'))
    made = study_text_named(text, {"two": COHORT, "one": COHORT}, {"one": protocol, "two": protocol})
    if source == "phantom":  # published: its names name nobody
        assert made == text
        return
    shown = for_outputs(protocol, COHORT)
    pair = [case.id for case in shown.cases[:2]]
    document = tomllib.loads(made)
    assert document["study"]["cohorts"][0]["split"]["not_leaks"] == [pair]
    assert document["split"]["not_leaks"][0][0] == pair[0]
    assert "Nobody" not in made
    assert a not in made
    assert "# of all" in made


def test_pseudonyms_sort_as_the_names_do_and_need_the_key():
    names = [f"{letter}{number}" for letter in "zAä_" for number in (1, 10, 2)]
    made = pseudonyms(names, KEY, "p")
    assert sorted(names, key=made.get) == sorted(names)
    assert not set(made.values()) & set(pseudonyms(names, bytes(32), "p").values())
    hidden = with_pseudonyms(COHORT, KEY)
    for column in ("id", "patient"):
        before, after = (np.array([getattr(case, column) for case in one.cases]) for one in (COHORT, hidden))
        assert (np.unique(before, return_inverse=True)[1] == np.unique(after, return_inverse=True)[1]).all()
    assert hidden.fingerprint() == COHORT.fingerprint()
    assert opened_cases(hidden, split(COHORT)) == opened_cases(COHORT, split(COHORT))
    assert COHORT.cases[3].id not in repr(hidden)


def test_what_a_table_says_of_persons_is_left_out():
    def case(number, one):
        values = {
            "age": 40 + number, "sex": "fm"[number % 2], "Site": "north", "mrn": 900000 + number, "ward": "east",
            "born": f"1950-01-{1 + number % 28:02d}", "score": number / 7,
        }  # fmt: skip
        return dataclasses.replace(one, attributes=values)

    cohort = dataclasses.replace(COHORT, cases=tuple(case(*one) for one in enumerate(COHORT.cases)))
    assert kept_attributes(cohort) == {"age", "sex", "Site"}
    assert "ward" in with_pseudonyms(cohort, KEY, ["ward"]).cases[0].attributes
    assert "mrn" not in with_pseudonyms(cohort, KEY).cases[0].attributes


def test_sentences_name_nobody():
    first, other = COHORT.cases[0], COHORT.cases[1]
    cohort = dataclasses.replace(
        COHORT,
        cases=(dataclasses.replace(first, sha256={"a/Doe^J.png": "0" * 64}), *COHORT.cases[1:]),
        notes=(f"Patients {first.patient!r} and {other.patient!r} were taken for one.",),
        remarks=(Remark("it was turned", 1, "a/Doe^J.png"), Remark("it is odd", 1, "elsewhere.png")),
        excluded=(Exclusion("left-1", "left-p", "a/Doe^J.png: it is empty"),),
        problems=(Problem(first.id, "a/Doe^J.png", "it is empty", "copy a/Doe^J.png again"),),
    )
    shown = with_pseudonyms(cohort, KEY)
    text = repr((shown.notes, shown.remarks, shown.excluded, shown.problems))
    assert not any(name in text for name in ("Doe", "left-", "elsewhere", first.patient, other.patient))
    assert str(shown.remarks[1]) == "it is odd (1 file)"
    assert without_names("12 cases, first '12'", {"12": "c1"}) == "12 cases, first 'c1'"


def test_a_run_folder_gives_its_names_back_without_the_key(tmp_path):
    cohort, folds = locked(tmp_path / "run")
    again = as_locked(COHORT, tmp_path / "run")
    assert [case.id for case in again.cases] == [case.id for case in cohort.cases]
    plan = read_lock(tmp_path / "run")
    assert plan["ids"] == "pseudonyms"
    assert set(plan["split"]["folds"][0]["test"]) == {cohort.cases[index].id for index in folds[0].test}
    other = dataclasses.replace(COHORT, name="other")
    assert as_locked(other, tmp_path / "run") is other
    (named,) = names_of(PROTOCOL, None, [COHORT.cases[7].id])
    assert named.case == named.shown, "phantoms are nobody's"
    with pytest.raises(LedgerError, match="has no case or patient 'nobody'"):
        names_of(PROTOCOL, None, ["nobody"])
    (tmp_path / "run" / "cases.csv").write_text("case,patient\n")
    with pytest.raises(LedgerError, match="it lists 0 cases, and the trial has 60; restore it"):
        as_locked(COHORT, tmp_path / "run")


def test_another_key_makes_no_other_plan(tmp_path):
    first, _ = locked(tmp_path / "one")
    second, _ = locked(tmp_path / "two", bytes(32))
    plans = [by_true_names(read_lock(tmp_path / name), one) for name, one in (("one", first), ("two", second))]
    assert plan_identity(plans[0]) == plan_identity(plans[1])


def test_the_protocol_of_a_run_folder_names_pairs_by_pseudonyms(tmp_path):
    cohort, _ = locked(tmp_path / "run")
    text = (tmp_path / "run" / "protocol.toml").read_text()
    assert COHORT.cases[0].id not in text
    assert cohort.cases[0].id in text
    assert "# looked at" in text
    known = new_names(COHORT, cohort)
    assert pairs_named(PROTOCOL, known) == [[cohort.cases[0].id, cohort.cases[1].id]]
    assert leaks_named([Leak(COHORT.cases[0].id, "x", "near")], known) == [Leak(cohort.cases[0].id, "x", "near")]


def test_an_audit_is_renamed_without_its_arms():
    table = Predictions(
        np.array(["b", "a"]), np.array(["p", "q"]), np.array(["test"] * 2), np.array(["a"] * 2), np.zeros(2, int),
        np.zeros(2, int), np.zeros(2, int), np.zeros((2, 0)),
    )  # fmt: skip
    job = audit_names._job(
        JobRecord("a", 0, 0, "finished", predictions=table), {"a": "c1", "b": "c2", "p": "p1", "q": "p2"}
    )
    assert job.predictions.case.tolist() == ["c2", "c1"]
    assert job.arm == "a"
    shown = audit_names._texts({"arm": "a", "case": "b", "text": "cases 'b'", "n": 3}, {"a": "c1", "b": "c2"}, {"a"})
    assert shown == {"arm": "a", "case": "c2", "text": "cases 'c2'", "n": 3}
