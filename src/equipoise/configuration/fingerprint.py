"""The fingerprint of a cohort: sizes, spacings, intensities and classes of its case cards in a few numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCard
from equipoise.cohorts.cohort import IGNORED
from equipoise.cohorts.grids import Grids
from equipoise.configuration.modality import modality


@dataclass(frozen=True)
class Fingerprint(Grids):
    """What the rules know of a cohort.

    masks, findings: whether cases have masks, and whether their parts are detected one by one.
    shapes, spacings: (cases, axes) in voxels and mm, in array order; spacing_stated: False where mm are pixels.
    modality: see `modality.modality`. window: the 0.5th and 99.5th percentile within the foreground, medians over cases
        and channels, or of whole images without masks. class_names: background first where there are masks.
    foreground: median share of an image's voxels in any class but the background; 0 without masks.
    rarest: the rarest class's median share of the voxels of the cases that show it, or its share of the cases.
    """

    masks: bool
    findings: bool
    cases: int
    patients: int
    channels: tuple[str, ...]
    class_names: tuple[str, ...]
    modality: str
    shapes: NDArray[np.int64]
    spacings: NDArray[np.float64]
    spacing_stated: bool
    window: tuple[float, float]
    foreground: float
    rarest: float

    def as_json(self) -> dict[str, Any]:
        """Return the fingerprint for the record: medians and ranges."""
        return {
            "cases": self.cases,
            "patients": self.patients,
            "channels": list(self.channels),
            "modality": self.modality,
            "median_shape": np.median(self.shapes, axis=0).tolist(),
            "smallest_shape": self.shapes.min(axis=0).tolist(),
            "largest_shape": self.shapes.max(axis=0).tolist(),
            "median_spacing_mm" if self.spacing_stated else "median_spacing_pixels": self.spacing_mm.tolist(),
            "window": list(self.window),
            "foreground": self.foreground,
            "rarest_class": self.rarest,
        }


def fingerprint(cohort: Cohort, cards: Sequence[CaseCard], chosen: Iterable[int] | None = None) -> Fingerprint:
    """Return the fingerprint of a cohort from its cards.

    chosen: cases whose intensities and masks count, such as those of the training part; by default all. Shapes,
    spacings and labels are known before a test set is opened, and are taken from all cases.
    """
    within = range(len(cards)) if chosen is None else [int(index) for index in chosen]
    some = [cards[index] for index in within]
    task = cohort.task_record
    return Fingerprint(
        masks=task.has_masks,
        findings=task.has_findings,
        cases=len(cohort),
        patients=len(set(cohort.patients.tolist())),
        channels=cohort.channels,
        class_names=cohort.classes,
        modality=modality(cohort.channels, [card.levels for card in some], [card.values for card in some]),
        shapes=np.array([card.shape[1:] for card in cards], np.int64),
        spacings=np.array([card.spacing_mm for card in cards], np.float64),
        spacing_stated=cohort.spacing_stated,
        window=_window(some),
        foreground=_foreground(some) if task.has_masks else 0.0,
        rarest=_rarest_voxels(some, len(cohort.classes)) if task.has_masks else _rarest_label(cohort),
    )


def _window(cards: Sequence[CaseCard]) -> tuple[float, float]:
    levels = [level for card in cards for level in (card.inside or card.levels)]
    low, _, high = np.median(np.array(levels), axis=0).tolist()
    return float(low), float(high)


def _shares(card: CaseCard) -> dict[int, float]:
    """Return every class's share of the labelled voxels of a case."""
    counts = {int(value): n for value, n in (card.label_voxels or {}).items() if int(value) != IGNORED}
    total = sum(counts.values()) or 1
    return {value: n / total for value, n in counts.items()}


def _foreground(cards: Sequence[CaseCard]) -> float:
    return float(np.median([1 - _shares(card).get(0, 0.0) for card in cards]))


def _rarest_voxels(cards: Sequence[CaseCard], classes: int) -> float:
    shares = [_shares(card) for card in cards]
    of_class = [[share[value] for share in shares if value in share] for value in range(1, classes)]
    return min((float(np.median(values)) for values in of_class if values), default=0.0)


def _rarest_label(cohort: Cohort) -> float:
    counts = list(cohort.class_counts().values())
    return min(counts) / max(sum(counts), 1) if counts else 1.0
