"""Cases without a truth are left out where the caller allows it; ids that only look unlike are still refused."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions
from equipoise.evaluation.external.cases_without_truth import with_truth
from equipoise.evaluation.external.lists import PATIENTS, REFERENCE, read_list
from equipoise.evaluation.external.reading import RowNumbers
from equipoise.trials.audit import audit

OPTIONS = AuditOptions(common_cases=True, truth=Path("r.csv"))


def columns(*cases: str) -> dict[str, np.ndarray]:
    return {"case": np.array(cases), "score": np.arange(len(cases)) / 10}


def test_only_cases_that_look_like_none_of_the_reference_are_left_out_with_their_row_numbers() -> None:
    rows = RowNumbers(np.array([2, 3, 4]))
    kept, notes = with_truth(columns("c1", "c9", "C-2"), "v.csv", OPTIONS, {"c1": "ill", "c2": "well"}, rows)
    assert kept["case"].tolist() == ["c1", "C-2"]  # C-2 and c2 are mended, not lost
    assert kept["score"].tolist() == [0.0, 0.2]
    assert rows.numbers.tolist() == [2, 4]
    assert notes == ["1 case of v.csv has no truth in the reference r.csv and was left out, as requested."]
    assert notes[0].reasons == {"c9": "no_truth"}


@pytest.mark.parametrize("options", [AuditOptions(), OPTIONS])
def test_nothing_is_left_out_without_the_permission_or_where_nothing_would_remain(options: AuditOptions) -> None:
    given, truth = columns("a", "b"), {"x": "ill"} if options is OPTIONS else {"a": "ill"}
    assert with_truth(given, "v.csv", options, truth, RowNumbers(np.arange(2))) == (given, [])


def test_an_empty_truth_is_refused_with_the_option_and_an_empty_patient_without_it(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("case,truth,patient\na,1,p\nb,,\n")
    with pytest.raises(PredictionError, match=r"row 3 of case 'b'; fill it in, or leave .* out \(--common-cases\)"):
        read_list(path, "case", "truth", REFERENCE)
    with pytest.raises(PredictionError, match="row 3 of case 'b'; fill it in, or remove the row"):
        read_list(path, "case", "patient", PATIENTS)
    assert read_list(path, "case", "truth", REFERENCE, without_empty=True).values == {"a": "1"}


@pytest.mark.long
def test_an_audit_leaves_them_out_and_counts_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    truth = ["", *("01"[k % 2] for k in range(1, 59))]  # case 0 has an empty cell, and case 59 no row
    (tmp_path / "r.csv").write_text("\n".join(["case,truth", *(f"c{k},{one}" for k, one in enumerate(truth))]))
    for arm in "AB":
        cells = (f"c{k},{draw.uniform(0, 1):.3f}" for k in range(60))
        (tmp_path / f"{arm}.csv").write_text("\n".join(["case,score", *cells]))
    arms = {arm: tmp_path / f"{arm}.csv" for arm in "AB"}
    with pytest.raises(PredictionError, match="empty cell"):
        audit(arms, truth=tmp_path / "r.csv", cases_are_patients=True)
    results = audit(arms, truth=tmp_path / "r.csv", cases_are_patients=True, common_cases=True)
    assert results["left_out"] == {"cases": 2, "of": 60, "reasons": {"no_truth": 2}}
    assert results["cohort"]["split"]["test"] == 58
