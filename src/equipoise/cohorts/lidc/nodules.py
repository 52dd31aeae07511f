"""CT of the nodules of LIDC-IDRI: crops of the series with the readers' outlines on them, cut once and kept.

What is known of a series, and its crops, lie in the user's cache under a key of the annotation file's hash and of the
series' files (names, sizes and times), so that later cohorts read neither headers nor slices again. Crops that were
dropped from the cache are cut anew from the files.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.lidc.annotations import LidcReading, read_lidc_xml
from equipoise.cohorts.lidc.consensus import Marks, nodule_centre
from equipoise.cohorts.lidc.database import RATINGS
from equipoise.cohorts.lidc.outlines import _truth
from equipoise.cohorts.lidc.scans import _attributes, _ct_scan, _grouped, _readings, _series_folders, as_database
from equipoise.cohorts.lidc.settings import Entries, Settings, cohort_of, view_of
from equipoise.cohorts.lidc.voxels import CtScan, read_votes
from equipoise.cohorts.store import code_of_readers, content_key, load, save
from equipoise.errors import ProtocolError
from equipoise.tasks import CLASSIFICATION, LABEL, MASK

VIEWS = {LABEL: ("slices", "volume"), MASK: ("volume",)}
NOT_THERE = "its series was not fetched"


def lidc_nodules(
    path: str | Path,
    *,
    task: str = CLASSIFICATION.name,
    label: str = "malignancy",
    truthing: str = "mean",
    min_readers: int = 2,
    agreement: float = 0.5,
    view: str | None = None,
    size: int = 64,
    spacing_mm: float = 0.7,
    on_problem: str = "stop",
) -> Cohort:
    """Make a cohort of the nodules ≥ 3 mm in CT, from a folder with DICOM series and XML files anywhere below it.

    task: "classification" (label, truthing and min_readers as in `lidc_contours`) or "segmentation" of the voxels that
        at least the share `agreement` of a nodule's readers outlined, among nodules with min_readers.
    view: "slices" (the axial, coronal and sagittal plane through the nodule, the middle ones of the cube; the default
        of classification) or "volume" (cube of size³ voxels of spacing_mm, interpolated linearly; the default of
        segmentation, and its only view).
    on_problem: "stop" or "exclude" for XML files or series that cannot be read; annotated scans whose series is not
        there are left out and counted, for the archive is fetched by patients.
    Pixels are HU, rounded to whole numbers. Errors: ProtocolError for an impossible setting, CohortError where nothing
    fits.
    """
    if view == "scan":
        raise ProtocolError('cohort.view is "scan"; whole scans are read by the source "lidc"')
    view = view_of("lidc-nodules", VIEWS, task, view)
    settings = Settings(task, label, truthing, min_readers, agreement, view, size, float(spacing_mm), on_problem)
    root = Path(path)
    readings, excluded, problems = _readings(root)
    folders, unread = _series_folders(root)
    each = (entry for reading in readings for entry in _entries(reading, folders, settings))
    entries = Entries.sorted_out(each, excluded, [*problems, *unread], on_problem)
    return cohort_of("lidc-nodules", root, settings, entries, _notes(entries), "nodule")


def _notes(entries: Entries) -> tuple[str, ...]:
    absent = sum(one.reason == NOT_THERE for one in entries.excluded)
    return f"{absent} annotated scans were left out: {NOT_THERE}.", "Truth is the readers' opinion, not pathology."


@dataclass(frozen=True)
class Cuts:
    """Where the nodules of one series come from, and under which key they are kept.

    xml: the annotation file; folder: of the DICOM files.
    """

    # It travels with each case to worker processes, so it holds names and no voxels.

    xml: str
    folder: str
    size: int
    spacing_mm: float
    key: str

    def facts(self) -> dict[str, Any]:
        """Return what is known of the series: patient, hashes of its files, and its nodules' attributes and ratings."""
        stored = load(f"{self.key}-facts")
        if stored is not None:
            return dict(json.loads(stored["facts"].tobytes()))
        scan, marks, groups = self._grouped()
        facts = _facts_of(self.xml, scan, marks, groups)
        save(f"{self.key}-facts", {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)})
        return facts

    def voxels(self, hashes: Mapping[str, str]) -> Mapping[str, NDArray[Any]]:
        """Return ct (nodule, z, y, x) in HU, int16, and votes (of the same shape): how many readers outlined a voxel.

        Raises RefusedFile where a file has no longer the hash that the cohort knows.
        """
        stored = load(f"{self.key}-voxels")
        if stored is not None:
            return stored
        scan, marks, groups = self._grouped()
        _compare(scan.sha256, hashes, self.folder)
        cut = [read_votes(scan, marks, group, self.size, self.spacing_mm) for group in groups if marks is not None]
        voxels: dict[str, NDArray[Any]] = {
            "ct": np.stack([ct for ct, _ in cut]),
            "votes": np.stack([votes for _, votes in cut]),
        }
        save(f"{self.key}-voxels", voxels)
        return voxels

    def _grouped(self) -> tuple[CtScan, Marks | None, tuple[tuple[int, ...], ...]]:
        reading = read_lidc_xml(self.xml)
        scan = _ct_scan(reading, {reading.series_uid: Path(self.folder)})
        return scan, *_grouped(as_database(reading, scan))


def _facts_of(xml: str, scan: CtScan, marks: Marks | None, groups: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    position = RATINGS.index("malignancy")
    nodules = [
        {
            "attributes": _attributes(marks, group, scan),
            "ratings": marks.database.ratings[list(group), position].tolist(),
            "centre_mm": [float(place) for place in nodule_centre(marks, group)],
        }
        for group in groups
        if marks is not None
    ]
    return {"patient": scan.patient, "hashes": dict(scan.sha256), "nodules": nodules, "xml": Path(xml).name}


def _compare(now: Mapping[str, str], then: Mapping[str, str], folder: str) -> None:
    for name, digest in now.items():
        if then.get(name) != digest:
            raise RefusedFile(Path(folder) / name, "it changed since the cohort was made", "run again")


def _entries(
    reading: LidcReading, folders: Mapping[str, Path], settings: Settings
) -> Iterator[Case | Exclusion | Problem]:
    """Yield the cases of one reading, what is left out of it, or what is wrong with it."""
    name = Path(reading.file).stem
    folder = folders.get(reading.series_uid)
    if folder is None:
        yield Exclusion(name, name, NOT_THERE)
        return
    cuts = Cuts(reading.file, str(folder), settings.size, settings.spacing_mm, _key(reading, folder, settings))
    try:
        facts = cuts.facts()
    except RefusedFile as refusal:
        yield refusal.problem(name)
        return
    hashes = MappingProxyType({facts["xml"]: reading.sha256} | facts["hashes"])
    if not facts["nodules"]:
        yield Exclusion(f"{facts['patient']}-{name}", facts["patient"], "no nodule of 3 mm or more")
    for number, nodule in enumerate(facts["nodules"]):
        yield _case(cuts, number, nodule, f"{facts['patient']}-{name}", facts["patient"], hashes, settings)


def _case(
    cuts: Cuts,
    number: int,
    nodule: Mapping[str, Any],
    scan: str,
    patient: str,
    hashes: Mapping[str, str],
    settings: Settings,
) -> Case | Exclusion:
    name = f"{scan}-{number + 1:02d}"
    ratings = np.array(nodule["ratings"], np.int64)
    truth = _truth(ratings, settings.label, settings.truthing, settings.min_readers)
    if settings.truth == MASK:
        truth = 0 if len(ratings) >= settings.min_readers else f"marked by fewer than {settings.min_readers} readers"
    if isinstance(truth, str):
        return Exclusion(name, patient, truth)
    votes = settings.agreement * len(ratings) if settings.truth == MASK else None
    return Case(
        id=name,
        patient=patient,
        read=partial(_read, cuts, number, hashes, settings.view, votes),
        label=truth if settings.truth == LABEL else None,
        attributes=MappingProxyType(nodule["attributes"]),
        sha256=hashes,
    )


def _read(cuts: Cuts, number: int, hashes: Mapping[str, str], view: str, votes: float | None) -> Image:
    """Return one nodule's crop in HU as float32; votes: how many readers make a voxel of the mask, None without one."""
    voxels = cuts.voxels(hashes)
    cube = voxels["ct"][number].astype(np.float32)
    if view == "slices":
        middle = cuts.size // 2
        planes = np.stack([cube[middle], cube[:, middle], cube[:, :, middle]])
        return Image(planes, (cuts.spacing_mm,) * 2)
    # The tolerance admits 2 of 3 readers at an agreement written as 0.6666666667.
    mask = None if votes is None else (voxels["votes"][number] >= votes - 1e-9).astype(np.uint8)
    return Image(cube[None], (cuts.spacing_mm,) * 3, mask)


def _key(reading: LidcReading, folder: Path, settings: Settings) -> str:
    """Return the key of a series' crops: the annotations by content, the slices by name, size and times."""
    # The time of change is kept beside that of modification, because a copy may keep the latter.
    files = [(file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns) for file, status in _stats(folder)]
    return content_key(
        kind="lidc-nodules", code=code_of_readers(), xml=reading.sha256, name=reading.file, folder=str(folder),
        files=files, size=settings.size, spacing_mm=settings.spacing_mm,
    )  # fmt: skip


def _stats(folder: Path) -> Iterator[tuple[Path, Any]]:
    for file in sorted(folder.glob("*.dcm")):
        yield file, file.stat()
