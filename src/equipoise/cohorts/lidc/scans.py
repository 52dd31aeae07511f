"""Cohort of LIDC-IDRI as distributed: CT series in DICOM folders and the readers' XML files, joined by series.

Nodules ≥ 3 mm are cases, as crops of the CT in Hounsfield units. Nodules < 3 mm and non-nodules are only counted; in
detection, where whole scans are cases, they are irrelevant findings. Truth and grouping of marks follow the rules of
`outlines`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Problem
from equipoise.cohorts.formats.dicom import find_series, slices_of, without_copies
from equipoise.cohorts.formats.dicom_geometry import stack
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import shared_sandbox
from equipoise.cohorts.formats.scan import axis_codes
from equipoise.cohorts.lidc.annotations import LidcReading, read_lidc_xml
from equipoise.cohorts.lidc.consensus import Marks, group_marks, measure_marks, nodule_centre
from equipoise.cohorts.lidc.database import RATINGS, LidcDatabase
from equipoise.cohorts.lidc.luna16 import Voxel, irrelevant_stamps, unmeasured_points
from equipoise.cohorts.lidc.outlines import _truth
from equipoise.cohorts.lidc.settings import Entries, Settings, cohort_of, view_of
from equipoise.cohorts.lidc.voxels import CtScan, read_crop, read_scan, stamp
from equipoise.tasks import CLASSIFICATION, FINDINGS, LABEL, MASK

VIEWS = {LABEL: ("volume", "slices"), MASK: ("volume", "scan"), FINDINGS: ("scan",)}


def lidc(
    path: str | Path,
    *,
    task: str = CLASSIFICATION.name,
    label: str = "malignancy",
    truthing: str = "mean",
    min_readers: int = 2,
    agreement: float = 0.5,
    view: str | None = None,
    size: int = 48,
    spacing_mm: float = 1.0,
    on_problem: str = "stop",
) -> Cohort:
    """Make a cohort of LIDC-IDRI from a folder with DICOM series and XML files anywhere below it.

    task: "classification" of nodules (label, truthing and min_readers as in `lidc_contours`), or "segmentation" of
        the voxels that at least the share `agreement` of a nodule's readers outlined, among nodules with min_readers,
        or "detection" of those nodules in whole scans: nodules with fewer readers or below 3 mm, and non-nodules, are
        irrelevant. Nodules whose masks touch are one.
    view: "volume" (cube of size³ voxels of spacing_mm around each nodule; the default except in detection), "slices"
        (its axial, coronal and sagittal planes, classification only), or "scan" (whole scans on their own grid, not in
        classification).
    on_problem: "stop" or "exclude" for XML files without a readable series, or series with gaps.
    Every slice's header is read once when the cohort is made (about 3 ms each). Errors: ProtocolError for an
    impossible setting, CohortError where nothing fits.
    """
    view = view_of("lidc", VIEWS, task, view)
    settings = Settings(task, label, truthing, min_readers, agreement, view, size, spacing_mm, on_problem)
    root = Path(path)
    readings, excluded, problems = _readings(root)
    folders, unread = _series_folders(root)
    apart: Counter[str] = Counter()
    each = _each(readings, folders, settings, apart)
    entries = Entries.sorted_out(each, excluded, [*problems, *unread], on_problem)
    return cohort_of("lidc", root, settings, entries, _notes(apart, settings))


def _notes(apart: Mapping[str, int], settings: Settings) -> tuple[str, ...]:
    few = f"{apart['few']} nodules of fewer than {settings.min_readers} readers, " if settings.truth == FINDINGS else ""
    kept = "are irrelevant: neither found nor false" if settings.truth == FINDINGS else "were kept apart"
    return (
        f"{few}{apart['small']} marks below 3 mm and {apart['other']} of non-nodules {kept}.",
        "Truth is the readers' opinion, not pathology.",
        f"A voxel of a mask is nodule where the share {settings.agreement:g} of that nodule's readers outlined it.",
    )


def _each(
    readings: Sequence[LidcReading], folders: Mapping[str, Path], settings: Settings, apart: Counter[str]
) -> Iterator[Case | Exclusion | Problem]:
    """Yield the cases, exclusions and problems of every reading; count smaller marks and non-nodules in `apart`."""
    # `apart` is filled in passing, because the cohort's notes need the counts and the readings are read only once.
    scans: Counter[str] = Counter()
    for reading in readings:
        try:
            scan = _ct_scan(reading, folders)
            database = as_database(reading, scan)
            points = unmeasured_points(reading, scan) if settings.truth == FINDINGS else ()
        except RefusedFile as refusal:
            yield refusal.problem(Path(reading.file).stem)
            continue
        apart["small"] += len(reading.small_nodules())
        apart["other"] += sum(len(session.non_nodules) for session in reading.sessions)
        scans[scan.patient] += 1
        name = f"{scan.patient}-{scans[scan.patient]}"
        hashes = MappingProxyType({Path(reading.file).name: reading.sha256} | dict(scan.sha256))
        if settings.view == "scan":
            yield _whole_scan(name, scan, points, database, hashes, settings, apart)
        else:
            yield from _nodules_of(name, scan, database, hashes, settings)


def _readings(root: Path) -> tuple[list[LidcReading], list[Exclusion], list[Problem]]:
    """Read the CT readings below a folder, one per series; radiographs and repeated files are exclusions."""
    reading_of_series: dict[str, LidcReading] = {}
    excluded, problems = [], []
    for file in sorted(root.rglob("*.xml")):
        try:
            reading = read_lidc_xml(file)
        except RefusedFile as refusal:
            problems.append(refusal.problem(file.stem))
            continue
        if reading.modality != "CT":
            excluded.append(Exclusion(file.stem, file.stem, "a chest radiograph, not a CT scan"))
        elif reading.series_uid in reading_of_series:
            excluded.append(
                Exclusion(
                    file.stem, file.stem, f"the series of {Path(reading_of_series[reading.series_uid].file).name} again"
                )
            )
        else:
            reading_of_series[reading.series_uid] = reading
    return list(reading_of_series.values()), excluded, problems


def _series_folders(root: Path) -> tuple[dict[str, Path], list[Problem]]:
    """Find the folder of each series from one file of every folder with .dcm files."""
    # LIDC-IDRI keeps each series in a folder of its own: one header per folder replaces those of all 240,000 slices.
    folders: dict[str, Path] = {}
    problems = []
    first: dict[Path, Path] = {}
    for file in sorted(root.rglob("*.dcm")):
        first.setdefault(file.parent, file)
    for folder, file in first.items():
        try:
            facts, _ = shared_sandbox().ask("dicom_header", file)
        except RefusedFile as refusal:
            problems.append(refusal.problem(folder.relative_to(root).as_posix()))
            continue
        folders.setdefault(facts["series_uid"], folder)
    return folders, problems


def _ct_scan(reading: LidcReading, folders: Mapping[str, Path]) -> CtScan:
    folder = folders.get(reading.series_uid)
    if folder is None:
        raise RefusedFile(reading.file, f"its series {reading.series_uid} is missing", "fetch the DICOM series")
    candidate = next(each for each in find_series(sorted(folder.glob("*.dcm"))) if each.uid == reading.series_uid)
    series, _ = without_copies(candidate)
    facts = dict(zip(series.files, series.facts, strict=True))
    placed = stack([piece for file in series.files for piece in slices_of(file, facts[file])])
    rows_mm, columns_mm = placed.slices[0].pixel_spacing or (1.0, 1.0)
    if axis_codes(placed.affine) != "LPS" or abs(rows_mm - columns_mm) > 1e-3:
        raise RefusedFile(folder, "its slices are not axial with square pixels", "exclude the case")
    files = tuple(piece.file for piece in placed.slices)
    first = facts[files[0]]
    known = {"manufacturer": first["manufacturer"], "slice_thickness_mm": first["slice_thickness"]}
    return CtScan(
        patient=first["patient_id"] or reading.series_uid,
        study=first["study_uid"],
        series=reading.series_uid,
        files=files,
        sops=tuple(facts[file]["sop_uid"] for file in files),
        sha256={Path(file).name: facts[file]["sha256"] for file in files},
        pixel_mm=columns_mm,
        slice_mm=float(placed.affine[2, 2]),
        shape=(len(files), first["rows"], first["columns"]),
        header={key: value for key, value in known.items() if value not in (None, "")},
    )


def as_database(reading: LidcReading, scan: CtScan) -> LidcDatabase:
    """Convert the large nodules of one reading to tables; z in mm above the lowest slice, found by its identity."""
    # The UID identifies a slice exactly, whereas positions are decimal texts in both files and need a tolerance.
    index_of = {sop: index for index, sop in enumerate(scan.sops)}
    marks = reading.large_nodules()
    outlines = [(number, outline) for number, mark in enumerate(marks) for outline in mark.outlines]
    _, rows, columns = scan.shape
    for _, outline in outlines:
        if outline.sop_uid not in index_of:
            raise RefusedFile(
                reading.file, f"it outlines the slice {outline.sop_uid}, which is missing", "fetch all slices"
            )
        if (outline.points < 0).any() or (outline.points >= (columns, rows)).any():
            raise RefusedFile(
                reading.file, "it outlines pixels beyond the image", "check that it belongs to the series"
            )
    lengths = [len(outline.points) for _, outline in outlines]
    return LidcDatabase(
        patient=np.array([scan.patient]),
        study=np.array([scan.study]),
        series=np.array([scan.series]),
        pixel_mm=np.array([scan.pixel_mm]),
        slice_mm=np.array([scan.slice_mm]),
        mark_scan=np.zeros(len(marks), np.int64),
        ratings=np.array([mark.ratings for mark in marks], np.int64).reshape(len(marks), len(RATINGS)),
        contour_mark=np.array([number for number, _ in outlines], np.int64),
        inclusion=np.array([outline.inclusion for _, outline in outlines], bool),
        z_mm=np.array([index_of[outline.sop_uid] * scan.slice_mm for _, outline in outlines], np.float64),
        point_start=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
        points=np.concatenate([outline.points for _, outline in outlines]) if outlines else np.zeros((0, 2), np.int64),
    )


def _whole_scan(
    name: str,
    scan: CtScan,
    points: Sequence[Voxel],
    database: LidcDatabase,
    hashes: Mapping[str, str],
    settings: Settings,
    apart: Counter[str],
) -> Case:
    marks, groups = _grouped(database)
    agreed = [group for group in groups if len(group) >= settings.min_readers]
    few = [group for group in groups if len(group) < settings.min_readers]
    sought = [stamp(marks, group, settings.agreement, scan) for group in agreed] if marks else []
    if settings.truth == FINDINGS:
        apart["few"] += len(few)
        sought = [*irrelevant_stamps(scan, points, marks, few, settings.agreement), *sought]
    facts = {"nodules": len(agreed), **scan.header, "scan": scan.series}
    read = partial(read_scan, scan, tuple(sought))
    return Case(name, scan.patient, read, attributes=MappingProxyType(facts), sha256=hashes)


def _grouped(database: LidcDatabase) -> tuple[Marks | None, tuple[tuple[int, ...], ...]]:
    """Measure and group the marks; (None, ()) where no reader outlined a nodule."""
    marks = measure_marks(database) if len(database.mark_scan) else None
    return marks, group_marks(marks) if marks is not None else ()


def _nodules_of(
    name: str, scan: CtScan, database: LidcDatabase, hashes: Mapping[str, str], settings: Settings
) -> Iterator[Case | Exclusion]:
    marks, groups = _grouped(database)
    if marks is None:
        yield Exclusion(name, scan.patient, "no nodule of 3 mm or more")
        return
    planes = settings.view == "slices"
    for number, group in enumerate(groups, start=1):
        ratings = database.ratings[list(group), RATINGS.index("malignancy")]
        truth = _truth(ratings, settings.label, settings.truthing, settings.min_readers)
        if settings.truth == MASK:
            truth = 0 if len(group) >= settings.min_readers else f"marked by fewer than {settings.min_readers} readers"
        if isinstance(truth, str):
            yield Exclusion(f"{name}-{number:02d}", scan.patient, truth)
            continue
        stamped = stamp(marks, group, settings.agreement, scan) if settings.truth == MASK else None
        yield Case(
            id=f"{name}-{number:02d}",
            patient=scan.patient,
            read=partial(
                read_crop, scan, tuple(nodule_centre(marks, group)), settings.size, settings.spacing_mm, planes, stamped
            ),
            label=truth if settings.truth == LABEL else None,
            attributes=MappingProxyType(_attributes(marks, group, scan)),
            sha256=hashes,
        )


def _attributes(marks: Marks, group: Sequence[int], scan: CtScan) -> dict[str, Any]:
    members = list(group)
    ratings = marks.database.ratings[members]
    return {
        "diameter_mm": round(float(marks.diameter_mm[members].mean()), 3),
        "volume_mm3": round(float(marks.volume_mm3[members].mean()), 2),
        "n_readers": len(members),
        "malignancy_ratings": " ".join(map(str, ratings[:, RATINGS.index("malignancy")])),
        **{name: round(float(value), 4) for name, value in zip(RATINGS, ratings.mean(axis=0), strict=True)},
        **scan.header,
        "study": scan.study,
        "scan": scan.series,
    }
