import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equipoise.cohorts import Case, Cohort, Image
from equipoise.errors import CohortError
from equipoise.training.preparation.classification import RIDGE, baselines, predict_baseline


def cohort(n=300, classes=2, missing=None, size="diameter_mm"):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, n)
    sizes = 6 + 4 * labels + generator.normal(0, 3, n)
    image = Image(np.zeros((1, 4, 4), np.float32), (1.0, 1.0))
    cases = tuple(
        Case(
            f"c{i}",
            f"p{i}",
            lambda: image,
            int(labels[i]),
            attributes={} if i == missing else {"diameter_mm": sizes[i]},
        )
        for i in range(n)
    )
    return (
        Cohort("x", "classification", cases, tuple("abcd"[:classes]), ("grey",), 2, size_attribute=size),
        sizes,
        labels,
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_size_rule_agrees_with_scikit_learn(classes):
    data, sizes, labels = cohort(classes=classes)
    train, test = np.arange(200), np.arange(200, 300)
    rule = next(rule for rule in baselines(data) if rule.name == "size-rule")
    table = predict_baseline(rule, data, 0, train, {"validation": train[:10], "test": test})
    z = (sizes - sizes[train].mean()) / sizes[train].std()
    design = np.stack([z, z**2], 1)
    oracle = LogisticRegression(C=1 / (2 * len(train) * RIDGE), max_iter=1000).fit(design[train], labels[train])
    np.testing.assert_allclose(table.scores[10:], oracle.predict_proba(design[test]), atol=2e-3)
    assert table.split.tolist() == ["validation"] * 10 + ["test"] * 100
    assert table.truth.tolist() == labels[np.r_[0:10, 200:300]].tolist()


def test_majority_class_answers_with_training_shares():
    data, _, labels = cohort()
    rule = baselines(data)[0]
    scores = rule.fit(np.arange(100))(np.arange(100, 105))
    shares = np.bincount(labels[:100]) / 100
    np.testing.assert_array_equal(scores, np.tile(shares, (5, 1)))


def test_perfect_separation_stays_finite():
    data, _, labels = cohort()
    rule = baselines(data, None)[1]
    for case, label in zip(data.cases, labels, strict=True):
        case.attributes["diameter_mm"] = float(10 * label)
    scores = rule.fit(np.arange(300))(np.arange(300))
    fresh = baselines(data)[1].fit(np.arange(300))(np.arange(300))
    assert np.isfinite(fresh).all()
    assert np.isfinite(scores).all()
    assert (fresh.argmax(1) == labels).all()


def test_without_a_size_the_mean_intensity_serves():
    data, sizes, _ = cohort(size=None)
    assert [rule.name for rule in baselines(data)] == ["majority-class"]
    assert [rule.name for rule in baselines(data, sizes)] == ["majority-class", "intensity-rule"]


def test_a_case_without_size_is_named():
    data, _, _ = cohort(missing=7)
    with pytest.raises(CohortError, match="case c7 has diameter_mm = None"):
        baselines(data)
