"""What `check` says of cases that are left out: every reason with its number, and who a pseudonym is."""

from dataclasses import replace

import pytest

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Exclusion
from equipoise.cohorts.splits.leakage import Leak
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.loop.forecast import Forecast
from equipoise.trials.check import Checked
from equipoise.trials.left_out import left_out, left_out_lines
from equipoise.trials.study import checked_text

EXCLUDED = (
    Exclusion("Doe 1", "Doe 1", "it has no mask"),
    Exclusion("Doe 2", "Doe 2", "its shape (4, 5) differs from (8, 8) of 'Doe 2.png'", "/data/Doe 2 mask.png"),
    Exclusion("Doe 3", "Doe 3", "its shape (7, 5) differs from (8, 8) of 'Doe 3.png'", "/data/Doe 3 mask.png"),
)


def checked(excluded=EXCLUDED, **named):
    cohort = replace(phantom(task="segmentation", cases=12, size=16), excluded=tuple(excluded))
    facts = {"shape": [1, 16, 16], "spacing_mm": [1.0, 1.0], "intensity": {name: [0, 1, 2] for name in cohort.channels}}
    rows = [{"case": case.id, "patient": case.patient, **facts, "sha256": {}} for case in cohort.cases]
    named = {"leaks": [], "refusals": [], "pseudonyms": True, **named}
    return Checked(
        cohort, CaseCards(cohort), (), rows, detectable=None, unplanned="none", forecasts=[], jobs=0, threads=1,
        protocol_file="my trial.toml", **named,
    )  # fmt: skip


def test_reasons_that_differ_in_numbers_and_names_alone_are_one():
    lines = left_out_lines(checked().cohort)
    assert lines == [
        "left out: 2 cases, first Doe 2: /data/Doe 2 mask.png: its shape (4, 5) differs from (8, 8) of 'Doe 2.png'",
        "left out: 1 case, first Doe 1: it has no mask",
    ]


def test_many_reasons_are_counted():
    words = [f"fault {letter}" for letter in "abcdefghijk"]
    cohort = checked(Exclusion(f"e{word}", "p", word) for word in words).cohort
    assert len(left_out(cohort)) == 11
    assert left_out_lines(cohort)[-1] == "left out: 3 cases for 3 further reasons"
    assert left_out_lines(replace(cohort, excluded=())) == []


@pytest.mark.parametrize("refusals", [[], ["cases leak across parts"]])
def test_pseudonyms_come_with_the_command_that_resolves_them(refusals):
    """As docs/howto/privacy.md says: names while a run would be refused, and pseudonyms else."""
    a, b = (case.id for case in checked().cohort.cases[:2])
    result = checked(leaks=[Leak(a, b, "near")], refusals=refusals)
    text = result.text()
    if refusals:
        assert "first Doe 1: it has no mask" in text
        assert "equipoise ids" not in text
        return
    assert "Doe" not in text
    shown = [line.split("first ")[1].split(":")[0] for line in text.splitlines() if "left out" in line]
    assert all(name.startswith("x-") for name in shown)
    assert f"`equipoise ids 'my trial.toml' {' '.join(shown)}` says which cases of the data these are" in text
    leak = next(line for line in text.splitlines() if line.startswith("leak: ")).split(": ")[2].split(" and ")
    assert f"`equipoise ids 'my trial.toml' {' '.join(leak)}` says which" in text
    assert [row["cases"] for row in result.as_json()["left_out"]] == [2, 1]


def test_the_time_of_the_tests_before_a_run_is_told_beside_the_prediction():
    """A study predicted at two minutes was checked for six: the run makes the same tests again."""
    one = Forecast("a", 60.0, 100.0, 0.1, 0.0, 0.1)
    known = {"forecasts": [one], "jobs": 3, "effort": 3.0}
    slow = replace(checked(), **known, tested_seconds=342.0)
    assert slow.sentences()[-1].endswith("before that, a run reads and tests as this check did in 5.7 minutes")
    assert "tests" not in replace(slow, tested_seconds=20.0).sentences()[-1]
    text = checked_text({("x", "net"): slow, ("y", "net"): slow})
    assert text.endswith("for 6 jobs; reading and testing before them took 11.4 minutes here")
