"""Calls are classes of the truth, by name or by a word for positive; what a call means is never guessed."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from equipoise.errors import PredictionError
from equipoise.evaluation.external import AuditOptions, collect_table
from equipoise.statistics.endpoints import CALLED

ILL = np.random.default_rng(1).random(30) < 0.4
CALLS = np.random.default_rng(2).random(30) < 0.5
NAMES = tuple(one.name for one in CALLED)


def table(truth: tuple[str, str], calls: tuple[str, str], column: str = "prediction") -> dict[str, object]:
    """Truth and calls of 30 cases; of each pair the word for positive comes first."""
    return {
        "case": [f"c{k}" for k in range(30)], "arm": ["a"] * 30, "truth": [truth[int(not one)] for one in ILL],
        column: [calls[int(not one)] for one in CALLS],
    }  # fmt: skip


def read(columns: dict[str, object], positive: str | None = None, primary: str = "balanced_accuracy") -> float:
    """Balanced accuracy of the class scores that were made of calls."""
    options = AuditOptions(positive=positive, primary=primary, calls=NAMES, cases_are_patients=True)
    read = collect_table(columns, options).predictions
    called = read.scores.argmax(axis=1)
    return float(np.mean([(called[read.truth == one] == one).mean() for one in (0, 1)]))


EXPECTED = balanced_accuracy_score(ILL, CALLS)


@pytest.mark.parametrize(
    "calls", [("positiv", "negativ"), ("Ja", "Nein"), ("1", "0"), ("true", "false"), ("1.0", "0.0")]
)
@pytest.mark.parametrize(
    ("truth", "positive"), [(("1", "0"), None), (("pos", "neg"), None), (("Pneumonia", "well"), "Pneumonia")]
)
def test_words_for_positive_are_the_positive_class(
    calls: tuple[str, str], truth: tuple[str, str], positive: str | None
) -> None:
    assert read(table(truth, calls), positive) == pytest.approx(EXPECTED, rel=1e-12)


def test_calls_by_the_names_of_the_classes_need_no_more() -> None:
    assert read(table(("ill", "well"), ("ill", "well"))) == pytest.approx(EXPECTED, rel=1e-12)


def test_what_is_not_certain_is_asked() -> None:
    with pytest.raises(
        PredictionError, match=r"negativ, positiv in 'prediction', and the truth has ill and well; name"
    ):
        read(table(("ill", "well"), ("positiv", "negativ")))
    with pytest.raises(
        PredictionError, match=r"'unclear' in 'prediction' of case 'c\d+', which is no class of the tru"
    ):
        read(table(("ill", "well"), ("ill", "unclear")))
    with pytest.raises(
        PredictionError, match=r"'Result' may hold .*\(--columns prediction=Result --primary balanced_ac"
    ):
        read(table(("1", "0"), ("positiv", "negativ"), "Result"))
    with pytest.raises(PredictionError, match=r"compare the predicted classes \(--primary balanced_accuracy"):
        read(table(("1", "0"), ("1", "0")), primary="auc")
