"""A bundle on disk: a folder (or a stored zip of it) of data without code, read whole and checked before use.

bundle.json holds the size and SHA-256 of every other file; its own SHA-256 is the bundle's name in every output.
"""

import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.atomic_write import draft_beside, left_beside, sync, write_bytes
from equipoise.cohorts.formats.file_names import is_left_behind
from equipoise.deploy.card_rows import AUTHOR, as_exported
from equipoise.deploy.contract import Contract
from equipoise.errors import EquipoiseError

SCHEMA = 1
RECORD = "bundle.json"
NETWORK, WEIGHTS, GOLDEN, PARITY, CARD = "model.onnx", "model.safetensors", "golden.npz", "parity.json", "CARD.md"
FILES = (NETWORK, WEIGHTS, GOLDEN, PARITY, CARD)
INTEGERS = "model-int8.onnx"
OPTIONAL = (INTEGERS,)
LARGEST = 2 << 30
"""Bytes of one file of a bundle; a network in ONNX cannot be larger without files beside it, which a bundle refuses."""
LARGEST_RECORD = 16 << 20
AGAIN = "copy the bundle again from where it was exported"


@dataclass(frozen=True)
class BundleFiles:
    """A bundle in memory, every file as its record says.

    record: the content of bundle.json. files: by name, without bundle.json. sha256: of bundle.json, the bundle's name.
    """

    record: Mapping[str, Any]
    files: Mapping[str, bytes]
    sha256: str
    contract: Contract


def read_bundle(path: str | Path) -> BundleFiles:
    """Read a bundle from its folder or zip file.

    Raises EquipoiseError (one sentence) for a file that is missing, added, changed, longer, a link, or of another
    schema.
    """
    path = Path(path)
    try:
        contents = _from_zip(path) if path.is_file() else _from_folder(path)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise EquipoiseError(f"{path} cannot be read as a bundle ({error}); {AGAIN}") from error
    if RECORD not in contents:
        raise EquipoiseError(f"{path} is not a bundle: it has no {RECORD}; make one with `equipoise export`")
    raw = contents.pop(RECORD)
    record = _record(path, raw)
    _compare(path, record["files"], contents)
    return BundleFiles(record, contents, hashlib.sha256(raw).hexdigest(), Contract.from_json(record["contract"]))


def _record(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        record = dict(json.loads(raw))
    except (ValueError, TypeError, RecursionError) as error:
        raise EquipoiseError(f"{path / RECORD} is not readable ({error}); {AGAIN}") from error
    if record.get("schema") != SCHEMA:
        raise EquipoiseError(
            f"{path} has the schema {record.get('schema')!r} and this version reads {SCHEMA}; export the arm again"
        )
    missing = [key for key in ("contract", "files", "limits", "provenance", "evidence") if key not in record]
    if missing or not isinstance(record["files"], dict):
        raise EquipoiseError(f"{path / RECORD} has no {(missing or ['files'])[0]!r}; {AGAIN}")
    return record


def _compare(path: Path, listed: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Compare what is there with sizes and hashes, in both directions."""
    for name in (*FILES, *(name for name in OPTIONAL if name in listed)):
        if name not in listed or name not in contents:
            raise EquipoiseError(f"{path} has no {name}; {AGAIN}")
    for name, given in contents.items():
        content = as_exported(given) if name == CARD else given
        entry = listed.get(name)
        if not isinstance(entry, dict):
            raise EquipoiseError(f"{path} holds {name[:80]!r}, which {RECORD} does not list; {AGAIN}")
        if name == CARD and entry.get("sha256") != hashlib.sha256(content).hexdigest():
            raise EquipoiseError(
                f"{path / name} differs from the export in more than the rows marked {AUTHOR!r}; complete these rows "
                f"alone, or {AGAIN}"
            )
        if entry.get("bytes") != len(content):
            raise EquipoiseError(f"{path / name} has {len(content)} bytes instead of {entry.get('bytes')}; {AGAIN}")
        if entry.get("sha256") != hashlib.sha256(content).hexdigest():
            raise EquipoiseError(f"{path / name} is not the file that {RECORD} lists (its SHA-256 differs); {AGAIN}")


def _limit(name: str) -> int:
    return LARGEST_RECORD if name == RECORD else LARGEST


def _check_name(path: Path, name: str) -> None:
    if name not in (RECORD, *FILES, *OPTIONAL):
        raise EquipoiseError(f"{path} holds {name[:80]!r}, which is not a file of a bundle; {AGAIN}")


def _from_folder(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        raise EquipoiseError(f"{path} does not exist; name the folder or zip file of a bundle")
    contents = {}
    for entry in sorted(path.iterdir()):
        if is_left_behind(entry.name):
            continue
        _check_name(path, entry.name)
        # A link is refused and not followed: it could name any file of this machine, and would not travel.
        handle = _opened(path, entry)
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > _limit(entry.name):
                raise EquipoiseError(f"{entry} is not a plain file of at most {_limit(entry.name)} bytes; {AGAIN}")
            contents[entry.name] = stream.read()
    return contents


def _opened(path: Path, entry: Path) -> int:
    if entry.is_symlink():
        raise EquipoiseError(f"{path} holds {entry.name!r} as a link, but a bundle holds plain files only; {AGAIN}")
    # Not to wait for the writer of a named pipe, nor to follow a link put there in between.
    return os.open(entry, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))


def _from_zip(path: Path) -> dict[str, bytes]:
    """Read the members of a zip file by their names; nothing is extracted to a path that the file chooses."""
    contents: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            # The folder itself may have been packed, so one leading folder is allowed, and no other path.
            folder, _, name = member.filename.rpartition("/")
            if not name and member.is_dir():
                continue
            if "/" in folder or folder.startswith((".", "\\")) or "\\" in member.filename:
                raise EquipoiseError(
                    f"{path} holds the path {member.filename[:80]!r}, which leads outside the bundle; {AGAIN}"
                )
            if is_left_behind(name):
                continue
            _check_name(path, name)
            if name in contents or member.compress_type != zipfile.ZIP_STORED or member.file_size > _limit(name):
                raise EquipoiseError(
                    f"{path}: its member {name!r} occurs twice, is compressed or is too large; pack the bundle with "
                    "`zip -0 -r`"
                )
            contents[name] = archive.read(member)
    return contents


def prove_new(out: Path) -> None:
    """Raise EquipoiseError where a bundle cannot be written to `out` without touching what lies there."""
    if out.is_symlink() or (out.exists() and not out.is_dir()) or (out.is_dir() and any(out.iterdir())):
        raise EquipoiseError(f"{out} exists already and was not overwritten; name a new folder with --out")


def write_bundle(out: Path, record: Mapping[str, Any], files: Mapping[str, bytes]) -> BundleFiles:
    """Write a bundle to a new folder, whole or not at all, and return it as it is read back.

    record: bundle.json without `files`. Raises EquipoiseError where the folder exists, OSError where it cannot be
    written.
    """
    prove_new(out)
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    text = json.dumps({**record, "files": listed}, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    draft = draft_beside(out)
    for left in left_beside(out) if out.parent.is_dir() else ():
        shutil.rmtree(left, ignore_errors=True)  # what a killed export left; a link is not followed
    try:
        for name, content in {**files, RECORD: (text + "\n").encode()}.items():
            write_bytes(draft / name, content)
        read_bundle(draft)
        if out.is_dir():
            out.rmdir()
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(out.parent)
    return read_bundle(out)
