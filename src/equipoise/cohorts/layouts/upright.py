"""Pictures that EXIF turns, beside pictures that it does not: whether both show the same side up."""

from pathlib import Path

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan

_SWAPS_SIDES = 5
"""EXIF orientations from here on exchange width and height."""
_REMEDY = "save both upright and without an EXIF orientation"


def check_turned(path: Path, scan: Scan, other_path: Path, other: Scan) -> None:
    """Refuse a pair of which EXIF turns one only, where their sizes do not tell on which pixels the other was drawn.

    Viewers show a photograph upright, tools that draw masks often do not; sizes tell where the sides are exchanged.
    """
    turns = {path: int(scan.header.get("orientation", 1)), other_path: int(other.header.get("orientation", 1))}
    if 1 not in turns.values() or set(turns.values()) == {1}:
        return
    turned, still = (path, other_path) if turns[path] != 1 else (other_path, path)
    height, width = scan.array.shape[-2:]
    exchanged = turns[turned] >= _SWAPS_SIDES
    # A half turn, and a quarter turn of a square, leave the shape as it is. A mask that is upside down trains without
    # any error, so such a pair is refused unless it is certain.
    if scan.array.shape[1:] == other.array.shape[1:]:
        if exchanged and height != width:
            return
        reason = (
            f"the EXIF orientation of {turned.name!r} turns it, {still.name!r} has none, and their sizes do not tell"
        )
        raise RefusedFile(path, f"{reason} whether both are the same way up", _REMEDY)
    if exchanged and (width, height) == other.array.shape[-2:]:
        reason = f"it fits {other_path.name!r} only without the EXIF orientation of {turned.name!r}"
        raise RefusedFile(path, reason, _REMEDY)
