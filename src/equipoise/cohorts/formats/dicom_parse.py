"""One DICOM file → checked facts and pixels; runs only inside the sandbox's child process.

The parent (`dicom`, `dicom_seg`) never sees pydicom: it gets JSON facts and raw arrays.
"""

import hashlib
import io
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from equipoise.cohorts.formats.dicom_pixels import decode, pixel_claim
from equipoise.cohorts.formats.dicom_values import items, malformed, meaning, number, numbers, text, uid, whole
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_TEXTS = {
    "patient_id": "PatientID",
    "modality": "Modality",
    "series_description": "SeriesDescription",
    "photometric": "PhotometricInterpretation",
    "rescale_type": "RescaleType",
    "units": "Units",
    "segmentation_type": "SegmentationType",
    "manufacturer": "Manufacturer",
}
_UIDS = {
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "sop_uid": "SOPInstanceUID",
    "frame_of_reference": "FrameOfReferenceUID",
}
_NUMBERS = {
    "instance_number": "InstanceNumber",
    "spacing_between": "SpacingBetweenSlices",
    "slice_thickness": "SliceThickness",
    "acquisition_number": "AcquisitionNumber",
    "echo_time": "EchoTime",
    "temporal_position": "TemporalPositionIdentifier",
    "trigger_time": "TriggerTime",
    "b_value": "DiffusionBValue",
    "maximum_fraction": "MaximumFractionalValue",
    "series_instances": "NumberOfSeriesRelatedInstances",
    "images_in_acquisition": "ImagesInAcquisition",
}
_AGAIN = "copy the file again from its source"


def parse_header(path: str, limits: Limits) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return the facts of one file, its sequences checked for depth; no pixel is decoded."""
    dataset, digest = _open(path, limits)
    _check_nesting(dataset, limits)
    return _facts(dataset, digest, limits), []


def parse_pixels(path: str, limits: Limits) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Read the facts of one file and its stored values as (frame, y, x) or (frame, y, x, colour), not yet rescaled."""
    dataset, digest = _open(path, limits)
    facts = _facts(dataset, digest, limits)
    if facts["kind"] == "other":
        raise RefusedFile("", f"it is {facts['sop_class']}, which holds no image", "leave it out")
    pixels, remarks = decode(dataset, path, limits)
    if not dataset.preamble:
        remarks.append("it has no DICOM preamble and was read from its first element on")
    return {"facts": facts, "remarks": remarks}, [pixels]


def _open(path: str, limits: Limits) -> tuple[FileDataset, str]:
    raw = Path(path).read_bytes()
    # The preamble is looked at here and not left to pydicom's force, which takes any file at all for DICOM.
    if raw[128:132] != b"DICM":
        return _open_bare(raw), hashlib.sha256(raw).hexdigest()
    with warnings.catch_warnings():
        # pydicom only warns where a file ends inside a sequence and hands out what it has; a truncated copy would
        # pass with its last frames or functional groups missing.
        warnings.filterwarnings("error", message="End of file reached before delimiter")
        meta = pydicom.filereader.read_file_meta_info(path)
        syntax = meta.get("TransferSyntaxUID")
        if not isinstance(syntax, UID) or not syntax.is_valid or not syntax.is_transfer_syntax:
            raise malformed("its file meta information names no transfer syntax")
        if syntax == DeflatedExplicitVRLittleEndian:
            # pydicom inflates the whole data set at once: one file of 1 MB took 2 GB inside dcmread. The size is
            # therefore measured in steps beforehand, and the steps are thrown away.
            _check_inflated(raw, meta, limits)
        try:
            dataset = pydicom.dcmread(io.BytesIO(raw))
        except UserWarning as error:
            raise RefusedFile("", "it ends inside a sequence", _AGAIN) from error
    return dataset, hashlib.sha256(raw).hexdigest()


def _open_bare(raw: bytes) -> FileDataset:
    """Open a file that begins with its first element, as old scanners and some exports wrote them.

    Its transfer syntax is what it states, or else what its first elements show; compressed pixels have to be stated.
    """
    # A bare file can begin with group 2 or group 8 only. Anything else is far more likely a picture or a text that
    # lies in the folder.
    if raw[:2] not in (b"\x02\0", b"\x08\0"):
        remedy = "leave it out if it is no DICOM, else rewrite it with a preamble (dcmconv of DCMTK does)"
        raise RefusedFile("", "it has no DICOM preamble", remedy)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="End of file reached before delimiter")
        try:
            dataset = pydicom.dcmread(io.BytesIO(raw), force=True)
        except UserWarning as error:
            raise RefusedFile("", "it ends inside a sequence", _AGAIN) from error
    if "SOPClassUID" not in dataset or "PixelData" not in dataset:
        raise RefusedFile("", "it has no DICOM preamble and holds no image", "leave it out")
    dataset.preamble = None
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = plain
        if dataset["PixelData"].is_undefined_length:
            raise RefusedFile("", "its pixels are compressed in a way that it does not state", _AGAIN)
    elif dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        raise RefusedFile("", "it is deflated and has no DICOM preamble", "rewrite it with a preamble")
    return dataset


def _check_inflated(raw: bytes, meta: Dataset, limits: Limits) -> None:
    start = 128 + 4 + 12 + whole(meta, "FileMetaInformationGroupLength")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, feed = 0, raw[start:]
    while feed and not inflater.eof:
        size += len(inflater.decompress(feed, 1 << 20))
        feed = inflater.unconsumed_tail
        if size > limits.inflated_bytes:
            raise RefusedFile(
                "",
                f"it inflates to more than {limits.inflated_bytes} bytes",
                "raise EQUIPOISE_LIMIT_INFLATED_BYTES if it is known to be good",
            )
    if not inflater.eof:
        raise RefusedFile("", "its deflated content ends early", _AGAIN)


def _check_nesting(dataset: Dataset, limits: Limits) -> None:
    """Visit every sequence without recursion, so that depth costs nothing before it is refused."""
    # pydicom's walk() and str() recurse: a file of 20 KB with 1,000 nested sequences hung both. A list of what waits
    # grows in memory only.
    waiting = [(dataset, 0)]
    while waiting:
        parent, depth = waiting.pop()
        if depth > limits.nesting:
            reason = f"its sequences are nested more than {limits.nesting} deep"
            raise RefusedFile("", reason, "export it again without private sequences")
        for tag in list(parent.keys()):
            item = parent.get_item(tag)
            # Raw elements are looked at without being converted, for conversion of a sequence parses all below it.
            # Without a VR (implicit syntax) a private element's type is unknown, so it stays closed.
            if item is not None and (item.VR == "SQ" or (item.VR is None and not item.tag.is_private)):
                element = parent[tag]
                if element.VR == "SQ":
                    waiting.extend((child, depth + 1) for child in element.value)


def _facts(dataset: Dataset, digest: str, limits: Limits) -> dict[str, Any]:
    sop_class = uid(dataset, "SOPClassUID")
    facts: dict[str, Any] = {
        "sha256": digest,
        "sop_class": UID(sop_class).name if sop_class else "an object of no stated class",
    }
    facts |= {key: uid(dataset, name) for key, name in _UIDS.items()}
    # Plans, reports and presentation states are honest files of a study. They are told apart here, so that a
    # malformed attribute of theirs does not refuse the scan beside them.
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return facts | {"kind": "other"}
    facts |= {key: text(dataset, name) for key, name in _TEXTS.items()}
    facts |= {key: number(dataset, name) for key, name in _NUMBERS.items()}
    facts |= pixel_claim(dataset, limits)
    facts["kind"] = "masks" if facts["modality"] == "SEG" else "image"
    facts["projection_spacing"] = numbers(dataset, "ImagerPixelSpacing", 2)
    facts["slices"] = _slices(dataset, facts["frames"])
    if facts["kind"] == "masks":
        facts["segments"] = _segments(dataset)
    return facts


def _segments(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {"number": whole(item, "SegmentNumber"), "label": text(item, "SegmentLabel")}
        | meaning(item, "SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence")
        for item in items(dataset, "SegmentSequence")
    ]


def _slices(dataset: Dataset, frames: int) -> list[dict[str, Any]]:
    """Tell where each frame lies and how its stored values become real ones."""
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = (items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    # A public sample has one frame and functional groups for three: which group the frame belongs to cannot be told,
    # and a wrong guess would move it.
    if groups and len(groups) != frames:
        raise malformed(f"it has {frames} frames and functional groups for {len(groups)}")
    if groups:
        return [_enhanced_slice(group, shared) for group in groups]
    slope, intercept = _rescale(dataset)
    base = {
        "position": numbers(dataset, "ImagePositionPatient", 3),
        "orientation": numbers(dataset, "ImageOrientationPatient", 6),
        "pixel_spacing": numbers(dataset, "PixelSpacing", 2),
        # A dose grid has its own scaling instead of a rescale slope; without it doses would come out as bare
        # integers.
        "slope": number(dataset, "DoseGridScaling") or slope,
        "intercept": intercept,
    }
    if frames == 1:
        return [base]
    return [base | {"position": position} for position in _grid_positions(dataset, base, frames)]


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept, (1, 0) where neither is given; one without the other would give wrong units in silence."""
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if (slope is None) != (intercept is None) or slope == 0:
        raise malformed(f"its RescaleSlope is {slope} and its RescaleIntercept {intercept}")
    return (1.0, 0.0) if slope is None or intercept is None else (slope, intercept)


def _grid_positions(dataset: Dataset, base: dict[str, Any], frames: int) -> list[list[float] | None]:
    """Return the positions of the planes of a dose grid (PS3.3 C.8.8.3.2); None where frames have no place in space."""
    if "GridFrameOffsetVector" not in dataset or base["position"] is None or base["orientation"] is None:
        return [None] * frames
    offsets = numbers(dataset, "GridFrameOffsetVector", frames) or [0.0] * frames
    row, column = np.array(base["orientation"][:3]), np.array(base["orientation"][3:])
    normal, origin = np.cross(row, column), np.array(base["position"])
    # The standard allows offsets relative to the first plane, which begin with 0, or absolute ones, which do not;
    # subtracting the first makes both the same.
    relative = np.array(offsets) - (offsets[0] if offsets[0] != 0 else 0.0)
    return [[float(part) for part in origin + normal * offset] for offset in relative]


def _enhanced_slice(group: Dataset, shared: Dataset) -> dict[str, Any]:
    def macro(sequence: str) -> Dataset:
        """Return the frame's own item of a functional group, or else the shared one."""
        entries = items(group, sequence) or items(shared, sequence)
        return entries[0] if entries else Dataset()

    measures, transformation = macro("PixelMeasuresSequence"), macro("PixelValueTransformationSequence")
    # Enhanced objects keep their scaling in a functional group, so each frame may have its own and the top level has
    # none.
    slope, intercept = _rescale(transformation)
    segment = macro("SegmentIdentificationSequence")
    return {
        "position": numbers(macro("PlanePositionSequence"), "ImagePositionPatient", 3),
        "orientation": numbers(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        "pixel_spacing": numbers(measures, "PixelSpacing", 2),
        "slice_thickness": number(measures, "SliceThickness"),
        "slope": slope,
        "intercept": intercept,
        "segment": whole(segment, "ReferencedSegmentNumber", 0),
        "stack": text(macro("FrameContentSequence"), "StackID"),
        "temporal": number(macro("FrameContentSequence"), "TemporalPositionIndex"),
    }
