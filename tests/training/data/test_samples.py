import numpy as np
import pytest

from equipoise.preprocessing.pipeline import Record
from equipoise.training.data.samples import Grid, PreparedCase, Ragged, Samples, SampleWriter, stack_cases, staged


def masks(shapes):
    generator = np.random.default_rng(0)
    images = [generator.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
    targets = [generator.integers(0, 3, shape).astype(np.uint8) for shape in shapes]
    join = Ragged.of if len(set(shapes)) > 1 else np.stack
    names = tuple(f"c{i}" for i in range(len(shapes)))
    grids = tuple(Grid(Record((), (1.0,) * len(shapes[0])).to_json(), (1.0,) * len(shapes[0])) for _ in shapes)
    return Samples(join(images), join(targets), names, names, grids, join(targets)), images, targets


@pytest.mark.parametrize("shapes", [[(4, 5), (6, 3), (4, 5)], [(4, 5, 3)] * 3])
def test_what_was_saved_is_loaded(tmp_path, shapes):
    samples, images, targets = masks(shapes)
    assert not staged(tmp_path / "part")
    samples.save(tmp_path / "part")
    assert staged(tmp_path / "part")
    found = Samples.load(tmp_path / "part")
    assert found.uniform == (len(set(shapes)) == 1)
    assert found.cases == samples.cases
    assert found.grids == samples.grids
    for index in range(3):
        assert np.array_equal(found.images[index], images[index])
        assert np.array_equal(found.targets[index], targets[index])
        assert np.array_equal(found.truths[index], targets[index])


def test_cases_of_one_shape_come_together():
    samples, images, _ = masks([(4, 5), (6, 3), (4, 5)])
    assert np.array_equal(stack_cases(samples.images, [2, 0]), np.stack([images[2], images[0]]))


def test_the_first_cases_of_many():
    samples, images, _ = masks([(4, 5), (6, 3), (4, 5)])
    two = samples.head(2)
    assert len(two) == len(two.images) == 2
    assert np.array_equal(two.images[1], images[1])


def test_a_folder_that_was_not_finished_is_not_taken(tmp_path):
    def interrupted():
        with SampleWriter(tmp_path) as writer:
            arrays = {"images": np.zeros((1, 2, 2), np.float32), "targets": np.zeros((2, 2), np.uint8)}
            writer.add(PreparedCase("a", "p", arrays))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not staged(tmp_path)
