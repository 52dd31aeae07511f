"""Example pictures of a segmenter: the outlines of truth and prediction on one slice, worst cases first."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.evaluation.predictions import Predictions
from equipoise.report.pages.examples import Example, Gallery, png_uri
from equipoise.report.text.words import number
from equipoise.runfolder.paths import THUMBNAILS, TRUTHS
from equipoise.runfolder.read import JobRecord, RunFolder, read_planes, read_slices
from equipoise.statistics.endpoints import described

TRUTH_RGB = (230, 159, 0)
ANSWER_RGB = (86, 180, 233)
"""Orange and sky blue of Okabe and Ito, which differ for every kind of colour vision, also on grey."""
SHORT_SIDE = 240
"""Smallest short side of a picture in pixels, at which an outline is a thin line."""

Plane = NDArray[np.uint8]
Planes = tuple[Plane | None, Plane | None, Plane | None]


def mask_galleries(
    jobs: Sequence[JobRecord],
    test: Predictions,
    metric: str,
    higher_is_better: bool,
    folder: Path,
    most: int = 6,
    audit: RunFolder | None = None,
    label: str | None = None,
) -> list[Gallery]:
    """Show worst, typical and best cases of one arm by the mean of `metric` over its runs.

    The outline is of all regions together in the arm's first run; missing files give examples without outlines.
    audit: whose images and masks are pictured instead of those in the folder. label: what the
    metric is called; None: as everywhere, with its unit.
    """
    if metric not in test.metrics or not jobs:
        return []
    cases, member = np.unique(test.case, return_inverse=True)
    means = np.bincount(member, test.metrics[metric]) / np.bincount(member)
    # A stable sort keeps ties in the order of the cases, so that a report made again shows the same pictures.
    order = np.argsort(means if higher_is_better else -means, kind="stable")
    label = label or described(metric).heading
    planes = _planes(folder, jobs[0]) if audit is None else _planes_of_audit(audit, jobs[0].arm)
    middle = order[max(0, (len(order) - most) // 2) :][:most]
    chosen = [("The worst", order[:most]), ("The middle", middle), ("The best", order[::-1][:most])]
    # In a small cohort the middle overlaps the ends; a case is shown once.
    shown: set[str] = set()
    galleries = []
    for title, rows in chosen if len(cases) > most else [("All, worst first", order)]:
        names = [(str(cases[k]), float(means[k])) for k in rows if str(cases[k]) not in shown]
        shown |= {name for name, _ in names}
        examples = [
            Example(
                case, "outlined", "outlined", value, outlined(*planes(case)),
                f"{label} {number(value)}",
            )
            for case, value in names
        ]  # fmt: skip
        galleries.append(Gallery(title, tuple(examples), len(examples)))
    return galleries


def _planes(folder: Path, job: JobRecord) -> Callable[[str], Planes]:
    """Return a function that gives a case's picture, truth and answer, as a run keeps them."""
    kept = read_planes(folder / THUMBNAILS), read_planes(folder / TRUTHS), read_slices(folder, job)
    return lambda case: (kept[0].get(case), kept[1].get(case), kept[2].get(case))


def _planes_of_audit(run: RunFolder, arm: str) -> Callable[[str], Planes]:
    """Return the same of an audit, whose pictures are read when they are asked for."""

    def planes(case: str) -> Planes:
        """Return the planes of one case; no mask is read without a picture to draw it on."""
        grey = run.thumbnails.get(case)
        if grey is None:
            return None, None, None
        return grey[..., 0] if grey.ndim == 3 else grey, run.outlines.get(("", case)), run.outlines.get((arm, case))

    return planes


def outlined(grey: Plane | None, truth: Plane | None, answer: Plane | None) -> str | None:
    """Draw a grey slice (h, w) with the outlines of two masks as a PNG data URI; None without the slice."""
    if grey is None:
        return None
    factor = max(1, -(-SHORT_SIDE // min(grey.shape)))
    picture = np.repeat(_enlarged(grey, factor)[..., None], 3, axis=2)
    for mask, colour in ((truth, TRUTH_RGB), (answer, ANSWER_RGB)):
        if mask is not None and mask.shape == grey.shape:
            picture[_edge(_enlarged((mask > 0).astype(np.uint8), factor) > 0)] = colour
    return png_uri(picture)


def _enlarged(plane: Plane, factor: int) -> Plane:
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the two outermost pixels of a mask."""
    inner: NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=2)
    return mask & ~inner
