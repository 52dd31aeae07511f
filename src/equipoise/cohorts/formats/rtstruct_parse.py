"""One DICOM structure set → its contours as numbers; runs only inside the sandbox's child process."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from equipoise.cohorts.formats.dicom_parse import _check_nesting, _open
from equipoise.cohorts.formats.dicom_values import items, malformed, meaning, text, uid, whole
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_MODIFIERS = "SegmentedPropertyTypeModifierCodeSequence"
_STRUCTURES_UID = "1.2.840.10008.5.1.4.1.1.481.3"


def parse_contours(path: str, limits: Limits) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return the structures of a file, and one array of points (n, 3) in LPS mm for each contour, in their order.

    facts: sha256; structures: number, label, code and its meaning, frame_of_reference, and of each contour its kind.
    """
    dataset, digest = _open(path, limits)
    _check_nesting(dataset, limits)
    if uid(dataset, "SOPClassUID") != _STRUCTURES_UID:
        raise RefusedFile("", "it is not a structure set", "give a DICOM RTSTRUCT file")
    by_number: dict[int, dict[str, Any]] = {}
    for item in items(dataset, "StructureSetROISequence"):
        number = whole(item, "ROINumber")
        if number in by_number or number is None:
            raise malformed(f"two of its structures have the number {number}")
        frame = uid(item, "ReferencedFrameOfReferenceUID")
        by_number[number] = {"number": number, "label": text(item, "ROIName"), "frame_of_reference": frame, "kinds": []}
        by_number[number] |= {"code": "", "meaning": ""}
    points: dict[int, list[NDArray[np.float64]]] = {number: [] for number in by_number}
    for item in items(dataset, "ROIContourSequence"):
        number = whole(item, "ReferencedROINumber")
        if number not in by_number:
            raise malformed(f"its contours name the unknown structure {number}")
        for contour in items(item, "ContourSequence"):
            by_number[number]["kinds"].append(text(contour, "ContourGeometricType"))
            points[number].append(_points(contour))
    for item in items(dataset, "RTROIObservationsSequence"):
        number = whole(item, "ReferencedROINumber", -1)
        if number in by_number:
            by_number[number] |= meaning(item, "RTROIIdentificationCodeSequence", _MODIFIERS)
    ordered = list(by_number.values())
    return {"sha256": digest, "structures": ordered}, [one for each in ordered for one in points[each["number"]]]


def _points(contour: Dataset) -> NDArray[np.float64]:
    values = np.array([float(value) for value in contour.get("ContourData") or ()], np.float64)
    count = whole(contour, "NumberOfContourPoints")
    if not values.size or values.size % 3 or not np.isfinite(values).all() or count not in (None, values.size // 3):
        raise malformed("a contour has no whole number of points")
    return values.reshape(-1, 3)
