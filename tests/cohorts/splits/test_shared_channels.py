"""Channels that two patients share are leaks and copies, as equal images are; what all share is not."""

from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType

import numpy as np
import pytest

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.splits.leakage import Leak, find_leaks, propose_groups
from equipoise.cohorts.splits.shared_channels import channels_of, common_channels, image_files, names_of_common
from equipoise.cohorts.splits.split import Fold

ROWS, COLUMNS = np.mgrid[:32, :32]
DISC = (ROWS - 16) ** 2 + (COLUMNS - 16) ** 2 < 9**2
BLANK, MASK = -1, -2


@cache
def channel(number: int) -> np.ndarray:
    """Noise by its number; BLANK, or a region that different patients share."""
    if number < 0:
        return np.zeros((32, 32), np.float32) if number == BLANK else DISC.astype(np.float32)
    return np.random.default_rng(number).normal(100, 20, (32, 32)).astype(np.float32)


def image(numbers: tuple[int, ...]) -> Image:
    return Image(np.stack([channel(one) for one in numbers]), (1.0, 1.0))


def cohort_of(rows: list[tuple[int, ...]], patients: str, channels: tuple[str, ...] = ("t1", "t2")) -> Cohort:
    """Cases that are read from one file for each channel, by the numbers of the channels."""
    cases = tuple(
        Case(
            f"c{k}",
            patient,
            partial(image, numbers),
            k % 2,
            sha256=MappingProxyType({f"{one}.png": f"{one:064d}" for one in numbers}),
        )
        for k, (numbers, patient) in enumerate(zip(rows, patients, strict=True))
    )
    return Cohort("pairs", "classification", cases, ("no", "yes"), channels, 2)


def others(count: int, start: int = 100) -> list[tuple[int, int]]:
    return [(start + 2 * k, start + 2 * k + 1) for k in range(count)]


def leaks_of(rows: list[tuple[int, ...]], patients: str, test: list[int], **named: object) -> list[Leak]:
    cohort = cohort_of(rows, patients, **named)
    train = np.setdiff1d(np.arange(len(rows)), test)
    return find_leaks(cohort, Fold(train, np.empty(0, np.int64), np.array(test)))


@pytest.mark.parametrize(
    ("twins", "test", "leak"),
    [
        ([(0, 1), (0, 2)], [1], Leak("c0", "c1", "equal", "the channel t1 of one file")),
        ([(0, 1), (0, 2)], [4], Leak("c0", "c1", "copy", "the channel t1 of one file")),
        ([(0, 1), (0, 2)], [0, 1], Leak("c0", "c1", "copy", "the channel t1 of one file")),
        ([(0, 1), (2, 0)], [1], Leak("c0", "c1", "equal", "the channel t1 of the first, the channel t2 of the second")),
        ([(0, 0), (0, 2)], [1], None),
        ([(0, 1), (0, 1)], [1], Leak("c0", "c1", "equal")),
        ([(BLANK, 1), (BLANK, 2)], [1], ()),
        ([(MASK, 1), (MASK, 2)], [1], ()),
    ],
)
def test_a_channel_of_two_patients_is_a_leak_as_an_equal_image_is(twins, test, leak):
    leaks = leaks_of([*twins, *others(5)], "abcdefg", test)
    if leak is None:  # an image of two equal channels shares them all
        assert [(one.a, one.b, one.kind) for one in leaks] == [("c0", "c1", "equal")]
        assert leaks[0].shared
    else:
        assert leaks == ([leak] if leak else [])


def test_images_of_one_patient_may_share_a_channel():
    assert leaks_of([(0, 1), (0, 2), *others(5)], "aacdefg", [2]) == []
    (leak,) = leaks_of([(0, 1), (0, 2), *others(5)], "aacdefg", [1])
    assert leak.kind == "patient"


def test_one_pair_for_every_further_case_as_of_equal_images():
    leaks = leaks_of([(0, 1), (0, 2), (0, 3), *others(9)], "abcdefghijkl", [1, 2])
    assert [(one.a, one.b, one.kind) for one in leaks] == [
        ("c0", "c1", "equal"), ("c0", "c2", "equal"), ("c1", "c2", "copy"),
    ]  # fmt: skip


def test_an_atlas_is_the_same_for_all_and_named_as_such():
    rows = [(k, 50) for k in range(4)] + others(5)
    assert leaks_of(rows, "abcdefghi", [0, 1]) == []
    cohort = cohort_of(rows, "abcdefghi")
    cards = CaseCards(cohort).all()
    assert list(common_channels(cohort, cards).values()) == [[0, 1, 2, 3]]
    assert names_of_common(cohort, cards) == [("the channel t2", 4)]
    # Two of six patients are a third, and a copy all the same.
    few = cohort_of([(0, 1), (0, 2), *others(4)], "abcdef")
    assert common_channels(few, CaseCards(few).all()) == {}


def test_images_of_one_channel_keep_their_own_rule():
    rows = [(50,), (50,), (50,), (1,)]
    cohort = cohort_of(rows, "abcd", ("t1",))
    assert common_channels(cohort, CaseCards(cohort).all()) == {}
    kinds = [(one.kind, one.shared) for one in leaks_of(rows, "abcd", [0], channels=("t1",))]
    assert set(kinds) == {("equal", ""), ("copy", "")}


def test_guessed_patients_share_no_channel():
    cohort = replace(cohort_of([(0, 1), (0, 2), *others(6)], "abcdefgh"), patients_known=False)
    groups = propose_groups(cohort)
    assert groups[0] == groups[1]
    assert len(set(groups[1:].tolist())) == 7


def test_the_channels_of_a_card():
    pair, double, blank = cohort_of([(0, 1), (0, 0), (0, BLANK)], "abc").cases
    cards = CaseCards(cohort_of([(0, 1), (0, 0), (0, BLANK)], "abc")).all()
    assert [len(channels_of(card)) for card in cards] == [2, 1, 1]
    assert channels_of(cards[1]) == channels_of(cards[2]) == channels_of(cards[0])[:1]
    assert {*image_files(pair)} == {"0.png", "1.png"}
    assert image_files(replace(blank, truth_files=frozenset({"-1.png"}))) == {"0.png": "0" * 64}
    assert len(image_files(double)) == 1
