import numpy as np
import pytest

from equipoise.cohorts import Case, Cohort, Image
from equipoise.evaluation.detection import cpm
from equipoise.preprocessing import Pipeline
from equipoise.training.preparation.detection import SPOT_BASELINES, predict_spots
from equipoise.training.preparation.staging import samples_of


def samples(seed, n=8, sign=1.0, slope=0.0, dims=2):
    """Discs in the second channel, bright or dark; with a slope, the far side of the image is as bright as they are."""

    def read(index):
        generator = np.random.default_rng([seed, index])
        shape = (32,) * dims
        mask = np.zeros(shape, np.uint8)
        axes = np.meshgrid(*(np.arange(32),) * dims, indexing="ij")
        for centre in ((8, 10), (22, 20))[: index % 3]:
            centre = np.array([*centre, 12][:dims]) + generator.integers(-3, 4, dims)
            mask[sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) <= 9] = 1
        array = generator.normal(0, 0.1, (2, *shape)).astype(np.float32)
        array[1] += sign * mask + slope * axes[0] / 31
        return Image(array, (1.0,) * dims, mask)

    cases = tuple(Case(f"{seed}-{k}", f"p{seed}-{k}", read=lambda k=k: read(k)) for k in range(n))
    cohort = Cohort("c", "detection", cases, ("background", "disc", "irrelevant"), ("a", "b"), dims)
    return samples_of(cohort, np.arange(n), Pipeline())


def score(name, **settings):
    rule = next(rule for rule in SPOT_BASELINES if rule.name == name)
    table = predict_spots(rule, 0, samples(0, **settings), {"test": samples(1, **settings)})
    order = np.argsort(table.case)
    return table, cpm(table.candidates.marks(table.case[order], table.metrics["findings"][order].astype(int)))


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, {"sign": -1.0}, {"slope": 3.0}, {"dims": 3, "n": 6}])
def test_the_spot_rule_finds_the_channel_the_sign_and_the_kind(settings):
    table, found = score("spot-rule", **settings)
    assert found > 0.9
    assert ((table.candidates.score >= 0) & (table.candidates.score <= 1)).all()


def test_no_candidates_find_nothing_and_every_case_has_its_row():
    table, found = score("no-candidates")
    assert found == 0
    assert len(table) == 8
    assert len(table.candidates) == 0
    assert table.metrics["findings"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert set(table.split) == {"test"}
