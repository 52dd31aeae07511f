"""Who counts as a patient of an audit: what names and numbers of cases say, beside what the caller states."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect_table
from equipoise.report.text.audit import _tested
from equipoise.trials.audit_agreement import OnPersons, agreed
from equipoise.trials.audit_settings import AuditSettings

SIDED = [f"P{k:03d}" for k in range(8)] + [f"P{k:03d}_{side}" for k in range(8, 12) for side in "LR"]


def notes_on(cases: list[str], shares: float = 0.0, **settings: Any) -> tuple[int, list[str]]:
    """Return the patients of two arms' scores and the notes on them; shares: standard deviation that a stem has."""
    stream, arms = np.random.default_rng(5), ("a", "b")
    stems = np.unique([one[:4] for one in cases], return_inverse=True)[1]
    scores = [stream.normal(size=len(cases)) + shares * stream.normal(size=len(cases))[stems] for _ in arms]
    columns: Mapping[str, Any] = {
        "arm": np.repeat(arms, len(cases)), "case": cases * 2, "truth": np.tile(np.arange(len(cases)) // 2 % 2, 2),
        "score": 1 / (1 + np.exp(-np.concatenate(scores))),
    }  # fmt: skip
    if "patient" in settings:
        columns = {**columns, "patient": settings.pop("patient") * 2}
    stated = {name: settings[name] for name in ("cases_are_patients", "patients") if name in settings}
    table, notes = agreed(collect_table(columns, AuditOptions(**stated)), AuditSettings(**settings))
    return len(set(table.patient.tolist())), [one for one in notes if isinstance(one, OnPersons)]


def test_sides_of_some_patients_are_told_with_the_remedy_that_these_files_have() -> None:
    beginning = "4 pairs of names differ only in _L and _R, as images of one patient do: if they are, "
    patients, (note, _) = notes_on(SIDED, cases_are_patients=True)
    assert patients == len(SIDED)
    assert note == f"{beginning}state the patients with --patients FILE in place of --cases-are-patients."
    assert notes_on(SIDED, patient=[f"S-{one}" for one in SIDED])[1] == [f"{beginning}correct the column of patients."]
    as_cases = {one: one for one in SIDED}
    assert notes_on(SIDED, patients=as_cases)[1] == [f"{beginning}correct the list of patients (--patients)."]
    assert notes_on(SIDED, patients={one: one[:4] for one in SIDED}) == (12, [])


def test_a_statement_that_names_and_scores_overrule_is_not_said_to_hold() -> None:
    sided = [f"P{k:03d}_{side}" for k in range(40) for side in "LR"]
    patients, notes = notes_on(sided, shares=4.0, cases_are_patients=True)
    assert patients == 40
    assert [one for one in notes if "were taken for images of one patient (40 patients" in one]
    assert [one for one in notes if "overruled" in one and one.endswith("80 cases count as 40 patients")]
    assert not [one for one in notes if one.startswith("Every case was treated")]
    honest = notes_on([f"P{k:03d}" for k in range(40)], cases_are_patients=True)
    assert honest == (40, ["Every case was treated as a different patient, as the caller stated"])


def test_the_flow_of_a_report_says_whether_the_statement_holds() -> None:
    lock = {"audit": {"cases_are_patients": True}}
    said = {
        n: _tested({"cohort": {"split": {"test": 80}, "split_patients": {"test": n}}}, lock, "case") for n in (40, 80)
    }
    assert "(every case a different patient, as the caller stated)" in said[80]
    assert said[40].startswith("80 cases of 40 patients (cases that names or numbers show")


def of_arms(a: list[str], b: list[str]) -> tuple[list[str], list[str]]:
    """Return the patients of two arms that judge the same cases, as they count, and the notes on them."""
    n = len(a)
    columns: Mapping[str, Any] = {
        "arm": np.repeat(("a", "b"), n), "case": [f"c{k}" for k in range(n)] * 2, "patient": a + b,
        "dice": np.linspace(0.2, 0.9, 2 * n),
    }  # fmt: skip
    table, notes = agreed(collect_table(columns, AuditOptions()), AuditSettings())
    return table.patient.tolist(), [one for one in notes if isinstance(one, OnPersons)]


def test_patients_that_lost_their_zeros_in_one_arm_are_those_of_the_same_cases() -> None:
    patients, notes = of_arms(["007", "007", "0123"], ["7", "7", "123"])
    assert patients == ["007", "007", "0123"] * 2
    assert [one for one in notes if "2 patients are written in several ways (first '007' and '7'), and each" in one]


@pytest.mark.parametrize(
    ("a", "b"),
    [(["007", "7", "8"], ["7", "7", "8"]), (["007", "8", "9"], ["8", "8", "9"]), (["07", "8"], ["8", "7"])],
    ids=["both spellings in one arm", "another number", "exchanged"],
)
def test_what_may_be_two_people_is_not_joined(a: list[str], b: list[str]) -> None:
    with pytest.raises(PredictionError, match="has another patient in arm 'b' than in 'a'"):
        of_arms(a, b)
