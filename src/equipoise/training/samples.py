"""Prepared cases as arrays on disk, so that many jobs share one copy through memory maps."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """Cases of one part, ready for a model.

    images: float32 (n, channel, *spatial).
    targets: class indices (n,), masks (n, *spatial), or soft targets (n, classes, *spatial) that sum to one.
    """

    images: NDArray[np.float32]
    targets: NDArray[Any]
    cases: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cases)

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder; the list of cases comes last and marks them complete."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "images.npy", self.images)
        np.save(folder / "targets.npy", self.targets)
        names = {"cases": self.cases, "patients": self.patients}
        (folder / "cases.json").write_text(json.dumps(names), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the arrays of a folder into memory, read-only."""
        names = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r")
        targets = np.load(folder / "targets.npy", mmap_mode="r")
        return cls(images, targets, tuple(names["cases"]), tuple(names["patients"]))
