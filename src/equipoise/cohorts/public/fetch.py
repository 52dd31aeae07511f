"""Fetch a public data set by its name: download, verify, unpack, record."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from equipoise.cohorts.public.catalogue import Entry, PublicFile, entry_named
from equipoise.cohorts.public.download import Receiver, download
from equipoise.cohorts.public.fetched import PublicFolder, hashes_of
from equipoise.cohorts.public.series import fetch_series
from equipoise.cohorts.public.server import Server
from equipoise.cohorts.public.unpack import unpack
from equipoise.errors import CohortError
from equipoise.progress import Watch, silent

_MB = 1_000_000
_ANNOTATIONS = "annotations"


@dataclass(frozen=True)
class Fetched:
    """A data set that is on the disk and verified."""

    entry: Entry
    folder: Path
    files: int


def fetch(
    name: str,
    above: Path | None = None,
    *,
    mirror: str = "",
    offline: bool = False,
    pin: str | None = None,
    patients: Collection[str] = (),
    watch: Watch = silent,
    server: Server | None = None,
) -> Fetched:
    """Fetch a data set of the catalogue into `above`/NAME, or verify what lies there; an interrupted fetch goes on.

    mirror: an address with the same paths as the published ones. offline: only verify, also
    a file that the user has copied to `above`/NAME. pin: the SHA-256 that the user
    confirms for a file whose publisher states none. patients: of an archive of series; by default all. Raises
    CohortError for unknown names, data behind a form, another file than was published, a disk without space.
    """
    entry = entry_named(name)
    place = PublicFolder(entry, above)
    if entry.ask:
        raise CohortError(
            f"{entry.name} is only for users who accept its terms: request it at {entry.ask}, unpack it, and give its "
            f'folder: source = "{entry.reader}", path = "…"'
        )
    if patients and not entry.archive:
        raise CohortError(f"{entry.name} comes as one file, not by patients; leave --patients out")
    # A file that was brought by hand lies where a download would have left it.
    if not offline or (entry.file is not None and (place.folder / entry.file.name).is_file()):
        _fetch(entry, place, server or Server(entry.hosts, mirror, offline), pin, patients, watch)
    data = place.verified()
    return Fetched(entry, data, sum(file.is_file() for file in data.rglob("*")))


def described(fetched: Fetched, above: Path | None) -> tuple[dict[str, object], str]:
    """Return what the command prints of a data set, as JSON and as text."""
    entry, source = fetched.entry, f"public:{fetched.entry.name}"
    facts = {"name": entry.name, "folder": str(fetched.folder), "files": fetched.files, "source": source}
    path = f', path = "{above}"' if above else ""
    text = (
        f"{entry.name}: {fetched.files} files, verified, in {fetched.folder}\n"
        f"licence {entry.licence}; cite {entry.citation}\n"
        f'in a protocol: source = "{source}"{path}'
    )
    return facts | {"licence": entry.licence, "citation": entry.citation}, text


def _fetch(
    entry: Entry, place: PublicFolder, server: Server, pin: str | None, patients: Collection[str], watch: Watch
) -> None:
    # A complete data set is verified and not asked for again, unless more patients are wanted.
    if place.summary().get("complete") and not entry.archive:
        return
    if entry.file is not None and not entry.archive:
        # An archive is for a moment there twice, packed and unpacked.
        place.check_space(entry.about_mb * _MB * (2 if entry.file.is_archive else 1))
    place.note(complete=False, checksum_from=entry.checksum_from, mirror=server.mirror)
    if entry.file is not None:
        _fetch_file(entry.file, place, server, pin, watch)
    if entry.archive:
        fetch_series(entry, place, server, patients, watch)
    place.note(complete=True)


def _fetch_file(file: PublicFile, place: PublicFolder, server: Server, pin: str | None, watch: Watch) -> None:
    part = _ANNOTATIONS if place.entry.archive else "data"
    if place.has(part):
        return
    checksum = file.checksum or _confirmed(file, place, server, pin, watch)
    stored = download(file, checksum, place.folder, server, watch)
    target = place.data / _ANNOTATIONS if place.entry.archive else place.data
    shutil.rmtree(target, ignore_errors=True)  # unpacked and not recorded: an interruption came between
    if file.is_archive:
        target.parent.mkdir(parents=True, exist_ok=True)
        unpack(stored, target)
        stored.unlink()
    else:
        target.mkdir(parents=True)
        stored.replace(target / file.name)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    place.add(part, {path.relative_to(place.data).as_posix(): hashes_of(path)["sha256"] for path in files})


def _confirmed(file: PublicFile, place: PublicFolder, server: Server, pin: str | None, watch: Watch) -> str:
    """Return the checksum that the user confirms for a file without a published one.

    Without a confirmation the file is received and kept aside, and CohortError tells its SHA-256.
    """
    aside = place.folder / f".{file.name}.unconfirmed"
    if pin is None:
        if not aside.is_file():
            receiver = Receiver(server, place.folder / f".{file.name}.part", file.at_most_bytes, watch, sure=False)
            receiver.receive(server.address(file.address)).replace(aside)
        digest = hashes_of(aside)["sha256"]
        raise CohortError(
            f"no checksum of {file.name} is published; the file received has {aside.stat().st_size} bytes and the "
            f"SHA-256 {digest}: compare it with a copy that you trust, then confirm it: {place.command} --pin {digest}"
        )
    pin = pin.strip().lower().removeprefix("sha256:")
    if len(pin) != 64 or set(pin) - set("0123456789abcdef"):
        raise CohortError(f"--pin {pin!r} is not a SHA-256; give the 64 hexadecimal digits")
    if aside.is_file():
        if hashes_of(aside)["sha256"] == pin:
            aside.replace(place.folder / file.name)
        else:
            aside.unlink()
    return f"sha256:{pin}"
