"""What share of the images the masks take, and masks or classes whose share shows that they may be wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCard
from equipoise.report.pages.cohort_page import class_shares
from equipoise.report.text.doubtful_truths import covering_class, unlike_mask

_FEWEST, _RARE_SHARE = 10, 0.05
"""Masks from which it can be told that one is unlike all others, and the share of them up to which some are."""
_MOST = 0.5
"""Share of an image above which a mask may be inverted, or a class be the background."""


def mask_doubts(cohort: Cohort, cards: Sequence[CaseCard], *, named: bool) -> list[str]:
    """Return the sentences on masks and classes that look wrong; named: with the cases."""
    with_mask = [(case.id, card) for case, card in zip(cohort.cases, cards, strict=True) if card.label_voxels]
    if len(with_mask) < _FEWEST:
        return []
    shares = np.array([class_shares(card.label_voxels or {}, len(cohort.classes)) for _, card in with_mask])
    return _unlike([case for case, _ in with_mask], 1 - shares[:, 0], named) + _covering(cohort.classes, shares)


def _unlike(cases: Sequence[str], foreground: NDArray[np.float64], named: bool) -> list[str]:
    """Return the sentence on few masks that fill most of the image while all others are far smaller.

    A rare large structure is none: of an inverted mask, what it leaves out is as small as the other masks are.
    """
    large = foreground > _MOST
    if not 0 < large.sum() <= max(1, int(_RARE_SHARE * len(cases))):
        return []
    most = float(foreground[~large].max())
    large &= (foreground >= 2 * most) & (1 - foreground <= most)
    if not large.any():
        return []
    names = [case for case, is_large in zip(cases, large, strict=True) if is_large]
    return [unlike_mask(names, len(cases), float(foreground[large].min()), most, named=named)]


def _covering(classes: Sequence[str], shares: NDArray[np.float64]) -> list[str]:
    """Return a sentence on a class that fills most of every image."""
    return [
        covering_class(name, float(share.min()), float(np.median(share)))
        for name, share in zip(classes[1:], shares.T[1:], strict=True)
        if share.min() > _MOST
    ]
