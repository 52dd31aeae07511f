"""Readers of files quote the names that stand in a file, so that outputs with pseudonyms can take them out."""

import ast
from pathlib import Path

import equipoise

_FOLDER = Path(equipoise.__file__).parent / "cohorts"
_NAMING = {"description", "file", "label", "left_out", "patient_id", "stem", "uid"}
"""Attributes and variables that hold what somebody typed."""
_ALLOWED = (
    "its voxels are {data_type_codes.label[code]}",
    "{self.file}: {self.reason}", "{self.file} (case {case})", "{self.file} frame {self.frame + 1}",
    "no image series {series_uid}", "{self.uid} (", "{file} needs about", ": {problems[0][1].file}: ",
)  # fmt: skip
"""Beginnings of sentences: the file in front of its own, which the cohort keeps as a field; UIDs are known by form."""


def unquoted(source: str) -> list[str]:
    """Return f-strings of a module that hold a name without quotes among words."""
    tree = ast.parse(source)
    # Errors of the whole cohort end the command, on its user's own terminal.
    ending = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) in ("CohortError", "ProtocolError") for part in ast.walk(node)
    }  # fmt: skip
    sentences = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and id(node) not in ending
        and any(" " in part.value for part in _words(node))
    ]  # fmt: skip
    return [
        ast.unparse(node)
        for node in sentences
        for part in node.values
        if isinstance(part, ast.FormattedValue) and part.conversion == -1 and _names_somebody(part.value)
    ]


def _words(node: ast.JoinedStr) -> list[ast.Constant]:
    return [part for part in node.values if isinstance(part, ast.Constant)]


def _names_somebody(value: ast.expr) -> bool:
    if isinstance(value, ast.Attribute):
        return value.attr in _NAMING or (value.attr == "name" and ast.unparse(value.value) not in ("dtype", "error"))
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "', '.join":
        return _names_somebody(value.args[0])
    return isinstance(value, ast.Name) and value.id in _NAMING


def test_a_name_among_words_is_seen():
    assert len(unquoted("f'it lies beside {path.name}'")) == 1
    assert len(unquoted("f'left out: {\", \".join(left_out)}'")) == 1
    assert (
        unquoted("f'it lies beside {path.name!r}', f'{path.name}.png', f'left out: {\", \".join(map(repr, a))}'") == []
    )


def test_readers_quote_what_a_file_says():
    places = [
        f"{file.relative_to(_FOLDER)}: {text}"
        for room in ("formats", "layouts")
        for file in sorted((_FOLDER / room).glob("*.py"))
        for text in unquoted(file.read_text(encoding="utf-8"))
        if not text[2:].startswith(_ALLOWED)
    ]
    assert places == []
