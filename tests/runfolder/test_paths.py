"""Names of a run folder are spelled in one file, and no name from data or a protocol leads out of its folder."""

import ast
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import equipoise
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.runfolder import paths

SOURCE = Path(equipoise.__file__).parent
NAMES = {
    value for name, value in vars(paths).items() if name.isupper() and isinstance(value, str) and value[:1].isalpha()
} | {paths.MARKER, paths.CLAIM}
FILES = {name for name in NAMES if "." in name} | {paths.MARKER, paths.CLAIM}


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    """Strings that stand alone as statements."""
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {value for value in alone if isinstance(value, ast.Constant)}


def _pieces(node: ast.AST) -> list[str]:
    """The constant text of a string or of an f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def spelled(source: str) -> list[tuple[int, str]]:
    """(line, text) of every literal that is, or holds as a component of a path, a name of the run folder.

    File names count wherever they stand. Folder names are words ("jobs", "draws"), which are also keys of JSON: they
    count where a path is made of them, as an operand of "/" or an argument of joinpath, glob, with_name or Path.
    """
    tree = ast.parse(source)
    ignored = _docstrings(tree)
    found = []
    for node in ast.walk(tree):
        if node in ignored:
            continue
        for text in _pieces(node):
            components = text.split("/") if not any(letter.isspace() for letter in text) else []
            if FILES & set(components) or text.startswith(("without-", "attributions.")):
                found.append((node.lineno, text))  # type: ignore[attr-defined]
        operands: list[ast.AST] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            operands = [node.left, node.right]
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            operands = list(node.args) if called in ("joinpath", "glob", "rglob", "with_name", "Path") else []
        for operand in operands:
            line = operand.lineno  # type: ignore[attr-defined]
            found += [(line, text) for text in _pieces(operand) if NAMES & set(text.split("/"))]
    return sorted(set(found))


OTHER_NAMES = ("_moved.py", "bundle.py")
"""Files with such names for other things: a module's old name, and the files of a bundle."""


@pytest.mark.long
def test_no_other_module_spells_a_name_of_the_run_folder():
    found = {
        str(file.relative_to(SOURCE)): spelled(file.read_text(encoding="utf-8"))
        for file in sorted(SOURCE.rglob("*.py"))
        if "runfolder" not in file.parts and file.name not in OTHER_NAMES
    }
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        'out / "lock.json"',
        'x = "jobs/unet/done.json"',
        'out / "samples" / str(0)',
        'f"without-{channel}.parquet"',
        'open(f"{out}/history.csv")',
        'Path("figures")',
        'out.glob("baselines/*")',
    ],
)
def test_the_search_sees_what_it_looks_for(line):
    assert spelled(line)


@pytest.mark.parametrize(
    "line", ['plan["jobs"]', '"""lock.json is written last."""', '"the file lock.json is damaged"']
)
def test_the_search_passes_over_keys_sentences_and_docstrings(line):
    assert not spelled(line)


HOSTILE = [
    "..", ".", "", "/", "../x", "a/b", "a\\b", "/etc/passwd", "..\\..", ".hidden", "-flag", "a\0b", "a\nb", "x" * 201,
    "M/F", "~", "a:b", "\ud800", "ü" * 101, " a", "a ", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_could_leave_the_folder_is_refused(name):
    with pytest.raises(ProtocolError, match="cannot be the name of a folder"):
        paths.job_folder(Path("run"), name, 0, 0)
    with pytest.raises(ProtocolError, match="cannot be the name of a folder"):
        paths.trial_folder(Path("run"), "cohort", name)


@pytest.mark.parametrize("name", ["unet", "unet-3d", "a.b_c", "Größe", "x" * 200, "A-untuned"])
def test_names_that_protocols_allow_stay_as_they_are(name):
    assert paths.component(name, "the arm") == name
    assert paths.file_stem(name) == name
    assert paths.job_folder(Path("run"), name, 1, 2) == Path("run") / "jobs" / name / "1-2"


@pytest.mark.long
@given(st.text(st.characters(codec=None), max_size=300) | st.text("./\\-_ " + string.ascii_letters, max_size=12))
def test_any_text_has_a_file_name_inside_its_folder(text):
    stem = paths.file_stem(text)
    assert Path(stem).name == stem
    assert stem not in (".", "..")
    assert not stem.startswith((".", "-"))
    assert len(f".{stem}.svg.part".encode()) <= 255
    assert paths.file_stem(text) == stem
    assert stem == text or stem.rpartition("-")[0]


@pytest.mark.long
@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_have_different_file_names(a, b):
    assert (a == b) == (paths.file_stem(a) == paths.file_stem(b))


def test_a_record_that_names_a_foreign_folder_is_refused_in_one_sentence(tmp_path):
    import json

    from equipoise.runfolder.read import read_folder

    keys = ("protocol_sha256", "question", "name", "cohort", "split", "endpoints", "arms", "seeds")
    lock = dict.fromkeys(keys, "x") | {"endpoints": {}, "split": {"folds": []}}
    lock["jobs"] = [{"arm": "../../elsewhere", "fold": 0, "seed": 0}]
    (tmp_path / paths.LOCK).write_text(json.dumps(lock))
    with pytest.raises(EquipoiseError, match="cannot be the name of a folder"):
        read_folder(tmp_path)
    for damaged in ([{"arm": "a"}], [3], "jobs", {"a": 1}, None):
        (tmp_path / paths.LOCK).write_text(json.dumps(lock | {"jobs": damaged}))
        with pytest.raises(EquipoiseError, match="lock.json"):
            read_folder(tmp_path)
