"""Write CT series of phantoms as an archive stores them: DICOM files with the identifiers and outlines of a reading.

The lung is −850 HU with noise. A pixel that all readers outlined is 900 HU above it, and a pixel that some of them
outlined is above it by their fraction of 900 HU. Scanners store the same Hounsfield units in different ways, as those
of LIDC-IDRI do.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom import require_dicom
from equipoise.cohorts.lidc.annotations import LidcReading, Outline
from equipoise.cohorts.lidc.polygons import fill_outlines
from equipoise.errors import CohortError, ProtocolError

LUNG_HU, STEP_HU, NOISE_HU = -850, 900, 20.0
FAULTS = ("gap", "copy", "double")
"""Faults of a series: a missing slice, a duplicate file, a second image at the position of a slice."""


@dataclass(frozen=True)
class Scanner:
    """A scanner's storage: HU = stored + intercept; padding is the stored value outside its round field, if any."""

    manufacturer: str
    intercept: int
    signed: bool
    padding: int | None = None


SCANNERS = (
    Scanner("GE MEDICAL SYSTEMS", -1024, signed=True, padding=-2000),
    Scanner("SIEMENS", -1024, signed=False),
    Scanner("Philips", -1000, signed=False),
    Scanner("TOSHIBA", 0, signed=True),
)


@dataclass(frozen=True)
class WrittenSeries:
    """A series on disk and its truth, in the order of slices from the lowest.

    hounsfield, votes: (slice, row, column), in HU, and the number of readers who outlined each pixel.
    """

    folder: Path
    sops: tuple[str, ...]
    hounsfield: NDArray[np.int16]
    votes: NDArray[np.uint8]


@dataclass(frozen=True)
class _Grid:
    """Positions of the slices in mm of the patient (LPS); index 0 is the lowest slice."""

    low_mm: float
    slice_mm: float
    slices: int
    pixel_mm: float
    matrix: int

    def index(self, z_mm: float) -> int:
        """Number of the slice at a height in mm."""
        return round((z_mm - self.low_mm) / self.slice_mm)


def write_ct(
    folder: Path,
    reading: LidcReading,
    *,
    patient: str,
    pixel_mm: float,
    slice_mm: float | None = None,
    matrix: int = 512,
    margin: int = 8,
    scanner: Scanner = SCANNERS[0],
    fault: str = "",
    seed: int = 0,
) -> WrittenSeries:
    """Write the series that `reading` outlines: one file per slice, `margin` slices around its marks.

    slice_mm: by default the smallest distance between the marks' slices. matrix: rows and columns. fault: one of
    FAULTS. The files' names do not reveal their order. Errors: ProtocolError for an unknown fault, CohortError where
    the marks do not fit the matrix.
    """
    require_dicom()
    if fault not in ("", *FAULTS):
        raise ProtocolError(f"fault of the phantom is {fault!r}; choose one of {', '.join(FAULTS)}")
    marks = [mark for session in reading.sessions for mark in (*session.nodules, *session.non_nodules)]
    outlines = [outline for mark in marks for outline in mark.outlines]
    grid = _grid(outlines, slice_mm, pixel_mm, matrix, margin)
    large = [outline for mark in reading.large_nodules() for outline in mark.outlines]
    votes = _votes(large, grid)
    generator = np.random.default_rng(seed)
    voxels = _hounsfield(votes, max(len(reading.sessions), 1), scanner, generator)
    named = {grid.index(outline.z_mm): outline.sop_uid for outline in outlines}
    sops = tuple(named.get(index) or uid_of(reading.series_uid, index) for index in range(grid.slices))
    _write(folder, reading, patient, voxels, sops, grid, scanner, generator)
    _spoil(folder, fault, grid.slices // 2)
    return WrittenSeries(folder, sops, voxels, votes)


def _grid(outlines: Sequence[Outline], slice_mm: float | None, pixel_mm: float, matrix: int, margin: int) -> _Grid:
    """Choose the slices that hold all outlines, with a margin below and above."""
    places = np.unique([outline.z_mm for outline in outlines] or [0.0])
    step = slice_mm or (float(np.diff(places).min()) if len(places) > 1 else 1.0)
    slices = round((places[-1] - places[0]) / step) + 1 + 2 * margin
    reach = max((int(outline.points.max()) for outline in outlines), default=0)
    if reach >= matrix:
        raise CohortError(f"the phantom has {matrix} rows and columns and a mark at {reach}; give a larger matrix")
    return _Grid(float(places[0]) - margin * step, step, slices, pixel_mm, matrix)


def _votes(outlines: Sequence[Outline], grid: _Grid) -> NDArray[np.uint8]:
    """Count the outlines around each pixel; outlines of holes are subtracted."""
    votes = np.zeros((grid.slices, grid.matrix, grid.matrix), np.int16)
    if outlines:
        lengths = [len(outline.points) for outline in outlines]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        filled = fill_outlines(np.concatenate([outline.points for outline in outlines]), start)
        for number, outline in enumerate(outlines):
            (x, y), (width, height) = filled.low[number], filled.size[number]
            sign = 1 if outline.inclusion else -1
            votes[grid.index(outline.z_mm), y : y + height, x : x + width] += sign * filled.box(number)
    return votes.clip(0).astype(np.uint8)


def _hounsfield(
    votes: NDArray[np.uint8], readers: int, scanner: Scanner, generator: np.random.Generator
) -> NDArray[np.int16]:
    """Draw lung, nodules as bright as readers agree, noise, and the scanner's padding around its field."""
    voxels = np.empty(votes.shape, np.int16)
    for z, plane in enumerate(votes):  # slice by slice: real scans are large
        noise = generator.normal(0, NOISE_HU, plane.shape)
        voxels[z] = np.rint(LUNG_HU + plane * (STEP_HU / readers) + noise)
    if scanner.padding is not None:
        voxels[:, _outside(votes.shape[-1])] = scanner.padding + scanner.intercept
    return voxels


def _outside(matrix: int) -> NDArray[np.bool_]:
    """Mark the pixels outside the round field of view."""
    row, column = np.mgrid[:matrix, :matrix] - (matrix - 1) / 2
    outside: NDArray[np.bool_] = np.hypot(row, column) > matrix / 2
    return outside


def uid_of(*source: object) -> str:
    """Return a DICOM identifier that is the same for the same source."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["equipoise phantom", *map(str, source)]))


def _write(
    folder: Path,
    reading: LidcReading,
    patient: str,
    voxels: NDArray[np.int16],
    sops: Sequence[str],
    grid: _Grid,
    scanner: Scanner,
    generator: np.random.Generator,
) -> None:
    """Write one file per slice."""
    # Neither names nor instance numbers give the order from below, as in archives: a reader that trusts either of them
    # instead of the positions stacks the slices wrongly, and the tests see it.
    folder.mkdir(parents=True, exist_ok=True)
    names = generator.permutation(grid.slices)
    for index, (sop, pixels) in enumerate(zip(sops, voxels, strict=True)):
        data = _header(sop, reading, scanner)
        data.PatientID, data.InstanceNumber = patient, grid.slices - index
        data.SliceThickness = data.SpacingBetweenSlices = grid.slice_mm
        edge = -grid.pixel_mm * (grid.matrix - 1) / 2
        data.ImagePositionPatient = [f"{edge:.6f}", f"{edge:.6f}", f"{grid.low_mm + index * grid.slice_mm:.6f}"]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing = [grid.pixel_mm, grid.pixel_mm]
        data.Rows = data.Columns = grid.matrix
        stored = pixels.astype(np.int32) - scanner.intercept
        data.PixelData = stored.astype(np.int16 if scanner.signed else np.uint16).tobytes()
        data.save_as(folder / f"{names[index] + 1:06d}.dcm", enforce_file_format=True)


def _header(sop: str, reading: LidcReading, scanner: Scanner) -> Any:
    """Make the header that all slices of a series share, with the identity of this one."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(sop)
    data.StudyInstanceUID, data.SeriesInstanceUID = reading.study_uid, reading.series_uid
    data.FrameOfReferenceUID = uid_of(reading.series_uid, "frame")
    data.Modality, data.Manufacturer = "CT", scanner.manufacturer
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = 16
    data.BitsStored = 16 if scanner.signed else 12
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(scanner.signed)
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, scanner.intercept, "HU"
    if scanner.padding is not None:
        data.PixelPaddingValue = scanner.padding
    return data


def _spoil(folder: Path, fault: str, index: int) -> None:
    """Apply `fault` to one slice in the middle."""
    import pydicom

    if not fault:
        return
    files = sorted(folder.glob("*.dcm"), key=lambda file: int(pydicom.dcmread(file).InstanceNumber))
    if fault == "gap":
        files[index].unlink()
    elif fault == "copy":
        shutil.copyfile(files[index], folder / "copy.dcm")
    else:
        data = pydicom.dcmread(files[index])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(
            uid_of(data.SOPInstanceUID, "double")
        )
        data.save_as(folder / "double.dcm")
