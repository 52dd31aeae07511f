"""Class scores of the columns that classifiers leave; logits, probabilities and calls are told apart or asked."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.special import softmax as softmax_of_scipy
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions
from equipoise.evaluation.external.class_columns import other_sums, with_scores
from equipoise.trials.audit import audit

CALLS = ("accuracy", "balanced_accuracy")


def read(options: AuditOptions | None = None, **columns: list[Any]) -> dict[str, np.ndarray]:
    made = {name: np.array(values, dtype=object) for name, values in columns.items()}
    return with_scores(made, "t", options or AuditOptions(), None)[0]


@pytest.mark.parametrize("truth", [[0, 1, 1], ["0.0", "1.0", "1.0"], ["no", "yes", "yes"], ["False", "True", "True"]])
@pytest.mark.parametrize("name", ["y_prob", "probability", "y_score", "y_pred"])
def test_one_column_is_the_probability_of_the_positive_class(name: str, truth: list[Any]) -> None:
    columns = read(truth=truth, **{name: [0.2, 0.7, 0.9]})
    positive = f"score_{'1' if str(truth[1]) == '1.0' else truth[1]}"
    assert columns[positive].tolist() == [0.2, 0.7, 0.9]
    assert list(columns)[-1] == positive  # the second class is the positive one


def test_which_class_a_score_is_about_is_asked() -> None:
    with pytest.raises(PredictionError, match="--positive"):
        read(truth=["benign", "malignant"], y_prob=[0.2, 0.7])
    columns = read(AuditOptions(positive="malignant"), truth=["benign", "malignant"], y_prob=[0.2, 0.7])
    assert columns["score_malignant"].tolist() == [0.2, 0.7]


@pytest.mark.parametrize("name", ["prob_Cancer", "cancer_probability", "p_cancer", "y_score_cancer"])
def test_one_column_that_names_a_class_is_its_probability(name: str) -> None:
    truth = ["normal", "cancer", "cancer"]
    columns = read(truth=truth, prediction=["normal", "normal", "cancer"], age=[50, 60, 70], **{name: [0.2, 0.3, 0.9]})
    assert columns["score_cancer"].tolist() == [0.2, 0.3, 0.9]
    own = {"case": np.array(["a", "b", "c"]), name: np.array([0.2, 0.3, 0.9])}
    columns, notes = with_scores(own, "t", AuditOptions(), dict(zip("abc", truth, strict=True)))
    assert list(columns)[-2:] == ["score_normal", "score_cancer"]
    assert notes == [f"The column {name!r} of t was read as the probability of 'cancer'."]
    other = read(AuditOptions(positive="cancer"), truth=truth, prob_normal=[0.8, 0.7, 0.1])
    assert other["score_cancer"].tolist() == pytest.approx([0.2, 0.3, 0.9])
    assert read(truth=truth, logit_cancer=[-2.0, 0.5, 3.0])["score_cancer"].tolist() == expit([-2.0, 0.5, 3.0]).tolist()


def test_logits_are_told_from_probabilities_or_asked() -> None:
    values = [-2.0, 0.5, 3.0]
    assert read(truth=[0, 1, 1], logit=values)["score_1"].tolist() == expit(values).tolist()
    with pytest.raises(PredictionError, match="--scores logits"):
        read(truth=[0, 1, 1], score=values)
    stated = read(AuditOptions(scores="logits"), truth=[0, 1, 1], score=values)
    assert stated["score_1"].tolist() == expit(values).tolist()
    with pytest.raises(PredictionError, match="say what they are"):
        read(truth=[0, 1, 1], logit=[0.1, 0.5, 0.9])


def test_a_column_per_class_in_other_spellings() -> None:
    values = {"logit_a": [1.0, 2.0], "logit_b": [0.0, 1.0], "logit_c": [3.0, 0.0]}
    columns = read(truth=["a", "b"], **values)
    expected = softmax_of_scipy(np.array(list(values.values())).T, axis=1)
    assert np.stack([columns[f"score_{one}"] for one in "abc"], axis=1) == pytest.approx(expected)
    assert "score_benign" in read(truth=["benign"], benign_prob=[0.3], malignant_prob=[0.7])
    assert read(truth=["0", "1"], Score_0=[0.4, 0.1], Score_1=[0.6, 0.9])["score_1"].tolist() == [0.6, 0.9]
    assert read(truth=["0", "1"], score_1=[0.6, 0.9])["score_0"] == pytest.approx([0.4, 0.1])


def test_called_classes_have_no_curve() -> None:
    called = {"truth": [0, 1, 1, 0], "y_pred": [0, 1, 0, 0]}
    with pytest.raises(PredictionError, match="compare the predicted classes"):
        read(AuditOptions(calls=CALLS), **called)
    columns = read(AuditOptions(calls=CALLS, primary="accuracy"), **called)
    assert columns["score_1"].tolist() == [0, 1, 0, 0]
    with pytest.raises(PredictionError, match=r"no class of the truth \(a, b\); correct"):
        read(AuditOptions(calls=CALLS, primary="accuracy"), truth=["a", "b"], prediction=["a", "q"])


def test_a_missing_truth_is_counted() -> None:
    with pytest.raises(PredictionError, match="2 rows without a truth"):
        read(truth=[0, "", "NA", 1], y_prob=[0.1, 0.2, 0.3, 0.4])


def test_columns_beside_a_truth_may_be_arms_and_are_asked() -> None:
    with pytest.raises(PredictionError, match=r"--columns arms=resnet\+vit"):
        read(case=["a"], truth=[1], resnet=[0.2], vit=[0.4])
    with pytest.raises(PredictionError, match="no truth"):
        read(case=["a"], y_prob=[0.2])


def test_numbers_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 90)
    score = np.clip(truth * 0.2 + rng.random(90) * 0.8, 0, 1)
    table = {"subject_id": [f"s{i}" for i in range(90)], "y_true": truth, "y_prob": score, "model": ["a"] * 90}
    arm = audit(table)["arms"][0]
    assert arm["endpoints"]["auc"]["estimate"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    calls = {**table, "y_pred": (score > 0.5).astype(int)}
    del calls["y_prob"]
    found = audit(calls, primary="balanced_accuracy")
    expected = balanced_accuracy_score(truth, score > 0.5)
    assert found["arms"][0]["endpoints"]["balanced_accuracy"]["estimate"] == pytest.approx(expected, abs=1e-12)
    assert "brier" not in found["arms"][0]["endpoints"]


def test_logits_that_become_equal_are_refused() -> None:
    """Percentages stated as logits keep their order only as far as the logistic function tells them apart."""
    percent = [10.0, 40.0, 60.0, 97.0]
    assert roc_auc_score([0, 0, 1, 1], percent) == 1 > roc_auc_score([0, 0, 1, 1], expit(percent))
    with pytest.raises(PredictionError, match="from 10 to 97, which are too large for the logistic function"):
        read(AuditOptions(scores="logits"), truth=[0, 0, 1, 1], score=percent)
    same = [-60.0, -50.0, 30.0, 30.0]
    assert read(AuditOptions(scores="logits"), truth=[0, 0, 1, 1], score=same)["score_1"].tolist() == list(expit(same))


def test_the_confidence_in_whichever_class_was_called_is_asked_about() -> None:
    probability = np.array([0.1, 0.3, 0.6, 0.9])
    confidence = np.maximum(probability, 1 - probability).tolist()
    called = (probability > 0.5).astype(int).tolist()
    truth = [0, 0, 1, 1]
    for more in ({}, {"pred": called}):
        with pytest.raises(PredictionError, match="no score in 'confidence' of t is below 0.5"):
            read(truth=truth, confidence=confidence, **more)
        assert read(truth=truth, confidence=probability.tolist(), **more)["score_1"].tolist() == probability.tolist()
    stated = AuditOptions(scores="probabilities")
    assert read(stated, truth=truth, confidence=confidence)["score_1"].tolist() == confidence
    assert read(truth=truth, prob=confidence)["score_1"].tolist() == confidence  # too few to tell
    many = np.linspace(0.5, 0.99, 40).tolist()
    with pytest.raises(PredictionError, match="no score in 'prob' of t is below 0.5"):
        read(truth=[0, 1] * 20, prob=many)
    # A network that calls everything positive has no score below one half, and its calls say so.
    assert read(truth=truth, prob=[0.5, 0.6, 0.6, 0.9], pred=[1] * 4)["score_1"].tolist() == [0.5, 0.6, 0.6, 0.9]


def test_a_table_without_rows_is_refused_in_words() -> None:
    with pytest.raises(PredictionError, match="a header and no rows"):
        read(truth=[], score=[])


def test_scores_of_classes_that_do_not_add_up_are_told() -> None:
    def notes(second: list[float]) -> list[str]:
        columns = {"truth": ["0", "1"], "score_0": [0.8, 0.3], "score_1": second}
        made = {k: np.array(v, dtype=object) for k, v in columns.items()}
        return other_sums(with_scores(made, "t", AuditOptions(), None)[0], "t")

    assert notes([0.2, 0.7]) == notes([0.19, 0.71]) == []
    assert "add up to 1.2 to 1.2 in 1 of 2 rows and not to 1" in notes([0.2, 0.9])[0]
