"""Answers that lie in a folder from before: whether they are those of these very files, bundle and settings."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from equipoise.atomic_write import left_beside
from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.formats.nifti import PAIRS, pair_choices
from equipoise.cohorts.formats.reading import suffix_of
from equipoise.deploy.answer_files import possible_names
from equipoise.deploy.case_answer import ANSWER, Settings, seal_of
from equipoise.deploy.contract import Contract
from equipoise.deploy.inputs import CaseInput
from equipoise.deploy.outputs import sha256_of
from equipoise.plain_files import text_of


def answer_key(case: CaseInput, bundle: str, settings: Settings) -> str:
    """Return a hash of what an answer depends on, as far as it is known before the case is read.

    bundle: its SHA-256. Covered are settings, the given files, all files of given folders, and which halves of a pair
    lie beside one another. What a header names is known once it is read: `answer.json` lists such files as `parts`.
    Raises OSError for a file that cannot be read.
    """
    digest = hashlib.sha256(f"{bundle}|{settings}|{case.series_uid}|{case.row}".encode())
    for path in case.images:
        for file in data_files(path) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(_named(file, _hash(file, *_state(file))))
        if not path.is_dir() and suffix_of(path) in PAIRS:
            # Which half is read depends on which are there: a new scan.hdr goes before scan.hdr.gz.
            for half in pair_choices(path):
                digest.update(_named(half, str(half.exists())))
    return digest.hexdigest()


def _named(file: Path, text: str) -> bytes:
    # A name from the file system may hold bytes that are no UTF-8.
    return f"{file.name}:{text}|".encode("utf-8", "surrogatepass")


def kept_row(folder: Path, case: CaseInput, key: str) -> dict[str, Any] | None:
    """Return the row of an answer that is complete and was given to these very files; None where there is none."""
    kept = json_of(folder / ANSWER)
    try:
        if kept.get("key") != key or kept.get("seal") != seal_of(kept) or not _same_parts(case, kept["parts"]):
            return None
        whole = all(sha256_of(folder / name) == digest for name, digest in kept["files"].items())
        return dict(kept["row"]) if whole else None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None  # edited, or of a version before: it is answered again


def _same_parts(case: CaseInput, parts: list[dict[str, str]]) -> bool:
    return all(
        name == Path(name).name and _hash(path.with_name(name), *_state(path.with_name(name))) == digest
        for path, of_image in zip(case.images, parts, strict=True)
        for name, digest in of_image.items()
    )


def remove_answer(folder: Path, contract: Contract) -> None:
    """Remove an answer of before with all of its files, so that none of an old image lies beside a new mask.

    Only what answers of the contract write is removed: files of other names stay, and so do links. Raises OSError.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    # The record first: what a kill leaves is then no answer.
    for name in (ANSWER, *possible_names(contract)):
        file = folder / name
        for one in (file, *left_beside(file)):
            if one.is_file() and not one.is_symlink():
                one.unlink()


def json_of(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; {} where there is none that can be read."""
    try:
        return dict(json.loads(text_of(file)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _state(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=64)
def _hash(file: Path, modified: int, size: int) -> str:  # noqa: ARG001 - they make the key of the cache
    """Return the hash of a file, once for all images that lie in it."""
    return sha256_of(file)
