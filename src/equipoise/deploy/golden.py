"""Golden images: made-up images with the answers that the network gave when it was exported.

They are phantoms, never patients: licences and privacy travel with images. Every use of a bundle answers them first,
so that another machine, library or a mixed-up part shows before a patient's image is answered.
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import GOLDEN, PARITY, BundleFiles
from equipoise.deploy.contract import Contract
from equipoise.deploy.windows import sigmoid, softmax
from equipoise.errors import EquipoiseError
from equipoise.preprocessing import Prepared
from equipoise.tasks.task import LABEL

IMAGES = {2: 6, 3: 3}
LARGEST_SIDE = 40
"""Of a golden image where the trial's images may have any size; windows and paddings occur at this size too."""
TOLERANCE = 1e-4
"""Largest difference of a probability between the machine of the export and this one."""
PREPARED_TOLERANCE = 1e-4
CONTRACT, LIMITS = "contract", "limits"


@dataclass(frozen=True)
class Room:
    """How far answers may lie from the golden ones: of a probability, and the share of a mask's voxels."""

    probability: float = TOLERANCE
    voxels: float = 1e-4


def room_of(files: BundleFiles, runtime: str, proven: bool) -> Room:
    """Return the room of a runtime: that of its export, twice, for less precision differs between processors.

    proven: whether the runtime must have been proven at the export. Raises EquipoiseError where it was not.
    """
    try:
        entry = json.loads(files.files[PARITY]).get(runtime, {}).get("golden")
        if entry is None and not proven:
            return Room()
        return Room(TOLERANCE + 2 * float(entry["probability"]), 1e-4 + 2 * float(entry["voxels"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EquipoiseError(
            f"the bundle was not proven for {runtime}; export the arm again with --runtimes {runtime}, or use "
            "--runtime onnx"
        ) from error


class WithMasks(Protocol):
    """What is needed of an answer: a mask per region on the image's own grid."""

    @property
    def masks(self) -> Mapping[str, NDArray[np.bool_]]:
        """The masks by region."""


class Answering(Protocol):
    """What is needed of a predictor."""

    contract: Contract

    def prepare(self, image: Image) -> Prepared:
        """Return the image as the network sees it."""

    def logits(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a prepared image."""

    def answer(self, image: Image) -> WithMasks:
        """Return the answer on the image's own grid."""


def golden_images(contract: Contract, limits: Mapping[str, Any]) -> list[Image]:
    """Return phantoms with the sides, spacing and intensities of the training images; volumes lie obliquely stored."""
    sides = [_sides(contract, limits, number) for number in range(IMAGES[contract.spatial_dims])]
    spacing = tuple((low + high) / 2 for low, high in zip(*_ends(limits["spacing_mm"]), strict=True))
    return [_phantom(contract, limits, shape, spacing, number) for number, shape in enumerate(sides)]


def _ends(limit: Mapping[str, Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    return limit["low"], limit["high"]


def _sides(contract: Contract, limits: Mapping[str, Any], number: int) -> tuple[int, ...]:
    low = tuple(map(int, limits["sides"]["low"]))
    if contract.window.side is None and contract.pipeline.size is None:
        return low  # whole images: the trial had one prepared shape, and other sides may not be answered
    return tuple(max(2, min(side, LARGEST_SIDE) - (number * axis) % 4) for axis, side in enumerate(low))


def _phantom(
    contract: Contract, limits: Mapping[str, Any], shape: tuple[int, ...], spacing: tuple[float, ...], number: int
) -> Image:
    """Return a ball of raised intensity in noise, its place and size drawn from the number."""
    draw = np.random.default_rng([20, number])
    at = [(np.arange(n) - n * draw.uniform(0.3, 0.7)) / (n * draw.uniform(0.15, 0.35)) for n in shape]
    ball = np.exp(-sum(grid**2 for grid in np.meshgrid(*at, indexing="ij")))
    channels = []
    for lows, highs in zip(*_ends(limits["levels"]), strict=True):
        low, middle, high = ((a + b) / 2 for a, b in zip(lows, highs, strict=True))
        width = (high - low) or 1.0
        channels.append(middle + 0.05 * width * draw.normal(size=shape) + (high - middle) * ball)
    array = np.clip(np.stack(channels), np.min(limits["levels"]["low"]), None).astype(np.float32)
    return Image(array, spacing, None, _turned(spacing, number) if contract.oriented else None)


def _turned(spacing: tuple[float, ...], number: int) -> NDArray[np.float64]:
    """Return an affine whose first and second axes run against RAS+, differently for each number."""
    signs = ((1, 1, 1), (-1, -1, 1), (1, -1, -1))[number % 3]
    affine = np.diag([*(sign * step for sign, step in zip(signs, spacing[::-1], strict=True)), 1.0])
    affine[:3, 3] = [-12.0, 7.0, 3.5]
    return affine


def probabilities(contract: Contract, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits (outputs, …): over classes, or of each region."""
    return sigmoid(logits) if contract.targets == "regions" else softmax(logits)


def make_golden(predictor: Answering, limits: Mapping[str, Any]) -> bytes:
    """Return golden.npz: images with the network's answers, and the contract under which they were given."""
    contract = predictor.contract
    arrays: dict[str, NDArray[Any]] = {CONTRACT: np.frombuffer(contract.text().encode(), np.uint8)}
    arrays[LIMITS] = np.frombuffer(_text(limits).encode(), np.uint8)
    for number, image in enumerate(golden_images(contract, limits)):
        prepared = predictor.prepare(image)
        arrays[f"image_{number}"] = image.array
        arrays[f"spacing_{number}"] = np.array(image.spacing_mm)
        if image.affine is not None:
            arrays[f"affine_{number}"] = image.affine
        arrays[f"prepared_{number}"] = prepared.image
        arrays[f"logits_{number}"] = predictor.logits(prepared.image)
        for name, mask in _masks(predictor, image).items():
            arrays[f"mask_{number}_{name}"] = np.packbits(mask)
    stream = io.BytesIO()
    # Written by hand and not by numpy.savez, which stores the time of day: two exports must be equal byte for byte.
    _save(stream, arrays)
    return stream.getvalue()


def _text(limits: Mapping[str, Any]) -> str:
    return json.dumps(limits, sort_keys=True)


def _masks(predictor: Answering, image: Image) -> dict[str, NDArray[np.bool_]]:
    answer = predictor.answer(image)
    # By the region's number: a name may hold any letter.
    return {str(k): mask for k, mask in enumerate(answer.masks.values())}


def _save(stream: io.BytesIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content.getvalue())


def check_golden(files: BundleFiles, predictor: Answering, room: Room = Room()) -> float:
    """Answer the golden images; return the largest difference of a probability.

    room: how far from the recorded answers, which are those of ONNX Runtime.
    Raises EquipoiseError where the contract is another, or a prepared image, a probability or a mask differs.
    """
    arrays = _load(files)
    contract = predictor.contract
    if arrays[CONTRACT].tobytes().decode("utf-8", "replace") != contract.text():
        raise EquipoiseError(
            "the bundle's description is not the one under which its golden images were answered: "
            f"{_difference(arrays[CONTRACT].tobytes(), contract)} was changed; copy the bundle again"
        )
    if arrays[LIMITS].tobytes().decode("utf-8", "replace") != _text(files.record["limits"]):
        raise EquipoiseError("the bundle's training limits are not those of its export; copy the bundle again")
    worst, number = 0.0, 0
    while f"image_{number}" in arrays:
        worst = max(worst, _compare(arrays, number, predictor, room))
        number += 1
    if not number:
        raise EquipoiseError(f"{GOLDEN} holds no image; copy the bundle again")
    return worst


def _difference(stored: bytes, contract: Contract) -> str:
    try:
        before, now = json.loads(stored), json.loads(contract.text())
        return next(f"{key!r}" for key in now if before.get(key) != now[key])
    except (ValueError, AttributeError, StopIteration):
        return "it"


def _compare(arrays: Mapping[str, NDArray[Any]], number: int, predictor: Answering, room: Room) -> float:
    """Return the largest difference of a probability on one golden image."""
    contract = predictor.contract
    image = _image(arrays, number)
    prepared = predictor.prepare(image)
    kept = arrays[f"prepared_{number}"]
    if prepared.image.shape != kept.shape or not np.allclose(prepared.image, kept, atol=PREPARED_TOLERANCE, rtol=1e-4):
        raise EquipoiseError(
            f"golden image {number} is preprocessed differently on this machine than where the bundle was exported; "
            "install the versions that the bundle names, or export it here"
        )
    there = probabilities(contract, arrays[f"logits_{number}"])
    here = probabilities(contract, predictor.logits(prepared.image))
    gap = float(np.abs(here - there).max()) if here.shape == there.shape else math.inf
    if not gap <= room.probability:
        raise EquipoiseError(
            f"the network predicts golden image {number} differently than where it was exported: a probability "
            f"differs by {gap:.2g}, more than {room.probability:.2g}; install the versions that the bundle names, or "
            "export it again"
        )
    if contract.truth != LABEL:
        _compare_masks(arrays, number, predictor, image, room)
    return gap


def _compare_masks(
    arrays: Mapping[str, NDArray[Any]], number: int, predictor: Answering, image: Image, room: Room
) -> None:
    for name, mask in _masks(predictor, image).items():
        kept = np.unpackbits(arrays[f"mask_{number}_{name}"], count=mask.size).astype(bool).reshape(mask.shape)
        # A voxel at the very edge of a decision may fall to either side on another machine.
        if np.count_nonzero(kept != mask) > max(1, int(mask.size * room.voxels)):
            raise EquipoiseError(
                f"golden image {number} gets a different mask than where the bundle was exported; export it again"
            )


def golden_gap(content: bytes, predictor: Answering) -> dict[str, float]:
    """Return how far a predictor is from golden answers: of a probability, and the share of a mask's voxels."""
    arrays = _arrays(content)
    worst, voxels, number = 0.0, 0.0, 0
    while f"image_{number}" in arrays:
        image = _image(arrays, number)
        there = probabilities(predictor.contract, arrays[f"logits_{number}"])
        here = probabilities(predictor.contract, predictor.logits(predictor.prepare(image).image))
        worst = max(worst, float(np.abs(here - there).max()))
        for name, mask in _masks(predictor, image).items() if predictor.contract.truth != LABEL else ():
            kept = np.unpackbits(arrays[f"mask_{number}_{name}"], count=mask.size).astype(bool).reshape(mask.shape)
            voxels = max(voxels, float(np.mean(kept != mask)))
        number += 1
    return {"probability": worst, "voxels": voxels}


def _image(arrays: Mapping[str, NDArray[Any]], number: int) -> Image:
    spacing = tuple(arrays[f"spacing_{number}"].tolist())
    return Image(arrays[f"image_{number}"], spacing, None, arrays.get(f"affine_{number}"))


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _load(files: BundleFiles) -> dict[str, NDArray[Any]]:
    try:
        arrays = _arrays(files.files[GOLDEN])
    except Exception as error:
        raise EquipoiseError(f"{GOLDEN} is not readable ({type(error).__name__}); copy the bundle again") from error
    for name in (CONTRACT, LIMITS):
        if name not in arrays:
            raise EquipoiseError(f"{GOLDEN} has no {name}; copy the bundle again")
    return arrays
