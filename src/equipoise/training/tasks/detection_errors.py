"""Draw a detector's errors: planes of the prepared images with marks on them, for the report's example cases."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.display_planes import grey
from equipoise.evaluation.matched_scans import MarkedScan
from equipoise.training.data.samples import Samples

MOST_SHOWN = 6
"""Cases shown per kind of error."""
MOST_MARKS = 5
"""Candidates drawn per plane, apart from the shown error itself."""
NEAR_MM = 3.0
"""Largest distance from the plane of a volume at which a candidate is still drawn."""
MARKS = "marks.json"
"""Name of the array (uint8) that holds, as JSON, the marks and captions of the planes."""

Planes = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class _Error:
    """One missed finding or false positive: its centre in mm on the scan's own grid; score: NaN without a candidate."""

    kind: str
    index: int
    centre_mm: NDArray[np.float64]
    score: float
    diameter_mm: float | None = None


def error_planes(scans: Sequence[MarkedScan], samples: Samples) -> Planes:
    """Draw one plane per scan through its finding with the lowest score, and one through its top false positive.

    The six worst of both kinds are kept, named `missed-0`, `false-0` and so on. The array `MARKS` describes them: case,
    score (None without a candidate), diameter in mm, the number of false positives of all scans with a higher score,
    and marks on the plane as [kind, row, column, half height, half width] in pixels.
    """
    missed = sorted(_missed(scans), key=lambda error: np.nan_to_num(error.score, nan=-np.inf))
    false = sorted(_false(scans), key=lambda error: -error.score)
    every = np.concatenate([scan.candidates.score[scan.false_positives()] for scan in scans])
    planes: Planes = {}
    captions: dict[str, dict[str, Any]] = {}
    for errors in (missed[:MOST_SHOWN], false[:MOST_SHOWN]):
        for number, error in enumerate(errors):
            name = f"{error.kind}-{number}"
            planes[name], marks = _drawn(error, scans[error.index], samples)
            captions[name] = {
                "case": scans[error.index].case,
                "score": None if np.isnan(error.score) else error.score,
                "diameter_mm": error.diameter_mm,
                "higher": int((every > np.nan_to_num(error.score, nan=-np.inf)).sum()),
                "marks": marks,
            }
    # JSON as bytes, because an npz file without pickles holds arrays only.
    planes[MARKS] = np.frombuffer(json.dumps(captions).encode(), np.uint8)
    return planes


def _missed(scans: Sequence[MarkedScan]) -> list[_Error]:
    errors = []
    for index, scan in enumerate(scans):
        best = np.where(scan.findings.relevant, scan.best_scores(), np.inf)
        if not scan.findings.relevant.any():
            continue
        worst = int(best.argmin())
        score = float(best[worst]) if np.isfinite(best[worst]) else np.nan
        diameter = float(scan.findings.diameter_mm[worst])
        errors.append(_Error("missed", index, scan.findings.centre_mm[worst], score, diameter))
    return errors


def _false(scans: Sequence[MarkedScan]) -> list[_Error]:
    first = [(index, scan, scan.false_positives()[:1]) for index, scan in enumerate(scans)]
    return [
        _Error("false", index, scan.candidates.centre_mm[wrong[0]], float(scan.candidates.score[wrong[0]]))
        for index, scan, wrong in first
        if len(wrong)
    ]


def _drawn(error: _Error, scan: MarkedScan, samples: Samples) -> tuple[NDArray[np.uint8], list[list[Any]]]:
    """Return the plane of the first channel through an error, and the marks on it."""
    image, grid = np.asarray(samples.images[error.index][0]), samples.grids[error.index]
    spacing = np.array(grid.prepared_spacing_mm)

    def voxels(centre_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert places in mm to voxels of the prepared image."""
        return grid.places_forward(centre_mm, image.shape)

    z = int(np.clip(round(float(voxels(error.centre_mm[None])[0, 0])), 0, len(image) - 1)) if image.ndim == 3 else None
    marks: list[list[Any]] = []
    kinds = np.where(scan.findings.relevant, "sought", "irrelevant").tolist()
    for kind, place, radius in zip(kinds, voxels(scan.findings.centre_mm), scan.findings.radius_mm, strict=True):
        away = 0.0 if z is None else (place[0] - z) * spacing[0]
        if abs(away) < radius:
            # The circle in which the finding's ball cuts this plane, in pixels.
            half = np.sqrt(radius**2 - away**2) / spacing[-2:]
            marks.append([kind, *place[-2:], *half])
    chosen = _nearby(scan, error, voxels(scan.candidates.centre_mm), z, spacing[0])
    marks += [["candidate", *place[-2:], 0.0, 0.0] for place in chosen]
    return _shown(image, z, [[kind, *map(float, numbers)] for kind, *numbers in marks])


def _nearby(
    scan: MarkedScan, error: _Error, places: NDArray[np.float64], z: int | None, slice_mm: float
) -> NDArray[np.float64]:
    """Return the candidates with the highest scores near the plane, and always the false positive that is shown."""
    near = np.ones(len(places), bool) if z is None else np.abs(places[:, 0] - z) * slice_mm <= NEAR_MM
    rows = np.flatnonzero(near)[:MOST_MARKS]
    own = np.flatnonzero((scan.candidates.centre_mm == error.centre_mm).all(axis=1))
    return places[np.union1d(rows, own)]


def _shown(
    image: NDArray[np.float32], z: int | None, marks: list[list[Any]]
) -> tuple[NDArray[np.uint8], list[list[Any]]]:
    """Turn the slice into radiological display convention: front on top, the patient's right on the left."""
    if z is None:
        return grey(image), marks
    height, width = image.shape[1:]
    turned = [[kind, height - 1 - row, width - 1 - column, *half] for kind, row, column, *half in marks]
    return np.ascontiguousarray(grey(image[z])[::-1, ::-1]), turned
