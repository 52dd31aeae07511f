"""Refuse an arm of masks whose labels look exchanged, or coded unlike the truth's: its Dice is that of a code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.exchanged_classes import Exchange, exchanged
from equipoise.evaluation.external.mask_file import MaskFile

BACKGROUND = "the background"
_MOST_CODES = 1024
"""Labels up to here are counted by their pair's number, others by sorting."""
Sizes = dict[str, int]


@dataclass
class _Fits:
    """Of one arm and folder: case, true structure, and the Dice of every predicted structure with it."""

    case: list[str] = field(default_factory=list)
    true: list[str] = field(default_factory=list)
    dice: list[dict[str, float]] = field(default_factory=list)


class LabelFits:
    """How well every predicted structure fits every true one, by arm and folder; filled while masks are read.

    regions: name → labels or channels; without labels each label is a structure.
    """

    def __init__(self, regions: Mapping[str, tuple[int, ...]]) -> None:
        self._regions = regions if all(regions.values()) else {}
        self._fits: dict[tuple[str, Path], _Fits] = {}

    def add(self, arm: str, case: str, truth: MaskFile, prediction: MaskFile) -> None:
        """Count one pair of masks on one grid."""
        true, predicted, both = self._counts(truth, prediction)
        own = self._fits.setdefault((arm, prediction.path.parent), _Fits())
        for one, size in true.items():
            own.case.append(case)
            own.true.append(one)
            own.dice.append({
                other: 2 * both.get((one, other), 0) / (size + count) for other, count in predicted.items()
            })  # fmt: skip

    def refuse_exchanged(self) -> None:
        """Raise PredictionError, which asks, for the first arm that another reading of its labels fits far better."""
        for (arm, folder), own in self._fits.items():
            # Structures of the truth first: the k-th column stands for the k-th of them.
            true = [one for one in dict.fromkeys(own.true) if one in self._regions or not self._regions]
            true = [one for one in true if one != BACKGROUND] + [BACKGROUND]
            columns = [*true, *dict.fromkeys(one for row in own.dice for one in row if one not in true)]
            rows = [k for k, one in enumerate(own.true) if one in true]
            values = np.array([[own.dice[k].get(one, 0.0) for one in columns] for k in rows])
            index = np.array([true.index(own.true[k]) for k in rows])
            change = exchanged(index, values, np.array([own.case[k] for k in rows]), len(true))
            if change is not None:
                raise PredictionError(_question(change, columns, arm, folder))

    def _counts(self, truth: MaskFile, prediction: MaskFile) -> tuple[Sizes, Sizes, dict[tuple[str, str], int]]:
        """Return the voxels of every true and predicted structure, and those that two of them share."""
        pairs, counts = _pairs(truth.voxels, prediction.voxels)
        true: Sizes = {}
        predicted: Sizes = {}
        both: dict[tuple[str, str], int] = {}
        for (a, b), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            of_truth, of_prediction = self._of(a, truth.channels), self._of(b, prediction.channels)
            for one in of_truth:
                true[one] = true.get(one, 0) + count
            for other in of_prediction:
                predicted[other] = predicted.get(other, 0) + count
            for one in of_truth:
                for other in of_prediction:
                    both[one, other] = both.get((one, other), 0) + count
        return true, predicted, both

    def _of(self, code: int, channels: int) -> list[str]:
        """Return the structures that a voxel of this value belongs to."""
        if not code:
            return [BACKGROUND]
        labels = [c for c in range(channels) if code >> c & 1] if channels else [code]
        word = "channel" if channels else "label"
        named = [name for name, own in self._regions.items() if set(own) & set(labels)]
        return named or [f"{word} {label}" for label in labels]


def _pairs(true: NDArray[np.int32], predicted: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of values (pairs, 2) that voxels have in two masks, and their numbers of voxels."""
    marked = (true != 0) | (predicted != 0)
    a, b = true[marked].astype(np.int64), predicted[marked].astype(np.int64)
    rest = true.size - len(a)
    if len(a) and min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) < _MOST_CODES:
        width = int(b.max()) + 1
        numbers = np.bincount(a * width + b)
        seen = np.flatnonzero(numbers)
        pairs, counts = np.stack([seen // width, seen % width], axis=1), numbers[seen]
    else:
        pairs, counts = np.unique(np.stack([a, b], axis=1), axis=0, return_counts=True)
    if not rest:
        return pairs, counts
    return np.concatenate([pairs.reshape(-1, 2), [[0, 0]]]), np.append(counts, rest)


def _question(change: Exchange, columns: Iterable[str], arm: str, folder: Path) -> str:
    names = list(columns)
    pairs = ", ".join(f"{names[p]} fits {names[t]} of the truth" for t, p in change.moved)
    return (
        f"in the masks of arm {arm!r} in {folder} {pairs}: Dice would be {change.exchanged:.3f} in place of "
        f"{change.stands:.3f}, as if labels were exchanged or coded differently; save all masks with one code, or "
        "confirm that they are right (--below-chance)"
    )
