"""Samples of several shapes: the first of them, however few there are."""

import numpy as np

from equipoise.training.data.samples import Ragged, Samples


def test_the_head_of_fewer_cases_is_all_of_them():
    images = Ragged.of([np.zeros((1, side, 5), np.float32) for side in (4, 5, 6)])
    targets = Ragged.of([np.zeros((side, 5), np.int64) for side in (4, 5, 6)])
    samples = Samples(images, targets, ("a", "b", "c"), ("p", "q", "r"))
    assert len(samples.head(8).images) == len(samples.head(8)) == 3
    assert len(samples.head(2).images) == 2
