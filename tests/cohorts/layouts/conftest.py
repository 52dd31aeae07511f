"""Small data sets written with nibabel, Pillow, tifffile and pydicom, and read back as `equipoise init` would."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.sources import load
from equipoise.protocol import Protocol
from equipoise.trials.init import write_protocol


class Writer:
    """Writes random images and masks; `stored` reads a volume with nibabel in the order (z, y, x)."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def volume(self, path: Path, values: Sequence[int] | None = None, shape: tuple[int, ...] = (6, 5, 4)) -> Path:
        """A NIfTI file; with `values` a mask that holds them all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.rng.integers(0, 900, shape) if values is None else self._mask(values, shape)
        nib.save(nib.Nifti1Image(data.astype(np.int16), np.diag([-1.0, -1.0, 2.0, 1.0])), path)
        return path

    def picture(self, path: Path, values: Sequence[int] | None = None, *, rgb: bool = False) -> Path:
        """A picture of 12 × 14."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (12, 14, 3) if rgb else (12, 14)
        data = self.rng.integers(0, 255, shape) if values is None else self._mask(values, shape)
        Image.fromarray(data.astype(np.uint8)).save(path)
        return path

    def _mask(self, values: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
        flat = self.rng.choice(values, int(np.prod(shape)))
        flat[: len(values)] = values
        return flat.reshape(shape)

    @staticmethod
    def stored(path: Path) -> np.ndarray:
        """The voxels of a volume as nibabel has them, in RAS+ and (z, y, x)."""
        return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj).T


@pytest.fixture
def write() -> Writer:
    return Writer()


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Protocol, Cohort]]:
    """Data → the protocol that init writes for them, unchanged, and the cohort that check reads."""

    def start(data: Path, **settings: Any) -> tuple[Protocol, Cohort]:
        with pytest.MonkeyPatch.context() as patch:
            # These tests are about what is read; the power of twelve designs would take most of their time.
            patch.setattr("equipoise.trials.fit.detectable_of", lambda *_: (None, "it is not planned in this test"))
            file = write_protocol(str(data), tmp_path_factory.mktemp("protocol") / "protocol.toml", settings)
        protocol = Protocol.load(file)
        return protocol, load(protocol.cohort, protocol.cohort_path, protocol.folder)

    return start
