"""`equipoise check` on files: every unreadable case is a row, every remark is shown and reaches the lock's notes."""

import nibabel as nib
import numpy as np
import pytest

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Case, Cohort, Image, Remark
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.errors import CohortError
from equipoise.progress import silent
from equipoise.trials.check import Checked, _rows, _without_unreadable
from equipoise.trials.lock import describe_cohort


def cohort_of(readers, **settings):
    cases = tuple(Case(name, name, read, label=index % 2) for index, (name, read) in enumerate(readers.items()))
    return Cohort("mine", "classification", cases, ("a", "b"), ("image",), 2, **settings)


def sound():
    return Image(np.arange(16.0).reshape(1, 4, 4), (1.0, 1.0))


def broken():
    raise RefusedFile("x.png", "it ends early", "copy it again")


def test_all_unreadable_cases_become_problems_and_the_others_go_on():
    cohort = _without_unreadable(cohort_of({"a": sound, "b": broken, "c": sound, "d": broken}))
    cards = CaseCards(cohort, silent)
    assert [case.id for case in cohort.cases] == ["a", "c"]
    assert [row["case"] for row in _rows(cohort, cards)] == ["a", "c"]
    assert [(problem.case, problem.problem) for problem in cohort.problems] == [
        ("b", "it ends early"),
        ("d", "it ends early"),
    ]
    with pytest.raises(CohortError, match=r"no case of mine can be read; first x\.png"):
        _without_unreadable(cohort_of({"a": broken, "b": broken}))


def test_remarks_are_shown_with_their_number_and_first_file():
    cohort = cohort_of({"a": sound, "b": sound}, remarks=(Remark("its sform cannot be used", 12, "i0.nii"),))
    cards = CaseCards(cohort, silent)
    checked = Checked(cohort, cards, (), _rows(cohort, cards), [], [], None, "none", [], 0, 1)
    assert "remark: its sform cannot be used (12 files, first i0.nii)" in checked.text().splitlines()
    assert checked.as_json()["remarks"] == [{"text": "its sform cannot be used", "files": 12, "first": "i0.nii"}]
    assert "its sform cannot be used (12 files, first i0.nii)" in checked.page()
    assert describe_cohort(cohort)["notes"] == ["Its sform cannot be used (12 files, first i0.nii)."]


def test_a_remark_made_by_a_reader_reaches_them(tmp_path):
    for name in "ab":
        image = nib.Nifti1Image(np.random.default_rng(ord(name)).normal(size=(6, 5, 4)).astype(np.float32), np.eye(4))
        image.set_qform(None, 0)
        image.set_sform(None, 0)
        nib.save(image, tmp_path / f"{name}.nii")
        raw = bytearray((tmp_path / f"{name}.nii").read_bytes())
        raw[252:256] = bytes(4)
        (tmp_path / f"{name}.nii").write_bytes(raw)
    (tmp_path / "m.csv").write_text("case,patient,image,label\na,a,a.nii,x\nb,b,b.nii,y\n")
    notes = describe_cohort(manifest(tmp_path / "m.csv"))["notes"]
    assert notes[-1].startswith("It states no orientation (both codes are 0)")
    assert notes[-1].endswith("(2 files, first a.nii).")
