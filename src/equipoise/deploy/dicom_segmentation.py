"""DICOM segmentations of an answer: every frame lies on the source instance whose plane it is, by geometry."""

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.deploy.dicom_source import (
    ANATOMY,
    INSTEAD,
    MANUFACTURER,
    RESEARCH,
    TISSUE,
    OnSlices,
    code,
    libraries,
    read_sources,
    uid,
)
from equipoise.errors import CohortError

SERIES_NUMBER = {"BINARY": 9000, "LABELMAP": 9001}


def segmentation_bytes(
    masks: Mapping[str, NDArray[np.bool_]], scan: Scan, *, arm: str, bundle: str, kind: str = "BINARY"
) -> bytes:
    """Return a DICOM segmentation of masks by region, (z, y, x) on the grid of a scan of single-frame files.

    arm, bundle: named as the algorithm and its version; with the image and the masks they give the identifiers, so that
    the same answer is the same object. kind: "BINARY", or "LABELMAP" for regions that do not overlap. Raises
    CohortError where the image did not come from a DICOM series of single-frame files, or regions overlap in a map of
    labels.
    """
    sources = read_sources(scan)
    on_slices = OnSlices(scan, sources)
    frames = np.stack([on_slices.mask(mask) for mask in masks.values()], axis=-1).astype(np.uint8)
    if kind == "LABELMAP" and (frames.sum(axis=-1) > 1).any():
        raise CohortError("regions of this answer overlap, which a label map cannot represent; use --as seg")
    try:
        segmentation = _segmentation(sources, frames, list(masks), arm, bundle, kind)
    # The writer checks the attributes that it copies from the source, and what it raises has no common class.
    except Exception as error:
        first = str(error).split("\n")[0][:200]
        raise RefusedFile(
            scan.planes[0].file, f"no DICOM segmentation can be made from its header ({first})", INSTEAD
        ) from error
    if kind == "BINARY":
        _pad_with_zero(segmentation)
    stream = io.BytesIO()
    segmentation.save_as(stream)
    return stream.getvalue()


def _segmentation(
    sources: Sequence[Any], frames: NDArray[np.uint8], regions: Sequence[str], arm: str, bundle: str, kind: str
) -> Any:
    """Return the data set of frames (slice, row, column, region)."""
    hd, _ = libraries()
    seed = f"{bundle}|{sources[0].SeriesInstanceUID}|{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty segment is an answer, not an error
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=frames,
            segmentation_type=hd.seg.SegmentationTypeValues[kind],
            segment_descriptions=_descriptions(regions, arm, bundle),
            series_instance_uid=uid(seed, "series"),
            series_number=SERIES_NUMBER[kind],
            sop_instance_uid=uid(seed, hashlib.sha256(frames.tobytes()).hexdigest()),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=arm[:64],
            software_versions=bundle[:64],
            device_serial_number=bundle[:16],
            series_description=f"{arm[:40]}, {RESEARCH}",
            # Frames for empty planes too: viewers that place frames by their number would shift the mask.
            omit_empty_frames=False,
        )


def _descriptions(regions: Sequence[str], arm: str, bundle: str) -> list[Any]:
    hd, pydicom = libraries()
    algorithm = hd.AlgorithmIdentificationSequence(
        name=arm[:64],
        version=bundle[:64],
        family=code(pydicom, ("123110", "DCM", "Artificial Intelligence")),
    )
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            # What a region is in the terms of SNOMED, a trial does not know: the general codes claim nothing.
            segmented_property_category=code(pydicom, ANATOMY),
            segmented_property_type=code(pydicom, TISSUE),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(regions, start=1)
    ]


def _pad_with_zero(segmentation: Any) -> None:
    """Pad packed pixels of odd length with a zero byte: the writer's own padding is the character "0"."""
    segments, rows, columns = (int(segmentation[name].value) for name in ("NumberOfFrames", "Rows", "Columns"))
    length = -(-segments * rows * columns // 8)
    pixels = segmentation.PixelData[:length]
    segmentation.PixelData = pixels + b"\0" * (length % 2)
