"""A card for each case: all that check, leak search and pages want to know of its image, made in one read of it.

Cards are kept in the user's cache by the hashes of the case's files, the settings of its source and the code that
reads it, so a trial that was checked does not read its images again before it trains. The cache never decides: an
entry that is damaged counts as absent, and one that cannot be written costs a second read.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import SIDE, Bytes, from_png, outlined, picture, png
from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.store import code_of_readers, content_key, load, save
from equipoise.progress import Watch, silent

SCHEMA = 1
MOST_SHOWN = 4096
"""Cases up to which a cohort's cards hold pictures for people (10 kB each); of more cases a page shows few."""
MOST_TOGETHER, MOST_ENTRIES = 1024, 4096
"""Cases of one entry of the cache; entries of one cohort, above which cases of several files share one."""
_TIDY_EVERY = 64
"""Entries between two looks at the size of the cache, which list all of it."""
_MOST_VALUES = 2**15
"""Values of an image among which different ones are counted."""


@dataclass(frozen=True)
class CaseCard:
    """What one read of an image tells.

    shape: of the array (channel, *spatial). label_voxels: voxels by mask value; None without a mask.
    levels: per channel the 1st percentile, median and 99th percentile. digest: SHA-256 of shape and pixels.
    values: different values among at most 32,768 of the array. picture: 64 × 64, what likeness is told by.
    shown: the picture for people, as a PNG file that was made fast and not small; empty where the cohort has too many
        cases to keep them.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    label_voxels: dict[str, int] | None
    levels: tuple[tuple[float, ...], ...]
    digest: bytes
    values: int
    picture: Bytes
    shown: bytes = b""


def card_of(image: Image, *, shown: bool = True) -> CaseCard:
    """The card of an image; shown: with the picture for people."""
    array, voxels = image.array, None
    if image.mask is not None:
        values, counts = np.unique(image.mask, return_counts=True)
        voxels = {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}
    content = f"{array.shape}".encode() + np.ascontiguousarray(array, dtype=np.float64).tobytes()
    return CaseCard(
        shape=tuple(map(int, array.shape)),
        spacing_mm=tuple(map(float, image.spacing_mm)),
        label_voxels=voxels,
        levels=tuple(map(_levels, array)),
        digest=hashlib.sha256(content).digest(),
        values=len(np.unique(array.reshape(-1)[:: max(1, array.size // _MOST_VALUES)])),
        picture=picture(array),
        shown=png(outlined(image), small=False) if shown else b"",
    )


def _levels(channel: NDArray[Any]) -> tuple[float, ...]:
    """The 1st percentile, median and 99th percentile of a channel, from at most 65,536 of its finite values."""
    values = channel.reshape(-1)[:: max(1, channel.size // 2**16)].astype(np.float64)
    values = values[np.isfinite(values)]
    return tuple(round(float(level), 6) for level in np.percentile(values, [1, 50, 99])) if len(values) else (0.0,) * 3


class CaseCards:
    """The cards of a cohort, in the order of its cases; the first look at one makes or fetches all.

    folder: the cache, by default the user's. remark: after a look, why the cache could not keep cards; else None.
    """

    def __init__(self, cohort: Cohort, watch: Watch = silent, folder: Path | None = None) -> None:
        self.cohort = cohort
        self.watch = watch
        self.folder = folder
        self.remark: str | None = None
        self._cards: list[CaseCard] = []

    def through(self, cohort: Cohort) -> "CaseCards":
        """The same cards, those that are still to be made from the images of this cohort: the same cases in order."""
        other = CaseCards(cohort, self.watch, self.folder)
        other.remark, other._cards = self.remark, self._cards
        return other

    def all(self) -> Sequence[CaseCard]:
        """Every card; raises CohortError for an image that cannot be read."""
        if not self._cards:
            self._cards = list(self._looked_up())
        return self._cards

    def shown(self, index: int) -> Bytes:
        """The picture of one case for people, (h, w, 3); its image is read again where the cards hold no pictures."""
        kept = self.all()[index].shown
        return from_png(kept) if kept else outlined(self.cohort.cases[index].read())

    def _looked_up(self) -> Iterator[CaseCard]:
        done, entries = 0, list(_entries(self.cohort.cases))
        for number, cases in enumerate(entries, start=1):
            key = _key(self.cohort.recipe, cases, self._keeps)
            cards = None if key is None else _fetched(key, len(cases), self.folder)
            if cards is None:
                cards = list(self._read(cases, done))
                tidy = number % _TIDY_EVERY == 0 or number == len(entries)
                reason = None if key is None else save(key, _packed(cards), self.folder, evict=tidy)
                self.remark = self.remark or reason
            done += len(cases)
            self.watch("reading cases", done, len(self.cohort))
            yield from cards

    @property
    def _keeps(self) -> bool:
        return len(self.cohort) <= MOST_SHOWN

    def _read(self, cases: Sequence[Case], done: int) -> Iterator[CaseCard]:
        for number, case in enumerate(cases, start=1):
            yield card_of(case.read(), shown=self._keeps)
            self.watch("reading cases", done + number, len(self.cohort))


def _entries(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """The cases in order, divided into what one entry of the cache holds: cases of the same files, if these are few."""
    by_file = [list(group) for _, group in groupby(cases, key=lambda case: list(case.sha256.items()))]
    joined = -(-len(by_file) // MOST_ENTRIES)
    for start in range(0, len(by_file), joined):
        together = [case for group in by_file[start : start + joined] for case in group]
        for first in range(0, len(together), MOST_TOGETHER):
            yield together[first : first + MOST_TOGETHER]


def _key(recipe: str | None, cases: Sequence[Case], shown: bool) -> str | None:
    """What the cards follow from; None where that is not known, so that they may not be kept."""
    if recipe is None or not all(case.sha256 for case in cases):
        return None
    facts = [
        [case.id, case.label, case.part, list(case.sha256.items()), repr(sorted(case.attributes.items()))]
        for case in cases
    ]
    return content_key(schema=SCHEMA, code=code_of_readers(), recipe=recipe, shown=shown, cases=facts)


_FACTS = ("shape", "spacing_mm", "label_voxels", "levels", "values")


def _packed(cards: Sequence[CaseCard]) -> dict[str, NDArray[Any]]:
    """Cards as arrays; the pictures for people one after another in one array of bytes."""
    facts = [{name: getattr(card, name) for name in _FACTS} | {"bytes": len(card.shown)} for card in cards]
    return {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "digests": np.frombuffer(b"".join(card.digest for card in cards), np.uint8).reshape(len(cards), -1),
        "pictures": np.stack([card.picture for card in cards]),
        "shown": np.frombuffer(b"".join(card.shown for card in cards), np.uint8),
    }


def _fetched(key: str, cases: int, folder: Path | None) -> list[CaseCard] | None:
    """The cards of an entry; None where there is none, or it is not one."""
    arrays = load(key, folder)
    try:
        return None if arrays is None else _unpacked(arrays, cases)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _unpacked(arrays: dict[str, NDArray[Any]], cases: int) -> list[CaseCard]:
    facts: list[dict[str, Any]] = json.loads(arrays["facts"].tobytes())
    pictures, shown = arrays["pictures"], arrays["shown"].tobytes()
    if len(facts) != cases or pictures.shape != (cases, SIDE, SIDE) or arrays["digests"].shape != (cases, 32):
        raise ValueError("the entry holds other cases")
    ends = np.cumsum([0, *(fact["bytes"] for fact in facts)])
    return [
        CaseCard(
            shape=tuple(fact["shape"]),
            spacing_mm=tuple(fact["spacing_mm"]),
            label_voxels=fact["label_voxels"],
            levels=tuple(map(tuple, fact["levels"])),
            values=fact["values"],
            digest=arrays["digests"][index].tobytes(),
            picture=pictures[index],
            shown=shown[ends[index] : ends[index + 1]],
        )
        for index, fact in enumerate(facts)
    ]
