"""Example cases as pictures: the most confident correct and wrong predictions of the best arm."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import png
from equipoise.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Example:
    """One test case: mean probability over runs of the predicted class, and its picture (None: no picture).

    words: the text below the picture.
    """

    case: str
    truth: str
    called: str
    probability: float
    picture: str | None
    words: str = ""
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Examples of one kind, most confident first; `total` is the number of cases of this kind."""

    title: str
    examples: tuple[Example, ...]
    total: int


def galleries(
    predictions: Predictions,
    pictures: Mapping[str, NDArray[np.uint8]],
    positive: str | None,
    notes: Mapping[str, str],
    most: int = 6,
) -> list[Gallery]:
    """Group one arm's test cases by kind, from scores averaged over its runs.

    positive: with it the kinds are hits, misses and false alarms; without, right and wrong. notes: case → words.
    """
    cases, first, member = np.unique(predictions.case, return_index=True, return_inverse=True)
    sums = np.zeros((cases.size, len(predictions.classes)))
    np.add.at(sums, member, predictions.scores)
    # Runs are averaged before cases are chosen: the first run's own errors would partly be those of its seed.
    scores = sums / np.bincount(member)[:, None]
    truth, called = predictions.truth[first], scores.argmax(axis=1)
    confidence = scores.max(axis=1)
    out = []
    for title, rows in _kinds(truth, called, predictions.classes, positive):
        chosen = np.flatnonzero(rows)
        ordered = chosen[np.argsort(-confidence[chosen], kind="stable")]
        examples = []
        for k in ordered[:most]:
            case, is_, predicted = str(cases[k]), predictions.classes[truth[k]], predictions.classes[called[k]]
            words = f"called {predicted}" if positive is not None or is_ == predicted else f"{is_}, called {predicted}"
            picture = png_uri(pictures[case]) if case in pictures else None
            share = float(confidence[k])
            examples.append(
                Example(case, is_, predicted, share, picture, f"{words} ({100 * share:.0f} %)", notes.get(case, ""))
            )
        out.append(Gallery(title, tuple(examples), int(rows.sum())))
    return out


def _kinds(
    truth: NDArray[np.int64], called: NDArray[np.int64], classes: Sequence[str], positive: str | None
) -> list[tuple[str, NDArray[np.bool_]]]:
    if positive is None or positive not in classes:
        return [("Correct, most confident first", truth == called), ("Wrong, most confident first", truth != called)]
    yes = classes.index(positive)
    return [
        (f"True positives: {positive}, called {positive}", (truth == yes) & (called == yes)),
        (f"False negatives: {positive}, not called {positive}", (truth == yes) & (called != yes)),
        (f"False positives: not {positive}, called {positive}", (truth != yes) & (called == yes)),
    ]


def png_uri(picture: NDArray[np.uint8]) -> str:
    """Return a picture (h, w) or (h, w, 3) as a PNG data URI, which keeps the page self-contained."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")
