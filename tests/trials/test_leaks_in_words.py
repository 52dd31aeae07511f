"""What follows from leaks stands behind their list: a refusal, a permission, or nothing but a look."""

from types import SimpleNamespace

import pytest

from equipoise.cohorts.splits.leakage import Leak
from equipoise.trials.check import leaks_in_words

STATED = SimpleNamespace(patients_known=True, patients_guessed=False)
UNKNOWN = SimpleNamespace(patients_known=False, patients_guessed=False)


@pytest.mark.parametrize(
    ("kinds", "cohort", "refused", "words"),
    [
        (("near",), STATED, False, "1 pair of images in different parts is alike, but the source states different"),
        (("near", "near"), STATED, False, "2 pairs of images in different parts are alike"),
        (("near", "equal"), STATED, True, "1 leak: a run would be refused"),
        (("near copy",), UNKNOWN, False, "1 pair of images of different patients in the test part is alike"),
        (("near", "near copy"), STATED, False, "1 pair of images in different parts is alike and 1 pair of images of"),
        (("copy",), STATED, True, "1 leak: a run would be refused"),
        (("near",), UNKNOWN, True, "1 leak: a run would be refused"),
        (("equal", "patient"), STATED, False, "2 leaks, which split.allow_leaks allows"),
    ],
)
def test_what_follows_is_said(kinds, cohort, refused, words):
    leaks = [Leak("a", "b", kind) for kind in kinds]
    assert leaks_in_words(leaks, cohort, refused=refused).startswith(words)
