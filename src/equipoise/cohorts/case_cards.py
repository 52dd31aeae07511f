"""Case cards: all facts about an image that check, leak search and report pages need, from one read of the image.

Cards are kept in the user's cache by the hashes of the case's files, the settings of its source and the code that
reads it, so a trial that was checked does not read its images again before it trains. The cache cannot change a
result: a damaged entry counts as absent, and one that cannot be written costs a second read.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import SIDE, Bytes, from_png, outlined, pictures, png
from equipoise.cohorts.cohort import IGNORED, Case, Cohort, Image
from equipoise.cohorts.detail import channel_tells, values_of
from equipoise.cohorts.pixel_identity import pixel_identities
from equipoise.cohorts.store import code_of_readers, content_key, load, save
from equipoise.progress import Watch, silent

SCHEMA = 4
MOST_SHOWN = 4096
"""Largest cohort whose cards hold display pictures (10 kB each); of larger cohorts, a page shows only a few cases."""
MOST_TOGETHER, MOST_ENTRIES = 1024, 256
"""Cases per cache entry; and entries per cohort, above which cases of several files share an entry."""
_TIDY_EVERY = 64
"""Entries between two checks of the cache's size, each of which lists the whole folder."""


@dataclass(frozen=True)
class CaseCard:
    """Facts about an image from one read.

    shape: of the array (channel, *spatial). label_voxels: voxels by mask value; None without a mask.
    levels: per channel the 1st percentile, median and 99th percentile. digest: SHA-256 of shape and pixels.
    inside: per channel the 0.5th percentile, median and 99.5th percentile within all classes but the background; empty
        without such voxels.
    values: number of distinct values among at most 32,768 of the array. picture: 64 × 64, for the similarity search.
    shown: the display picture as a PNG file, compressed for speed and not for size; empty where the cohort has too many
        cases to keep pictures.
    identity: the hash of the pixels however a file holds them, by `pixel_identity`; empty where it was not made.
    channels: the same of each channel alone, empty where it is too plain to tell one image from another (constant, a
        simple shape); () of an image of one channel, or of equal ones, whose channel has the hash of the whole.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    label_voxels: dict[str, int] | None
    levels: tuple[tuple[float, ...], ...]
    digest: bytes
    values: int
    picture: Bytes
    shown: bytes = b""
    inside: tuple[tuple[float, ...], ...] = ()
    identity: str = ""
    channels: tuple[str, ...] = ()


def card_of(image: Image, *, shown: bool = True) -> CaseCard:
    """Make the card of an image; shown: with its display picture."""
    array, voxels = image.array, None
    if image.mask is not None:
        values, counts = np.unique(image.mask, return_counts=True)
        voxels = {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}
    digest = hashlib.sha256(f"{array.shape}".encode())
    # As float64, so that equal pixels of another dtype (uint8, int16) have an equal digest.
    digest.update(np.ascontiguousarray(array, dtype=np.float64).data)
    whole, alone = pictures(array)
    identity, channels = pixel_identities(array)
    return CaseCard(
        shape=tuple(map(int, array.shape)),
        spacing_mm=tuple(map(float, image.spacing_mm)),
        label_voxels=voxels,
        levels=tuple(map(levels_of, array)),
        digest=digest.digest(),
        values=values_of(array),
        picture=whole,
        shown=png(outlined(image), small=False) if shown else b"",
        inside=_levels_inside(image),
        identity=identity,
        channels=tuple(
            one if channel_tells(channel, small) else ""
            for one, channel, small in zip(channels, array, alone, strict=bool(channels))
        ),
    )


def _levels_inside(image: Image) -> tuple[tuple[float, ...], ...]:
    if image.mask is None:
        return ()
    inside = (image.mask > 0) & (image.mask != IGNORED)
    return tuple(levels_of(channel[inside], (0.5, 50, 99.5)) for channel in image.array) if inside.any() else ()


def levels_of(channel: NDArray[Any], percentiles: Sequence[float] = (1, 50, 99)) -> tuple[float, ...]:
    """Return percentiles of a channel from at most 65,536 of its values; 0 where it has none."""
    values = channel.reshape(-1)[:: max(1, channel.size // 2**16)].astype(np.float64)
    values = values[np.isfinite(values)]
    return tuple(round(level, 6) for level in _quantiles(values, percentiles)) if len(values) else (0.0,) * 3


def _quantiles(values: NDArray[np.float64], percentiles: Sequence[float]) -> Iterator[float]:
    """Yield what `np.percentile` gives, to the last bit; for small pictures its own checks take most of its time."""
    places = [(len(values) - 1) * (percentile / 100) for percentile in percentiles]
    ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, len(values) - 1))})
    ordered = np.partition(values, ranks)
    for place in places:
        low, high = float(ordered[int(place)]), float(ordered[min(int(place) + 1, len(values) - 1)])
        share = place - int(place)
        yield low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


class CaseCards:
    """The cards of a cohort, in the order of its cases; the first access makes or fetches all of them.

    folder: the cache, by default the user's. remark: after that, why the cache could not keep cards; else None.
    """

    def __init__(self, cohort: Cohort, watch: Watch = silent, folder: Path | None = None) -> None:
        self.cohort = cohort
        self.watch = watch
        self.folder = folder
        self.remark: str | None = None
        self._cards: list[CaseCard] = []
        self._pictures: Bytes = np.zeros((0, SIDE, SIDE), np.uint8)

    def through(self, cohort: Cohort) -> "CaseCards":
        """Return the same cards, made from the images of `cohort`, which must hold the same cases in the same order."""
        other = CaseCards(cohort, self.watch, self.folder)
        other.remark, other._cards, other._pictures = self.remark, self._cards, self._pictures
        return other

    def all(self) -> Sequence[CaseCard]:
        """Return every card; raises CohortError for an image that cannot be read."""
        if not self._cards:
            self._cards = list(self._looked_up())
        return self._cards

    def pictures(self) -> Bytes:
        """Return the pictures of all cards, (cases, 64, 64); the cards' own are views of it."""
        self.all()
        return self._pictures

    def shown(self, index: int) -> Bytes:
        """Return the display picture of one case, (h, w, 3); reads its image again where the cards hold no pictures."""
        kept = self.all()[index].shown
        return from_png(kept) if kept else outlined(self.cohort.cases[index].read())

    def _looked_up(self) -> Iterator[CaseCard]:
        done, entries = 0, list(_entries(self.cohort.cases))
        # One array that the search for leaks can take as it is: of 100,000 cases a second one has 400 MB.
        self._pictures = np.empty((len(self.cohort), SIDE, SIDE), np.uint8)
        for number, cases in enumerate(entries, start=1):
            key = _key(self.cohort.recipe, cases, self._keeps)
            room = self._pictures[done : done + len(cases)]
            cards = None if key is None else _fetched(key, room, self.folder)
            if cards is None:
                # Saved entry by entry: a check of a large cohort that is interrupted keeps what it has read.
                cards = _placed(self._read(cases, done), room)
                tidy = number % _TIDY_EVERY == 0 or number == len(entries)
                reason = None if key is None else save(key, _packed(cards), self.folder, compress=False, evict=tidy)
                self.remark = self.remark or reason
            else:  # `_read` has told of every case
                self.watch("reading cases", done + len(cases), len(self.cohort))
            done += len(cases)
            yield from cards

    @property
    def _keeps(self) -> bool:
        return len(self.cohort) <= MOST_SHOWN

    def _read(self, cases: Sequence[Case], done: int) -> Iterator[CaseCard]:
        for number, case in enumerate(cases, start=1):
            yield card_of(case.read(), shown=self._keeps)
            self.watch("reading cases", done + number, len(self.cohort))


def _entries(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """Divide the cases, in order, into cache entries: the cases of each file together, or of several files if many."""
    # By file, because one array file may hold thousands of cases, whose single entries would each take a disk access.
    by_file = [list(group) for _, group in groupby(cases, key=lambda case: list(case.sha256.items()))]
    # A power of two, so that a cohort that grows a little keeps its entries: 257 files or 300 are joined alike.
    joined = 1 << max(0, -(-len(by_file) // MOST_ENTRIES) - 1).bit_length()
    for start in range(0, len(by_file), joined):
        together = [case for group in by_file[start : start + joined] for case in group]
        for first in range(0, len(together), MOST_TOGETHER):
            yield together[first : first + MOST_TOGETHER]


def _key(recipe: str | None, cases: Sequence[Case], shown: bool) -> str | None:
    """Return a hash of everything the cards depend on; None where that is not known, so they cannot be kept."""
    if recipe is None or not all(case.sha256 for case in cases):
        return None
    facts = [
        [case.id, case.label, case.part, list(case.sha256.items()), repr(sorted(case.attributes.items()))]
        for case in cases
    ]
    return content_key(schema=SCHEMA, code=code_of_readers(), recipe=recipe, shown=shown, cases=facts)


_FACTS = ("shape", "spacing_mm", "label_voxels", "levels", "values", "inside", "identity", "channels")


def _packed(cards: Sequence[CaseCard]) -> dict[str, NDArray[Any]]:
    """Convert cards to arrays; the display pictures lie one after another in one array of bytes."""
    facts = [{name: getattr(card, name) for name in _FACTS} | {"bytes": len(card.shown)} for card in cards]
    return {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "digests": np.frombuffer(b"".join(card.digest for card in cards), np.uint8).reshape(len(cards), -1),
        "pictures": np.stack([card.picture for card in cards]),
        "shown": np.frombuffer(b"".join(card.shown for card in cards), np.uint8),
    }


def _placed(cards: Iterable[CaseCard], room: Bytes) -> list[CaseCard]:
    """Return the cards with their pictures in the rows of `room`."""
    placed = []
    for row, card in zip(room, cards, strict=True):
        row[:] = card.picture
        placed.append(replace(card, picture=row))
    return placed


def _fetched(key: str, room: Bytes, folder: Path | None) -> list[CaseCard] | None:
    """Load the cards of an entry, their pictures into `room`; None where there is none or its content is not valid."""
    arrays = load(key, folder)
    try:
        return None if arrays is None else _unpacked(arrays, room)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _unpacked(arrays: dict[str, NDArray[Any]], room: Bytes) -> list[CaseCard]:
    cases = len(room)
    facts: list[dict[str, Any]] = json.loads(arrays["facts"].tobytes())
    pictures, shown = arrays["pictures"], arrays["shown"].tobytes()
    if len(facts) != cases or pictures.shape != (cases, SIDE, SIDE) or arrays["digests"].shape != (cases, 32):
        raise ValueError("the entry holds other cases")
    room[:] = pictures
    ends = np.cumsum([0, *(fact["bytes"] for fact in facts)])
    return [
        CaseCard(
            shape=tuple(fact["shape"]),
            spacing_mm=tuple(fact["spacing_mm"]),
            label_voxels=fact["label_voxels"],
            levels=tuple(map(tuple, fact["levels"])),
            values=fact["values"],
            inside=tuple(map(tuple, fact["inside"])),
            identity=str(fact["identity"]),
            channels=tuple(map(str, fact["channels"])),
            digest=arrays["digests"][index].tobytes(),
            picture=room[index],
            shown=shown[ends[index] : ends[index + 1]],
        )
        for index, fact in enumerate(facts)
    ]
