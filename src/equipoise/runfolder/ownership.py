"""Whose folder it is: nothing is written into one that is not new, empty, or ours by a marker.

A user's own cases.csv, results.json or figures/ would else be taken for ours and overwritten.
"""

import json
from collections.abc import Callable
from pathlib import Path

from equipoise.atomic_write import PART, write_json
from equipoise.errors import EquipoiseError
from equipoise.runfolder.paths import CLAIM, LOCK, MARKER, RESULTS, STUDY_PLAN

RUN, STUDY, AUDIT = "run", "study", "audit"
_ARTICLE = {RUN: "a run", STUDY: "a study", AUDIT: "an audit"}
_KEY = "equipoise"


def prove_ours(folder: Path, kind: str) -> bool:
    """Whether the folder holds a run, study or audit of ours already; False where it is new or empty. Only reads.

    Raises EquipoiseError for a folder that holds anything else.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise EquipoiseError(f"{folder} cannot be read ({error}); name another folder with --out") from error
    foreign = [name for name in names if name != CLAIM and not (name.startswith(".") and name.endswith(PART))]
    if not foreign:
        return False
    holds = _holds(folder)
    if holds == kind:
        return True
    if holds in _ARTICLE:
        raise EquipoiseError(
            f"{folder} holds {_ARTICLE[holds]}, not {_ARTICLE[kind]}; nothing was overwritten, name a new folder with "
            "--out"
        )
    raise EquipoiseError(
        f"{folder} is not empty and holds no {kind} (it has {foreign[0]}); name a new folder with --out"
    )


def claim(folder: Path, kind: str) -> None:
    """Make the folder ours, if it is new or empty: the marker is on the disk before any other file is.

    Raises EquipoiseError as `prove_ours`, OSError where the folder cannot be written.
    """
    if not prove_ours(folder, kind):
        write_json(folder / MARKER, {_KEY: kind})


def _holds(folder: Path) -> str | None:
    """What the marker says; in a folder of version 0.1, which had no marker, what only we write."""
    marked = _value(folder / MARKER, lambda content: content.get(_KEY))
    if marked is not None:
        return str(marked)
    if (folder / LOCK).is_file():
        return RUN
    if (folder / STUDY_PLAN).is_file():
        return STUDY
    # the results of an audit have no protocol, and say so
    audited = _value(folder / RESULTS, lambda content: "schema" in content and content["protocol_sha256"] is None)
    return AUDIT if audited else None


def _value(file: Path, of: Callable[[dict[str, object]], object]) -> object:
    """What a function says of a JSON file's content; None where there is none, or it is another's file."""
    try:
        return of(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
