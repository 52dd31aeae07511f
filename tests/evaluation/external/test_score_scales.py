"""The scale of scores is judged for every arm and run: what contradicts a statement, or another arm, is refused."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.class_columns import with_scores
from equipoise.evaluation.external.score_scales import refuse_foreign_threshold
from equipoise.evaluation.predictions import Predictions

N = 12
LOGITS = np.random.default_rng(3).normal(0, 2, N)
TRUTH = np.arange(N) % 2


def two_arms(first: Any, second: Any, **more: Any) -> dict[str, Any]:
    """A table of the arms A and B, whose single score is given."""
    return {
        "arm": np.repeat(["A", "B"], N), "case": np.tile(np.arange(N), 2).astype(str),
        "truth": np.tile(TRUTH, 2).astype(object), "score": np.concatenate([first, second]), **more,
    }  # fmt: skip


def read(table: dict[str, Any], scores: str | None = None) -> Any:
    return with_scores(table, "t.csv", AuditOptions(scores=scores), None)[0]


def test_an_arm_of_probabilities_is_not_called_logits() -> None:
    with pytest.raises(PredictionError, match="called logits, and those of arm 'B' lie from .* as probabilities"):
        read(two_arms(LOGITS, expit(LOGITS)), "logits")
    assert read(two_arms(LOGITS, LOGITS), "logits")["score_1"].tolist() == np.tile(expit(LOGITS), 2).tolist()


def test_a_run_of_probabilities_is_not_called_logits() -> None:
    table = two_arms(LOGITS, expit(LOGITS), seed=np.repeat([0, 1], N))
    table["arm"] = np.full(2 * N, "A")
    with pytest.raises(PredictionError, match=r"those of arm 'A' \(seed 1\) lie"):
        read(table, "logits")


def test_two_scales_are_asked_about_and_not_said_to_be_logits() -> None:
    with pytest.raises(PredictionError, match="of arm 'A' from .* of arm 'B'; two scales") as raised:
        read(two_arms(LOGITS, expit(LOGITS)))
    assert "--scores logits" not in str(raised.value)


@pytest.mark.parametrize(("whole", "word"), [(1, "from"), (100, "add up to 100")])
def test_columns_per_class_that_add_up_are_no_logits(whole: int, word: str) -> None:
    table = two_arms(LOGITS, expit(LOGITS) * whole)
    table["score_1"] = table.pop("score")
    table["score_0"] = np.concatenate([-LOGITS, whole * (1 - expit(LOGITS))])
    with pytest.raises(PredictionError, match=f"those of arm 'B' .*{word}"):
        read(table, "logits")


def test_stated_probabilities_are_probabilities_in_every_arm() -> None:
    table = two_arms(100 * expit(LOGITS), expit(LOGITS))
    table["score_1"] = table.pop("score")
    table["score_0"] = 1 - table["score_1"]
    with pytest.raises(PredictionError, match="of arm 'A' from .* not probabilities"):
        read(table, "probabilities")
    assert set(read(table)) >= {"score_0", "score_1"}


def predictions(first: Any, second: Any) -> Predictions:
    """The same arms as a table of predictions."""
    score = np.concatenate([first, second])
    names = np.tile(np.arange(N), 2).astype(str)
    return Predictions(
        case=names, patient=names, split=np.full(2 * N, "test"), arm=np.repeat(["A", "B"], N),
        fold=np.zeros(2 * N, int), seed=np.zeros(2 * N, int), truth=np.tile(TRUTH, 2),
        scores=np.stack([1 - score, score], axis=1), classes=("no", "yes"),
    )  # fmt: skip


def test_one_threshold_for_two_scales_is_refused() -> None:
    part = expit(LOGITS)
    with pytest.raises(PredictionError, match="scores of arm 'A' lie .* scores of arm 'B' lie .*; bring all"):
        refuse_foreign_threshold(predictions(100 * part, part), 0.5, 1)
    for threshold, scores in ((50, part), (0.5, 100 * part)):
        with pytest.raises(PredictionError, match="another scale than the scores"):
            refuse_foreign_threshold(predictions(scores, scores), threshold, 1)
    for threshold, scores in ((0.5, part), (50, 100 * part), (0.5, LOGITS)):
        refuse_foreign_threshold(predictions(scores, scores), threshold, 1)
