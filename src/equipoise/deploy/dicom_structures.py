"""DICOM structure sets (RTSTRUCT) of an answer: contours on the source slices, and what the masks lose by them.

Contours are another shape than voxels, and programs fill them by rules of their own. The loss is therefore measured:
the file is read back by the reader of structure sets, and the volume between its contours is compared with the voxels'.
"""

import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import COLOURS
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.rtstruct import read_structures
from equipoise.cohorts.formats.scan import Scan
from equipoise.deploy.contours import area_of, contours_of
from equipoise.deploy.dicom_source import (
    INSTEAD,
    MANUFACTURER,
    RESEARCH,
    OnSlices,
    libraries,
    read_sources,
    uid,
    world_of,
)

STRUCTURES_UID = "1.2.840.10008.5.1.4.1.1.481.3"
STUDY_UID = "1.2.840.10008.3.1.2.3.1"
SERIES_NUMBER = 9003
LEAST_DICE, MOST_CHANGE = 0.99, 0.05
"""A structure whose contours differ from its mask by more gets a warning."""
_COPIED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
           "StudyID", "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID")  # fmt: skip
_Drawn = list[tuple[int, NDArray[np.float64]]]
"""Contours of one structure: the number of the source slice, and points (n, 2) in its rows and columns."""


@dataclass(frozen=True)
class Loss:
    """What a mask loses as contours.

    dice: of the mask and the contours, filled again on the image's grid; 1 for two empty ones. volume_change: of the
    volume between the contours relative to the voxels'; 0 for an empty mask.
    """

    dice: float
    volume_change: float

    def warning(self, region: str) -> str:
        """Return the sentence for a large loss; empty where it is small."""
        if self.dice >= LEAST_DICE and abs(self.volume_change) <= MOST_CHANGE:
            return ""
        return (
            f"the contours of {region} differ in shape from its mask: Dice {self.dice:.3f}, volume "
            f"{self.volume_change:+.1%}; measure on the mask"
        )


def structures_bytes(
    masks: Mapping[str, NDArray[np.bool_]], scan: Scan, *, arm: str, bundle: str
) -> tuple[bytes, dict[str, Loss], tuple[str, ...]]:
    """Return a structure set of masks by region, (z, y, x) on the grid of a scan; the loss of each; and remarks.

    Raises CohortError where the image did not come from a DICOM series of single-frame files.
    """
    _, pydicom = libraries()
    sources = read_sources(scan)
    if any(not str(data.get("FrameOfReferenceUID") or "") for data in sources):
        raise RefusedFile(scan.planes[0].file, "it states no frame of reference, which contours need", INSTEAD)
    on_slices = OnSlices(scan, sources)
    drawn = {name: _drawn(on_slices.mask(mask)) for name, mask in masks.items()}
    content = _encoded(pydicom, _structure_set(pydicom, sources, drawn, arm, bundle))
    back, remarks = _read_back(content, scan, drawn)
    losses = {}
    for name, mask in masks.items():
        # In pixels against voxels: all slices of a scan are equally thick and have equal pixels.
        between, voxels = sum(area_of(points) for _, points in drawn[name]), int(mask.sum())
        losses[name] = Loss(_dice(mask, back[name]), between / voxels - 1 if voxels else 0.0)
    return content, losses, remarks


def _drawn(frames: NDArray[np.bool_]) -> _Drawn:
    return [(number, points) for number, frame in enumerate(frames) if frame.any() for points in contours_of(frame)]


def _dice(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(mask.sum()) + int(other.sum())
    return 2 * int((mask & other).sum()) / total if total else 1.0


def _read_back(content: bytes, scan: Scan, drawn: Mapping[str, _Drawn]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the masks that the reader of structure sets makes of the file, and its remarks on gaps."""
    back = {name: np.zeros(scan.array.shape[1:], bool) for name in drawn}
    if not any(drawn.values()):
        return back, ()
    with tempfile.TemporaryDirectory(prefix="equipoise-structures-") as folder:
        file = Path(folder) / "rtstruct.dcm"
        file.write_bytes(content)
        names, numbers = list(drawn), [number for number, one in enumerate(drawn.values(), start=1) if one]
        structures = read_structures(file, scan, meant=lambda number, _: number in numbers, gaps="keep")
    for number, mask in zip(structures.numbers, structures.masks, strict=True):
        back[names[number - 1]] = mask
    gaps = (text for text in structures.remarks if " is drawn on slices " in text)
    return back, tuple(f"{text}; programs that interpolate between slices fill them" for text in gaps)


def _encoded(pydicom: Any, data: Any) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


def _structure_set(pydicom: Any, sources: Sequence[Any], drawn: Mapping[str, _Drawn], arm: str, bundle: str) -> Any:
    data, first, now = pydicom.Dataset(), sources[0], datetime.now()  # noqa: DTZ005 - DICOM's dates are local
    seed = f"{bundle}|{first.SeriesInstanceUID}|structures"
    digest = hashlib.sha256(repr([(name, [(k, p.tolist()) for k, p in one]) for name, one in drawn.items()]).encode())
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = STRUCTURES_UID
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid(seed, digest.hexdigest())
    for name in _COPIED:
        # As text, so that it is encoded anew in this file's character set.
        setattr(data, name, str(first.get(name, "")))
    data.Modality, data.OperatorsName, data.PositionReferenceIndicator = "RTSTRUCT", "", ""
    data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = uid(seed, "series"), SERIES_NUMBER, 1
    data.SeriesDescription = f"{arm[:40]}, {RESEARCH}"
    data.Manufacturer, data.ManufacturerModelName, data.SoftwareVersions = MANUFACTURER, arm[:64], bundle[:64]
    data.DeviceSerialNumber = bundle[:16]
    data.StructureSetLabel, data.StructureSetName = arm[:16], f"{arm[:40]}, {RESEARCH}"
    data.StructureSetDescription = f"Contours of masks by {arm}, bundle {bundle}; {RESEARCH}"[:1000]
    data.StructureSetDate, data.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = [_frame_of_reference(pydicom, sources)]
    items = [_items(pydicom, number, name, one, sources) for number, (name, one) in enumerate(drawn.items(), start=1)]
    data.StructureSetROISequence = [roi for roi, _, _ in items]
    data.ROIContourSequence = [contours for _, contours, _ in items]
    data.RTROIObservationsSequence = [observation for _, _, observation in items]
    return data


def _reference(pydicom: Any, data: Any) -> Any:
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    return reference


def _frame_of_reference(pydicom: Any, sources: Sequence[Any]) -> Any:
    frame, study, series = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    series.SeriesInstanceUID = sources[0].SeriesInstanceUID
    series.ContourImageSequence = [_reference(pydicom, data) for data in sources]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_UID, sources[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = sources[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _items(pydicom: Any, number: int, name: str, drawn: _Drawn, sources: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return the structure, its contours and the observation of it."""
    roi, contours, observation = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    roi.ROINumber, roi.ROIName = number, name[:64]
    roi.ReferencedFrameOfReferenceUID = sources[0].FrameOfReferenceUID
    roi.ROIGenerationAlgorithm, roi.ROIGenerationDescription = "AUTOMATIC", RESEARCH
    colour = COLOURS[(number - 1) % len(COLOURS)]
    contours.ROIDisplayColor = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    contours.ReferencedROINumber = number
    if drawn:
        pairs = enumerate(drawn, start=1)
        contours.ContourSequence = [_contour(pydicom, k, points, sources[at]) for k, (at, points) in pairs]
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType, observation.ROIInterpreter = "", ""
    return roi, contours, observation


def _contour(pydicom: Any, number: int, points: NDArray[np.float64], source: Any) -> Any:
    contour = pydicom.Dataset()
    contour.ContourImageSequence = [_reference(pydicom, source)]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints, contour.ContourNumber = len(points), number
    # Nanometres: a decimal string of DICOM has at most sixteen characters.
    contour.ContourData = [f"{value:.6f}" for value in world_of(source, points[:, 0], points[:, 1]).ravel()]
    return contour
