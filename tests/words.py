"""Refuse names that say nothing about the value they are bound to: `found`, `said`, `wanted` and their like.

`python tests/words.py` checks `src`; `tests/check.py` runs it after the linter.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[1] / "src" / "equipoise"
REFUSED = frozenset({"found", "said", "wanted", "stated", "told", "asked", "thing", "things", "stuff", "tmp", "foo"})


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


def problems(root: Path) -> list[str]:
    """A line for each refused name that a module below `root` binds."""
    return [
        f"{path.relative_to(root).as_posix()}:{line}: the name {name!r} says nothing; name what the value is"
        for path in sorted(root.rglob("*.py"))
        for line, name in bindings(path.read_text(encoding="utf-8"))
    ]


def main() -> None:
    """Print every problem of the source and end with status 1 where there is one."""
    lines = problems(SOURCE)
    print("\n".join(lines) or "names say what values are")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
