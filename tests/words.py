"""Refuse names that say nothing about the value they are bound to: `found`, `said`, `wanted` and their like.

`python tests/words.py` checks `src`; `tests/check.py` runs it after the linter. `NOT_YET_CLEAN` lists the files that
still bind such a name. A listed file without one fails as well, so that the list can only shrink.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
REFUSED = frozenset({"found", "said", "wanted", "stated", "told", "asked", "thing", "things", "stuff", "tmp", "foo"})
NOT_YET_CLEAN: frozenset[str] = frozenset(
    {
        "cohorts/formats/arrays.py",
        "cohorts/formats/checksums.py",
        "cohorts/formats/dicom.py",
        "cohorts/formats/dicom_parse.py",
        "cohorts/formats/dicom_pixels.py",
        "cohorts/formats/dicom_seg.py",
        "cohorts/formats/dicom_values.py",
        "cohorts/formats/sandbox_child.py",
        "cohorts/layouts/array_rows.py",
        "cohorts/layouts/array_table.py",
        "cohorts/layouts/first_look.py",
        "cohorts/layouts/medmnist.py",
    }
)


class Binding(NamedTuple):
    """A name that says nothing, and the line of the file that binds it."""

    line: int
    name: str


def bindings(source: str) -> list[Binding]:
    """Every place of a module's text that binds a refused name, in the order of its lines.

    A binding is a variable or an attribute (assigned, looped over, opened by `with`, caught, matched, imported under
    that name), a parameter, a field, a function or a class.
    """
    return sorted(Binding(line, name) for line, name in _bound(ast.parse(source)) if name in REFUSED)


def _bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            # Assignments, loops, comprehensions, `with` and := all store into a Name; self.x = … into an Attribute.
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            # These four keep their name as a plain string, None where there is none.
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name
            case ast.alias(name=imported, asname=other):
                yield node.lineno, other or imported


def problems(root: Path, not_yet_clean: frozenset[str]) -> list[str]:
    """A line for each refused name outside `not_yet_clean`, and for each entry of that list which is out of date."""
    lines = []
    dirty = set()
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        bound = bindings(path.read_text(encoding="utf-8"))
        if bound:
            dirty.add(place)
        if place not in not_yet_clean:
            lines += [f"{place}:{line}: the name {name!r} says nothing; name what the value is" for line, name in bound]
    lines += [f"{place}: is clean or gone; take it off NOT_YET_CLEAN" for place in sorted(not_yet_clean - dirty)]
    return lines


def main() -> None:
    """Print every problem of the source and end with status 1 where there is one."""
    lines = problems(SOURCE, NOT_YET_CLEAN)
    print("\n".join(lines) or f"names say what values are; {len(NOT_YET_CLEAN)} files are still to be cleaned")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
