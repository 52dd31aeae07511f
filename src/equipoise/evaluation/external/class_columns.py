"""Make class scores of the columns that classifiers leave: `y_true, y_prob`, one column per class, or called classes.

Whether a column holds probabilities or logits is never guessed: values outside 0 to 1 without a name or a statement
are a question. Called classes have no curve, so only endpoints of calls are computed from them.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import LOGITS, PERCENT, PROBABILITIES, AuditOptions
from equipoise.evaluation.external.called_classes import refuse_unnamed_calls, scores_of_calls
from equipoise.evaluation.external.headings import bare_heading
from equipoise.evaluation.external.likely_columns import likely
from equipoise.evaluation.external.likeness import refuse_unlisted
from equipoise.evaluation.external.reading import Columns, RowNumbers
from equipoise.evaluation.external.rival_columns import refuse_rivals
from equipoise.evaluation.external.score_scales import (
    SUM_TOLERANCE,
    refuse_no_percentages,
    refuse_outside,
    refuse_stated_logits,
)
from equipoise.evaluation.external.score_strays import REMEDY, Place, fractions, outside, sentence_outside
from equipoise.evaluation.external.table_file import as_numbers, hundredths
from equipoise.evaluation.external.two_classes import sides
from equipoise.evaluation.predictions import SCORE

_PER_CLASS = re.compile(r"(prob|proba|probability|p|pred_prob|y_prob|y_proba|y_score|logit|logits)_(.+)", re.IGNORECASE)
_AFTER_CLASS = re.compile(r"(.+)_(prob|proba|probability|score|logit)", re.IGNORECASE)
_SCORES = (
    "score", "scores", "yscore", "yprob", "yproba", "prob", "proba", "probability", "predprob", "predproba",
    "ypredproba", "ypredprob", "confidence", "logit", "logits", "decisionfunction", "risk", "likelihood", "predscore",
    "predictionscore", "aiscore", "modelscore", "riskscore", "aiprobability", "modelprobability",
)  # fmt: skip
_CALLED = (
    "prediction", "predictions", "ypred", "pred", "preds", "predicted", "predictedlabel", "predlabel", "predictedclass",
    "predclass", "yhat", "called", "output",
)  # fmt: skip
MANY_SCORES = 20
"""Different scores, none below one half, needed to ask what they are about where neither name nor calls tell."""
_NO_TRUTH = ("", "na", "nan", "n/a", "#n/a")


def with_scores(
    columns: Columns,
    source: str,
    options: AuditOptions,
    truth: Mapping[str, str] | None,
    used: dict[str, str] | None = None,
    rows: RowNumbers | None = None,
) -> tuple[Columns, list[str]]:
    """Return the columns with `truth` and one `score_<class>` per class, where the table is a classifier's; and notes.

    truth: case → class, for tables without a truth of their own. used: is filled with the columns of scores and calls.
    rows: the numbers of the rows in their file.
    """
    before, used, rows = columns, {} if used is None else used, rows or RowNumbers(np.zeros(0, np.int64))
    # The same prefix in other letters, as spreadsheets write it.
    columns = {SCORE + key[len(SCORE) :] if key.lower().startswith(SCORE) else key: v for key, v in columns.items()}
    own = "truth" in columns
    labels = columns["truth"].tolist() if own else [(truth or {}).get(str(case)) for case in columns.get("case", ())]
    if not own and not (truth and labels):
        _refuse_bare_scores(columns, source)
        return columns, []
    if not own and not any(label is not None for label in labels) and labels:
        refuse_unlisted([str(case) for case in columns["case"]], truth or {}, source, f"the reference {options.truth}")
    if not labels:
        raise PredictionError(f"{source} has a header and no rows; save the predictions again")
    named = sorted({name.removeprefix(SCORE) for name in columns if name.startswith(SCORE)})
    texts = _truths([label for label in labels if label is not None], named)
    if own:
        columns = {**columns, "truth": np.array(_truths(labels, named), dtype=object)}
    columns, notes = _per_class(columns, source, set(texts))
    blank = sum(str(text).lower() in _NO_TRUTH for text in texts)
    if blank:
        raise PredictionError(f"{source} has {blank} rows without a truth; fill it in, or remove the rows")
    single = _of_one_class(columns, set(texts))
    if single is not None:
        used["score"], options = single[0], replace(options, positive=single[1])
        columns = {"score" if name == single[0] else name: values for name, values in columns.items()}
    if any(name.startswith(SCORE) for name in columns):
        columns, notes = _completed(columns, source, options, sorted(set(texts)), notes, rows)
    else:
        columns, notes = _from_one(columns, source, options, texts, notes, used, rows)
    if not {"score", "prediction"} & used.keys():
        scores = [name for name in before if name not in columns or name.lower().startswith(SCORE)]
        used |= {"score": ", ".join(scores)} if scores else {}
    return columns, notes


def score_columns(columns: Columns) -> list[str]:
    """Return the columns whose names are those of scores."""
    return [
        name
        for name in columns
        if bare_heading(name) in _SCORES or name.lower().startswith(SCORE) or _PER_CLASS.fullmatch(name)
    ]


def own_names(used: Mapping[str, str]) -> dict[str, str]:
    """Return what a file calls its column of scores, by our name; used: role → column, "arms" of a wide table."""
    name = used.get("score") or used.get("arms")
    return {} if name is None else {"score": name}


def _truths(labels: list[Any], classes: list[str]) -> list[Any]:
    """Return truths as text; whole numbers with a point (1.0) lose it, unless a class is named so."""
    texts = [label if label is None or label != label else str(label).strip() for label in labels]
    written = {text for text in texts if isinstance(text, str)}
    numbers = as_numbers(np.array(sorted(written), dtype=object)) if written else None
    if numbers is None or not _whole(numbers) or written & set(classes):
        return texts
    whole = {text: str(int(value)) for text, value in zip(sorted(written), numbers, strict=True)}
    pointed = any("." in text for text in written)
    return [whole[text] if pointed and isinstance(text, str) else text for text in texts]


def _whole(numbers: NDArray[np.float64]) -> bool:
    return bool((np.isfinite(numbers) & (np.abs(numbers) < 1e15) & (numbers == np.rint(numbers))).all())


def _refuse_bare_scores(columns: Columns, source: str) -> None:
    """Refuse probabilities without a truth, of which no metric can be made."""
    bare_scores = [name for name in columns if bare_heading(name) in {*_SCORES} - {"score", "scores"}]
    if bare_scores:
        raise PredictionError(
            f"{source} has the scores {bare_scores[0]!r} and no truth; add a column 'truth', name it (--columns "
            "truth=NAME), or give a CSV of case and truth (--truth)"
        )


def _per_class(columns: Columns, source: str, truths: set[str]) -> tuple[Columns, list[str]]:
    """Rename a family of columns, one per class (prob_<class>, <class>_score), to `score_<class>`."""
    if any(name.startswith(SCORE) for name in columns):
        return columns, []
    for pattern, place in ((_PER_CLASS, 2), (_AFTER_CLASS, 1)):
        matches = {name: match for name in columns if (match := pattern.fullmatch(name))}
        classes = {name: match[place] for name, match in matches.items()}
        if len(matches) < 2 or not truths <= set(classes.values()) or len(set(classes.values())) < len(classes):
            continue
        logits = any("logit" in match[3 - place].lower() for match in matches.values())
        renamed = {SCORE + classes[name] if name in classes else name: values for name, values in columns.items()}
        if logits:
            renamed = _softmax(renamed, source)
        kind = "logits" if logits else "scores"
        return renamed, [f"The columns {', '.join(classes)} of {source} were read as {kind} of the classes."]
    return columns, []


def _of_one_class(columns: Columns, truths: set[str]) -> tuple[str, str] | None:
    """Return the one column that names one of two classes (prob_cancer), and that class, beside no other scores."""
    if len(truths) != 2 or any(name.startswith(SCORE) or bare_heading(name) in _SCORES for name in columns):
        return None
    spelt = {one.lower(): one for one in sorted(truths)}
    fitting = [
        (name, spelt[match[place].lower()])
        for name in columns
        for pattern, place in ((_PER_CLASS, 2), (_AFTER_CLASS, 1))
        if (match := pattern.fullmatch(name)) and match[place].lower() in spelt
    ]
    return fitting[0] if len(fitting) == 1 else None


def _softmax(columns: Columns, source: str) -> Columns:
    names = [name for name in columns if name.startswith(SCORE)]
    scores = np.stack([_score_numbers(columns[name], name, source) for name in names], axis=1)
    refuse_stated_logits(columns, scores, ", ".join(names), source)
    with np.errstate(invalid="ignore"):  # an infinite logit gives no number, which the statistics refuse by name
        return {**columns, **dict(zip(names, softmax(scores, axis=1).T, strict=True))}


def _completed(
    columns: Columns, source: str, options: AuditOptions, truths: list[str], notes: list[str], rows: RowNumbers
) -> tuple[Columns, list[str]]:
    """Add the score of the other of two classes where a table has one; turn stated logits into probabilities."""
    names = [name for name in columns if name.startswith(SCORE)]
    others = [truth for truth in truths if SCORE + truth not in names]
    if len(names) == 1 and len(others) == 1 and len(truths) <= 2:
        positive = names[0].removeprefix(SCORE)
        place = Place(source, names[0], columns, rows)
        table, more = _two(columns, names[0], positive, others[0], place, options)
        return table, [*notes, *more]
    place = Place(source, ", ".join(names), columns, rows)
    if options.scores == LOGITS and len(names) > 1:
        return _softmax(columns, source), [*notes, f"The scores of {source} are logits, as stated: softmax was taken."]
    if options.scores == PERCENT and len(names) > 1:
        scores = np.stack([_score_numbers(columns[name], name, source) for name in names], axis=1)
        refuse_no_percentages(scores, place)
        shares = dict(zip(names, hundredths(scores.T), strict=True))
        return {**columns, **shares}, [*notes, f"The scores of {source} are percentages and were divided by 100."]
    if options.scores == PROBABILITIES:
        scores = np.stack([_score_numbers(columns[name], name, source) for name in names], axis=1)
        refuse_outside(scores, place, options.arm)
    return columns, notes


def other_sums(columns: Columns, source: str) -> list[str]:
    """Note scores from 0 to 1 that do not add up to 1, as those of one network per class or of two arms."""
    names = [name for name in columns if name.startswith(SCORE)]
    numbers = [as_numbers(columns[name]) for name in names]
    known = [one for one in numbers if one is not None]
    if len(known) < max(2, len(names)):
        return []
    scores = np.stack(known, axis=1)
    rows = np.isfinite(scores).all(axis=1)
    unlike = rows & (abs(np.where(rows, scores.T, 0).sum(axis=0) - 1) > SUM_TOLERANCE)
    if not unlike.any() or scores[rows].min() < 0 or scores[rows].max() > 1:
        return []
    sums = scores[unlike].sum(axis=1)
    note = (
        f"The scores {', '.join(names)} of {source} add up to {sums.min():.3g} to {sums.max():.3g} in {len(sums)} of "
        f"{len(scores)} rows and not to 1: they are not class probabilities, and measures that take them as such "
        "(accuracy, Brier score, log-likelihood) may mislead."
    )
    return [note]


def _from_one(
    columns: Columns,
    source: str,
    options: AuditOptions,
    truths: list[str],
    notes: list[str],
    used: dict[str, str],
    rows: RowNumbers,
) -> tuple[Columns, list[str]]:
    """Read one column of scores or of called classes; `used` is filled with its name."""
    if "truth" in columns and not any(bare_heading(name) in (*_SCORES, *_CALLED) for name in columns):
        _refuse_unknown_arms(columns, source, options)
        refuse_unnamed_calls(columns, truths, source, options)
        return columns, notes
    score = _one(columns, _SCORES, "score", source, named="score" in options.columns or "arms" in options.columns)
    if score is not None and _only_calls(columns[score], truths):
        columns = {"prediction" if name == score else name: values for name, values in columns.items()}
        score = None
    called = _one(columns, _CALLED, "prediction", source, named="prediction" in options.columns)
    if score is None and called is not None and _is_fraction(columns[called]):
        score, called = called, None
    if score is not None:
        where = source if "truth" in columns else f"the reference {options.truth}"
        positive, negative = sides(truths, source, where, options)
        # By the file's own name: what is called "score" here may be called anything there.
        place = Place(source, own_names(used).get(score, score), columns, rows)
        _refuse_confidence(columns, score, called, positive, truths, place, options)
        if called is not None:
            columns = {name: values for name, values in columns.items() if name != called}
            calls = used.get("prediction", called)
            notes.append(f"The predicted classes in {calls!r} of {source} were not used; the scores were.")
        used["score"] = used.get("score", score)
        table, more = _two(columns, score, positive, negative, place, options)
        return table, [*notes, *more]
    if called is None:
        refuse_unnamed_calls(columns, truths, source, options)
        return columns, notes
    used["prediction"] = used.get("prediction", used.pop("score", called))
    cells = [str(one) for one in _truths(columns[called].tolist(), [])]
    rest = {name: values for name, values in columns.items() if name != called}
    columns, more = scores_of_calls(rest, used["prediction"], cells, truths, source, options)
    return columns, [*notes, *more]


def _one(columns: Columns, names: tuple[str, ...], role: str, source: str, *, named: bool) -> str | None:
    """Return the column of a role, which the caller may have stated; refuse two that could be it."""
    fitting = [name for name in columns if bare_heading(name) in names]
    if role in columns:
        if not named:
            refuse_rivals(role, role, [name for name in fitting if name != role], columns, source)
        return role
    if len(fitting) > 1:
        raise PredictionError(
            f"{source} has {len(fitting)} columns that could be the {role} ({', '.join(fitting)}); say which one is, "
            f"such as --columns {role}={quote(fitting[0])}"
        )
    return fitting[0] if fitting else None


def _only_calls(values: NDArray[Any], truths: list[str]) -> bool:
    """Whether a column holds classes alone: then it is no score, whatever its name."""
    cells = {str(cell) for cell in _truths(values.tolist(), [])}
    return bool(cells) and (cells <= set(truths) or cells <= {"0", "1"})


def _is_fraction(values: NDArray[Any]) -> bool:
    numbers = as_numbers(values)
    return numbers is not None and bool((numbers[np.isfinite(numbers)] % 1 != 0).any())


def _two(
    columns: Columns, name: str, positive: str, negative: str, place: Place, options: AuditOptions
) -> tuple[Columns, list[str]]:
    """Make the scores of two classes of that of one, the positive class second."""
    score, notes = _probability(columns[name], place, options)
    if name != SCORE + positive or notes:
        notes.append(f"The column {place.name!r} of {place.source} was read as the probability of {positive!r}.")
    rest = {key: values for key, values in columns.items() if key != name}
    return {**rest, SCORE + negative: 1 - score, SCORE + positive: score}, notes


def _probability(cells: NDArray[Any], place: Place, options: AuditOptions) -> tuple[NDArray[np.float64], list[str]]:
    """Return probabilities; refuse values of which it is not certain whether they are logits."""
    name, source = place.name, place.source
    score = _score_numbers(cells, name, source)
    finite = score[np.isfinite(score)]
    inside = bool(((finite >= 0) & (finite <= 1)).all())
    kind = options.scores or (LOGITS if "logit" in name.lower() and not inside else None)
    if kind == LOGITS:
        refuse_stated_logits(place.columns, score[:, None], name, source)
        return _logistic(score, place)
    if kind == PERCENT:
        refuse_no_percentages(score[:, None], place)
        cautions = fractions(score, place, cells)
        note = f"The scores {name!r} of {source} are percentages and were divided by 100."
        return hundredths(score), [*cautions, note]
    if kind is None and "logit" in name.lower():
        raise PredictionError(
            f"{source} has the column {name!r} with values from 0 to 1 only; say what they are (--scores "
            "probabilities; convert logits to probabilities)"
        )
    refuse_outside(score[:, None], place, options.arm)
    return score, []


def _refuse_confidence(
    columns: Columns,
    name: str,
    called: str | None,
    positive: str,
    truths: list[str],
    place: Place,
    options: AuditOptions,
) -> None:
    """Refuse scores that may be about the class that was called, whichever it is, unless they were stated.

    No such score is below one half; beside called classes, some case called negative has a score above one half.
    """
    score = as_numbers(columns[name])
    if options.scores is not None or score is None or len(set(truths)) != 2:
        return
    known = np.isfinite(score)
    if not known.any() or score[known].min() < 0.5 or score[known].max() > 1:
        return
    calls = np.array(_truths(columns[called].tolist(), []), dtype=str) if called is not None else None
    if calls is not None and (calls == positive).all():
        return
    if calls is None and "confidence" not in bare(place.name) and len(np.unique(score[known])) < MANY_SCORES:
        return
    raise PredictionError(
        f"no score in {place.name!r} of {place.source} is below 0.5, as if it were the confidence in the predicted "
        f"class and not the probability of {positive!r}; give that probability, or confirm it (--scores probabilities)"
    )


def _logistic(score: NDArray[np.float64], place: Place) -> tuple[NDArray[np.float64], list[str]]:
    """Take the logistic function; refuse scores so large that it makes different ones equal and their order is lost."""
    known = np.flatnonzero(np.isfinite(score))
    finite, name, source = score[known], place.name, place.source
    if len(np.unique(expit(finite))) < len(np.unique(finite)):
        few = outside(finite[:, None], 100)
        if len(few):
            text = sentence_outside(finite[:, None], 100, place, few, known)
            raise PredictionError(f"{text}, as percentages do; {REMEDY}, then say that they are percentages")
        raise PredictionError(
            f"{source} has scores in {name!r} from {finite.min():.4g} to {finite.max():.4g}, which are too large for "
            "the logistic function to keep different scores apart; give probabilities (percentages divided by 100)"
        )
    return expit(score), [f"The scores {name!r} of {source} are logits: the logistic function was taken."]


def _score_numbers(values: NDArray[Any], name: str, source: str) -> NDArray[np.float64]:
    numbers = as_numbers(values)
    if numbers is None:
        odd = next(cell for cell in values.tolist() if as_numbers(np.array([cell], dtype=object)) is None)
        raise PredictionError(f"{source} has {str(odd)!r} in column {name!r}, which is no number; correct it")
    return numbers


def _refuse_unknown_arms(columns: Columns, source: str, options: AuditOptions) -> None:
    """Refuse number columns beside a truth that may be arms or class scores, in a table without arms."""
    known = {"arm", "case", "patient", "truth", "split", "seed", "fold", *options.subgroups}
    unknown = [name for name in columns if name not in known and as_numbers(columns[name]) is not None]
    if unknown and "arm" not in columns and options.primary not in unknown:
        raise PredictionError(
            f"{source} has the columns {', '.join(unknown)} beside the truth, but their role is not clear; if each is "
            f"an arm, add --columns arms={quote('+'.join(unknown))}; if one is the score, add --columns "
            f"score={quote(likely('score', columns, unknown))}; name class scores score_<class>"
        )
