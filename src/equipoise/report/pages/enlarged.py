"""Example cases enlarged: the plain picture beside the outlines, or the answers, of all arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.predictions import Predictions
from equipoise.report.pages.examples import Gallery, png_uri
from equipoise.report.results.rows import part
from equipoise.report.text.words import percentage
from equipoise.runfolder.paths import THUMBNAILS, TRUTHS
from equipoise.runfolder.read import RunFolder, read_places, read_planes, read_slices

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class Outline:
    """An outline as an SVG path in pixels of the picture. series: of the arm's colour; None: the truth."""

    name: str
    series: int | None
    path: str


@dataclass(frozen=True)
class Enlarged:
    """A picture (PNG data URI) of width × height pixels, and what all arms say of it.

    bar: length of the scale bar in pixels and its words; None where no spacing was stated. sides: letters of left,
    right, top and bottom; empty where the orientation is unknown. stretch: height of a pixel over its width.
    answers: (arm, words), of a classifier. number: of the picture on the page.
    """

    picture: str
    width: int
    height: int
    outlines: tuple[Outline, ...] = ()
    bar: tuple[float, str] | None = None
    sides: str = ""
    stretch: float = 1.0
    answers: tuple[tuple[str, str], ...] = field(default=())
    number: int = 0


def enlarged_cases(run: RunFolder, shown: Sequence[Gallery], names: Mapping[str, str]) -> dict[str, Enlarged]:
    """Return the shown cases of which a plain picture exists, by case. names: arm → display name."""
    cases = list(dict.fromkeys(example.case for gallery in shown for example in gallery.examples))
    # A detector's pictures are planes through one finding, and several of a case may be shown: nothing to enlarge.
    pictures = run.thumbnails if run.sources else read_planes(run.path / THUMBNAILS)
    known = {case: pictures[case] for case in cases if case in pictures}
    if not known:
        return {}
    outlines, answers = _outlines(run, names), _answers(run, list(known), names)
    places = read_places(run.path)
    out = {}
    for number, (case, picture) in enumerate(known.items()):
        plane = picture[..., 0] if picture.ndim == 3 else picture
        spacing, sides = _place(places.get(case, {}))
        out[case] = Enlarged(
            png_uri(plane), plane.shape[1], plane.shape[0],
            tuple(one for one in outlines(case, plane.shape) if one.path),
            _bar(plane.shape[1], spacing), sides,
            1.0 if spacing is None else spacing[0] / spacing[1], answers.get(case, ()), number,
        )  # fmt: skip
    return out


def boundary(mask: NDArray[np.bool_]) -> str:
    """Return the border of a mask (h, w) as an SVG path along the edges of its pixels.

    >>> boundary(np.array([[True]]))
    'M0 0h1M0 1h1M0 0v1M1 0v1'
    """
    padded = np.pad(mask, 1).astype(np.int8)
    flat, upright = np.diff(padded, axis=0)[:, 1:-1] != 0, np.diff(padded, axis=1)[1:-1] != 0
    parts = [f"M{start} {row}h{stop - start}" for row, line in enumerate(flat) for start, stop in _runs(line)]
    parts += [f"M{col} {start}v{stop - start}" for col, line in enumerate(upright.T) for start, stop in _runs(line)]
    return "".join(parts)


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _outlines(run: RunFolder, names: Mapping[str, str]) -> Any:
    """Return a function that gives the outlines of a case: of the truth, and of the first run of every arm."""
    arms = run.arms()
    if run.sources:
        kept = {arm: {case: mask for (name, case), mask in run.outlines.items() if name == arm} for arm in ("", *arms)}
    else:
        kept = {"": read_planes(run.path / TRUTHS)}
        # Without a truth there are no masks, so nothing of the arms is read.
        for arm in arms if kept[""] else ():
            jobs = run.finished(arm)
            kept[arm] = read_slices(run.path, jobs[0]) if jobs else {}

    def of_case(case: str, shape: tuple[int, ...]) -> list[Outline]:
        """Return every outline on this grid."""
        masks: list[tuple[str, int | None, Plane | None]] = [("truth", None, kept.get("", {}).get(case))]
        masks += [(names[arm], number, kept.get(arm, {}).get(case)) for number, arm in enumerate(arms)]
        return [Outline(n, s, boundary(m > 0)) for n, s, m in masks if m is not None and m.shape == shape[:2]]

    return of_case


def _answers(run: RunFolder, cases: list[str], names: Mapping[str, str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return what every arm calls a case and with which score, averaged over its runs."""
    rows: dict[str, list[tuple[str, str]]] = {case: [] for case in cases}
    for arm in run.arms():
        table = part(run.finished(arm), "test")
        if table is None or not table.classes:
            continue
        for case, words in _called(table, cases).items():
            rows[case].append((names[arm], words))
    return {case: tuple(row) for case, row in rows.items() if row}


def _called(table: Predictions, cases: list[str]) -> dict[str, str]:
    here = np.isin(table.case, cases)
    chosen = table.where(here)
    named, member = np.unique(chosen.case, return_inverse=True)
    if not len(named):
        return {}
    scores = np.zeros((len(named), len(table.classes)))
    np.add.at(scores, member, chosen.scores)
    scores /= np.bincount(member)[:, None]
    out = {}
    for case, row in zip(named.tolist(), scores, strict=True):
        best = int(row.argmax())
        # Scores of an audit may be logits, which are no shares.
        sure = f" ({percentage(float(row[best]))} %)" if row.min() >= 0 and row.max() <= 1 else ""
        out[case] = f"{table.classes[best]}{sure}"
    return out


def _place(place: Mapping[str, Any]) -> tuple[tuple[float, float] | None, str]:
    spacing, sides = place.get("spacing_mm"), place.get("sides", "")
    sound = isinstance(spacing, list) and len(spacing) == 2 and all(type(one) is float and one > 0 for one in spacing)
    letters = sides if isinstance(sides, str) and len(sides) == 4 and set(sides) <= set("RLAPSI") else ""
    return ((spacing[0], spacing[1]) if sound else None), letters  # type: ignore[index]


def _bar(width: int, spacing: tuple[float, float] | None) -> tuple[float, str] | None:
    """Return a scale bar of a round length, about a quarter of the picture's width."""
    if spacing is None:
        return None
    room = width * spacing[1] / 4
    power = 10.0 ** floor(log10(room))
    length = power * max(factor for factor in (1, 2, 5) if factor * power <= room)
    return length / spacing[1], f"{length:g} mm"
