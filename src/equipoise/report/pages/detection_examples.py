"""Example cases of a detector as pictures: what it missed or found last, and its most suspicious false positives."""

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
_TITLES = {"missed": "Missed, or found last", "false": "Most suspicious false positives"}


def detection_galleries(jobs: Sequence[JobRecord], folder: Path) -> list[Gallery]:
    """What the first run of one arm got most wrong; nothing where its pictures are missing or not readable."""
    if not jobs:
        return []
    planes = read_slices(folder, jobs[0])
    try:
        told = json.loads(planes.pop(MARKS, np.frombuffer(b"{}", np.uint8)).tobytes())
        groups = {kind: [(planes[name], told[name]) for name in told if name.startswith(kind)] for kind in _TITLES}
        return [
            Gallery(title, tuple(_example(kind, *one) for one in groups[kind]), len(groups[kind]))
            for kind, title in _TITLES.items()
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _example(kind: str, plane: NDArray[np.uint8], told: Mapping[str, Any]) -> Example:
    score = told["score"]
    if kind == "false":
        words = f"false positive, score {number(score, 2)}"
    else:
        size = f"{number(told['diameter_mm'], 1)} mm"
        later = (
            f"score {number(score, 2)}, below {plural(told['higher'], 'false positive')}" if score is not None else ""
        )
        words = f"{size}, {later or 'never marked'}"
    return Example(str(told["case"]), "", "", float(score or 0.0), marked_picture(plane, told["marks"]), words)


def marked_picture(plane: NDArray[np.uint8], marks: Sequence[Sequence[Any]]) -> str:
    """A grey plane (h, w) as a PNG data address, with findings outlined and a cross at every candidate.

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
    """Points (k, 2) once around an ellipse, its inner edge."""
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
