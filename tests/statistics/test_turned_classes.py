"""Where every arm lies below chance, the coding of the classes is asked about before anything is judged."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.cli import main
from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.report.text.verdicts import answers
from equipoise.statistics import judge
from equipoise.statistics.analysis import interval
from equipoise.testing.known_trials import Clustered, Design, analysed_trial
from equipoise.trials.audit import audit

Maker = Callable[..., Predictions]


def turned(table: Predictions) -> Predictions:
    """The same scores under each other's names."""
    return replace(table, scores=table.scores[:, ::-1].copy())


def columns(table: Predictions) -> dict[str, Any]:
    """The table as a user has it."""
    names = ("arm", "seed", "case", "patient")
    scores = {f"score_{name}": table.scores[:, k] for k, name in enumerate(table.classes)}
    return {name: getattr(table, name) for name in names} | {"truth": np.array(table.classes)[table.truth]} | scores


@pytest.mark.parametrize("primary", ["auc", "accuracy", "brier", "average_precision"])
def test_exchanged_classes_are_asked_about(binary: Maker, primary: str) -> None:
    table = turned(binary(60, (0.98, 0.8)))
    with pytest.raises(PredictionError) as caught:
        audit(columns(table), primary=primary)
    first = table.where((table.arm == "a") & (table.seed == 0))
    assert roc_auc_score(first.truth, first.scores[:, 1]) < 0.1
    assert "the AUC of every arm lies below 0.5 (a 0.0" in str(caught.value)
    assert "--below-chance" in str(caught.value)
    found = judge(table, primary=primary, margin=0.05)
    assert found.comparisons[0].verdict == "refused"
    assert "swapped" in sentence(found.comparisons[0].reason)
    assert found.ranking == ()


def test_a_confirmed_reading_is_judged_and_the_report_says_so(binary: Maker) -> None:
    found = audit(columns(turned(binary(60, (0.98, 0.8)))), below_chance=True)
    assert found["comparisons"][0]["verdict"] == "b_better"
    assert any("as the caller stated" in one for one in found["warnings"])
    first = answers(found, {"a": "a", "b": "b"})[0].answer
    assert re.search(r"a \(0\.0\d+\) and b \(0\.\d+\) are below chance \(AUC under 0\.5\)", first)
    assert "below chance" not in answers(audit(columns(binary(60, (0.98, 0.8)))), {"a": "a", "b": "b"})[0].answer


@pytest.mark.parametrize(("areas", "offered"), [((0.98, 0.8), True), ((0.98, 0.05), False)])
def test_the_other_class_is_offered_where_one_was_stated_and_all_arms_contradict_it(
    binary: Maker, areas: tuple[float, float], offered: bool
) -> None:
    table = turned(binary(60, areas))
    with pytest.raises(PredictionError) as caught:
        audit(columns(table), positive=table.classes[1])
    assert (f"(--positive {table.classes[0]})" in str(caught.value)) == offered


def test_one_arm_below_chance_is_a_poor_arm(binary: Maker) -> None:
    table = binary(150, (0.85, 0.15))
    assert judge(table, primary="auc", margin=0.05).comparisons[0].verdict == "a_better"
    # Below one half, but not certainly: chance.
    assert judge(binary(60, (0.49, 0.48)), primary="auc", margin=0.05).comparisons[0].verdict != "refused"


def test_averages_over_several_classes_are_seen_too() -> None:
    stream, n = np.random.default_rng(0), 90
    truth = np.arange(n) % 3
    scores = np.concatenate([stream.dirichlet(np.ones(3), n) - 0.5 * np.eye(3)[truth] for _ in range(6)])
    table = Predictions(
        case=np.tile(np.arange(n).astype(str), 6),
        patient=np.tile(np.arange(n).astype(str), 6),
        split=np.full(6 * n, "test"),
        arm=np.repeat(["a", "b"], 3 * n),
        fold=np.zeros(6 * n, dtype=np.int64),
        seed=np.tile(np.repeat(np.arange(3), n), 2),
        truth=np.tile(truth, 6),
        scores=scores,
        classes=("x", "y", "z"),
    )
    found = judge(table, primary="auc", margin=0.05).comparisons[0]
    assert "swapped" in sentence(found.reason)


@pytest.mark.long
def test_the_command_asks_in_one_line(binary: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "scores.parquet"
    pq.write_table(pa.table(columns(turned(binary(40, (0.98, 0.8))))), file)
    assert main(["audit", str(file), "--quiet", "--out", str(tmp_path / "out")]) != 0
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["audit", str(file), "--quiet", "--below-chance", "--out", str(tmp_path / "out")]) == 0


def test_one_turned_arm_of_an_audit_is_asked_about(binary: Maker) -> None:
    table = binary(60, (0.9, 0.7))
    best = table.arm == "a"
    scores = np.where(best[:, None], table.scores[:, ::-1], table.scores)
    assert roc_auc_score(table.truth[best], scores[best, 1]) < 0.2
    with pytest.raises(PredictionError, match=r"the AUC of 1 of 2 arms lies below 0\.5 \(a 0\.") as caught:
        audit(columns(replace(table, scores=scores)))
    assert "--below-chance" in str(caught.value)
    assert audit(columns(replace(table, scores=scores)), below_chance=True)["comparisons"][0]["verdict"] == "b_better"


def three_classes(order: tuple[int, ...], seeds: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Arms a and b with three classes; in those runs of `a` that are listed, the columns have this order."""
    rng = np.random.default_rng(2)
    truth = np.arange(48) % 3
    parts = []
    for arm in "ab":
        for seed in (0, 1):
            scores = np.exp(rng.normal(size=(48, 3)) + 2 * np.eye(3)[truth])
            scores /= scores.sum(axis=1, keepdims=True)
            parts.append((arm, seed, scores[:, order] if arm == "a" and seed in seeds else scores))
    cases = np.tile([f"c{k}" for k in range(48)], 4)
    return {
        "arm": np.repeat([arm for arm, _, _ in parts], 48), "seed": np.repeat([seed for _, seed, _ in parts], 48),
        "case": cases, "patient": cases, "truth": np.tile(np.array(list("xyz"))[truth], 4),
        **{f"score_{one}": np.concatenate([scores[:, k] for _, _, scores in parts]) for k, one in enumerate("xyz")},
    }  # fmt: skip


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0)])
def test_exchanged_columns_of_several_classes_are_asked_about(order: tuple[int, ...]) -> None:
    for seeds in ((0, 1), (1,)):
        with pytest.raises(PredictionError, match=rf"in a \(seed {seeds[0]}\) the scores of .*--below-chance"):
            audit(three_classes(order, seeds), primary="accuracy")


@pytest.mark.long
def test_several_classes_in_their_order_are_judged() -> None:
    audit(three_classes((0, 1, 2)), primary="accuracy")
    confirmed = audit(three_classes((1, 0, 2)), primary="accuracy", below_chance=True)
    assert any("as the caller stated" in one for one in confirmed["warnings"])


@pytest.mark.long
def test_honest_scores_of_unequal_patients_are_seldom_taken_for_turned_ones() -> None:
    """Weak scores, two patients with a quarter of the cases each: an arm was below chance in .09 of 300 trials."""
    design = Design("weak", (1, 1), (0.0, 0.0), Clustered((80, 80, *[3] * 58), 15, gain=0.3), 60, "auc")
    stream, below = np.random.default_rng(3), 0
    for _ in range(150):
        found = analysed_trial(design, stream)
        below += any(interval(found, arm).high < 0.5 for arm in design.names)
    assert below <= 6
