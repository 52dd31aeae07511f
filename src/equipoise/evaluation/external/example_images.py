"""Pictures of cases for an audit's report: from a folder of images named by case, with the outlines of masks.

Images are read when a picture is drawn, because only a few cases of a large test set are shown. One that cannot be read
has no picture.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.layouts.image_names import is_image_name
from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation.display_planes import grey, shown_slice
from equipoise.evaluation.external.mask_file import read_mask
from equipoise.evaluation.external.reading import stem

Plane = NDArray[np.uint8]
Pairs = Mapping[tuple[str, str], tuple[Path, Path]]
"""(arm, case) → the true mask and the predicted one."""
_LONGEST = 320
_ARRAYS = (".npy", ".npz")


class ImagesByCase(Mapping[str, Plane]):
    """One plane of the image of each case, (h, w) or (h, w, 3); that with the largest truth where there are masks."""

    def __init__(self, folder: Path, truths: Mapping[str, Path]) -> None:
        if not folder.is_dir():
            raise PredictionError(f"{folder} is not a folder of images; give one with a file for each case (--images)")
        self._truths = truths
        self._files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (is_image_name(path.name) or path.suffix.lower() in _ARRAYS):
                # nnU-Net numbers the channels of a case; the first one is shown.
                self._files.setdefault(stem(path.name).removesuffix("_0000"), path)
        self._planes: dict[str, Plane | None] = {}

    def __getitem__(self, case: str) -> Plane:
        plane = self._read(case)
        if plane is None:
            raise KeyError(case)
        return plane

    def __contains__(self, case: object) -> bool:
        return isinstance(case, str) and self._read(case) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def _read(self, case: str) -> Plane | None:
        if case not in self._planes:
            try:
                self._planes[case] = _shown(_pixels(self._files[case]), self._truths.get(case))
            except (KeyError, EquipoiseError):
                self._planes[case] = None
        return self._planes[case]


class OutlinesByCase(Mapping[tuple[str, str], Plane]):
    """The plane of a mask, by (arm, case); the arm "" is the truth."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._truths = {case: truth for (_, case), (truth, _) in pairs.items()}

    def __getitem__(self, key: tuple[str, str]) -> Plane:
        arm, case = key
        truth = self._truths[case]
        try:
            place = shown_slice(read_mask(truth).voxels)
            voxels = read_mask(truth if not arm else self._pairs[key][1]).voxels
        except EquipoiseError as error:
            raise KeyError(key) from error
        return _small((voxels[place] > 0).astype(np.uint8))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def _pixels(path: Path) -> NDArray[np.generic]:
    """Return the image as (channel, *spatial)."""
    if path.suffix.lower() not in _ARRAYS:
        return read_any(path, nonfinite="zero").array
    file = ArrayFile(path)
    array = file[file.names[0]]
    return array if array.ndim == 4 else array[None]


def _shown(pixels: NDArray[np.generic], truth: Path | None) -> Plane:
    mask = None if truth is None else read_mask(truth).voxels
    spatial = pixels.shape[1:]
    if len(spatial) == 3:
        fits = mask is not None and mask.shape == spatial
        pixels = pixels[:, shown_slice(mask)[0] if mask is not None and fits else spatial[0] // 2]
    if len(spatial) not in (2, 3):
        raise PredictionError("no picture")
    if len(pixels) == 3 and len(spatial) == 2:
        return np.stack([_small(grey(channel)) for channel in pixels], axis=-1)
    values = np.nan_to_num(np.asarray(pixels[0], dtype=np.float64))
    low, high = np.percentile(values, (1, 99))  # a metal clip would leave the rest black
    return _small(grey(np.clip(values, low, high)))


def _small(plane: Plane) -> Plane:
    step = -(-max(plane.shape) // _LONGEST)
    return plane[::step, ::step]
