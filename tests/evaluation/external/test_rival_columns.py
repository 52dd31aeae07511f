"""Two columns of one role that disagree are asked about; two spellings of one thing are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.class_columns import with_scores
from equipoise.evaluation.external.lists import read_column
from equipoise.evaluation.external.roles import parse_columns, with_roles

TRUTH = [0, 1, 0, 1, 1, 0]
SCORE = [0.2, 0.7, 0.1, 0.9, 0.6, 0.4]


def read(stated: str | None = None, **more: Any) -> dict[str, Any]:
    table = {"case": list("abcdef"), "patient": list("pqrstu"), "truth": TRUTH, "score": SCORE} | more
    columns = {name: np.array(values, dtype=object) for name, values in table.items() if values is not None}
    options = AuditOptions(columns=parse_columns(stated))
    named, _ = with_roles(columns, "t.csv", options.columns)
    return with_scores(named, "t.csv", options, None)[0]


@pytest.mark.parametrize(
    ("role", "first", "second", "more"),
    [
        ("truth", "truth", "y_true", {"y_true": [1 - one for one in TRUTH]}),
        ("truth", "truth", "label", {"label": [1, 1, 0, 1, 1, 0]}),
        ("truth", "y_true", "label", {"truth": None, "y_true": TRUTH, "label": [1, 0, 0, 1, 1, 0]}),
        ("truth", "truth", "diagnosis", {"diagnosis": list("xyyxxy")}),
        ("patient", "patient", "subject_id", {"subject_id": ["s"] * 6}),
        ("patient", "patient", "MRN", {"MRN": [1, 2, 3, 4, 5, 5]}),
        ("score", "score", "y_prob", {"y_prob": [1 - one for one in SCORE]}),
        ("score", "score", "prob", {"prob": [0.3, *SCORE[1:-1], 0.95]}),
        ("prediction", "prediction", "y_pred", {"score": None, "prediction": TRUTH, "y_pred": [1, 1, 1, 0, 0, 0]}),
    ],
)
def test_columns_that_disagree_are_asked_about(role: str, first: str, second: str, more: dict[str, Any]) -> None:
    with pytest.raises(PredictionError, match=rf"could be the {role} and disagree \({first}, {second}\)"):
        read(**more)
    if role != "prediction":  # calls alone are no scores
        assert read(f"{role}={first}", **more)["score_1"].tolist() == SCORE


@pytest.mark.parametrize(
    "more",
    [
        {"label": TRUTH}, {"label": [float(one) for one in TRUTH]},
        {"diagnosis": ["cyst", "mel", "naevus", "mel", "bcc", ""]},
        {"label": ["neg" if one == 0 else "pos" for one in TRUTH]}, {"subject_id": [f"S-{k}" for k in range(6)]},
        {"y_prob": SCORE}, {"logit": [round(float(np.log(one / (1 - one))), 6) for one in SCORE]},
    ],
)  # fmt: skip
def test_one_thing_in_two_spellings_is_read(more: dict[str, Any]) -> None:
    assert read(**more)["score_1"].tolist() == SCORE


def test_a_list_is_to_keep_one_of_them(tmp_path: Path) -> None:
    file = tmp_path / "patients.csv"
    file.write_text("case,patient,subject_id,label,y_true\na,p,s,0,1\nb,q,s,1,0\n", encoding="utf-8")
    with pytest.raises(PredictionError, match=r"\(patient, subject_id\); keep one of them in the list"):
        read_column(file, "case", "patient", "list of patients")
    file.write_text("case,patient,label,y_true\na,p,0,1\nb,q,1,0\n", encoding="utf-8")
    assert read_column(file, "case", "patient", "list of patients") == {"a": "p", "b": "q"}
