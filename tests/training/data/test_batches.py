import numpy as np
import pytest

from equipoise.protocol import TrainingSection
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.loop.determinism import generator


def samples(n, labels=None):
    names = tuple(map(str, range(n)))
    targets = np.arange(n) % 2 if labels is None else labels
    return Samples(np.arange(n * 4, dtype=np.float32).reshape(n, 1, 2, 2), targets, names, names)


@pytest.mark.parametrize(
    ("cases", "batch", "accumulate"), [(50, 16, 1), (50, 8, 2), (50, 8, 3), (7, 8, 4), (33, 32, 2)]
)
def test_an_epoch_is_every_case_once_in_updates_of_the_effective_batch(cases, batch, accumulate):
    feed = Feed(batch, accumulate=accumulate)
    updates = list(feed.updates(samples(cases), generator("a")))
    assert len(updates) == feed.steps(cases)
    assert all(len(part.indices) <= batch for update in updates for part in update)
    sizes = [sum(len(part.indices) for part in update) for update in updates]
    assert max(sizes) - min(sizes) <= 1
    seen = np.concatenate([part.indices for update in updates for part in update])
    assert sorted(seen) == list(range(cases))


def test_accumulated_batches_hold_the_cases_of_the_large_batch():
    large = list(Feed(16).updates(samples(50), generator("a")))
    small = list(Feed(8, accumulate=2).updates(samples(50), generator("a")))
    for (one,), parts in zip(large, small, strict=True):
        np.testing.assert_array_equal(one.indices, np.concatenate([part.indices for part in parts]))
        np.testing.assert_array_equal(one.images, np.concatenate([part.images for part in parts]))


def test_balanced_classes_come_equally_often():
    rare = (np.arange(60) % 10 == 0).astype(np.int64)
    (batch,) = Feed.of(TrainingSection(batch_size=60, sampling="balanced"), 2).epoch(samples(60, rare), generator("a"))
    assert len(batch.indices) == 60
    assert int(batch.targets.sum()) == 30
