"""The code that a protocol names: told, or refused, before any of it is imported."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.lookup import announce
from equipoise.protocol.toml import read_text, tables

_PUBLIC = "public:"
"""Begins the name of a built-in source, which is no code of anybody's own."""


def announce_code(path: Path) -> None:
    """Say which modules of the user's own a protocol or a study would run, a line for each, or refuse them.

    Only the file's text is looked at. Raises EquipoiseError where code is refused (`lookup.code_refused`), and for a
    file that is no TOML.
    """
    for kind, name in code_named(tables(read_text(path), str(path))):
        announce(name, kind, path.parent)


def code_named(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a protocol's or a study's tables name of code of one's own: what it is, and its `module:attribute`.

    >>> list(code_named({"cohort": {"source": "public:x"}, "arms": [{"model": {"name": "nets:Net"}}]}))
    [('model', 'nets:Net')]
    """
    study = values.get("study")
    parts = [values, *([study] if isinstance(study, Mapping) else [])]
    for part in parts:
        yield from _of_cohort(part.get("cohort"))
        for cohort in _rows(part, "cohorts"):
            yield from _of_cohort(cohort.get("cohort"))
            yield from _of_endpoints(cohort.get("endpoints"))
        for arm in (*_rows(part, "arms"), *_rows(part, "models"), *_rows(part, "optimizers")):
            model = arm.get("model")
            for kind in ("model", "optimizer"):
                yield from _own(kind, arm.get(kind))
            yield from _own("trainer", model.get("trainer") if isinstance(model, Mapping) else None)
        yield from _of_endpoints(part.get("endpoints"))
        training = part.get("training")
        yield from _own("loss", training.get("loss") if isinstance(training, Mapping) else None)


def _rows(values: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    rows = values.get(key)
    yield from (row for row in (rows if isinstance(rows, list) else []) if isinstance(row, Mapping))


def _of_cohort(table: Any) -> Iterator[tuple[str, str]]:
    if isinstance(table, Mapping):
        source = table.get("source")
        yield from _own("cohort source", None if str(source).startswith(_PUBLIC) else source)
        yield from _own("task", table.get("task"))


def _of_endpoints(table: Any) -> Iterator[tuple[str, str]]:
    if isinstance(table, Mapping):
        further = table.get("secondary")
        for name in (table.get("primary"), *(further if isinstance(further, list) else [])):
            yield from _own("endpoint", name)


def _own(kind: str, value: Any) -> Iterator[tuple[str, str]]:
    name = value.get("name") if isinstance(value, Mapping) else value
    if isinstance(name, str) and ":" in name:
        yield kind, name
