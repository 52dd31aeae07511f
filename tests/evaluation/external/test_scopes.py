"""What is stated for one file alone holds there and nowhere else; a scope that is not there is refused."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, Collected, collect, collect_table, parse_columns
from equipoise.evaluation.external.lists import REFERENCE, read_list

DRAW = np.random.default_rng(3)
TRUTH = {f"{k:03d}": ("ill", "well")[k % 2] for k in range(40)}
FIRST, SECOND = ({case: round(float(one), 3) for case, one in zip(TRUTH, DRAW.random(40), strict=True)} for _ in "12")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Tables of two vendors with other names for the same columns, and a reference with names that nothing knows."""
    tables = {
        "V1": "\n".join(["Befundnummer;KI-Wert", *(f"{k};{v}".replace(".", ",") for k, v in FIRST.items())]),
        "V2": "\n".join(["patient,probability", *(f"{k},{v}" for k, v in SECOND.items())]),
        "truth": "\n".join(["Patient;Diagnose", *(f"{k};{v}" for k, v in TRUTH.items())]),
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return {name: tmp_path / f"{name}.csv" for name in tables}


def collected(files: dict[str, Path], columns: str, scores: str | None = None) -> Collected:
    options = AuditOptions(
        truth=files["truth"], columns=parse_columns(columns), positive="ill", cases_are_patients=True, scores=scores
    )
    return collect([(arm, files[arm]) for arm in ("V1", "V2")], options)


@pytest.mark.parametrize("reference", ["truth.truth=Diagnose", "truth=Diagnose"])
def test_columns_of_one_file_alone(files: dict[str, Path], reference: str) -> None:
    table = collected(files, f"V1.case=Befundnummer,V1.score=KI-Wert,{reference}").predictions
    for arm, scores in (("V1", FIRST), ("V2", SECOND)):
        own = table.where(table.arm == arm)
        ill = own.scores[:, own.classes.index("ill")]
        area = roc_auc_score([TRUTH[case] == "ill" for case in scores], list(scores.values()))
        assert roc_auc_score(own.truth == own.classes.index("ill"), ill) == area


def test_a_question_names_the_file_and_an_option_that_exists(files: dict[str, Path]) -> None:
    with pytest.raises(PredictionError, match=r"known as the truth \(it has Patient, Diagnose\).*truth.truth=Diagnose"):
        collected(files, "V1.case=Befundnummer,V1.score=KI-Wert")
    with pytest.raises(PredictionError, match=r"V1.csv has no column .*--columns V1.case=Befundnummer,V1.score="):
        collected(files, "truth.truth=Diagnose")
    with pytest.raises(PredictionError, match=r"V2.csv has no column 'Befundnummer'; .*ARM.case=Befundnummer"):
        collected(files, "case=Befundnummer,truth.truth=Diagnose")


def test_a_scope_that_is_not_there_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(PredictionError, match="for 'v1', which is no arm and no list; did you mean 'V1'"):
        collected(files, "v1.case=Befundnummer,truth.truth=Diagnose")
    with pytest.raises(PredictionError, match="--scores is for 'V3', which is no arm"):
        collected(files, "truth.truth=Diagnose", "V3=logits")
    with pytest.raises(PredictionError, match="'percents' is no scale; write probabilities, percent or logits"):
        collected(files, "truth.truth=Diagnose", "V1=percents")
    with pytest.raises(PredictionError, match="the role 'cas' is unknown"):
        parse_columns("V1.cas=ID")
    with pytest.raises(PredictionError, match="for 'V1', which is no arm"):
        collect_table({"case": [1]}, AuditOptions(columns=parse_columns("V1.case=ID")))


def test_a_list_has_columns_of_its_own(files: dict[str, Path]) -> None:
    columns = parse_columns("case=Befundnummer,truth.case=Patient,truth.truth=Diagnose")
    assert dict(read_list(files["truth"], "case", "truth", REFERENCE, columns).values) == TRUTH
