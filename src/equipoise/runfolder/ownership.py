"""Protect foreign folders: files are written only into a folder that is new, empty, or carries our marker.

Otherwise a user's own cases.csv, results.json or figures/ would be taken for ours and overwritten.
"""

import json
from collections.abc import Callable
from pathlib import Path

from equipoise.atomic_write import PART, write_json
from equipoise.errors import EquipoiseError
from equipoise.plain_files import text_of
from equipoise.runfolder.paths import CLAIM, LEASE, LOCK, MARKER, RESULTS, STUDY_PLAN

RUN, STUDY, AUDIT, PREDICTIONS = "run", "study", "audit", "predictions"
_ARTICLE = {RUN: "a run", STUDY: "a study", AUDIT: "an audit", PREDICTIONS: "predictions of a bundle"}
_KEY = "equipoise"


def prove_ours(folder: Path, kind: str) -> bool:
    """Return whether the folder already holds a run, study or audit of ours; False where it is new or empty.

    It only reads. Raises EquipoiseError for a folder that holds anything else.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise EquipoiseError(f"{folder} cannot be read ({error}); name another folder with --out") from error
    # The lock file and the parts of an interrupted atomic write may precede the marker; a folder with these alone is
    # new.
    own = (name == CLAIM or name.startswith(LEASE) or (name.startswith(".") and name.endswith(PART)) for name in names)
    foreign = [name for name, ours in zip(names, own, strict=True) if not ours]
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
    """Mark the folder as ours, if it is new or empty; the marker is on the disk before any other file.

    Raises EquipoiseError as `prove_ours`, OSError where the folder cannot be written.
    """
    if not prove_ours(folder, kind):
        write_json(folder / MARKER, {_KEY: kind})


def _holds(folder: Path) -> str | None:
    """Read the kind from the marker; folders of version 0.1 have none and are recognised by our own files."""
    marked = _value(folder / MARKER, lambda content: content.get(_KEY))
    if marked is not None:
        return str(marked)
    if (folder / LOCK).is_file():
        return RUN
    if (folder / STUDY_PLAN).is_file():
        return STUDY
    # A user's own results.json is unlikely to hold both keys, and an audit's always does: it has no protocol.
    audited = _value(folder / RESULTS, lambda content: "schema" in content and content["protocol_sha256"] is None)
    return AUDIT if audited else None


def _value(file: Path, of: Callable[[dict[str, object]], object]) -> object:
    """Apply a function to a JSON file's content; None where the file is missing or has another form."""
    try:
        return of(json.loads(text_of(file)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
