"""Masks that are unlike all others, and classes that fill every image."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.cohorts.case_cards import CaseCards, card_of
from equipoise.report.pages.cohort_page import class_shares, summary
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.mask_shares import mask_doubts

USUAL = np.linspace(0.001, 0.08, 60)
PIXELS = 10_000


def doubts(foreground, *, named=True):
    """Return the sentences on masks of two classes with these shares of the image."""
    cohort = phantom(task="segmentation", cases=len(foreground), size=16)
    card = card_of(cohort.cases[0].read(), shown=False)
    voxels = [round(PIXELS * share) for share in foreground]
    # As `np.unique` counts: a value that does not occur has no entry.
    cards = [replace(card, label_voxels={k: n for k, n in (("0", PIXELS - one), ("1", one)) if n}) for one in voxels]
    return mask_doubts(replace(cohort, classes=("background", "tumour")), cards, named=named)


def among(*odd, usual=USUAL):
    return [*usual[:10], *odd, *usual[10:]]


@pytest.mark.parametrize(
    ("foreground", "odd"),
    [
        (among(0.99), 1),
        (among(1.0), 1),
        (among(0.99, 0.985, 0.95), 3),
        (among(0.6), 0),  # a rare large tumour: what it leaves out is no usual mask
        (among(0.45), 0),
        (among(0.0), 0),
        (among(0.99, usual=np.linspace(0.001, 0.6, 60)), 0),
        (among(*[0.99] * 10), 0),  # many are another kind of case
        ([0.99, *USUAL[:8]], 0),
    ],
)
def test_an_inverted_mask_is_named_and_a_large_tumour_is_not(foreground, odd):
    sentences = doubts(foreground)
    assert [one.split(" fill")[0] for one in sentences] == ([f"Of {len(foreground)} masks {odd}"] if odd else [])
    if odd:
        assert "'phantom-00010'" in sentences[0]
        assert "no other more than 8 %" in sentences[0]
        assert "phantom" not in doubts(foreground, named=False)[0]


@pytest.mark.parametrize(("least", "warned"), [(0.92, True), (0.3, False)])
def test_a_class_that_fills_every_image_is_asked_about(least, warned):
    sentences = doubts(np.linspace(least, 0.999, 20))
    assert [one[:51] for one in sentences] == ["The class 'tumour' fills at least 92 % of every ima"] * warned


def test_check_has_a_line_with_the_share_of_every_class_and_region():
    cohort = phantom(task="segmentation", cases=4, size=16)
    cards = CaseCards(cohort).all()
    cohort = replace(cohort, regions={"both": (0, 1)})
    facts = {"shape": [1, 16, 16], "spacing_mm": [1.0, 1.0], "intensity": {key: [0, 1, 2] for key in cohort.channels}}
    line = next(one for one in summary(cohort, [facts | {"label_voxels": card.label_voxels} for card in cards])
                if one.startswith("share of the image"))  # fmt: skip
    masks = [case.read().mask for case in cohort.cases]
    for value, name in enumerate(cohort.classes):
        assert f"{name} {100 * np.median([(mask == value).mean() for mask in masks]):.3g} %" in line
    assert ", both " in line
    assert class_shares({"0": 3, "1": 1, "255": 9}, 2) == [0.75, 0.25]
