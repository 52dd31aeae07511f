"""From an image to an answer on its own grid: the one way that the command line, the proof and Python take.

An image is prepared, answered by the network, decided on the prepared grid, and the decisions go back: masks travel as
one byte per voxel, and the trial judged them in this order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import BundleFiles, read_bundle
from equipoise.deploy.contract import Contract
from equipoise.deploy.file_reading import note
from equipoise.deploy.golden import Room, check_golden, room_of
from equipoise.deploy.inputs import SourceImage, read_path
from equipoise.deploy.limits import outside, shear_degrees
from equipoise.deploy.openvino_network import FLOAT32
from equipoise.deploy.runtimes import network_of
from equipoise.deploy.windows import Floats, Network, class_logits, collected, sigmoid, softmax, voxel_logits
from equipoise.errors import CohortError
from equipoise.evaluation.candidates import Candidates, most_suspicious, nested_candidates, peak_candidates
from equipoise.preprocessing import Prepared
from equipoise.preprocessing.pipeline import Record
from equipoise.report.text.objection import Objection, objection
from equipoise.tasks.task import FINDINGS, LABEL

RESEARCH_ONLY = "for research only: not a medical device, not for clinical decisions"


@dataclass(frozen=True)
class Answer:
    """The answer to one image.

    probabilities: by class, of a classifier. masks: by region on the image's own grid (array order), of a segmenter.
    candidates: of a detector, in mm from the centre of the image's first voxel. spacing_mm: of the image. warnings:
    what lies outside the training limits, or was interpreted. spacing_stated: False where lengths count pixels or
    voxels, because the trial's files stated no spacing; spacing_mm is then 1.
    """

    spacing_mm: tuple[float, ...]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    candidates: Candidates | None = None
    warnings: tuple[str, ...] = ()
    spacing_stated: bool = True

    @property
    def label(self) -> str | None:
        """The likeliest class, the first of equals; None where the answer is no class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name]) if self.probabilities else None

    @cached_property
    def sizes(self) -> dict[str, float]:
        """The size of each region in `Contract.size_unit`: ml in three dimensions, mm² in two, or voxels or pixels."""
        voxel = math.prod(self.spacing_mm) / (1000 if len(self.spacing_mm) == 3 and self.spacing_stated else 1)
        return {name: float(mask.sum()) * voxel for name, mask in self.masks.items()}

    @property
    def empty(self) -> tuple[str, ...]:
        """The regions that no voxel was assigned to."""
        return tuple(name for name, mask in self.masks.items() if not mask.any())

    def places_ras_mm(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the centres (n, 3) of a detector's candidates in the world, RAS+ mm; affine: of the image."""
        centres = np.empty((0, 3)) if self.candidates is None else self.candidates.centre_mm
        voxels = (centres / np.array(self.spacing_mm))[:, ::-1]
        places: NDArray[np.float64] = voxels @ affine[:3, :3].T + affine[:3, 3]
        return places


class Predictor:
    """A network with its contract: `predict(image)` answers."""

    def __init__(self, contract: Contract, network: Network, limits: Mapping[str, Any] | None = None) -> None:
        self.contract, self.network, self.limits = contract, network, limits

    def predict(self, image: Image | str | Path, *, strict: bool = False) -> Answer:
        """Answer one image, or the image in a file or a folder of one DICOM series.

        strict: refuse an image outside the training limits, which otherwise is a warning in the answer.
        Raises EquipoiseError (one sentence) for an image that does not fit.
        """
        if isinstance(image, str | Path):
            source = read_path(Path(image), self.contract)
            self.refuse_unplaced(source)
            return self.answer(source.image, strict=strict, remarks=(*source.remarks, *self.about_files))
        return self.answer(image, strict=strict)

    @property
    def about_files(self) -> tuple[str, ...]:
        """Warnings that hold for every image that is read from files."""
        return ()

    @property
    def takes_unplaced(self) -> bool:
        """Whether files of the trial stated no orientation, so that new ones are read by the same convention."""
        return False

    def refuse_unplaced(self, source: SourceImage) -> None:
        """Raise CohortError for a file that states no orientation in space where those of the trial did."""
        if self.contract.oriented and source.scan.header.get("unplaced") and not self.takes_unplaced:
            raise CohortError(
                "its file states no orientation in space, so left and right are not known, and the trial oriented its "
                "images by theirs; convert the image from its source again (dcm2niix states it)"
            )

    def answer(self, image: Image, *, strict: bool = False, remarks: tuple[str, ...] = ()) -> Answer:
        """As `predict`, for an image in memory; remarks: what was interpreted while it was read."""
        image = self.on_own_grid(image)
        warnings = (*remarks, *self.check(image, strict=strict))
        prepared = self.prepare(image)
        return self.decide(prepared, image.spacing_mm, warnings)

    def on_own_grid(self, image: Image) -> Image:
        """Return the image; with pixels as its unit of length where the trial knew no other, whatever it states."""
        if self.contract.spacing_stated:
            return image
        return replace(image, spacing_mm=(1.0,) * len(image.spacing_mm))

    def check(self, image: Image, *, strict: bool = False) -> tuple[str, ...]:
        """Return what lies outside the training limits; raise CohortError for an image that cannot be answered."""
        contract = self.contract
        if len(image.spacing_mm) != contract.spatial_dims:
            raise CohortError(
                f"the image has {len(image.spacing_mm)} spatial axes and the network takes {contract.spatial_dims}; "
                "give an image of that kind"
            )
        if len(image.array) != len(contract.channels):
            raise CohortError(
                f"the image has {len(image.array)} channels and the network takes {len(contract.channels)} "
                f"({', '.join(contract.channels)}); give these, in this order"
            )
        if not np.isfinite(image.array).all():
            raise CohortError("the image holds values that are not finite; correct it")
        if min(image.spacing_mm) <= 0 or not np.isfinite(image.spacing_mm).all():
            raise CohortError(f"the image's spacing {image.spacing_mm} is not possible; give it in mm")
        if contract.oriented and image.affine is None:
            raise CohortError(
                "the image states no position in space, so its orientation is not known, and the trial oriented its "
                "images by theirs; give it as NIfTI, NRRD or DICOM"
            )
        sheared = shear_degrees(image)
        if sheared and not (self.limits or {}).get("sheared"):
            raise CohortError(
                f"the image's axes are not at right angles but sheared by {sheared:.1f}°, as by a tilted gantry, and "
                "sizes would be wrong; resample it to a rectangular grid first (dcm2niix does)"
            )
        found_outside = [] if self.limits is None else outside(self.limits, image, contract.channels)
        if strict and found_outside:
            raise CohortError(
                f"the image lies outside what the network was trained on: {'; '.join(found_outside)}; without "
                "--strict it is predicted with this warning"
            )
        return tuple(f"outside the training limits: {sentence}" for sentence in found_outside)

    def prepare(self, image: Image) -> Prepared:
        """Return the image as the network sees it."""
        plain = image if image.mask is None else Image(image.array, image.spacing_mm, None, image.affine)
        prepared = self.contract.pipeline.apply(plain)
        if not np.isfinite(prepared.image).all():
            raise CohortError("the preprocessed image holds values that are not finite; check the image's values")
        return prepared

    def logits(self, image: Floats) -> Floats:
        """Return the logits of a prepared image: (outputs,) of a classifier, else (outputs, *spatial)."""
        if self.contract.truth == LABEL:
            return class_logits(self.network, image, self.contract)
        parts = voxel_logits(self.network, image, self.contract)
        return collected(parts, image.shape[1:], lambda logits: logits, np.float32)

    def decide(self, prepared: Prepared, spacing_mm: tuple[float, ...], warnings: tuple[str, ...] = ()) -> Answer:
        """Answer a prepared image, on the grid that its record leads back to."""
        return replace(self._decided(prepared, spacing_mm, warnings), spacing_stated=self.contract.spacing_stated)

    def _decided(self, prepared: Prepared, spacing_mm: tuple[float, ...], warnings: tuple[str, ...]) -> Answer:
        contract, image = self.contract, prepared.image
        if contract.truth == LABEL:
            shares = softmax(class_logits(self.network, image, contract).astype(np.float64))
            return Answer(spacing_mm, dict(zip(contract.classes, shares.tolist(), strict=True)), warnings=warnings)
        parts = voxel_logits(self.network, image, contract)
        if contract.truth == FINDINGS:
            probability = collected(parts, image.shape[1:], lambda logits: softmax(logits)[1], np.float32)
            candidates = self._candidates(probability, prepared.record, spacing_mm)
            return Answer(spacing_mm, candidates=candidates, warnings=warnings)
        if contract.targets == "regions":
            # A probability of at least one half, as the trial decides it, and not a logit of at least zero.
            inside = collected(parts, image.shape[1:], lambda logits: sigmoid(logits) >= np.float32(0.5), np.bool_)
            masks = dict(zip(contract.regions, inside, strict=True))
        else:
            labels = collected(parts, image.shape[1:], lambda logits: logits.argmax(axis=0), np.uint8)
            masks = {name: np.isin(labels, members) for name, members in contract.regions.items()}
        return Answer(spacing_mm, masks=self._back(masks, prepared.record), warnings=warnings)

    def _back(self, masks: Mapping[str, NDArray[np.bool_]], record: Record) -> dict[str, NDArray[np.bool_]]:
        """Bring masks onto the image's own grid, region by region as the trial does."""
        undo = self.contract.pipeline.undo
        return {name: undo(mask.astype(np.uint8), record).astype(bool) for name, mask in masks.items()}

    def _candidates(self, probability: Floats, record: Record, spacing_mm: tuple[float, ...]) -> Candidates:
        contract, here = self.contract, record.spacing_mm
        if contract.targets == "centres":
            candidates = peak_candidates(probability, here, contract.threshold, contract.apart_mm)
        else:
            candidates = nested_candidates(probability, here, contract.threshold)
        kept = most_suspicious(candidates)
        voxels = record.places_back(kept.centre_mm / np.array(here), probability.shape)
        return Candidates(np.asarray(voxels * np.array(spacing_mm)), kept.score)

    def expected_bytes(self, image: Image) -> int:
        """Return the memory that an answer will take, from the image's size alone: arrays, without the libraries."""
        pipeline, dims = self.contract.pipeline, len(image.spacing_mm)
        sides: tuple[float, ...] = image.array.shape[1:]
        stored = math.prod(sides)
        if pipeline.resample_mm is not None:
            target = pipeline.resample_mm * dims if len(pipeline.resample_mm) == 1 else pipeline.resample_mm
            # Per axis as it stands: an orientation permutes sides and spacings alike, and with equal targets that is
            # exact; with unequal ones it is near.
            sides = tuple(n * s / t for n, s, t in zip(sides, image.spacing_mm, target, strict=False))
        if pipeline.size is not None:
            sides = pipeline.size * dims if len(pipeline.size) == 1 else pipeline.size
        voxels = math.prod(sides)
        masks = len(self.contract.regions) or 1
        prepared = voxels * 4 * (2 * len(image.array) + self.contract.outputs + 1)
        return int(prepared + stored * (image.array.itemsize * len(image.array) + masks + 5))


class Bundle(Predictor):
    """A bundle from disk, checked and proven on this machine: `Bundle(path).predict(image)`.

    runtime: of `runtimes.RUNTIMES`. threads: of the processor; None takes OMP_NUM_THREADS, else one.
    Raises EquipoiseError for a bundle that was changed, or whose golden images are answered otherwise here.
    """

    def __init__(self, path: str | Path, runtime: str = "onnx", threads: int | None = None) -> None:
        files = read_bundle(path)
        super().__init__(files.contract, network_of(files, runtime, threads), files.record["limits"])
        self.files: BundleFiles = files
        room = Room() if runtime in ("onnx", "torch") else room_of(files, runtime, runtime != FLOAT32)
        self.golden_difference = check_golden(files, self, room)

    @property
    def about_files(self) -> tuple[str, ...]:
        """Warnings that hold for every image that is read from files."""
        return tuple(filter(None, [note(self.files.record.get("reading"))]))

    @property
    def takes_unplaced(self) -> bool:
        """Whether files of the trial stated no orientation."""
        return bool((self.files.record.get("reading") or {}).get("unplaced"))

    @property
    def arm(self) -> str:
        """The name of the arm that the bundle holds."""
        return str(self.files.record["evidence"]["arm"])

    @property
    def against(self) -> Objection | None:
        """What stands against the arm, and why it was exported nevertheless; None where nothing does."""
        evidence = self.files.record["evidence"]
        overruled, although = evidence.get("overruled") or [], evidence.get("although") or ""
        reasons = objection(overruled) if although else None
        return reasons and Objection(reasons.title, f"{reasons.text}. Exported despite this: {although}")

    @property
    def sha256(self) -> str:
        """The bundle's name: the SHA-256 of its bundle.json."""
        return self.files.sha256


class TooMuchMemory(CohortError):
    """An image whose answer would take more memory than is allowed."""


def memory_refusal(expected: int, most_gb: float | None) -> TooMuchMemory | None:
    """Return the refusal of an image whose answer would take more memory than allowed; None where it fits."""
    if most_gb is None or expected <= most_gb * 1e9:
        return None
    return TooMuchMemory(
        f"the prediction would take about {expected / 1e9:.1f} GB of memory and --max-memory allows {most_gb:g}; "
        "raise it, or give a smaller image"
    )
