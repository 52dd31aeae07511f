"""Example pictures of a detector: missed or lowest-scored findings, and the false positives with the highest scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.report.pages.examples import Example, Gallery, png_uri
from equipoise.report.pages.mask_examples import ANSWER_RGB, SHORT_SIDE, TRUTH_RGB
from equipoise.report.text.words import number, plural
from equipoise.runfolder.read import JobRecord, read_slices

MARKS = "marks.json"
IRRELEVANT_RGB = (170, 170, 170)
CROSS = 10
"""Half the width of the cross at a candidate, in pixels of the picture."""
LINE = 3
"""Width of lines, in pixels of the picture."""
_TITLES = {"missed": "Missed, or detected with the lowest score", "false": "Most suspicious false positives"}


def detection_galleries(jobs: Sequence[JobRecord], folder: Path) -> list[Gallery]:
    """Return the worst errors of an arm's first run; none where its pictures are missing or not readable."""
    if not jobs:
        return []
    # A detector has no value for each case (the CPM is of all scans at once), so its errors are shown in place of worst
    # and best cases.
    planes = read_slices(folder, jobs[0])
    try:
        details = json.loads(planes.pop(MARKS, np.frombuffer(b"{}", np.uint8)).tobytes())
        groups = {
            kind: [(planes[name], details[name]) for name in details if name.startswith(kind)] for kind in _TITLES
        }
        return [
            Gallery(title, tuple(_example(kind, *one) for one in groups[kind]), len(groups[kind]))
            for kind, title in _TITLES.items()
        ]
    # Pictures are an addition: a damaged file of them must not prevent the report.
    except (ValueError, KeyError, TypeError):
        return []


def _example(kind: str, plane: NDArray[np.uint8], details: Mapping[str, Any]) -> Example:
    score = details["score"]
    if kind == "false":
        words = f"false positive, score {number(score, 2)}"
    else:
        size = f"{number(details['diameter_mm'], 1)} mm"
        later = (
            f"score {number(score, 2)}, below {plural(details['higher'], 'false positive')}"
            if score is not None
            else ""
        )
        words = f"{size}, {later or 'never marked'}"
    return Example(str(details["case"]), "", "", float(score or 0.0), marked_picture(plane, details["marks"]), words)


def marked_picture(plane: NDArray[np.uint8], marks: Sequence[Sequence[Any]]) -> str:
    """Draw a grey slice (h, w) as a PNG data URI, with findings outlined and a cross at every candidate.

    marks: [kind, row, column, half height, half width] in pixels of the plane; kinds are sought, irrelevant, candidate.
    """
    factor = max(1, -(-SHORT_SIDE // min(plane.shape)))
    picture = np.repeat(plane.repeat(factor, axis=0).repeat(factor, axis=1)[..., None], 3, axis=2)
    for kind, row, column, high, wide in marks:
        middle = ((row + 0.5) * factor, (column + 0.5) * factor)
        if kind == "candidate":
            _put(picture, _cross(middle), ANSWER_RGB)
        else:
            _put(
                picture,
                _ring(middle, (high * factor, wide * factor)),
                TRUTH_RGB if kind == "sought" else IRRELEVANT_RGB,
            )
    return png_uri(picture)


def _ring(middle: tuple[float, float], half: tuple[float, float]) -> NDArray[np.float64]:
    """Return points (k, 2) around an ellipse, LINE pixels wide outwards."""
    angle = np.linspace(0, 2 * np.pi, 720)
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return np.concatenate([middle + around * (np.array(half) + wide) for wide in range(LINE)])


def _cross(middle: tuple[float, float]) -> NDArray[np.float64]:
    along, across = np.meshgrid(np.arange(-CROSS, CROSS + 1), np.arange(LINE) - LINE // 2)
    arm = np.stack([along.ravel(), across.ravel()], axis=1)
    return np.asarray(np.concatenate([arm, arm[:, ::-1]]) + np.array(middle))


def _put(picture: NDArray[np.uint8], points: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    row, column = np.floor(points).astype(int).T
    inside = (row >= 0) & (row < picture.shape[0]) & (column >= 0) & (column < picture.shape[1])
    picture[row[inside], column[inside]] = colour
