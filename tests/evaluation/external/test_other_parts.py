"""Rows of training and validation in audited tables are training lists, and are counted where they are not judged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise import audit
from equipoise.errors import PredictionError
from equipoise.evaluation.external.lists import training_list
from equipoise.evaluation.external.other_parts import no_trained_rows, not_counted, not_trained, shared_names
from equipoise.evaluation.external.tables import from_table
from equipoise.evaluation.predictions import Predictions


def table(*rows: tuple[str, int, str, str, str]) -> Predictions:
    """Rows of arm, fold, case, patient, split."""
    names = ("arm", "fold", "case", "patient", "split")
    columns: dict[str, list[Any]] = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return from_table(columns | {"dice": [0.5] * len(rows)})


TESTED = (("a", 0, "c1", "p1", "test"), ("b", 0, "c1", "p1", "test"))


def test_training_lists(tmp_path: Path) -> None:
    found = table(("a", 0, "1", "p", "test"), ("b", 0, "1", "p", "test"))
    path = tmp_path / "training.csv"
    path.write_text("patient\nq\n", encoding="utf-8")
    assert "No test case or patient" in not_trained(found, training_list(path), allowed=False)[0]
    path.write_text("patient\np\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="1 test patients are also"):
        not_trained(found, training_list(path), allowed=False)
    assert "which was allowed" in not_trained(found, training_list(path), allowed=True)[0]
    path.write_text("who\np\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="'case' or 'patient'"):
        not_trained(found, training_list(path), allowed=True)


def test_a_training_list_in_another_spelling_is_one(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    path.write_text("case\nC 01\n", encoding="utf-8")
    with pytest.raises(PredictionError, match=r"first 'c1' \(as 'C 01'\)"):
        not_trained(table(*TESTED), training_list(path), allowed=False)
    assert shared_names(["1-23"], ["12-3"]) == []


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("case", "patient", "key"), [("c1", "p1", "case"), ("C01", "other", "case"), ("c9", "P 01", "patient")]
)
@pytest.mark.parametrize("fold", [0, 3])
def test_an_arm_that_was_trained_on_what_it_tests(split: str, case: str, patient: str, key: str, fold: int) -> None:
    rows = table(*TESTED, ("b", fold, case, patient, split))
    with pytest.raises(
        PredictionError, match=f"1 {key}s of the test rows of arm 'b' are also in its rows of split '{split}'"
    ):
        no_trained_rows(rows, allowed=False)
    assert "which was allowed" in no_trained_rows(rows, allowed=True)[0]


def test_folds_train_on_what_other_folds_test() -> None:
    rows = [
        (arm, fold, f"c{k}", f"p{k}", "test" if k % 3 == fold else "validation" if k % 3 == (fold + 1) % 3 else "train")
        for arm in "ab" for fold in range(3) for k in range(9)
    ]  # fmt: skip
    assert no_trained_rows(table(*rows), allowed=False) == []
    (note,) = not_counted(table(*rows))
    assert note == (
        "Rows of other parts than test were not counted (9 of train of a, 9 of validation of a, 9 of train of b, "
        "9 of validation of b)."
    )
    leak = ("b", 0, "c0", "p0", "train")
    with pytest.raises(PredictionError, match="arm 'b'"):
        no_trained_rows(table(*rows, leak), allowed=False)


def test_rows_that_no_verdict_counts_are_told() -> None:
    assert not_counted(table(*TESTED)) == []
    (both,) = not_counted(table(*TESTED, *(("ab"[k], 0, "c2", "p2", "validation") for k in range(2))))
    assert both.endswith("not counted (1 of validation of a, 1 of validation of b): 1 case is tested by no row.")
    one = not_counted(table(*TESTED, ("b", 0, "c2", "p2", "validation")))
    assert "do not leave out the same cases: 1 of other parts of b, 'c2' first" in one[1]


@pytest.mark.long
def test_an_audit_refuses_its_own_training_rows_and_counts_what_was_set_aside() -> None:
    stream = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {"arm": ["a"] * 40 + ["b"] * 40, "case": [f"c{k}" for k in range(40)] * 2}
    columns |= {"patient": columns["case"], "dice": stream.uniform(0.5, 0.9, 80).tolist()}
    aside = [*["test"] * 30, *["validation"] * 10] * 2
    results = audit({**columns, "split": aside})
    assert any(
        "10 of validation of a, 10 of validation of b): 10 cases are tested" in one for one in results["warnings"]
    )
    trained = {name: [*values, *values[40:]] for name, values in columns.items()}
    with pytest.raises(PredictionError, match="its networks had seen them"):
        audit({**trained, "split": ["test"] * 80 + ["train"] * 40})
