"""Channels (modalities) that cases of different patients share: copies of a part of an image, or the same for all.

Two patients may have one file as their t1 and differ in their t2 alone: as whole images they are not equal, and a
network learns the shared channel by heart all the same. An atlas, a template or a background is a channel that many
patients have: it says nothing of any of them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import chain

import numpy as np

from equipoise.cohorts.case_cards import CaseCard
from equipoise.cohorts.cohort import Case, Cohort
from equipoise.cohorts.detail import EQUAL_BYTES, detail_of
from equipoise.cohorts.splits.neighbours import Allowed

COMMON_SHARE, COMMON_PATIENTS = 1 / 3, 3
"""A channel is the same for all where so large a share of the patients or cases, and so many patients, have it."""


def channels_of(card: CaseCard) -> tuple[str, ...]:
    """Return the identities of a case's channels that can tell one image from another, each once."""
    if not card.channels:
        plain = detail_of(card.picture) < EQUAL_BYTES or not card.identity
        return () if plain else (card.identity,)
    return tuple(dict.fromkeys(filter(None, card.channels)))


def common_channels(cohort: Cohort, cards: Sequence[CaseCard]) -> dict[str, list[int]]:
    """Return the channels that are the same for all, and the cases that have each; of images of several channels."""
    patients = len(set(cohort.patients.tolist()))
    fewest = max(COMMON_PATIENTS, int(np.ceil(COMMON_SHARE * patients)))
    common = {}
    for one, cases in _holders(cards, _repeated(cards, fewest)).items():
        owners = len({cohort.cases[k].patient for k in cases})
        if owners >= fewest or (owners >= COMMON_PATIENTS and len(cases) >= COMMON_SHARE * len(cohort)):
            common[one] = cases
    return common


def channel_pairs(cards: Sequence[CaseCard], common: Collection[str], allowed: Allowed) -> list[tuple[int, int]]:
    """Return, for every case that shares a channel with an earlier one, the first such pair that is allowed.

    common: channels that are the same for all. Images of one channel have none: these are equal as a whole.
    """
    pairs = set()
    for cases in _holders(cards, _repeated(cards, 2) - set(common)).values():
        indices = np.array(cases, dtype=np.int64)
        for place in range(1, len(indices)):
            earlier = indices[:place]
            fits = earlier[allowed(earlier, np.full(place, indices[place]))]
            if len(fits):
                pairs.add((int(fits[0]), int(indices[place])))
    return sorted(pairs)


def shared_by(cohort: Cohort, cards: Sequence[CaseCard], a: int, b: int, common: Collection[str]) -> str:
    """Return which channels two cases share, such as "the channel t1 of one file"."""
    alike = (set(channels_of(cards[a])) & set(channels_of(cards[b]))) - set(common)
    names = [_names(cohort, card, alike) for card in (cards[a], cards[b])]
    files = [frozenset(image_files(cohort.cases[index]).values()) for index in (a, b)]
    whose = "" if names[0] == names[1] else f" of the first, {_listed(names[1])} of the second"
    # Different images of the very same files are rows of one table, which all cases are read from.
    one_file = " of one file" if files[0] & files[1] and files[0] != files[1] and not whose else ""
    return f"{_listed(names[0])}{whose}{one_file}"


def names_of_common(cohort: Cohort, cards: Sequence[CaseCard]) -> list[tuple[str, int]]:
    """Return what the channels are called that are the same for all, and how many cases have each."""
    common = common_channels(cohort, cards)
    return [(_listed(_names(cohort, cards[cases[0]], {one})), len(cases)) for one, cases in common.items()]


def image_files(case: Case) -> dict[str, str]:
    """Return the SHA-256 of the files that hold a case's image, by name: of all but those of its truth."""
    return {name: digest for name, digest in case.sha256.items() if name not in case.truth_files}


def _repeated(cards: Iterable[CaseCard], fewest: int) -> set[str]:
    """Return the channels of at least so many cases; none where no image has several channels."""
    cards = list(cards)
    if not any(card.channels for card in cards):
        return set()
    # Counted first, and by a loop in C: of 100,000 colour pictures hardly any channel occurs twice.
    counts = Counter(chain.from_iterable(set(card.channels or (card.identity,)) for card in cards))
    return {one for one, count in counts.items() if one and count >= fewest}


def _holders(cards: Sequence[CaseCard], channels: set[str]) -> dict[str, list[int]]:
    """Return the cases that have each of these channels, where it can tell one image from another."""
    held: dict[str, list[int]] = defaultdict(list)
    if channels:
        for index, card in enumerate(cards):
            if not channels.isdisjoint(card.channels or (card.identity,)):
                for one in channels_of(card):
                    if one in channels:
                        held[one].append(index)
    return held


def _names(cohort: Cohort, card: CaseCard, channels: Collection[str]) -> list[str]:
    """Return the names of a case's channels that are among these."""
    own = card.channels or (card.identity,) * len(cohort.channels)
    return [name for name, one in zip(cohort.channels, own, strict=False) if one in channels]


def _listed(names: Sequence[str]) -> str:
    return f"the channel{'' if len(names) == 1 else 's'} {' and '.join(names)}"
