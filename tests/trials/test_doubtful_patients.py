"""Patients whose names look like images of fewer persons are refused until the protocol says who they are; margins."""

import dataclasses
import re

import pytest

from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.cautions import doubtful_patients
from equipoise.trials.plan import images_as_patients, plan, refusals, wide_margins

TEXT = '[cohort]\nsource = "{source}"\n[split]\n{split}\n[[arms]]\nname = "a"\nmodel = "unet"\n'
SIDES = [f"P{k:03d}_{side}" for k in range(30) for side in ("L-CC", "R-CC")]


def trial(names, split="", source="phantom", **changes):
    cohort = phantom(cases=60, size=12)
    cases = tuple(dataclasses.replace(case, patient=name) for case, name in zip(cohort.cases, names, strict=True))
    text = TEXT.format(split=split, source=source)
    text = text.replace('"manifest"', '"manifest"\npath = "x.csv"')
    return plan(Protocol.parse(text), dataclasses.replace(cohort, cases=cases, **changes), "unused")


@pytest.mark.parametrize("known", [True, False])
def test_images_that_count_as_patients_are_refused_with_a_remedy(known):
    (reason,) = refusals(trial(SIDES, source="manifest", patients_known=known), [])
    assert re.match(r"60 patients of \S+, such as 'P000_L-CC' and 'P000_R-CC', have names that end as", reason)
    assert "(words beside 30 stems); state the patients with cohort.patient_pattern = '([^/_]+)_[^/]*$'" in reason
    assert 'or set split.patients = "confirmed" if each is a patient' in reason
    assert "give the true patients, or set" in refusals(trial(SIDES), [])[0], "this source takes no pattern"


FORMS = {
    "date": (lambda p, k: f"P{p:03d}_2021-0{k + 1}-1{p % 9}", "dates"),
    "CheXpert": (lambda p, k: f"patient{64541 + p}/study{k + 1}/view1_frontal.jpg", "words"),
    "file": (lambda p, k: f"patient{p:03d}_study{k + 1}.png", "words"),
    "brackets": (lambda p, k: f"P{p:03d} ({k + 1})", "numbers"),
    "eye": (lambda p, k: f"P{p:03d} {('left', 'right')[k]} eye", "words"),
    "folder": (lambda p, k: f"{p:03d}/{k}", "numbers"),
    "frame": (lambda p, k: f"vid{p:03d}_frame_{k * 25:05d}", "words"),
    "view before": (lambda p, k: f"{('CC', 'MLO')[k]}_L_{p:03d}", "words"),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_in_names_of_many_forms_are_refused_with_a_pattern_that_tells_the_persons(form):
    name, kind = FORMS[form]
    names = [name(p, k) for p in range(30) for k in range(2)]
    (reason,) = refusals(trial(names, source="manifest"), [])
    assert f"({kind} beside 30 stems); state the patients with cohort.patient_pattern = '" in reason
    pattern = reason.partition("cohort.patient_pattern = '")[2].partition("', or set")[0]
    persons = [re.search(pattern, one)[1] for one in names]
    assert len({*zip(persons, (k // 2 for k in range(60)), strict=True)}) == len(set(persons)) == 30
    assert refusals(trial(persons, source="manifest"), []) == []
    assert refusals(trial(names, 'patients = "confirmed"', source="manifest"), []) == []


def test_a_pattern_that_leaves_images_is_to_be_corrected():
    source = 'manifest"\npatient_pattern = "(.*)'
    (reason,) = refusals(trial(SIDES, source=source), [])
    assert "; correct cohort.patient_pattern, so that its group is the person alone, or set" in reason


@pytest.mark.parametrize(
    ("split", "ending"),
    [
        ('patients = "confirmed"', "the protocol confirms that each is a patient"),
        ("allow_leaks = true", "split.allow_leaks lets each count as a patient, which makes intervals too narrow"),
    ],
)
def test_what_the_protocol_confirms_is_told_without_names(split, ending):
    confirmed = trial(SIDES, split)
    assert refusals(confirmed, []) == []
    (text,) = doubtful_patients(confirmed)
    assert text.endswith(ending)
    assert "P000" not in text
    assert "'P000_L-CC'" in doubtful_patients(confirmed, named=True)[0]


def test_other_names_are_left_alone():
    for names in (
        [f"S{k % 6}-P{k:03d}" for k in range(60)],
        [f"P{k:03d}" for k in range(60)],
    ):
        assert refusals(trial(names), []) == []
        assert doubtful_patients(trial(names, 'patients = "confirmed"')) == []


def test_few_pairs_of_sides_are_a_warning_and_no_refusal():
    names = SIDES[:18] * 3 + SIDES[:6]
    assert refusals(trial(names), []) == []
    (sentence,) = doubtful_patients(trial(names))
    assert sentence.startswith("9 pairs of names differ only in _L-CC and _R-CC")
    assert images_as_patients(trial(SIDES, patients_known=False, patients_guessed=True)) == ""


@pytest.mark.parametrize(("margin", "cautions"), [(0.05, 0), (0.2, 1)])
def test_a_plan_with_a_wide_margin_has_a_caution(margin, cautions):
    text = TEXT.format(split="", source="phantom") + f"[endpoints]\nmargin = {margin}\n"
    reasons = wide_margins(plan(Protocol.parse(text), phantom(cases=60, size=12), "unused"))
    assert sum(one is not None for one in reasons) == cautions
