"""Whether distances and volumes of an audit are in mm and ml, or in whatever the files mean."""

from pathlib import Path

from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.evaluation.external import masks
from equipoise.evaluation.external.collection import Collected

_WITHOUT_SPACING = (".npy", ".npz", *PICTURES)


def units_stated(collected: Collected) -> bool:
    """Return whether values were measured here, on masks whose files state a spacing.

    A column of a table that another tool wrote may count voxels: MONAI's Hausdorff distance does unless told a spacing.
    """
    if any(source.kind != masks.KIND for source in collected.sources):
        return False
    files = [path for pair in collected.masks.values() for path in pair]
    return bool(files) and all(states_spacing(path) for path in files)


def states_spacing(path: Path) -> bool:
    """Return whether a file of this kind holds a spacing.

    >>> states_spacing(Path("a.nii.gz")), states_spacing(Path("a.png"))
    (True, False)
    """
    return path.suffix.lower() not in _WITHOUT_SPACING
