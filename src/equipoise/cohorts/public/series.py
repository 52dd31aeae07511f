"""Series of The Cancer Imaging Archive by its public interface (NBIA REST 1): list, download, verify, unpack."""

import csv
import json
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.public.catalogue import Entry
from equipoise.cohorts.public.download import Receiver
from equipoise.cohorts.public.fetched import PublicFolder, hashes_of
from equipoise.cohorts.public.server import Server
from equipoise.cohorts.public.unpack import unpack
from equipoise.errors import CohortError
from equipoise.progress import Watch, silent

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_PATIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LONGEST_UID = 64
_MOST_LISTED_BYTES = 64 << 20
# A slice of CT has half a megabyte; headers and private tags are allowed the same again, twice.
_BYTES_PER_IMAGE = 4 << 20
_BYTES_PER_SLICE = 530_000  # 512 × 512 pixels of two bytes and a header
_HASHES = "md5hashes.csv"


@dataclass(frozen=True)
class Series:
    """One series as the archive lists it."""

    uid: str
    study: str
    patient: str
    images: int


def fetch_series(
    entry: Entry, place: PublicFolder, server: Server, patients: Collection[str], watch: Watch
) -> list[Series]:
    """Download the CT series of a collection, of all patients or of those named, that are not there yet.

    Returns the series asked for. Raises CohortError where a patient is unknown or an image is not what the archive
    states; whole series stay.
    """
    listed = list_series(entry, server)
    known = {series.patient for series in listed}
    if unknown := sorted(set(patients) - known):
        raise CohortError(f"{entry.name} has no CT series of {', '.join(unknown[:5])}; its {len(known)} patients "
                          f"are named as {min(known)}")  # fmt: skip
    chosen = [series for series in listed if not patients or series.patient in patients]
    missing = sum(series.images for series in chosen if not place.has(series.uid))
    place.check_space(missing * _BYTES_PER_SLICE, ", or some patients with --patients")
    label = f"series of {entry.collection}"
    for index, series in enumerate(chosen):
        watch(label, index, len(chosen))
        if not place.has(series.uid):
            _fetch_one(entry, place, server, series)
    watch(label, len(chosen), len(chosen))
    return chosen


def list_series(entry: Entry, server: Server) -> list[Series]:
    """Return the CT series that the archive lists for a collection, by patient and series."""
    query = urlencode({"Collection": entry.collection, "Modality": "CT", "format": "json"})
    address = server.address(f"{entry.archive}/getSeries?{query}")
    try:
        rows = _json(server, address)
        listed = [_series(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, requests.RequestException) as error:
        raise CohortError(f"{address} does not list series ({error}); try again later") from error
    if not listed:
        raise CohortError(f"{address} lists no series; try again later, or check --from")
    if len({series.uid for series in listed}) != len(listed):
        raise CohortError(f"{address} lists a series twice; try again later")
    return sorted(listed, key=lambda series: (series.patient, series.uid))


def _json(server: Server, address: str) -> Sequence[Any]:
    with server.get(address) as response:
        if response.status_code != 200:
            raise ValueError(f"it answers {response.status_code}")
        content = b""
        for piece in response.iter_content(1 << 16):
            content += piece
            if len(content) > _MOST_LISTED_BYTES:
                raise ValueError("its answer is too long")
    rows = json.loads(content)
    if not isinstance(rows, list):
        raise TypeError("its answer is not a list")
    return rows


def _series(row: Any) -> Series:
    uid, study, patient = row["SeriesInstanceUID"], row["StudyInstanceUID"], row["PatientID"]
    images = int(row["ImageCount"])
    # These become names of folders, so nothing but identifiers may pass.
    for name in (uid, study):
        if not _UID.fullmatch(name) or len(name) > _LONGEST_UID:
            raise ValueError(f"{name!r} is not a UID")
    if not _PATIENT.fullmatch(patient) or len(patient) > _LONGEST_UID:
        raise ValueError(f"{patient!r} is not a patient id")
    if not 0 < images < 20_000:
        raise ValueError(f"{uid} has {images} images")
    return Series(uid, study, patient, images)


def _fetch_one(entry: Entry, place: PublicFolder, server: Server, series: Series) -> None:
    """Download one series, verify its images, and put them at data/PATIENT/STUDY/SERIES."""
    address = server.address(f"{entry.archive}/getImageWithMD5Hash?{urlencode({'SeriesInstanceUID': series.uid})}")
    archive = place.folder / f"{series.uid}.zip"
    receiver = Receiver(
        server, place.folder / f".{series.uid}.zip.part", series.images * _BYTES_PER_IMAGE, silent, sure=False
    )
    receiver.receive(address).replace(archive)
    above = Path(series.patient, series.study, series.uid)
    target, unpacked = place.data / above, place.folder / f"{series.uid}.new"
    for folder in (unpacked, target):  # left by an interruption between unpacking and recording
        shutil.rmtree(folder, ignore_errors=True)
    try:
        names = unpack(archive, unpacked)
        files = dict(_verify(unpacked, names, series))
        target.parent.mkdir(parents=True, exist_ok=True)
        unpacked.rename(target)
        place.add(series.uid, {(above / name).as_posix(): digest for name, digest in files.items()})
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)


def _verify(folder: Path, names: Sequence[str], series: Series) -> Iterator[tuple[str, str]]:
    """Compare the images with the hashes that the archive sent beside them; yield each with its SHA-256."""
    published = _stated_hashes(folder / _HASHES)
    (folder / _HASHES).unlink()
    # The archive adds its licence as a text, and lists no hash for it.
    images = [name for name in names if name.endswith(".dcm")]
    for name in set(names) - set(images):
        (folder / name).unlink(missing_ok=True)
    if set(images) != published.keys() or len(images) != series.images:
        reason = f"it holds {len(images)} images, its list {len(published)} and the archive's catalogue {series.images}"
        raise RefusedFile(f"series {series.uid}", reason, "try again later")
    for name in images:
        hashes = hashes_of(folder / name)
        if hashes["md5"] != published[name]:
            raise RefusedFile(
                f"series {series.uid}", f"its image {name} does not have the stated MD5", "try again later"
            )
        yield name, hashes["sha256"]


def _stated_hashes(file: Path) -> dict[str, str]:
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        return {name.strip(): digest.strip().lower() for name, digest in rows[1:]}
    except (OSError, ValueError) as error:
        raise RefusedFile(file, "the list of hashes that comes with a series cannot be read", "try again") from error
