"""Pairs of cases with equal pixels that count as two patients: both cannot be right, in whichever part they lie."""

from collections import defaultdict
from collections.abc import Collection

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.detail import EQUAL_BYTES, detail_of

Pair = tuple[str, str]


def copies(cohort: Cohort, cards: CaseCards, known: Collection[frozenset[str]] = ()) -> list[Pair]:
    """Return pairs of cases of different patients whose pixels are equal, by their ids.

    For every case that equals an earlier one of another patient, the first such pair. known: pairs that are named
    elsewhere, as leaks across parts, or of which the protocol says that they are no copies. Pictures too simple to tell
    one image from another are left out. Guessed patients have none, for the guess joins equal pictures.
    """
    if cohort.patients_guessed:
        return []
    alike: dict[bytes, list[int]] = defaultdict(list)
    for index, card in enumerate(cards.all()):
        alike[card.digest].append(index)
    pairs = []
    for cases in alike.values():
        # The detail of repeated pictures alone: to compress all of 100,000 takes seconds.
        if len(cases) > 1 and detail_of(cards.all()[cases[0]].picture) >= EQUAL_BYTES:
            pairs += _of_different_patients(cohort, cases)
    return [pair for pair in pairs if frozenset(pair) not in known]


def _of_different_patients(cohort: Cohort, cases: list[int]) -> list[Pair]:
    pairs = []
    for place, index in enumerate(cases):
        case = cohort.cases[index]
        others = (cohort.cases[earlier] for earlier in cases[:place])
        other = next((one for one in others if one.patient != case.patient), None)
        if other is not None:
            pairs.append((other.id, case.id))
    return pairs
