"""Words on the split and on classes are true for tasks whose cases have no class."""

import pytest

from equipoise.report.text.words import stratified


@pytest.mark.parametrize(
    ("task", "classes", "words"),
    [
        ("classification", {"a": 3, "b": 4}, ", stratified by class"),
        ("segmentation", {}, ""),
        ("detection", {}, ""),
    ],
)
def test_only_classes_of_cases_stratify_a_split(task, classes, words):
    assert stratified({"cohort": {"task": task, "classes": classes}}) == words
