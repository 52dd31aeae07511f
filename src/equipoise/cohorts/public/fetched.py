"""Fetched data on the disk: where they lie, the record of what was verified, and the check against it before reading.

FOLDER/NAME/data/          the files
FOLDER/NAME/records/*.json SHA-256 of each file, one record per download (a data set, or one series of it)
FOLDER/NAME/fetched.json   which data set it is, by whose checksum it was verified, and whether it is complete
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json
from equipoise.cohorts.public.catalogue import Entry
from equipoise.cohorts.store import cache_folder
from equipoise.errors import CohortError

_PIECE = 1 << 20
_MB = 1_000_000


class PublicFolder:
    """The folder of one data set. above: as `--to` or cohort.path names it; by default the user's own."""

    def __init__(self, entry: Entry, above: Path | None = None) -> None:
        self.entry = entry
        self.folder = (above or default_folder()) / entry.name
        self.data = self.folder / "data"
        self._stated = f" --to {above}" if above else ""

    @property
    def command(self) -> str:
        """The command that fetches it."""
        return f"equipoise fetch {self.entry.name}{self._stated}"

    def summary(self) -> dict[str, Any]:
        """Return what fetched.json holds; empty where it is absent."""
        try:
            content = json.loads((self.folder / "fetched.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self._damaged(f"fetched.json cannot be read ({error})") from error
        if not isinstance(content, dict):
            raise self._damaged("fetched.json is not a table")
        return content

    def note(self, **facts: Any) -> None:
        """Write facts into fetched.json, beside those it holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        entry = self.entry
        known = {"name": entry.name, "licence": entry.licence, "citation": entry.citation, "page": entry.page}
        write_json(self.folder / "fetched.json", {**known, **self.summary(), **facts})

    def check_space(self, needed: int, advice: str = "") -> None:
        """Refuse to begin what cannot fit: `needed` bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise CohortError(
                f"{self.entry.name} needs about {needed // _MB} MB and {self.folder} has {free // _MB} MB free; "
                f"name another folder with --to{advice}"
            )

    def has(self, part: str) -> bool:
        """Whether a part was downloaded and verified."""
        return self._record(part).is_file()

    def add(self, part: str, files: Mapping[str, str]) -> None:
        """Record the files of a part, by their paths below `data`, with their SHA-256."""
        self._record(part).parent.mkdir(parents=True, exist_ok=True)
        write_json(self._record(part), {"files": dict(files)})

    def verified(self) -> Path:
        """Return the folder of the data, after every file in it has shown the hash that was recorded at its download.

        Raises CohortError where it was not fetched, is incomplete, or differs in any file.
        """
        summary = self.summary()
        if not summary:
            raise CohortError(f"{self.entry.name} is not in {self.folder}; run `{self.command}` first")
        if not summary.get("complete"):
            raise CohortError(f"{self.entry.name} is not complete in {self.folder}; `{self.command}` resumes")
        recorded = self._files()
        present = {path.relative_to(self.data).as_posix(): path for path in _files_below(self.data)}
        for name in sorted(recorded.keys() ^ present.keys()):
            lost = name in recorded
            raise self._damaged(f"{self.data / name} is {'missing' if lost else 'not one of the files fetched'}")
        for name, digest in recorded.items():
            self._check(present[name], digest)
        return self.data

    def _check(self, file: Path, digest: str) -> None:
        if file.is_symlink() or not file.is_file():
            raise self._damaged(f"{file} is not a plain file")
        published = self.entry.file
        # The record lies beside the data and might have been changed with them; the catalogue does not.
        checksum = published.checksum if published and published.name == file.name else None
        hashes = hashes_of(file)
        if hashes["sha256"] != digest or (checksum and checksum != f"md5:{hashes['md5']}"):
            raise self._damaged(f"{file} was changed after the download")

    def _files(self) -> dict[str, str]:
        files: dict[str, str] = {}
        for record in sorted((self.folder / "records").glob("*.json")):
            try:
                files |= json.loads(record.read_text(encoding="utf-8"))["files"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise self._damaged(f"{record} cannot be read") from error
        return files

    def _record(self, part: str) -> Path:
        return self.folder / "records" / f"{part}.json"

    def _damaged(self, what: str) -> CohortError:
        return CohortError(f"{what}; delete {self.folder} and run `{self.command}` again")


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder; a link to a folder counts as a file, so that nothing hides behind it."""
    for above, folders, names in os.walk(folder):
        yield from (Path(above, name) for name in names)
        yield from (Path(above, name) for name in folders if Path(above, name).is_symlink())


def default_folder() -> Path:
    """Return where data are fetched to unless told otherwise; the variable EQUIPOISE_PUBLIC overrides it."""
    override = os.environ.get("EQUIPOISE_PUBLIC")
    return Path(override) if override else cache_folder() / "public"


def hashes_of(file: Path) -> dict[str, str]:
    """Return the MD5 and the SHA-256 of a file, read once in pieces."""
    # MD5 is what publishers state; it says that the right file came, and SHA-256 that it stayed.
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            md5.update(piece)
            sha256.update(piece)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
