"""By what test cases are recognised when another trial opens them: their files, their pixels, and their cohort."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCard
from equipoise.cohorts.detail import EQUAL_BYTES, detail_of
from equipoise.cohorts.splits.shared_channels import channels_of, common_channels, image_files
from equipoise.cohorts.splits.split import Fold

DIGITS = 16


@dataclass(frozen=True)
class OpenedCases:
    """The test cases of a trial, each once, in the order of the cohort.

    files: a hash of the files of each, of whatever name. pixels: a hash of the pixels of each as they are read; empty
    where they are not known, or too simple to tell one image from another. views: the same, however a file holds them
    (`pixel_identity`); earlier versions kept none. images: a hash of the pixels of the whole cohort, in any
    order; empty where not known. trained: of each fold, the cases that its jobs are trained and validated on.
    validated: of each fold, those that its jobs are validated on.
    parts: of each, hashes of the files and channels of its image of which each alone is a part of it, as one modality
    is; earlier versions kept none.
    """

    files: tuple[str, ...]
    pixels: tuple[str, ...]
    images: str = ""
    trained: tuple["OpenedCases", ...] = ()
    views: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    validated: tuple["OpenedCases", ...] = ()

    def shared_with(self, files: Iterable[str], pixels: Iterable[str], parts: Iterable[str] = ()) -> int:
        """Return how many of these test cases are among others, by any of their files or by the pixels of any channel.

        pixels: of the others, with their views. parts: of the others, none where an earlier version recorded them.
        """
        # The hash of one file, or of one channel, is that of a whole image that has no other.
        seen = {*files, *pixels, *parts} - {""}
        none: tuple[str, ...] = ("",) * len(self.files)
        rows = zip(self.files, self.pixels, self.views or none, self.parts or ((),) * len(self.files), strict=True)
        return sum(not seen.isdisjoint((file, pixel, view, *some)) for file, pixel, view, some in rows)

    @property
    def pixels_to_keep(self) -> list[str]:
        """Return the hashes of pixels by which a later trial recognises these cases, of both kinds."""
        return [*self.pixels, *self.views]

    @property
    def parts_to_keep(self) -> list[str]:
        """Return the hashes of single files and channels by which a later trial recognises these cases."""
        return sorted(set(chain.from_iterable(self.parts)))


def opened_cases(
    cohort: Cohort, folds: Iterable[Fold], cards: Sequence[CaseCard] | None = None, *, with_training: bool = True
) -> OpenedCases:
    """Return the test cases of all folds, and what each trains on.

    cards: of the cohort, where its images were read. with_training: False leaves out what each trains on, which of many
    cases takes nine tenths of the time.
    """
    folds = list(folds)
    files = [json.dumps(sorted(case.sha256.values())) for case in cohort.cases]
    # One table of pixels may hold all cases; their names tell them apart then.
    shared = Counter(files)
    parts = _Parts(cohort, cards)

    def of(indices: Iterable[int]) -> OpenedCases:
        """Return these cases of the cohort, each once."""
        chosen = sorted({int(index) for index in indices})
        known = tuple(_files(cohort, chosen, cards, files, shared))
        hashes = [("", "") if cards is None else _pixels(cards[index]) for index in chosen]
        pixels, views = (tuple(column) for column in (zip(*hashes, strict=True) if hashes else ((), ())))
        single = zip(chosen, known, views, strict=True)
        return OpenedCases(known, pixels, views=views, parts=tuple(parts.of(*row) for row in single))

    digests = [] if cards is None else sorted(card.digest for card in cards)
    trained = tuple(of([*fold.train, *fold.validation]) for fold in folds) if with_training else ()
    validated = tuple(of(fold.validation) for fold in folds) if with_training else ()
    images = _short(b"".join(digests)) if digests else ""
    test = of(index for fold in folds for index in fold.test)
    return replace(test, images=images, trained=trained, validated=validated)


def _files(
    cohort: Cohort,
    chosen: Sequence[int],
    cards: Sequence[CaseCard] | None,
    files: Sequence[str],
    shared: Mapping[str, int],
) -> list[str]:
    """Return a hash of every chosen case: of its files where no other case has the same, else of these and its name."""
    texts = []
    for index in chosen:
        case = cohort.cases[index]
        # Nor do the bytes of a blank picture, which other cohorts have as well.
        blank = cards is not None and cards[index].values == 1
        alone = case.sha256 and shared[files[index]] == 1 and not blank
        # A source without files may give other images the same names, as phantoms of another size have them.
        made = cards[index].digest.hex() if cards is not None and not case.sha256 else ""
        texts.append(files[index] if alone else f"{cohort.name}\x1f{case.true_name or case.id}\x1f{files[index]}{made}")
    return [_short(text.encode("utf-8", "surrogatepass")) for text in texts]


def _pixels(card: CaseCard) -> tuple[str, str]:
    """Return the hash of a case's pixels, and that of its view; both empty for a plain shape."""
    # The rule of the search for leaks: different patients may share a plain shape.
    if detail_of(card.picture) < EQUAL_BYTES:
        return "", ""
    return _short(card.digest), _short(card.identity.encode()) if card.identity else ""


_MOST_FILES = 8
"""Files of an image that are registered one by one: a series of DICOM has hundreds, and is one by its channels."""


class _Parts:
    """The hashes of the files and channels of cases that tell one image from another, each alone."""

    def __init__(self, cohort: Cohort, cards: Sequence[CaseCard] | None) -> None:
        self.cohort, self.cards = cohort, cards
        # What all have, or many, proves nothing: an atlas, a table that holds the pixels of all cases.
        self.common = common_channels(cohort, cards) if cards is not None else {}
        several = any(len(case.sha256) > 1 for case in cohort.cases)
        self.readers = Counter(file for case in cohort.cases for file in set(case.sha256.values())) if several else {}

    def of(self, index: int, known: str, view: str) -> tuple[str, ...]:
        """Return those of one case. known, view: the hashes of all its files and all its pixels, left out here."""
        case = self.cohort.cases[index]
        files = list(image_files(case).values()) if len(case.sha256) > 1 else []
        channels = self.cards[index].channels if self.cards is not None else ()
        if not files and not channels:
            return ()
        made = [_file(one) for one in self._telling(files, channels, index)]
        made += [_short(one.encode()) for one in channels if one and one not in self.common]
        return tuple(one for one in dict.fromkeys(made) if one not in (known, view))

    def _telling(self, files: Sequence[str], channels: Sequence[str], index: int) -> list[str]:
        """Return the files that one case alone is read from, and whose pixels tell one image from another."""
        if len(files) > _MOST_FILES:
            return []
        if self.cards is not None:
            # Blank pictures of different patients may be equal to the last byte, as their channels are.
            own = [bool(one) and one not in self.common for one in channels] or [bool(channels_of(self.cards[index]))]
            if len(own) != len(files):
                own = [any(own) if len(files) == 1 else all(own)] * len(files)
            files = [file for file, tells in zip(files, own, strict=True) if tells]
        return [file for file in files if self.readers[file] == 1]


def _file(sha256: str) -> str:
    """Return the hash of one file: that of a case which is read from it alone."""
    return _short(json.dumps([sha256]).encode())


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def same_cohort(row: Mapping[str, Any], fingerprint: str, images: str) -> bool:
    """Return whether a line of the registry is of this cohort: of the same images where both know theirs."""
    # A fingerprint changes with the names and the files; that of a source without files does not see the pixels.
    if row.get("images") and images:
        return bool(row["images"] == images)
    return bool(row["fingerprint"] == fingerprint)
