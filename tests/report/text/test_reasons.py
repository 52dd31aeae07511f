"""Every code of a reason has a sentence, and statistics holds none."""

import ast
import inspect
from pathlib import Path

import pytest

import equipoise
from equipoise.report.text.reasons import WRITERS, in_words, sentence
from equipoise.statistics.reasons import Reason

PACKAGE = Path(equipoise.__file__).parent
RECORDS = PACKAGE / "statistics" / "endpoints.py"  # their summaries are the documentation
SOURCES = sorted([*(PACKAGE / "statistics").rglob("*.py"), *(PACKAGE / "report" / "results").rglob("*.py")])


def calls(file: Path) -> list[ast.Call]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [call for call in found if call.func.id == "Reason" and call.args]


def codes() -> set[str]:
    """All codes that are written as such; `Reason(reason.code, …)` repeats one of them."""
    texts = [node for file in SOURCES for call in calls(file) for node in ast.walk(call.args[0])]
    return {node.value for node in texts if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.long
def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    assert codes() == set(WRITERS)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_facts_are_those_that_the_sentence_tells(file: Path) -> None:
    for call in calls(file):
        if not isinstance(call.args[0], ast.Constant) or any(keyword.arg is None for keyword in call.keywords):
            continue  # facts in a dictionary: the trials of the suite write these sentences
        inspect.signature(WRITERS[call.args[0].value]).bind(**{keyword.arg: None for keyword in call.keywords})


@pytest.mark.long
@pytest.mark.parametrize("file", [file for file in SOURCES if file != RECORDS], ids=lambda file: file.name)
def test_numbers_hold_no_sentence(file: Path) -> None:
    """A text that ends with a full stop and has four words is one; errors are raised as sentences, and stay."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    allowed = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    allowed += [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    inside = {id(node) for root in allowed for node in ast.walk(root)}
    texts = [
        n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in inside
    ]
    assert [text.value for text in texts if text.value.endswith((".", ". ")) and len(text.value.split()) >= 4] == []


def test_a_reason_inside_a_reason_is_written_first() -> None:
    why = Reason("few_patients", patients=8, fewest=10)
    told = sentence(Reason("no_verdict", endpoint="AUC", why=why))
    assert told.startswith("No verdict on AUC: Only 8 test patients, and a verdict needs at least 10; ")
    assert in_words({"pairs": [{"reason": why, "n": 8}], "none": None}) == {
        "pairs": [{"reason": sentence(why), "n": 8}],
        "none": None,
    }
    assert sentence(None) == ""


def test_reasons_are_equal_by_code_and_facts() -> None:
    assert Reason("one_arm") == Reason("one_arm")
    assert len({Reason("no_predictions", arm="a"), Reason("no_predictions", arm="a")}) == 1
    assert Reason("no_predictions", arm="a") != Reason("no_predictions", arm="b")
