import numpy as np
import pytest
import torch

from equipoise.training.data.sampling import balanced_order
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
