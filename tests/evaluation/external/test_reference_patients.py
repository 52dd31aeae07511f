"""A reference that names other patients than the predictions is told of, and one that agrees is not."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from equipoise.evaluation.external.lists import REFERENCE, read_list
from equipoise.evaluation.external.reference_patients import contradicted_patients
from equipoise.evaluation.external.tables import from_table
from equipoise.trials.audit import audit

OWN = [f"{k // 2:04d}" for k in range(10)]


def notes_on(folder: Path, heading: str, patients: list[str]) -> list[str]:
    path = folder / "r r.csv"
    rows = [f"c{k},{one},{k % 2},{k}" for k, one in enumerate(patients)]
    path.write_text("\n".join([f"case,{heading},truth,age", *rows]) + "\n", encoding="utf-8")
    table = from_table(
        {"arm": ["a", "b"] * 10, "case": np.repeat([f"c{k}" for k in range(10)], 2), "patient": np.repeat(OWN, 2),
         "dice": np.linspace(0, 1, 20)}
    )  # fmt: skip
    return contradicted_patients(table, [read_list(path, "case", "truth", REFERENCE)])


@pytest.mark.parametrize(
    ("heading", "patients", "cases"),
    [
        ("Patient ID", [*OWN[2:], *OWN[:2]], 0),  # one by one: a shift cannot be told from ids of another system
        ("Pat-Nr", [one.lstrip("0") or "0" for one in OWN], 0),
        ("Pat-Nr", [*OWN[:6], "0004", "0003", "0004", "0004"], 1),
        ("Patient ID", [*OWN[:6], "0004", "0003", "0004", "0004"], 1),
        ("Patient ID", [f"MRN-{one}" for one in OWN], 0),
        ("Patient ID", [f"MRN-{k}" for k in range(10)], 10),
        ("Pat-Nr", [f"MRN-{k}" for k in range(10)], 0),
    ],
)
def test_the_number_of_cases_in_contradiction_is_told(
    tmp_path: Path, heading: str, patients: list[str], cases: int
) -> None:
    notes = notes_on(tmp_path, heading, patients)
    assert len(notes) == (cases > 0)
    if notes:
        assert f"column {heading!r} of the reference" in notes[0]
        assert f"in {cases} of 10 test cases" in notes[0]


@pytest.mark.long
def test_an_audit_tells_it_and_the_remedy_can_be_typed(tmp_path: Path) -> None:
    draw, n = np.random.default_rng(2), 60
    reference = [f"c{k},{k // 2 if k < 50 else k:03d},{k % 2}" for k in range(n)]
    (tmp_path / "r.csv").write_text("\n".join(["case,Pat-Nr,truth", *reference]))
    for arm in "AB":
        rows = [f"c{k},{k // 2:03d},{draw.uniform():.4f}" for k in range(n)]
        (tmp_path / f"{arm}.csv").write_text("\n".join(["case,patient,score", *rows]))
    arms = {arm: tmp_path / f"{arm}.csv" for arm in "AB"}
    first = audit(arms, truth=tmp_path / "r.csv")
    note = next(one for one in first["warnings"] if "contradicts" in one)
    assert "in 10 of 60 test cases" in note
    assert note.rstrip(".") in first["assumptions"]
    typed = shlex.split(note.partition("(")[2].partition(")")[0])
    again = audit(arms, truth=tmp_path / "r.csv", patients=typed[1], columns=typed[3])
    assert (first["cohort"]["patients"], again["cohort"]["patients"]) == (30, 35)
    assert not [one for one in again["warnings"] if "contradicts the patients of the predictions" in one]
