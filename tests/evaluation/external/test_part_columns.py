"""Rows of training and validation are told by the words of any column; other words stay what they are, or are asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect, collect_table
from equipoise.evaluation.external.part_columns import part_of, with_parts
from equipoise.evaluation.external.roles import parse_columns

CASES = 40
TRAINED = np.arange(CASES) < CASES // 2
SCORES = np.random.default_rng(0).uniform(size=CASES)
BASE = {
    "arm": ["a"] * CASES, "case": [f"c{k}" for k in range(CASES)], "patient": [f"p{k}" for k in range(CASES)],
    "truth": [str(k % 2) for k in range(CASES)], "score": SCORES,
}  # fmt: skip


def rows(words: tuple[Any, ...]) -> list[Any]:
    """Return a column of two words, the first of the training rows, or of more, in turn."""
    return [words[0] if one else words[1 + k % (len(words) - 1)] for k, one in enumerate(TRAINED)]


def splits(table: dict[str, list[Any]], **options: Any) -> list[str]:
    options = {**options, "columns": parse_columns(options.get("columns"))}
    return collect_table({**BASE, **table}, AuditOptions(**options)).predictions.split.tolist()


PARTS: list[tuple[str, tuple[Any, ...]]] = [
    ("phase", ("train", "test")), ("Set", ("training", "test")), ("data_split", ("TRAIN", "TEST")),
    ("dataset", ("Train", "Test")), ("mode", ("trn", "tst")), ("stage", ("tr", "te")), ("cv", ("train", "test")),
    ("Usage", ("Training", "PublicTest", "PrivateTest")), ("group", ("training set", "hold-out set")),
    ("cohort", ("train", "internal test", "external test")),
    ("x", ("Train_1", "test_2")), ("use", ("fold train", "held out")),
    ("is_test", (False, True)), ("is_test", ("no", "yes")), ("is_train", (1, 0)), ("Training set", ("True", "False")),
    ("holdout", (0, 1)), ("in_test_set", ("0", "1")), ("split", ("TRAIN", "TEST")), ("subset", ("trn", "testing")),
]  # fmt: skip


@pytest.mark.parametrize(("heading", "words"), PARTS)
def test_words_of_parts_decide_under_any_heading(heading: str, words: tuple[Any, ...]) -> None:
    assert splits({heading: rows(words)}) == np.where(TRAINED, "train", "test").tolist()


@pytest.mark.parametrize(("heading", "words"), [("phase", ("val", "test")), ("x", ("dev", "test")), ("is_val", (1, 0))])
def test_rows_of_validation_are_told_as_well(heading: str, words: tuple[Any, ...]) -> None:
    assert splits({heading: rows(words)}) == np.where(TRAINED, "validation", "test").tolist()


def test_flags_of_several_parts_are_read_together() -> None:
    flags = {"is_train": TRAINED.tolist(), "is_val": [k == CASES - 1 for k in range(CASES)]}
    assert splits(flags) == ["train"] * 20 + ["test"] * 19 + ["validation"]
    assert splits({"is_test": (~TRAINED).tolist()}, columns="split=is_test") == ["train"] * 20 + ["test"] * 20
    with pytest.raises(PredictionError, match="rows that several of its columns is_train, is_test set"):
        splits({"is_train": TRAINED.tolist(), "is_test": [True] * CASES})


ASKED: list[tuple[str, tuple[Any, ...]]] = [
    ("group", ("derivation cohort", "validation cohort")), ("stage", ("fit", "test")),
    ("phase", ("development", "test")), ("x", ("train", "eval")), ("x", ("train", "test", "excluded")),
    ("x", ("train", "test", "")), ("x", ("val", "-")),
    ("dataset", ("NIH_train", "NIH_test")), ("cohort", ("train", "external validation")),
    ("subset", ("seen", "unseen")), ("data_split", (1, 0)), ("is_valid", (1, 0)), ("subset", (0, 2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("heading", "words"), ASKED)
def test_what_may_be_parts_is_asked_with_remedies_that_work(heading: str, words: tuple[Any, ...]) -> None:
    columns = {heading: rows(words)}
    with pytest.raises(
        PredictionError, match=rf"--columns split={heading}\), or, if it means .*--subgroup {heading}\)"
    ):
        splits(columns)
    assert splits(columns, subgroups=(heading,)) == ["test"] * CASES
    written = {heading: rows(("train", "test"))}
    assert splits(written, columns=f"split={heading}") == np.where(TRAINED, "train", "test").tolist()


OTHERS: list[tuple[str, tuple[Any, ...]]] = [
    ("dataset", ("Guys", "Test Valley Hospital")), ("hospital", ("A", "B", "C")), ("mode", ("test", "test")),
    ("part", ("chest", "abdomen")), ("comment", ("", "stress test")), ("group", ("treatment", "control")),
    ("seen", ("yes", "no")), ("valid", (1, 0)), ("test", (1, 0)), ("test_result", ("positive", "negative")),
    ("phase", ("arterial", "venous")), ("stage", ("I", "II", "III")), ("set", ("A", "B")), ("modality", ("TR", "TOF")),
]  # fmt: skip


@pytest.mark.parametrize(("heading", "words"), OTHERS)
def test_values_with_another_meaning_are_left_alone(heading: str, words: tuple[Any, ...]) -> None:
    assert splits({heading: rows(words)}) == ["test"] * CASES


def test_two_columns_of_parts_have_to_agree() -> None:
    train, test = rows(("train", "test")), ["test"] * CASES
    assert splits({"phase": train, "Usage": rows(("Training", "PublicTest")), "mode": test}) == train
    other = rows(("test", "train"))
    with pytest.raises(
        PredictionError, match=r"disagree \(phase, use\): train and test in one row.*--columns split=phase"
    ):
        splits({"phase": train, "use": other})
    with pytest.raises(PredictionError, match=r"disagree \(split, phase\)"):
        splits({"split": test, "phase": train})
    assert splits({"phase": train, "use": other}, columns="split=use", subgroups=("phase",)) == other


def test_a_subgroup_of_parts_is_told() -> None:
    columns = {"phase": np.array(rows(("train", "test")))}
    _, notes = with_parts(columns, {}, "t", (), ("phase",))
    assert len(notes) == 1
    assert notes[0].endswith("its rows of training and validation count as test rows.")


def test_a_reference_that_calls_test_cases_training_cases_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "truth.csv"
    lines = [f"c{k},{k % 2},{part}" for k, part in enumerate(rows(("train", "test")))]
    listed.write_text("\n".join(["case,truth,phase", *lines]))
    own = tmp_path / "a.csv"
    own.write_text("\n".join(["case,patient,score", *(f"c{k},p{k},{SCORES[k]:.4f}" for k in range(CASES))]))
    options = AuditOptions(truth=listed)
    with pytest.raises(
        PredictionError, match=r"20 test cases .* column 'phase' of the reference .* first 'c0' \(train\)"
    ):
        collect([("a", own)], options)
    own.write_text("\n".join(["case,patient,score", *(f"c{k},p{k},{SCORES[k]:.4f}" for k in range(20, CASES))]))
    assert set(collect([("a", own)], options).predictions.split.tolist()) == {"test"}
    parts = (f"c{k},p{k},{SCORES[k]:.4f},test" for k in range(CASES))
    own.write_text("\n".join(["case,patient,score,split", *parts]))
    assert len(collect([("a", own)], options).predictions) == CASES


def test_folders_of_several_parts_are_asked_about() -> None:
    mixed = [f"data/{part}/c{k}.png" for k, part in enumerate(rows(("train", "test")))]
    with pytest.raises(PredictionError, match=r"as 'data/train/c0.png' and 'data/test/c20.png'.*add a column split"):
        splits({"case": mixed})
    assert splits({"case": mixed, "split": ["test"] * CASES}) == ["test"] * CASES
    assert splits({"case": mixed, "split": rows(("train", "test"))}) == rows(("train", "test"))
    for folder in ("train", "valid", "test"):
        assert splits({"case": [f"{folder}/c{k}.png" for k in range(CASES)]}) == ["test"] * CASES
    assert splits({"case": [f"site{k % 2}/test_{k}.png" for k in range(CASES)]}) == ["test"] * CASES


def test_words_of_one_part() -> None:
    assert [part_of(one) for one in ("val", "Valid", "tuning set", "testset", "TrainSplit", "holdout")] == [
        "validation", "validation", "validation", "test", "train", "test",
    ]  # fmt: skip
    assert [part_of(one) for one in ("", "train and test", "set", "tested patients", 1, None)] == [None] * 6
