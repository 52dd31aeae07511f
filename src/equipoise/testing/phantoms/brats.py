"""Write brain-like phantoms in the layout of BraTS, as real files that test every reader end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from equipoise.errors import ProtocolError

# Brightness of brain, necrosis, oedema and enhancing tumour in each modality. Each tumour part is clear in one modality
# and hardly visible in another, as in MR, so that a network has to use several.
CONTRAST = {
    "t1": (500, 250, 400, 450),
    "t1ce": (500, 280, 420, 900),
    "t2": (400, 700, 650, 550),
    "flair": (420, 450, 800, 700),
}
SUFFIX_2023 = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
NAMINGS = ("2021", "2023")


@dataclass(frozen=True)
class WrittenCase:
    """A phantom's folder and truth. regions: voxels of WT, TC and ET; labels: voxels per value in the file."""

    folder: Path
    patient: str
    regions: dict[str, int]
    labels: dict[int, int]


def write_brats(
    folder: Path, *, naming: str = "2021", cases: int = 2, shape: Sequence[int] = (48, 48, 32), seed: int = 0
) -> tuple[WrittenCase, ...]:
    """Write `cases` phantoms of `shape` voxels (x, y, z) at 1 mm, four modalities and a segmentation each.

    naming: "2021" (BraTS2021_00001_flair.nii.gz, labels 0, 1, 2, 4) or "2023" (BraTS-GLI-00001-000-t2f.nii.gz, labels
    0, 1, 2, 3; every second case is a second time point of the patient before it).
    """
    if naming not in NAMINGS:
        raise ProtocolError(f"naming of the phantom is {naming!r}; choose one of {', '.join(NAMINGS)}")
    written = []
    for index in range(cases):
        # A stream per case, so that a case is the same whatever the number of cases.
        generator = np.random.default_rng([seed, index])
        if naming == "2021":
            patient = name = f"BraTS2021_{index + 1:05d}"
        else:
            patient = f"BraTS-GLI-{index // 2 + 1:05d}"
            name = f"{patient}-{index % 2:03d}"
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        brain, tumour = _anatomy(tuple(shape), generator)
        values = np.where(tumour == 3, 4 if naming == "2021" else 3, tumour).astype(np.uint8)
        between = "_" if naming == "2021" else "-"
        for modality, (tissue, *tumours) in CONTRAST.items():
            image = np.array([tissue, *tumours])[tumour] + generator.normal(0, 15, shape)
            suffix = modality if naming == "2021" else SUFFIX_2023[modality]
            _save(
                place / f"{name}{between}{suffix}.nii.gz", np.where(brain, np.clip(image, 1, None), 0).astype(np.int16)
            )
        _save(place / f"{name}{between}seg.nii.gz", values)
        regions = {
            "WT": int(np.sum(tumour > 0)),
            "TC": int(np.isin(tumour, (1, 3)).sum()),
            "ET": int(np.sum(tumour == 3)),
        }
        counts = np.unique(values, return_counts=True)
        labels = {int(value): int(count) for value, count in zip(*counts, strict=True)}
        written.append(WrittenCase(place, patient, regions, labels))
    return tuple(written)


def _anatomy(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Make a brain with a tumour inside: necrosis 1 within an enhancing shell 3 within oedema 2."""
    size = np.array(shape, dtype=np.float64)
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")

    def distance(centre: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of every voxel from a centre, in units of the radii."""
        squares = [((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)]
        far: NDArray[np.float64] = np.sqrt(np.sum(squares, axis=0))
        return far

    brain = distance((size - 1) / 2, size * 0.45) <= 1
    centre = (size - 1) / 2 + size * generator.uniform(-0.12, 0.12, 3)
    far = distance(centre, size.min() * generator.uniform(0.22, 0.28) * generator.uniform(0.8, 1.0, 3))
    tumour = np.select([far <= 0.35, far <= 0.6, far <= 1], [1, 3, 2], 0)
    return brain, np.where(brain, tumour, 0)


def _save(file: Path, voxels: NDArray[np.generic]) -> None:
    """Write one NIfTI file with the affine of the data set: x to the left, y to the back, z up, 1 mm."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = voxels.shape[1] - 1
    nibabel.save(nibabel.Nifti1Image(voxels, affine), file)  # type: ignore[no-untyped-call]
