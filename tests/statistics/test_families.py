from collections.abc import Callable
from dataclasses import replace

import numpy as np

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.analysis import Analysis, analyse
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.families import Decision, decisions
from equipoise.statistics.pairs import compare_family
from equipoise.statistics.panel import align
from equipoise.statistics.reasons import Reason
from equipoise.statistics.verdict import Question

Maker = Callable[..., Predictions]
QUESTION = Question(0.03, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)
ALL = [("a", "b"), ("a", "c"), ("b", "c")]


def analysis(table: Predictions) -> Analysis:
    return analyse(align(table), endpoint_named("auc", [], table.classes), 1)


def test_decisions_are_those_that_comparisons_report(binary: Maker) -> None:
    sample = analysis(binary(150, (0.78, 0.84, 0.9)))
    decided = decisions(sample, ALL, QUESTION)
    for comparison in compare_family(sample, ALL, QUESTION):
        own = decided[comparison.a, comparison.b]
        assert isinstance(own, Decision)
        assert (own.verdict, own.evidence.interval) == (comparison.verdict, (comparison.low, comparison.high))
        assert (own.evidence.p_adjusted, own.simultaneous) == (comparison.p_adjusted, comparison.simultaneous)


def test_refusals_are_reasons_in_the_order_of_the_pairs(binary: Maker) -> None:
    table = binary(150, (0.8, 0.84, 0.88))
    scores = table.scores.copy()
    scores[table.arm == "b"] = np.nan
    decided = decisions(analysis(replace(table, scores=scores)), ALL, QUESTION)
    assert [isinstance(one, Reason) for one in decided.values()] == [True, False, True]
    assert list(decided) == ALL


def test_the_rule_of_planning_is_that_of_the_family(binary: Maker) -> None:
    (alone,) = decisions(analysis(binary(150, (0.8, 0.9))), [("a", "b")], QUESTION).values()
    assert isinstance(alone, Decision)
    assert (alone.rule.level, len(alone.rule.pairs), alone.rule.folds) == (0.05, 1, 1)
    folded = decisions(analysis(binary(150, (0.8, 0.84, 0.9), folds=5)), ALL, QUESTION)
    for one in folded.values():
        assert isinstance(one, Decision)
        assert (len(one.rule.pairs), one.rule.arms, one.rule.folds, one.rule.repeats) == (3, 3, 5, 1)
