"""No name of an endpoint decides anything outside the records."""

import ast
from pathlib import Path

import pytest

import equipoise
from equipoise.statistics.endpoints import KNOWN, documented

PACKAGE = Path(equipoise.__file__).parent
ROOMS = ("statistics", "trials", "report")
RECORDS = PACKAGE / "statistics" / "endpoints.py"
NAMES = {one.name for one in KNOWN} | {"lesion_", "brats_lesion_", "hausdorff", "failure", "absolute_volume"}
OTHER_MEANINGS = {
    ("report/results/recommendation.py", "accuracy"),  # a need of the reader: a key of results.json from the beginning
    ("report/text/checklist_facts.py", "dice"),  # the setting of training
    ("report/text/glossary.py", "sensitivity"),  # words to be explained, which decide nothing
    ("report/text/glossary.py", "specificity"),
}


def literals(file: Path) -> list[tuple[int, str]]:
    """Strings of a module with their lines; docstrings are none."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


@pytest.mark.long
def test_no_literal_is_the_name_of_an_endpoint() -> None:
    met = {
        (str(file.relative_to(PACKAGE)), text): line
        for room in ROOMS
        for file in sorted((PACKAGE / room).rglob("*.py"))
        if file != RECORDS
        for line, text in literals(file)
        if text in NAMES or text.startswith("sensitivity@")
    }
    assert set(met) == OTHER_MEANINGS, "give the record an attribute, and ask that"


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""dice"""\ndef f(name):\n    "auc"\n    return name.startswith("dice")\n')
    assert literals(file) == [(4, "dice")]
    assert any(text == "dice" for _, text in literals(RECORDS))


def test_the_documentation_is_made_from_the_records() -> None:
    text = (Path(__file__).parents[2] / "docs" / "endpoints.md").read_text(encoding="utf-8")
    assert documented() in text, "put in what equipoise.statistics.endpoints.documented() gives"


def test_every_record_can_be_explained() -> None:
    for one in KNOWN:
        assert one.summary.endswith("."), one.name
        assert one.display or one.name.startswith("sensitivity@"), one.name
    assert len({(one.name, one.needs) for one in KNOWN}) == len(KNOWN)
