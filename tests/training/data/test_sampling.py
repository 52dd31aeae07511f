import numpy as np
import pytest
import torch

from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.data.sampling import balanced_order, rarest_classes
from equipoise.training.loop.determinism import generator


@pytest.mark.parametrize("count", [1, 7, 30, 61])
def test_classes_come_equally_often_and_cases_as_evenly_as_they_can(count):
    labels = np.repeat([0, 1, 4], [20, 6, 4])
    order = balanced_order(labels, count, generator("a")).numpy()
    assert len(order) == count
    per_class = [np.count_nonzero(labels[order] == label) for label in (0, 1, 4)]
    assert max(per_class) - min(per_class) <= 1
    for label, drawn in zip((0, 1, 4), per_class, strict=True):
        members = np.flatnonzero(labels == label)
        per_case = np.bincount(order, minlength=len(labels))[members]
        assert set(per_case) <= {drawn // len(members), -(-drawn // len(members))}


def test_the_order_depends_on_the_draws_alone():
    labels = np.arange(40) % 3
    one, same, other = (balanced_order(labels, 40, generator(name)) for name in ("a", "a", "b"))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_one_class_is_a_plain_shuffle():
    order = balanced_order(np.zeros(9, dtype=np.int64), 9, generator("a"))
    assert sorted(order.tolist()) == list(range(9))


@pytest.mark.long
def test_every_place_of_the_order_is_as_likely_to_hold_one_class_as_another():
    labels = np.repeat([0, 1, 2], [60, 25, 5])
    orders = np.stack([balanced_order(labels, 30, generator(f"draw {n}")).numpy() for n in range(400)])
    for label in (0, 1, 2):
        share = (labels[orders] == label).mean(axis=0)  # (30,): at each place, over 400 orders
        np.testing.assert_allclose(share, 1 / 3, atol=5 * np.sqrt(2 / 9 / 400))


def test_classes_are_mixed_and_do_not_come_in_runs():
    labels = np.repeat([0, 1], [90, 10])
    changes = [
        np.count_nonzero(np.diff(labels[balanced_order(labels, 100, generator(f"draw {n}")).numpy()]))
        for n in range(50)
    ]
    # of 99 neighbouring pairs of a random order of 50 and 50 cases, 50 differ on average, with a deviation of 5
    assert min(changes) > 25
    assert max(changes) < 75
    assert np.mean(changes) == pytest.approx(50, abs=5 * 5 / np.sqrt(50))


@pytest.mark.long
@pytest.mark.parametrize("count", [4, 10])
def test_every_case_of_a_class_is_as_likely_to_be_drawn(count):
    labels = np.repeat([0, 1], [8, 2])
    drawn = np.concatenate([balanced_order(labels, count, generator(f"draw {n}")).numpy() for n in range(600)])
    share = np.bincount(drawn, minlength=10)[:8] / 600
    expected = count / 2 / 8
    np.testing.assert_allclose(share, expected, atol=5 * np.sqrt(expected * (1 - expected) / 600))


def test_which_class_gets_the_odd_case_is_drawn():
    labels = np.repeat([0, 1, 2], [60, 25, 5])
    first = [int(labels[balanced_order(labels, 1, generator(f"draw {n}"))[0]]) for n in range(300)]
    np.testing.assert_allclose(np.bincount(first, minlength=3) / 300, 1 / 3, atol=5 * np.sqrt(2 / 9 / 300))


def test_a_mask_counts_as_the_rarest_class_that_it_shows():
    def mask(*values):
        return np.array([[0, 0, *values]])

    masks = [mask(1, 1), mask(1, 2), mask(0, 0), mask(1, 255), mask(2, 3)]
    assert rarest_classes(masks, 2).tolist() == [1, 2, 0, 1, 3]
    soft = [np.eye(4)[value].transpose(2, 0, 1) for value in (masks[0], masks[4])]
    assert rarest_classes(soft, 2).tolist() == [1, 2]


def test_cases_with_a_rare_structure_are_fed_as_often_as_the_others():
    masks = np.zeros((20, 6, 6), np.uint8)
    masks[:18, 2, 2], masks[18:, 3, 3] = 1, 2
    names = tuple(f"c{i}" for i in range(20))
    cases = Samples(np.zeros((20, 1, 6, 6), np.float32), masks, names, names)
    batches = Feed(4, (4, 4), 2, balanced=True).epoch(cases, torch.Generator().manual_seed(0))
    fed = np.concatenate([batch.indices for batch in batches])
    assert len(fed) == 40
    assert (fed >= 18).sum() == 20
