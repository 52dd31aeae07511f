"""Arms whose tables have other classes or metrics: what can be matched is, and a refusal says what to type."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect, parse_columns, parse_regions
from equipoise.evaluation.external.join import Part, join
from equipoise.evaluation.external.reading import Reading
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.external.unlike_tables import binary, one_coding, refuse_truth_as_metric, refuse_unlike
from equipoise.evaluation.predictions import Predictions

ILL = np.array([0, 1, 1, 0])
SCORES = {"A": np.array([0.1, 0.7, 0.9, 0.2]), "B": np.array([0.3, 0.8, 0.6, 0.1])}


def of_classes(arm: str, negative: str, positive: str, **more: Any) -> dict[str, Any]:
    """Return columns with the scores of an arm, the positive class first."""
    score = SCORES[arm]
    truth = np.array([negative, positive])[ILL]
    return {"case": list("abcd"), "truth": truth, f"score_{positive}": score, f"score_{negative}": 1 - score, **more}


def joined(a: dict[str, Any], b: dict[str, Any]) -> tuple[Predictions, list[str]]:
    columns = [{name: np.asarray(values) for name, values in one.items()} for one in (a, b)]
    parts = [Part(arm, Reading(f"{arm}.csv", "table", one)) for arm, one in zip("AB", columns, strict=True)]
    made = join(parts, AuditOptions(cases_are_patients=True), None)
    return made.predictions, made.notes


@pytest.mark.parametrize("words", [("negative", "positive"), ("No", "Yes"), ("false", "true"), ("Negativ", "Positiv")])
def test_words_for_negative_and_positive_are_the_other_tables_classes(words: tuple[str, str]) -> None:
    table, notes = joined(of_classes("A", "0", "1"), of_classes("B", *words))
    positive = table.classes.index("1")
    assert (table.truth == positive).astype(int).tolist() == [*ILL, *ILL]
    assert table.scores[:, positive].tolist() == pytest.approx([*SCORES["A"], *SCORES["B"]])
    assert notes == [f"The classes {words[0]} and {words[1]} of B were taken for 0 and 1 of A."]
    assert one_coding([table])[1] == []


def test_other_classes_are_named() -> None:
    with pytest.raises(PredictionError, match="^A has classes 1, 0, and B has classes malignant, benign, .*same names"):
        joined(of_classes("A", "0", "1"), of_classes("B", "benign", "malignant"))


def test_columns_read_as_metrics_are_named_with_what_to_type() -> None:
    metrics = {"case": list("abcd"), "Befund (0/1)": ILL, "KI [%]": 100 * SCORES["A"]}
    with pytest.raises(PredictionError, match=r"A has no classes \(columns read as metrics: Befund") as refusal:
        joined(metrics, of_classes("B", "0", "1"))
    command = str(refusal.value).partition("(--columns ")[2]
    typed = shlex.split(command.rpartition("), or give")[0])[0]
    assert parse_columns(typed) == {"A.truth": ("Befund (0/1)",), "A.score": ("KI [%]",)}
    with pytest.raises(PredictionError, match=r"A has .*dice, and B has .*iou, .*same metrics") as refusal:
        joined({"case": list("abcd"), "dice": ILL}, {"case": list("abcd"), "iou": ILL})
    assert "classes" not in str(refusal.value)


def test_other_headings_of_the_same_structures_are_told_with_the_option_that_matches_them(tmp_path: Path) -> None:
    paths = []
    for arm, form in (("A", "DSC {}"), ("B", "dice_{}")):
        rows = ["case," + ",".join(map(form.format, "xy")), *(f"{case},0.5,0.7" for case in "abcd")]
        (tmp_path / f"{arm}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        paths.append((arm, tmp_path / f"{arm}.csv"))
    with pytest.raises(PredictionError, match=r"or name the structures \(--regions x,y\)"):
        collect(paths, AuditOptions(cases_are_patients=True))
    read = collect(paths, AuditOptions(cases_are_patients=True, regions=parse_regions("x,y")))
    assert read.predictions.metrics["dice"].tolist() == pytest.approx([0.6] * 8)


def test_a_number_that_one_table_of_scores_has_beside_them_is_left_out() -> None:
    table, notes = joined(of_classes("A", "0", "1"), of_classes("B", "0", "1", age=[50, 60, 70, 80]))
    assert table.metrics == {}
    assert notes == ["Not every file has age, so they were not used."]
    refuse_unlike([table, table])


TRUTH_AS_METRIC = {
    "arm": ["A"] * 4 + ["B"] * 4, "case": list("abcd") * 2, "patient": list("abcd") * 2,
    "Befund": [*ILL, *ILL], "KI": [*SCORES["A"], *SCORES["B"]],
}  # fmt: skip


def test_a_truth_is_no_metric() -> None:
    own = from_table(TRUTH_AS_METRIC)
    assert binary(own) == ["Befund"]
    for primary, stated in (("Befund", True), ("Befund", False), ("KI", False)):
        with pytest.raises(PredictionError, match="'Befund' is 0 or 1 and the same .*truth=Befund,score=KI"):
            refuse_truth_as_metric(own, primary, direction_stated=stated)
    refuse_truth_as_metric(own, "KI", direction_stated=True)
    refuse_truth_as_metric(own.where(own.arm == "A"), "Befund", direction_stated=True)
    differing = from_table(TRUTH_AS_METRIC | {"Befund": [*ILL, 0, 1, 1, 1]})
    refuse_truth_as_metric(differing, "Befund", direction_stated=False)


@pytest.mark.long
@pytest.mark.parametrize("stated", [{}, {"higher_is_better": ["Befund"]}, {"primary": "KI"}])
def test_an_audit_refuses_a_truth_as_metric(stated: dict[str, Any]) -> None:
    with pytest.raises(PredictionError, match="truth=Befund,score=KI"):
        audit(TRUTH_AS_METRIC, **stated)
