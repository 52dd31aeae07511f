"""Called classes in place of scores: 0 and 1, or words as positive and negative, beside truths of any two names."""

import re
from collections.abc import Mapping, Sequence
from shlex import quote

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.reading import Columns
from equipoise.evaluation.predictions import SCORE

POSITIVES: Mapping[str, str] = {
    "1": "0", "true": "false", "positive": "negative", "pos": "neg", "yes": "no", "positiv": "negativ", "ja": "nein",
}  # fmt: skip
"""Classes, in small letters, that a single score is about, with the other one."""


_DENIALS = frozenset((
    *("no", "not", "non", "none", "without", "absent", "n", "neg", "negative", "false", "0", "normal", "healthy"),
    *("nein", "nicht", "kein", "keine", "keinen", "ohne", "negativ", "falsch", "gesund"),
    *("sans", "pas", "aucun", "aucune", "faux", "négatif", "sain"),
))  # fmt: skip
"""First words of classes, in small letters, that something is absent: English, German, French."""


def positive_of(classes: Sequence[str]) -> tuple[str, str] | None:
    """Return the positive and the negative of two classes by their names; None where these do not say.

    >>> positive_of(["Nein", "Ja"]), positive_of(["benign", "malignant"])
    (('Ja', 'Nein'), None)
    """
    small = {one.lower(): one for one in classes}
    pairs = [(small[yes], small[no]) for yes, no in POSITIVES.items() if {yes, no} == small.keys()]
    return pairs[0] if len(small) == len(classes) == 2 and pairs else None


def to_name(classes: Sequence[str]) -> str:
    """Return what to type for the positive class, quoted for a shell: the one that denies nothing, else any of them.

    >>> to_name(["keine Pneumonie", "Pneumonie"]), to_name(["benign", "malignant lesion"])
    ('--positive Pneumonie', "--positive benign or --positive 'malignant lesion'")
    """
    asserting = [one for one in classes if not _denies(one)]
    offered = asserting if len(asserting) == 1 else classes
    return " or ".join(f"--positive {quote(one)}" for one in offered)


def _denies(name: str) -> bool:
    """Whether a name says that something is not there, as "no tumour", "keine Pneumonie", "non-malignant", "n"."""
    words = re.findall(r"[^\W_]+", name.casefold())
    return bool(words) and (words[0] in _DENIALS or words[-1] in ("absent", "negative", "negativ"))


def scores_of_calls(
    columns: Columns, name: str, called: Sequence[str], truths: Sequence[str], source: str, options: AuditOptions
) -> tuple[Columns, list[str]]:
    """Make scores of 0 and 1 of called classes, for endpoints that need no more; and notes.

    columns: of the table without the calls; name: of theirs in the file; called: its cells as text. Raises
    PredictionError for calls that are no class of the truth and no word for one, and for endpoints that need scores.
    """
    classes = sorted(set(truths))
    called, notes = _in_classes(columns, name, called, classes, source, options)
    if options.primary not in options.calls:
        raise PredictionError(
            f"{source} has predicted classes in {name!r} and no class scores, so {options.primary} cannot be "
            "computed; add score_<class> columns, or compare the predicted classes (--primary balanced_accuracy; also "
            f"{', '.join(options.calls)})"
        )
    classes = sorted({*classes, *called}) if len(classes) < 2 else classes
    if options.positive in classes and len(classes) == 2:
        classes.sort(key=lambda one: one == options.positive)
    own = np.array(called)
    scores = {SCORE + one: (own == one).astype(float) for one in classes}
    notes.append(f"The column {name!r} of {source} holds predicted classes, which have no ROC curve.")
    return {**columns, **scores}, notes


def _in_classes(
    columns: Columns, name: str, called: Sequence[str], classes: Sequence[str], source: str, options: AuditOptions
) -> tuple[Sequence[str], list[str]]:
    """Return the calls as classes of the truth; words for positive and negative are those of the two classes."""
    foreign = next((index for index, one in enumerate(called) if one not in classes), None)
    if foreign is None or {*called, *classes} <= {"0", "1"}:
        return called, []
    small = {one.lower() for one in called}
    pair = next(((yes, no) for yes, no in POSITIVES.items() if small <= {yes, no}), None)
    if pair is None or len(classes) != 2:
        case = f" of case {str(columns['case'][foreign])!r}" if "case" in columns else ""
        raise PredictionError(
            f"{source} has the predicted class {called[foreign]!r} in {name!r}{case}, which is no class of the truth "
            f"({', '.join(classes)}); correct it"
        )
    named = [options.positive, *(one for one in classes if one != options.positive)]
    sides = positive_of(classes) if options.positive not in classes else (str(named[0]), str(named[1]))
    if sides is None:
        raise PredictionError(
            f"{source} has the predicted classes {', '.join(sorted(set(called)))} in {name!r}, and the truth has "
            f"{' and '.join(classes)}; name the class that {pair[0]!r} means ({to_name(classes)})"
        )
    meaning = dict(zip(pair, sides, strict=True))
    how = f"{pair[0]!r} and {pair[1]!r} in {name!r} of {source} were read as {sides[0]!r} and {sides[1]!r}"
    return [meaning[one.lower()] for one in called], [f"The predicted classes {how}."]


def refuse_unnamed_calls(columns: Columns, truths: Sequence[str], source: str, options: AuditOptions) -> None:
    """Raise PredictionError where a table has a truth, no scores, and a column that may hold predicted classes."""
    free = [name for name in columns if name not in ("case", "patient", "truth", "arm", "split", *options.subgroups)]
    classes = {str(one).lower() for one in truths}
    words = [classes, *({yes, no} for yes, no in POSITIVES.items())]
    for name in free:
        cells = {str(one).strip().lower() for one in columns[name].tolist()}
        if len(cells) > 1 and any(cells <= one for one in words):
            scope = f"{options.arm}." if options.arm else ""
            raise PredictionError(
                f"{source} has no scores, and {name!r} may hold predicted classes ({', '.join(sorted(cells)[:4])}); if "
                f"it does, say so (--columns {scope}prediction={quote(name)} --primary balanced_accuracy)"
            )
