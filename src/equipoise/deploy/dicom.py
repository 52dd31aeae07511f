"""DICOM segmentations of an answer: every frame lies on the source instance whose plane it is, by geometry.

`canonical()` permutes axes, so a sagittal slice is no plane of the array's first axis: the rows and columns of each
source slice are looked up through its own position and orientation, never by an order.
"""

import hashlib
import importlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom_seg import GRID_TOLERANCE
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Plane, Scan
from equipoise.errors import CohortError, EquipoiseError

MANUFACTURER = "Equipoise"
SERIES_NUMBER = 9000
ANATOMY = ("123037004", "SCT", "Anatomical Structure")
TISSUE = ("85756007", "SCT", "Tissue")


def segmentation_bytes(masks: Mapping[str, NDArray[np.bool_]], scan: Scan, *, arm: str, bundle: str) -> bytes:
    """Return a binary DICOM segmentation of masks by region, (z, y, x) on the grid of a scan of single-frame files.

    arm, bundle: named as the algorithm and its version; with the image and the masks they give the identifiers, so that
    the same answer is the same object. Raises CohortError where the image did not come from a DICOM series of
    single-frame files.
    """
    hd, pydicom = _libraries()
    sources = _sources(scan, pydicom)
    frames = np.stack([_on_slices(mask, scan, sources) for mask in masks.values()], axis=-1).astype(np.uint8)
    try:
        segmentation = _segmentation(hd, pydicom, sources, frames, list(masks), arm, bundle)
    # The writer checks the attributes that it copies from the source, and what it raises has no common class.
    except Exception as error:
        first = str(error).split("\n")[0][:200]
        raise RefusedFile(
            scan.planes[0].file, f"no DICOM segmentation can be made from its header ({first})", "use --as nifti"
        ) from error
    _pad_with_zero(segmentation)
    stream = io.BytesIO()
    segmentation.save_as(stream)
    return stream.getvalue()


def _segmentation(
    hd: Any,
    pydicom: Any,
    sources: Sequence[Any],
    frames: NDArray[np.uint8],
    regions: Sequence[str],
    arm: str,
    bundle: str,
) -> Any:
    """Return the data set of frames (slice, row, column, region)."""
    seed = f"{bundle}|{sources[0].SeriesInstanceUID}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty segment is an answer, not an error
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=frames,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_descriptions(hd, pydicom, regions, arm, bundle),
            series_instance_uid=_uid(seed, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(seed, hashlib.sha256(frames.tobytes()).hexdigest()),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=arm[:64],
            software_versions=bundle[:64],
            device_serial_number=bundle[:16],
            series_description=f"{arm[:40]}, research only",
            # Frames for empty planes too: viewers that place frames by their number would shift the mask.
            omit_empty_frames=False,
        )


def _libraries() -> tuple[Any, Any]:
    try:
        # highdicom logs every frame at the level of information, which some programs show.
        logging.getLogger("highdicom").setLevel(logging.WARNING)
        return importlib.import_module("highdicom"), importlib.import_module("pydicom")
    except ImportError as error:
        raise CohortError(
            "writing a DICOM segmentation needs highdicom; install it with: pip install 'equipoise[dicom]'"
        ) from error


def _sources(scan: Scan, pydicom: Any) -> list[Any]:
    """Return the data sets of the source slices, without pixels, in the order of the scan's planes."""
    if not scan.planes:
        raise CohortError("a DICOM segmentation needs an image that was read from a DICOM series; use --as nifti")
    if len({plane.file for plane in scan.planes}) != len(scan.planes):
        raise CohortError("a DICOM segmentation of multi-frame files is not written; use --as nifti")
    sources = []
    for plane in scan.planes:
        content = Path(plane.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != scan.sha256.get(plane.file):
            raise RefusedFile(plane.file, "it changed since it was read", "run the same command again")
        data = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
        if str(data.SOPInstanceUID) != plane.sop_uid:
            raise RefusedFile(plane.file, "its identity changed since it was read", "run the same command again")
        for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                     "ReferringPhysicianName", "PatientName", "PatientID"):  # fmt: skip
            # Type 2: they must be there and may be empty; de-identified files often lack them.
            if name not in data:
                setattr(data, name, "")
        if "SpecificCharacterSet" in data and not data.SpecificCharacterSet:
            del data.SpecificCharacterSet  # empty means the default, and the writer knows it as absent alone
        sources.append(data)
    return sources


def _on_slices(mask: NDArray[np.bool_], scan: Scan, sources: Sequence[Any]) -> NDArray[np.bool_]:
    """Return the mask on the rows and columns of every source slice: (slice, row, column)."""
    if scan.affine is None:
        raise EquipoiseError("the image has no place in space, so its segmentation would have none; use --as nifti")
    inverse = np.linalg.inv(scan.affine).astype(np.float64)
    return np.stack([_on_slice(mask, inverse, data, plane) for data, plane in zip(sources, scan.planes, strict=True)])


def _on_slice(mask: NDArray[np.bool_], inverse: NDArray[np.float64], data: Any, plane: Plane) -> NDArray[np.bool_]:
    row, column = np.indices((int(data.Rows), int(data.Columns)))
    orientation = np.array([float(value) for value in data.ImageOrientationPatient]).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in data.PixelSpacing)
    position = np.array([float(value) for value in data.ImagePositionPatient])
    world = (
        position + column[..., None] * between_columns * orientation[0] + row[..., None] * between_rows * orientation[1]
    ) * (-1, -1, 1)  # LPS to RAS
    places = world @ inverse[:3, :3].T + inverse[:3, 3]
    voxels = np.rint(places).astype(np.int64)
    beside = float(np.abs(places - voxels).max())
    x, y, z = np.moveaxis(voxels, -1, 0)
    shape = np.array(mask.shape[::-1])
    if beside > GRID_TOLERANCE or (voxels < 0).any() or (voxels >= shape).any():
        raise RefusedFile(plane.file, f"its pixels lie up to {beside:.2g} voxels beside the mask's", "use --as nifti")
    on_slice: NDArray[np.bool_] = mask[z, y, x]
    return on_slice


def _descriptions(hd: Any, pydicom: Any, regions: Sequence[str], arm: str, bundle: str) -> list[Any]:
    code = pydicom.sr.coding.Code if hasattr(pydicom, "sr") else importlib.import_module("pydicom.sr.coding").Code
    algorithm = hd.AlgorithmIdentificationSequence(
        name=arm[:64],
        version=bundle[:64],
        family=code("123110", "DCM", "Artificial Intelligence"),
    )
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            # What a region is in the terms of SNOMED, a trial does not know: the general codes claim nothing.
            segmented_property_category=code(*ANATOMY),
            segmented_property_type=code(*TISSUE),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(regions, start=1)
    ]


def _uid(seed: str, what: str) -> str:
    """Return an identifier under 2.25 that depends on the texts alone."""
    digest = hashlib.sha256(f"{seed}|{what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _pad_with_zero(segmentation: Any) -> None:
    """Pad packed pixels of odd length with a zero byte: the writer's own padding is the character "0"."""
    segments, rows, columns = (int(segmentation[name].value) for name in ("NumberOfFrames", "Rows", "Columns"))
    length = -(-segments * rows * columns // 8)
    pixels = segmentation.PixelData[:length]
    segmentation.PixelData = pixels + b"\0" * (length % 2)
