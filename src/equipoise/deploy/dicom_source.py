"""The source slices of an answer in DICOM: their data sets, and where their pixels lie on the grid of a mask.

`canonical()` permutes axes, so a sagittal slice is no plane of the array's first axis: the rows and columns of each
source slice are looked up through its own position and orientation, never by an order.
"""

import hashlib
import importlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom_seg import GRID_TOLERANCE
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Plane, Scan
from equipoise.errors import CohortError, EquipoiseError

MANUFACTURER = "Equipoise"
RESEARCH = "research only"
ANATOMY = ("123037004", "SCT", "Anatomical Structure")
TISSUE = ("85756007", "SCT", "Tissue")
INSTEAD = "use --as nifti"
# Type 2: they must be there and may be empty; de-identified files often lack them.
_MAY_BE_EMPTY = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                 "ReferringPhysicianName", "PatientName", "PatientID")  # fmt: skip


def libraries() -> tuple[Any, Any]:
    """Return the modules highdicom and pydicom; CohortError where they are not installed."""
    try:
        # highdicom logs every frame at the level of information, which some programs show.
        logging.getLogger("highdicom").setLevel(logging.WARNING)
        return importlib.import_module("highdicom"), importlib.import_module("pydicom")
    except ImportError as error:
        raise CohortError("writing DICOM needs highdicom; install it with: pip install 'equipoise[dicom]'") from error


def code(pydicom: Any, triplet: tuple[str, str, str]) -> Any:
    """Return a coded concept: value, coding scheme, meaning."""
    module = pydicom.sr.coding if hasattr(pydicom, "sr") else importlib.import_module("pydicom.sr.coding")
    return module.Code(*triplet)


def read_sources(scan: Scan) -> list[Any]:
    """Return the data sets of the source slices, without pixels, in the order of the scan's planes.

    Raises CohortError where the image did not come from a DICOM series of single-frame files.
    """
    _, pydicom = libraries()
    if not scan.planes:
        raise CohortError(f"DICOM output needs an image that was read from a DICOM series; {INSTEAD}")
    if len({plane.file for plane in scan.planes}) != len(scan.planes):
        raise CohortError(f"DICOM output for multi-frame files is not supported; {INSTEAD}")
    return [_read_source(plane, scan, pydicom) for plane in scan.planes]


def _read_source(plane: Plane, scan: Scan, pydicom: Any) -> Any:
    content = Path(plane.file).read_bytes()
    if hashlib.sha256(content).hexdigest() != scan.sha256.get(plane.file):
        raise RefusedFile(plane.file, "it changed since it was read", "run the same command again")
    data = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    if str(data.SOPInstanceUID) != plane.sop_uid:
        raise RefusedFile(plane.file, "its identity changed since it was read", "run the same command again")
    for name in _MAY_BE_EMPTY:
        if name not in data:
            setattr(data, name, "")
    if "SpecificCharacterSet" in data and not data.SpecificCharacterSet:
        del data.SpecificCharacterSet  # empty means the default, and the writer knows it as absent alone
    return data


def world_of(data: Any, row: NDArray[Any], column: NDArray[Any]) -> NDArray[np.float64]:
    """Return the places (…, 3) in LPS mm of rows and columns, whole or not, of a source slice."""
    orientation = np.array([float(value) for value in data.ImageOrientationPatient]).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in data.PixelSpacing)
    position = np.array([float(value) for value in data.ImagePositionPatient])
    places: NDArray[np.float64] = (
        position + column[..., None] * between_columns * orientation[0] + row[..., None] * between_rows * orientation[1]
    )
    return places


class OnSlices:
    """Where every pixel of the source slices lies in an array (z, y, x); `mask` looks a mask up there."""

    def __init__(self, scan: Scan, sources: list[Any]) -> None:
        if scan.affine is None:
            raise EquipoiseError(f"the image states no position in space, so DICOM output would have none; {INSTEAD}")
        self._scan, self._sources = scan, sources
        self._inverse = np.linalg.inv(scan.affine).astype(np.float64)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask (z, y, x) on the rows and columns of every source slice: (slice, row, column)."""
        slices = zip(self._sources, self._scan.planes, strict=True)
        return np.stack([self._on_slice(mask, data, plane) for data, plane in slices])

    def _on_slice(self, mask: NDArray[np.bool_], data: Any, plane: Plane) -> NDArray[np.bool_]:
        row, column = np.indices((int(data.Rows), int(data.Columns)))
        world = world_of(data, row, column) * (-1, -1, 1)  # LPS to RAS
        places = world @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        voxels = np.rint(places).astype(np.int64)
        beside = float(np.abs(places - voxels).max())
        x, y, z = np.moveaxis(voxels, -1, 0)
        shape = np.array(mask.shape[::-1])
        if beside > GRID_TOLERANCE or (voxels < 0).any() or (voxels >= shape).any():
            raise RefusedFile(plane.file, f"its pixels lie up to {beside:.2g} voxels away from the mask's", INSTEAD)
        on_slice: NDArray[np.bool_] = mask[z, y, x]
        return on_slice


def uid(seed: str, what: str) -> str:
    """Return an identifier under 2.25 that depends on the texts alone."""
    digest = hashlib.sha256(f"{seed}|{what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
