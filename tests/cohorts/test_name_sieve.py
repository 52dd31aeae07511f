"""Sentences about a cohort lose every name that the cohort knows, and whatever else they quote out of a file."""

import dataclasses
import re
import sys
from pathlib import Path

import pytest

from equipoise.cohorts.cohort import Exclusion, Problem
from equipoise.cohorts.identities import kept_attributes, renamed, sieve_of, with_pseudonyms
from equipoise.cohorts.name_sieve import NameSieve, without_names
from equipoise.cohorts.splits.patient_names import with_one_spelling
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.lock import cases_table

KEY = bytes(range(32))
COHORT = phantom(cases=12, size=8)


def with_patients(*names):
    """The phantoms, the first cases with patients of these names."""
    cases = [dataclasses.replace(case, patient=name) for case, name in zip(COHORT.cases, names, strict=False)]
    return dataclasses.replace(COHORT, cases=(*cases, *COHORT.cases[len(cases) :]))


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("it ends early", "it ends early"),
        ("'Ann Doe' is called \"O'Brien\" here", "'…' is called \"…\" here"),
        ("the reader's opinion on a patient's 'sick' case", "the reader's opinion on a patient's 'sick' case"),
        ("a 'D\\'Or \"x\"' and 'ill'", "a '…' and '…'"),
        ("set cohort.on_problem = 'exclude'", "set cohort.on_problem = 'exclude'"),
        ("lies in /data/Doe/x.png, beside C:\\Doe\\x.png", "lies in a file, beside a file"),
        ("its series 1.2.840.90817263.4 of 1,024 × 512 voxels", "its series … of 1,024 × 512 voxels"),
        ("number 9081726300 and c01-1234567890", "number … and c01-1234567890"),
        ("AUC and/or Dice at 0.25 mm/pixel", "AUC and/or Dice at 0.25 mm/pixel"),
    ],
)
def test_what_a_sentence_quotes_is_taken_out(sentence, shown):
    assert NameSieve({}, {"sick"}).text(sentence) == shown


def test_an_excluded_file_is_not_named_and_equal_reasons_are_one():
    reason = "it has the label 'KANARI', other than KANARI file 04.png beside KANARI file 03"
    aside = [Exclusion(f"KANARI file 0{k}", "KANARI-p", reason, f"/d/KANARI root/KANARI file 0{k}.png") for k in (3, 4)]
    problem = Problem(COHORT.cases[0].id, "/d/KANARI root/x.png", "it lies in /d/KANARI root", "copy x.png again")
    shown = with_pseudonyms(dataclasses.replace(COHORT, excluded=tuple(aside), problems=(problem,)), KEY)
    assert "KANARI" not in repr((shown.excluded, shown.problems))
    reasons = {re.sub(r"x-[0-9a-f]{10}", "x", str(one)) for one in shown.excluded}
    assert reasons == {"it has the label '…', other than a file beside x"}
    assert len({one.case for one in shown.excluded}) == 2
    assert str(aside[0]).startswith("/d/KANARI root/KANARI file 03.png: it has")


@pytest.mark.parametrize(
    "names", [("KANARI-Schmidt P 05", "kanari-schmidt p5"), ("p 5", "P05"), ("Kanari\u200b1", "Kanari1"), ("7", "07")]
)
def test_a_joined_spelling_is_not_named(names):
    joined = with_one_spelling(with_patients(*names))
    assert joined.joined == {names[1]: names[0]}
    shown = with_pseudonyms(joined, KEY)
    (note,) = [one for one in shown.notes if "taken for one" in one]
    assert re.fullmatch(r"Patients 'p\d+-[0-9a-f]{10}' and 'x-[0-9a-f]{10}' were taken for one: .*", note)
    assert not shown.joined


def test_a_path_with_blanks_goes_where_the_cohort_knows_the_file():
    problem = Problem("c", "/data/Ann Doe/x1.png", "torn", "copy it")
    sieve = sieve_of(dataclasses.replace(COHORT, problems=(problem,)), [(c.id, c.patient) for c in COHORT.cases], KEY)
    assert sieve.text("/data/Ann Doe/x1.png is not in /data/Ann Doe, nor x1") == "a file is not in a folder, nor x1"
    assert sieve.of_name("unknown") == "a file"


def test_signs_that_nobody_sees_are_spelt_as_python_does():
    odd = "a'b\"c"
    assert without_names("first 'a\\u200bb'", {"a\u200bb": "c1"}) == "first 'c1'"
    assert without_names(f"first {odd!r}", {odd: "c1"}) == "first 'c1'"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("egk", lambda k: 8.027688104e19 + k, False), ("share", lambda k: f".9081726{k}", False),
        ("pin", lambda k: 1000 + k, False), ("score", lambda k: k / 7, False), ("note", lambda k: k, False),
        ("age", lambda k: 40 + k, True), ("age", lambda k: "", True), ("age", lambda k: 9081726300 + k, False),
        ("age", lambda k: 8.027688104e19, False), ("age", lambda k: f"19{k}0-01-01", False),
        ("site", lambda k: "north", True), ("site", lambda k: f"Dr. {k}", False), ("model", lambda k: 80276 + k, False),
    ],
)  # fmt: skip
def test_a_column_is_shown_where_somebody_named_it(name, value, kept):
    cases = tuple(
        dataclasses.replace(case, patient=f"p{k}", attributes={name: value(k)}) for k, case in enumerate(COHORT.cases)
    )
    cohort = dataclasses.replace(COHORT, cases=cases, size_attribute=None)
    assert kept_attributes(cohort) == ({name} if kept else set())
    shown = with_pseudonyms(cohort, KEY)
    left_out = [note for note in shown.notes if f"leave out the columns {name} of" in note]
    assert bool(left_out) != kept
    assert not left_out or "endpoints.subgroups" in left_out[0]
    assert name in with_pseudonyms(cohort, KEY, [name]).cases[0].attributes


def test_a_run_folder_is_renamed_in_the_same_way():
    names = [(f"c{k}", f"p{k}") for k in range(len(COHORT))]
    noted = dataclasses.replace(COHORT, notes=(f"first {COHORT.cases[3].id!r} of 'Doe'.",))
    assert renamed(noted, names, KEY, ()).notes[0] == "first 'c3' of '…'."


@pytest.fixture
def toy_regression(monkeypatch):
    """The module on the path, and gone from this process afterwards: trials import copies from other folders."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "trials"))
    yield
    sys.modules.pop("toy_regression", None)


@pytest.mark.usefixtures("toy_regression")
def test_a_task_of_ones_own_reads_attributes_that_no_table_shows():
    cases = tuple(dataclasses.replace(case, attributes={"mm": k / 7}) for k, case in enumerate(COHORT.cases))
    cohort = dataclasses.replace(COHORT, cases=cases)
    assert not with_pseudonyms(cohort, KEY).cases[0].attributes
    shown = with_pseudonyms(dataclasses.replace(cohort, task="toy_regression:REGRESSION"), KEY)
    assert shown.cases[1].attributes == {"mm": 1 / 7}
    assert cases_table(shown, ()).splitlines()[0] == "case,patient,label"
