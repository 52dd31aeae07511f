"""By what test cases are recognised when another trial opens them: their files, their pixels, and their cohort."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCard
from equipoise.cohorts.detail import EQUAL_BYTES, detail_of
from equipoise.cohorts.splits.split import Fold

DIGITS = 16


@dataclass(frozen=True)
class OpenedCases:
    """The test cases of a trial, each once, in the order of the cohort.

    files: a hash of the files of each, of whatever name. pixels: a hash of the pixels of each as they are read; empty
    where they are not known, or too simple to tell one image from another. views: the same, however a file holds them
    (`pixel_identity`); earlier versions kept none. images: a hash of the pixels of the whole cohort, in any
    order; empty where not known. trained: of each fold, the cases that its jobs are trained and validated on.
    """

    files: tuple[str, ...]
    pixels: tuple[str, ...]
    images: str = ""
    trained: tuple["OpenedCases", ...] = ()
    views: tuple[str, ...] = ()

    def shared_with(self, files: Iterable[str], pixels: Iterable[str]) -> int:
        """Return how many of these test cases are among others, by their files or by their pixels.

        pixels: of the others, with their views.
        """
        others, seen = set(files), set(pixels) - {""}
        views = self.views or ("",) * len(self.files)
        rows = zip(self.files, self.pixels, views, strict=True)
        return sum(file in others or pixel in seen or view in seen for file, pixel, view in rows)

    @property
    def pixels_to_keep(self) -> list[str]:
        """Return the hashes of pixels by which a later trial recognises these cases, of both kinds."""
        return [*self.pixels, *self.views]


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

    def of(indices: Iterable[int]) -> OpenedCases:
        """Return these cases of the cohort, each once."""
        chosen = sorted({int(index) for index in indices})
        known = tuple(_files(cohort, chosen, cards, files, shared))
        hashes = [("", "") if cards is None else _pixels(cards[index]) for index in chosen]
        return OpenedCases(known, tuple(pixels for pixels, _ in hashes), views=tuple(view for _, view in hashes))

    digests = [] if cards is None else sorted(card.digest for card in cards)
    trained = tuple(of([*fold.train, *fold.validation]) for fold in folds) if with_training else ()
    images = _short(b"".join(digests)) if digests else ""
    return replace(of(index for fold in folds for index in fold.test), images=images, trained=trained)


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
        alone = case.sha256 and shared[files[index]] == 1
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


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def same_cohort(row: Mapping[str, Any], fingerprint: str, images: str) -> bool:
    """Return whether a line of the registry is of this cohort: of the same images where both know theirs."""
    # A fingerprint changes with the names and the files; that of a source without files does not see the pixels.
    if row.get("images") and images:
        return bool(row["images"] == images)
    return bool(row["fingerprint"] == fingerprint)
