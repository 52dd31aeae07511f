import numpy as np
import pytest

from equipoise.preprocessing.pipeline import Record
from equipoise.training.data.samples import Grid, Samples
from equipoise.training.preparation.segmentation import MASK_BASELINES, predict_masks

REGIONS = {"tumour": (1,), "core": (2,), "whole": (1, 2)}


def samples(n, seed, bright=3.0, place=slice(4, 10)):
    """Squares at one place; class 1 is brighter than tissue, class 2 is darker, in the second channel."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((n, 16, 16), np.uint8)
    masks[:, place, place] = 1
    masks[:, 6:8, 6:8] = 2
    images = generator.normal(0, 0.1, (n, 2, 16, 16)).astype(np.float32)
    images[:, 1] += np.select([masks == 1, masks == 2], [bright, -bright], 0)
    names = tuple(f"{seed}-{i}" for i in range(n))
    grids = (Grid(Record((), (1.0, 1.0)).to_json(), (1.0, 1.0)),) * n
    return Samples(images, masks, names, names, grids, masks)


def mean_dice(name, train, test, region):
    rule = next(rule for rule in MASK_BASELINES if rule.name == name)
    table = predict_masks(rule, 0, train, {"test": test}, REGIONS)
    return table.metrics[f"dice_{region}"].mean()


def test_the_empty_mask_finds_nothing_and_is_right_about_empty_cases():
    train, test = samples(6, 0), samples(3, 1)
    assert mean_dice("empty-mask", train, test, "tumour") == 0
    nothing = Samples(test.images, test.targets * 0, test.cases, test.patients, test.grids, test.targets * 0)
    assert mean_dice("empty-mask", train, nothing, "tumour") == 1


def test_the_mean_mask_is_perfect_where_all_cases_are_alike():
    assert mean_dice("mean-mask", samples(6, 0), samples(3, 1), "whole") == pytest.approx(1, abs=0.05)


def test_the_mean_mask_serves_images_of_another_shape():
    train, test = samples(6, 0), samples(3, 1)
    doubled = test.truths.repeat(2, axis=1).repeat(2, axis=2)
    large = Samples(test.images, test.targets, test.cases, test.patients, test.grids, doubled)
    assert mean_dice("mean-mask", train, large, "whole") > 0.9


@pytest.mark.parametrize("region", ["tumour", "core"])
def test_the_intensity_rule_finds_the_channel_the_side_and_the_level(region):
    assert mean_dice("intensity-rule", samples(6, 0), samples(3, 1), region) == pytest.approx(1, abs=0.02)


def test_the_intensity_rule_equals_a_search_over_all_its_levels():
    train = samples(5, 2, bright=0.15)
    low, high = train.images.min(axis=(0, 2, 3)), train.images.max(axis=(0, 2, 3))
    truth = train.targets == 1
    best = 0.0
    for channel in range(2):
        for level in np.linspace(low[channel], high[channel], 65):
            for said in (train.images[:, channel] > level, train.images[:, channel] <= level):
                scores = 2 * (said & truth).sum((1, 2)) / np.maximum(said.sum((1, 2)) + truth.sum((1, 2)), 1)
                best = max(best, scores.mean())
    assert mean_dice("intensity-rule", train, train, "tumour") == pytest.approx(best, abs=0.01)


def test_rows_are_complete():
    train, test = samples(6, 0), samples(3, 1)
    table = predict_masks(MASK_BASELINES[0], 2, train, {"validation": test, "test": test}, REGIONS)
    assert len(table) == 6
    assert table.split.tolist() == ["validation"] * 3 + ["test"] * 3
    assert set(table.fold) == {2}
    assert {"dice", "dice_tumour", "hd95_core", "truth_voxels_whole"} <= set(table.metrics)
