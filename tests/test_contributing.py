"""CONTRIBUTING shows what the tests run, and names files that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def _program(source):
    """The code without its docstrings, which may be shorter in the document."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.unparse(tree)


@pytest.mark.parametrize(
    "file", ["tests/trials/toy_metric.py", "tests/trials/toy_source.py", "tests/report/toy_figure.py"]
)
def test_the_worked_examples_are_the_files_that_the_tests_add(file):
    assert _program((ROOT / file).read_text(encoding="utf-8")) in [_program(block) for block in BLOCKS]


def test_every_file_of_the_tests_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)`", TEXT)
    assert len(named) > 5
    assert [file for file in named if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(
    ("place", "holds"),
    [
        ("cohorts/formats/nifti_header.py", "Nifti1Header"),
        ("training/loop/checkpoint.py", "safetensors"),
        ("report/text/pair_reasons.py", "The data do not show"),
        ("report/text/words.py", "not enough data"),
        ("statistics/verdict.py", "not_enough_data"),
        ("evaluation/segmentation.py", "def dice"),
        ("statistics/endpoints.py", "Dice"),
        ("runfolder/paths.py", "CHECKPOINT"),
    ],
)
def test_the_walks_end_where_they_say(place, holds):
    assert place.rpartition("/")[2] in TEXT
    assert holds in (ROOT / "src/equipoise" / place).read_text(encoding="utf-8")


def test_every_room_of_the_tree_exists_and_every_room_is_in_the_tree():
    package = ROOT / "src" / "equipoise"
    tree = re.search(r"```\ncli\.py.*?```", TEXT, re.DOTALL)[0]
    rooms = {folder.name for folder in package.iterdir() if (folder / "__init__.py").is_file()}
    assert [room for room in rooms if f"{room}/" not in tree] == []
