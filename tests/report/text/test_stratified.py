"""Words on the split are true: of tasks without classes, of the source's own parts, of guessed patients."""

import pytest

from equipoise.report.text.checklist_facts import _disjoint
from equipoise.report.text.methods import _data
from equipoise.report.text.words import split_unit, stratified

CLASSES = {"a": 3, "b": 4}


@pytest.mark.parametrize(
    ("task", "classes", "scheme", "words"),
    [
        ("classification", CLASSES, "holdout", ", stratified by class"),
        ("classification", CLASSES, "given", ""),
        ("segmentation", {}, "holdout", ""),
        ("detection", {}, "kfold", ""),
    ],
)
def test_only_classes_of_cases_stratify_a_split_that_we_made(task, classes, scheme, words):
    assert stratified({"cohort": {"task": task, "classes": classes}, "split": {"scheme": scheme}}) == words


@pytest.mark.parametrize("folds", [1, 5])
def test_methods_say_who_divided_the_patients_and_that_they_were_guessed(folds):
    parts = {"train": 70, "validation": 10, "test": 20}
    cohort = {"name": "own", "excluded": [], "split_patients": parts, "divided_patients": 0, "folds": folds}
    results = {"cohort": cohort | {"cases": 120, "patients": 100}}
    own = {"cohort": {"task": "classification", "classes": CLASSES}, "split": {"scheme": "holdout"}}
    theirs = {"cohort": own["cohort"] | {"patients_guessed": True}, "split": {"scheme": "given"}}
    _, ours = _data(results, own, lambda *_: "")
    _, guessed = _data(results, theirs, lambda *_: "")
    assert "guessed" not in ours
    assert ", stratified by class" in ours
    assert "the source states no patients, who were guessed from alike images" in guessed
    assert "stratified" not in guessed
    assert ("by the source" in guessed) == (folds == 1)
    assert (split_unit(own), split_unit(theirs)) == ("by patient", "the source's own parts")
    assert "no group is in more than one part" in _disjoint(0, guessed=True)
