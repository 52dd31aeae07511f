"""Structured reports (DICOM SR, TID 1500) of an answer: volumes, probabilities or candidates, with what gave them.

What a class or region is in the terms of SNOMED a trial does not know; names are therefore texts and codes of a private
scheme, and claim no more than the trial's protocol does.
"""

import hashlib
import io
import math
import warnings
from typing import Any

import numpy as np

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.deploy.dicom_source import (
    ANATOMY,
    INSTEAD,
    MANUFACTURER,
    RESEARCH,
    TISSUE,
    code,
    libraries,
    read_sources,
    uid,
)
from equipoise.deploy.predictor import Answer

SERIES_NUMBER = 9002
SCHEME = "99EQUIPOISE"
VOLUME, MILLILITRE, PERCENT = ("118565006", "SCT", "Volume"), ("mL", "UCUM", "milliliter"), ("%", "UCUM", "Percent")
NO_UNIT = ("1", "UCUM", "no units")
IMAGING, ENGLISH = ("363679005", "SCT", "Imaging procedure"), ("en", "RFC5646", "English")
FINDING = ("404684003", "SCT", "Clinical finding")
CLASS = ("class", SCHEME, "Likeliest class")
LONGEST_TEXT = 1024


class Report:
    """What one report is about: the answer, the data sets of the source slices, the algorithm.

    segmentation: the DICOM segmentation of a segmenter's masks, which measurements refer to; empty for other answers.
    """

    def __init__(
        self, answer: Answer, scan: Scan, *, arm: str, bundle: str, segmentation: bytes = b"", label: str | None = None
    ) -> None:
        self.hd, self.pydicom = libraries()
        self.answer, self.scan, self.arm, self.bundle, self.label = answer, scan, arm, bundle, label
        self.sources = read_sources(scan)
        self.segmentation = self.pydicom.dcmread(io.BytesIO(segmentation)) if segmentation else None
        # Of a single segment, highdicom writes once for all frames which segment they show, and then looks for it in
        # each frame. What is changed here is the data set in memory, which no file is made from.
        shared = getattr(self.segmentation, "SharedFunctionalGroupsSequence", [{}])[0]
        if self.segmentation is not None and "SegmentIdentificationSequence" in shared:
            for frame in self.segmentation.PerFrameFunctionalGroupsSequence:
                frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        self.seed = f"{bundle}|{self.sources[0].SeriesInstanceUID}|report"

    def encoded(self) -> bytes:
        """Return the report as a file; RefusedFile where the source's header does not serve."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values that are longer than is usual
                report = self._report()
        # As in segmentations: the writer checks what it copies, and what it raises has no common class.
        except Exception as error:
            first = str(error).split("\n")[0][:200]
            raise RefusedFile(
                self.scan.planes[0].file, f"no structured report can be made from its header ({first})", INSTEAD
            ) from error
        stream = io.BytesIO()
        report.save_as(stream, enforce_file_format=True)
        return stream.getvalue()

    def _report(self) -> Any:
        groups = self._groups()
        sr, evidence = self.hd.sr, [*self.sources, *([self.segmentation] if self.segmentation is not None else [])]
        content = sr.MeasurementReport(
            observation_context=self._observer(),
            procedure_reported=self._code(IMAGING),
            imaging_measurements=groups,
            title=self._code(("126000", "DCM", "Imaging Measurement Report")),
            language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(self._code(ENGLISH)),
        )
        content_hash = hashlib.sha256(
            repr((self.answer.sizes, self.answer.probabilities, self._marks())).encode()
        ).hexdigest()
        return sr.Comprehensive3DSR(
            evidence=evidence,
            content=content[0],
            series_instance_uid=uid(self.seed, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid(self.seed, content_hash),
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            is_final=False,
            is_verified=False,
            manufacturer_model_name=self.arm[:64],
            software_versions=self.bundle[:64],
            device_serial_number=self.bundle[:16],
            series_description=f"{self.arm[:40]}, {RESEARCH}",
        )

    def _code(self, triplet: tuple[str, str, str]) -> Any:
        return code(self.pydicom, triplet)

    def _observer(self) -> Any:
        sr = self.hd.sr
        device = sr.DeviceObserverIdentifyingAttributes(
            uid=uid(self.bundle, "device"),
            name=f"{self.arm}, {RESEARCH}",
            manufacturer_name=MANUFACTURER,
            model_name=self.arm,
            serial_number=self.bundle[:16],
        )
        kind = self._code(("121007", "DCM", "Device"))
        return sr.ObservationContext(
            observer_device_context=sr.ObserverContext(observer_type=kind, observer_identifying_attributes=device)
        )

    def _algorithm(self) -> Any:
        warned = [f"warning: {text}"[:LONGEST_TEXT] for text in self.answer.warnings]
        return self.hd.sr.AlgorithmIdentification(
            name=self.arm,
            version=self.bundle,
            manufacturer=MANUFACTURER,
            family=self._code(("123110", "DCM", "Artificial Intelligence")),
            parameters=[f"{RESEARCH}: not a medical device, not for clinical decisions", *warned],
        )

    def _groups(self) -> list[Any]:
        if self.answer.candidates is not None:
            marks = [self._candidate(number, *mark) for number, mark in enumerate(self._marks(), start=1)]
            return [self._count(len(marks)), *marks]
        return [self._classes()] if self.answer.probabilities else self._volumes()

    def _tracking(self, name: str) -> Any:
        return self.hd.sr.TrackingIdentifier(uid=uid(self.seed, f"tracking {name}"), identifier=name[:LONGEST_TEXT])

    def _measurement(self, name: tuple[str, str, str], value: float, unit: tuple[str, str, str], **more: Any) -> Any:
        # Sixteen characters are what a decimal string of DICOM may have.
        return self.hd.sr.Measurement(name=self._code(name), value=float(f"{value:.9g}"), unit=self._code(unit), **more)

    def _volumes(self) -> list[Any]:
        sr = self.hd.sr
        return [
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=self._tracking(name),
                referenced_segment=sr.ReferencedSegment.from_segmentation(self.segmentation, segment_number=number),
                finding_category=self._code(ANATOMY),
                finding_type=self._code(TISSUE),
                algorithm_id=self._algorithm(),
                measurements=[self._measurement(VOLUME, size, MILLILITRE)],
            )
            for number, (name, size) in enumerate(self._millilitres().items(), start=1)
        ]

    def _millilitres(self) -> dict[str, float]:
        """The volume of each region; by the source's own spacing where the trial counted voxels."""
        if self.answer.spacing_stated:
            return self.answer.sizes
        voxel = math.prod(self.scan.spacing_mm) / 1000
        return {name: count * voxel for name, count in self.answer.sizes.items()}

    def _classes(self) -> Any:
        sr, shares = self.hd.sr, self.answer.probabilities
        likeliest = private(str(self.answer.label), str(self.answer.label))
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking("classes"),
            finding_type=self._code(FINDING),
            algorithm_id=self._algorithm(),
            source_images=[
                sr.SourceImageForMeasurementGroup(data.SOPClassUID, data.SOPInstanceUID) for data in self.sources
            ],
            measurements=[
                self._measurement(private(name, f"Probability of {name}", "P"), 100 * share, PERCENT)
                for name, share in shares.items()
            ],
            qualitative_evaluations=[sr.QualitativeEvaluation(self._code(CLASS), self._code(likeliest))],
        )

    def _marks(self) -> list[tuple[float, tuple[float, ...]]]:
        """Return the score of each candidate and its place in LPS mm."""
        candidates, affine = self.answer.candidates, self.scan.affine
        if candidates is None or affine is None:
            return []
        places = self.answer.places_ras_mm(affine) * (-1, -1, 1)
        return list(zip(candidates.score.tolist(), map(tuple, places.tolist()), strict=True))

    def _count(self, number: int) -> Any:
        """Return the number of candidates, which no list of them states where there is none."""
        name = private("candidates", "Number of candidates", "N")
        return self.hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking("candidates"),
            finding_type=self._code(FINDING),
            algorithm_id=self._algorithm(),
            measurements=[self._measurement(name, number, NO_UNIT)],
        )

    def _nearest(self, place: tuple[float, ...]) -> Any:
        """Return the source slice whose plane is nearest to a place in LPS mm."""
        orientation = np.array([float(value) for value in self.sources[0].ImageOrientationPatient]).reshape(2, 3)
        positions = np.array([[float(value) for value in data.ImagePositionPatient] for data in self.sources])
        along = (positions - np.array(place)) @ np.cross(*orientation)
        return self.sources[int(np.abs(along).argmin())]

    def _candidate(self, number: int, score: float, place: tuple[float, ...]) -> Any:
        sr, name, source = self.hd.sr, self.label or "candidate", self._nearest(place)
        point = sr.CoordinatesForMeasurement3D(
            graphic_type=sr.GraphicTypeValues3D.POINT,
            graphic_data=np.array([place]),
            frame_of_reference_uid=self.sources[0].FrameOfReferenceUID,
        )
        probability = private(name, f"Probability of {name}", "P")
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(f"candidate {number}"),
            finding_type=self._code(FINDING),
            algorithm_id=self._algorithm(),
            source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
            measurements=[self._measurement(probability, 100 * score, PERCENT, referenced_coordinates=[point])],
        )


def private(name: str, meaning: str, prefix: str = "C") -> tuple[str, str, str]:
    """Return a code of the private scheme for a class, of at most 16 characters: equal for equal names everywhere."""
    return f"{prefix}{hashlib.sha256(name.encode()).hexdigest()[:12].upper()}", SCHEME, meaning[:64]
