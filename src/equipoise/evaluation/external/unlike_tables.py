"""Tables of arms with other classes or metrics: two codings of one pair of classes are matched, the rest is refused."""

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external.called_classes import positive_of
from equipoise.evaluation.external.wide_structures import structure_in
from equipoise.evaluation.predictions import Predictions


def one_coding(tables: Sequence[Predictions]) -> tuple[list[Predictions], list[str]]:
    """Return tables in which known pairs of words for negative and positive have the first table's names; and notes.

    Where truths then differ in a case, the comparison of truths refuses it.
    """
    ours = positive_of(tables[0].classes)
    coded, notes = [tables[0]], []
    for table in tables[1:]:
        theirs = positive_of(table.classes)
        if ours is not None and theirs is not None and set(theirs) != set(ours):
            names = dict(zip(theirs, ours, strict=True))
            table = replace(table, classes=tuple(names[one] for one in table.classes))
            notes.append(
                f"The classes {theirs[1]} and {theirs[0]} of {_arms(table)} were taken for {ours[1]} and {ours[0]} of "
                f"{_arms(tables[0])}."
            )
        coded.append(table)
    return coded, notes


def refuse_unlike(tables: Sequence[Predictions]) -> None:
    """Raise PredictionError, which says what differs and what to type, for tables of other classes or metrics."""
    first = tables[0]
    for table in tables[1:]:
        if table.classes == first.classes and table.metrics.keys() == first.metrics.keys():
            continue
        classes = bool(first.classes or table.classes)
        both = f"{_described(first, classes)}, and {_described(table, classes)}"
        if bool(table.classes) != bool(first.classes):
            unread = first if table.classes else table
            remedy = f"say which are the truth and the score ({_columns(unread)}), or give the same kind for every arm"
        elif table.classes != first.classes:
            remedy = "give the classes the same names in the truth of every table"
        else:
            alone = _headings_alone(first, table) or _headings_alone(table, first)
            both_have = [name for name in _structures(first) if name in _structures(table)]
            remedy = "give every arm the same metrics, under the same names"
            remedy += f", or name the structures (--regions {quote(','.join(both_have))})" if both_have else ""
            remedy += f", or name the structures and their metric ({alone})" if alone else ""
        raise PredictionError(f"{both}, so the arms cannot be compared: {remedy}")


def _structures(table: Predictions) -> list[str]:
    """Return the words beside a known metric in the names of columns."""
    return list(dict.fromkeys(pair[1] for name in table.metrics if (pair := structure_in(name)) is not None))


def _headings_alone(table: Predictions, other: Predictions) -> str:
    """Return what to type where headings of a table are structures alone, which another names with their metric."""
    pairs = [pair for name in other.metrics if (pair := structure_in(name)) is not None]
    metrics = list(dict.fromkeys(metric for metric, _ in pairs))
    own = [structure for _, structure in pairs if structure in table.metrics]
    return f"--metric {quote(metrics[0])} --regions {quote(','.join(own))}" if len(metrics) == 1 and own else ""


def _described(table: Predictions, classes: bool) -> str:
    """Say what a table holds; classes: whether one of those compared has class scores, which others then lack."""
    metrics = f"columns read as metrics: {', '.join(table.metrics)}" if table.metrics else ""
    if not classes:
        return f"{_arms(table)} has {metrics or 'no column of numbers'}"
    has = f"classes {', '.join(table.classes)}" if table.classes else "no classes"
    return f"{_arms(table)} has {has}" + (f" ({metrics})" if metrics else "")


def _arms(table: Predictions) -> str:
    return ", ".join(table.arms())


def _columns(table: Predictions) -> str:
    """Return the statement of columns for a table of which all columns were read as metrics."""
    truth = binary(table)
    scores = [name for name in table.metrics if name not in truth]
    arms = table.arms()
    scope = f"{arms[0]}." if len(arms) == 1 else ""
    return columns_to_type(scope, truth[0] if truth else "NAME", scores[0] if scores else "NAME")


def columns_to_type(scope: str, truth: str, score: str) -> str:
    """Return what to type for a truth and a score, quoted for a shell.

    >>> columns_to_type("A.", "Finding (0/1)", "prob")
    "--columns A.truth='Finding (0/1)',A.score=prob"
    """
    return f"--columns {scope}truth={quote(truth)},{scope}score={quote(score)}"


def binary(table: Predictions) -> list[str]:
    """Return the metrics that are 0 in some rows and 1 in all others."""
    return [name for name, values in table.metrics.items() if set(np.unique(values).tolist()) == {0.0, 1.0}]


def refuse_truth_as_metric(table: Predictions, primary: str, *, direction_stated: bool) -> None:
    """Raise PredictionError where the primary metric is a truth: 0 or 1, and equal in all arms, where nothing differs.

    primary: a metric whose direction is not known by its name. direction_stated: whether the caller says it: else a
    truth beside it shows that it may be a score.
    """
    if table.classes or len(table.arms()) < 2 or primary not in table.metrics:
        return
    _, case = np.unique(table.case, return_inverse=True)
    for name in [one for one in binary(table) if one == primary or not direction_stated]:
        values = table.metrics[name]
        ones = np.bincount(case, values)
        if not ((ones == 0) | (ones == np.bincount(case))).all():
            continue
        others = [one for one in (primary, *table.metrics) if one != name]
        raise PredictionError(
            f"{name!r} is 0 or 1 and the same in every arm, as a truth is and no metric; say which column is what "
            f"({columns_to_type('', name, others[0] if others else 'NAME')}), or leave {name!r} out of the tables"
        )
