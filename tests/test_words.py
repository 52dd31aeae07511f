import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import words


def names(source: str) -> list[tuple[int, str]]:
    return [tuple(binding) for binding in words.bindings(source)]


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "found: int = 1",
        "found += 1",
        "first, (found, *rest) = pair",
        "first, *found = pair",
        "for found in row: pass",
        "for index, found in enumerate(row): pass",
        "row = [found for found in row]",
        "table = {found: 1 for found in row}",
        "with opened() as found: pass",
        "try:\n    pass\nexcept OSError as found:\n    pass",
        "if (found := look()): pass",
        "def found(): pass",
        "async def found(): pass",
        "class found: pass",
        "class Scores:\n    found: int",
        "def look(found): pass",
        "def look(*, found=1): pass",
        "def look(*found): pass",
        "def look(**found): pass",
        "look = lambda found: 1",
        "self.found = 1",
        "import found",
        "from place import name as found",
        "match value:\n    case [1, *found]: pass",
        "match value:\n    case {'a': 1, **found}: pass",
        "match value:\n    case int() as found: pass",
    ],
)
def test_every_way_to_bind_a_name_is_refused(source):
    assert [name for _, name in names(source)] == ["found"]
    assert not names(source.replace("found", "lesions"))


def test_reading_such_a_name_is_not_a_binding():
    assert not names("print(found)\nrow['found'] = scores.found\nlook(found=1)\n'found'\n# found = 1\nfounded = 2")


@pytest.mark.parametrize("name", sorted(words.REFUSED))
def test_lines_are_those_of_the_bindings(name):
    assert names(f"value = 1\n\nfor {name} in row:\n    {name} = 2\n") == [(3, name), (4, name)]


def test_each_module_below_a_folder_is_looked_at(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "dirty.py").write_text("said = 1\n")
    (room / "clean.py").write_text("lesions = 1\n")
    [line] = words.problems(tmp_path)
    assert line.startswith("room/dirty.py:1: the name 'said'")
    (room / "dirty.py").write_text("lesions = 1\n")
    assert not words.problems(tmp_path)


@pytest.mark.long
def test_the_source_has_no_such_names():
    assert not words.problems(words.SOURCE)
