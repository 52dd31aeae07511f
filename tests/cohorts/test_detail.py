"""Which channels can tell one image from another."""

import numpy as np
import pytest

from equipoise.cohorts.case_pictures import picture
from equipoise.cohorts.detail import EQUAL_BYTES, channel_tells, detail_of, values_of

ROWS, COLUMNS = np.mgrid[:64, :64]
NOISE = np.random.default_rng(0).normal(100, 20, (64, 64))
DISC = (ROWS - 32) ** 2 + (COLUMNS - 32) ** 2 < 20**2


@pytest.mark.parametrize(
    ("channel", "tells"),
    [
        (NOISE, True),
        (NOISE[:16, :16], True),
        (np.stack([NOISE] * 5), True),
        (NOISE > 100, True),  # few values and much detail, as vessels have
        (np.zeros((64, 64)), False),
        (np.full((4, 32, 32), 7), False),
        (DISC, False),  # the field of view
        (DISC * 3 + (ROWS > 40), False),
    ],
)
def test_a_constant_and_a_simple_shape_tell_nothing(channel, tells):
    assert channel_tells(channel, picture(channel[None])) == tells


@pytest.mark.long
def test_many_levels_never_compress_below_the_bound():
    """The short cut for pictures of 200 levels: ramps and blocks compress best of those."""
    stream = np.random.default_rng(1)
    pictures = [np.arange(4096).reshape(64, 64) // 16, np.arange(4096).reshape(64, 64) % 256]
    pictures += [np.repeat(stream.permutation(256)[:200], 21)[:4096].reshape(64, 64) for _ in range(50)]
    pictures += [np.sort(stream.integers(0, 256, 4096)).reshape(64, 64) for _ in range(50)]
    for one in pictures:
        levels = np.uint8(one)
        if len(np.unique(levels)) >= 200:
            assert detail_of(levels) >= EQUAL_BYTES


def test_distinct_values_are_counted_of_a_sample():
    assert values_of(np.arange(1000)) == 1000
    assert values_of(np.arange(2**17)) == 2**15
    assert values_of(np.zeros((1, 8, 8))) == 1
