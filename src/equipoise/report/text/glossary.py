"""The words of a report and of the documentation, each in plain English: the one source of both.

A page explains a word where it stands; the documentation lists them all. So a word means the same in both, and a new
word is one record here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TERMS", "Term", "anchor", "documented", "occurrences", "term"]


@dataclass(frozen=True)
class Term:
    """A word, what it means in one or two sentences, and other spellings of it.

    exact: the word is found in a text only with these capitals, as an abbreviation is.
    """

    name: str
    meaning: str
    also: tuple[str, ...] = ()
    exact: bool = False


TERMS = (
    Term("95 % interval", "The range of values that the data leave plausible. Of 100 such intervals about 95 contain "
         "the true value.", ("95 % CI", "confidence interval", "simultaneous interval")),
    Term("adjusted p", "A p value corrected for the number of comparisons: of 20 comparisons without any difference, "
         "one is expected below 0.05 by chance.", ("p, adjusted", "adjusted")),
    Term("arm", "One way to train a network: a model with its optimizer and its settings. Arms are what a trial "
         "compares.", ("arms",)),
    Term("ASSD", "Average symmetric surface distance: the mean distance between the surfaces of two masks.",
         ("mean surface distance",), exact=True),
    Term("AUC", "Area under the ROC curve: the probability that a positive case has a higher score than a negative "
         "one. 0.5 is chance, 1 is perfect.", ("macro AUC",), exact=True),
    Term("average precision", "The mean, over the positive cases, of the precision at the score of each."),
    Term("balanced accuracy", "The mean over the classes of the share of correctly classified cases."),
    Term("baseline", "A rule without learning, such as “large nodules are malignant”. A network that is not better "
         "than such a rule has learned nothing useful.", ("baselines", "trivial rule", "trivial rules")),
    Term("Brier score", "The mean squared distance between predicted probabilities and the truth. Lower is better."),
    Term("calibration", "The agreement of predicted probabilities with observed rates: of the cases with a predicted "
         "probability of 80 %, about 80 % should be positive.", ("calibrated",)),
    Term("case", "One image, volume or nodule that is predicted and judged. A patient may have several cases."),
    Term("checkpoint", "The saved state of a training run, from which an interrupted run goes on."),
    Term("cohort", "The patients and cases of a trial, and where their images come from."),
    Term("confusion matrix", "A table that counts, for each true class, which class was predicted.",
         ("confusion matrices",)),
    Term("contrast", "A second trial on a split by case, which shows how much the results improve when one patient "
         "is in both training and test."),
    Term("CPM", "Competition performance metric of a detector: its mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 "
         "false positives per scan. 1 is perfect.", exact=True),
    Term("deposit", "A copy of the ledger's last hash, given to another person or a registry, so that a later change "
         "of the record can be detected."),
    Term("Dice", "Overlap of two masks: twice the size of their intersection, divided by the sum of their sizes. 0 is "
         "no overlap, 1 is identity.",
         ("Dice coefficient",), exact=True),
    Term("draw of tuning", "One set of settings that tuning tried, taken at random from the search space.",
         ("draws of tuning",)),
    Term("ECE", "Expected calibration error: the mean distance between predicted probabilities and observed rates.",
         ("calibration error", "expected calibration error"), exact=True),
    Term("endpoint", "The number by which arms are judged, such as AUC or Dice. The primary endpoint decides; it is "
         "chosen before training.", ("endpoints", "primary endpoint", "secondary endpoint")),
    Term("epoch", "One pass of training over all training cases.", ("epochs",)),
    Term("equivalent", "The difference was shown to be smaller than the margin. It is not the same as “no difference "
         "was found”.", ("equivalence",)),
    Term("exploratory", "The test set was opened more often than planned, the record is incomplete, or the same "
         "patients were tested before. The numbers are correct, but they do not confirm a claim."),
    Term("failure rate", "The share of cases in which an arm found almost nothing (Dice below 0.1). Means hide such "
         "cases."),
    Term("false positive", "A positive prediction where the truth is negative.", ("false positives",)),
    Term("fold", "One of several divisions of the patients into training, validation and test.", ("folds",)),
    Term("FROC", "Free-response ROC curve of a detector: sensitivity against false positives per scan.", exact=True),
    Term("HD95", "95th percentile of the distances between the surfaces of two masks, in mm; in pixels where no "
         "spacing is stated. Lower is better.",
         exact=True),
    Term("IoU", "Intersection over union: the size of the intersection of two masks, divided by the size of their "
         "union.", exact=True),
    Term("leak", "The same patient, or the same image, in two parts of the split. A leak makes results look better "
         "than they are.", ("leaks",)),
    Term("ledger", "The record of a trial: one line per event, each with the hash of the line before, so that a later "
         "change can be detected."),
    Term("lock", "The plan as it was fixed before training: arms, split, endpoints, margin, program versions."),
    Term("look", "A planned interim analysis of some of the seeds before all are trained. Its significance level is "
         "fixed in advance.",
         ("looks",)),
    Term("margin", "The smallest difference that would change what you do. It is stated before the test set is "
         "opened; it cannot be computed from the data."),
    Term("mask", "The pixels or voxels that belong to a structure."),
    Term("net benefit", "The gain from acting on predictions: true positives minus false positives, weighted by "
         "the odds of the threshold.",
         ("decision curve",)),
    Term("not enough data", "Neither a difference nor equivalence could be shown. It does not mean that the arms "
         "are equal."),
    Term("power", "The probability that a trial of this size detects a true difference of a stated size."),
    Term("prevalence", "The share of positive cases."),
    Term("protocol", "The file that defines a trial before it is run: cohort, arms, training, endpoints."),
    Term("ROC", "Receiver operating characteristic: sensitivity against false-positive rate, over all thresholds.",
         ("ROC curve",), exact=True),
    Term("run", "One training of one arm with one seed.", ("training run", "training runs")),
    Term("run folder", "The folder that holds everything of one trial: plan, ledger, predictions, report."),
    Term("seed", "The number that starts the random generators. Each arm is trained with several seeds, because "
         "results vary from run to run.", ("seeds",)),
    Term("sensitivity", "The share of positive cases that are predicted positive."),
    Term("specificity", "The share of negative cases that are predicted negative."),
    Term("split", "The division of patients into training, validation and test."),
    Term("subgroup", "A part of the test cases, such as one scanner or small lesions.", ("subgroups",)),
    Term("surface Dice", "The share of both surfaces that lies within 1 mm of the other; within 1 pixel "
         "where no spacing is stated."),
    Term("test opening", "The moment at which the test cases are first predicted. It is recorded and happens once, "
         "after training.", ("test openings", "opening of the test set")),
    Term("test set", "The patients that were not used for training or for any choice.", ("test patients",
         "test cases")),
    Term("tuning", "The choice of settings by their validation results, before the runs that are judged."),
    Term("validation", "The patients on whose results epochs and settings are chosen. They are not the test set.",
         ("validation set",)),
    Term("verdict", "The answer to one comparison: better, equivalent, not enough data, or refused with the reason.",
         ("verdicts",)),
)  # fmt: skip
"""All terms, in alphabetical order without regard to case."""

_BY_SPELLING = {spelling.casefold(): one for one in TERMS for spelling in (one.name, *one.also)}


def term(spelling: str) -> Term | None:
    """Return the term with that name or other spelling; None where the glossary has none.

    >>> term("Arms").name, term("unheard-of")
    ('arm', None)
    """
    return _BY_SPELLING.get(" ".join(spelling.replace("\u00a0", " ").split()).casefold())


def anchor(one: Term) -> str:
    """Return the identifier of a term in a page of terms.

    >>> anchor(term("95 % interval")), anchor(term("test opening"))
    ('term-95-interval', 'term-test-opening')
    """
    return "term-" + re.sub(r"[^a-z0-9]+", "-", one.name.casefold()).strip("-")


def documented() -> str:
    """Return a Markdown list of all terms, each with an anchor of its own."""
    lines = [f'- <a id="{anchor(one)}"></a>**{one.name}**{_spellings(one)} – {one.meaning}' for one in TERMS]
    return "\n".join(lines) + "\n"


def occurrences(text: str) -> Iterator[tuple[int, int, Term]]:
    """Yield (start, end, term) of the words of a text that the glossary explains, in order, without overlap.

    >>> [(text, one.name) for start, end, one in occurrences("Both arms reach CPM.") for text in ["Both"]]
    [('Both', 'arm'), ('Both', 'CPM')]
    """
    for match in _PATTERN.finditer(text):
        one = term(match[0])
        # "seed" at the begin of a sentence is the same word; "dice" is not the coefficient.
        if one is not None and (not one.exact or match[0] in (one.name, *one.also)):
            yield match.start(), match.end(), one


def _spellings(one: Term) -> str:
    plurals = {f"{one.name}s", f"{one.name[:-1]}ies", f"{one.name[:-2]}ices"}
    others = [spelling for spelling in one.also if spelling not in plurals]
    return f" (also: {', '.join(others)})" if others else ""


def _any_spelling() -> re.Pattern[str]:
    # The longest first: "primary endpoint" is one term and not "primary" before "endpoint".
    spellings = sorted(_BY_SPELLING, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(_loose(one) for one in spellings)})(?![\w-])", re.IGNORECASE)


def _loose(spelling: str) -> str:
    # A space may be one that does not break, or a line end.
    return r"\s".join(re.escape(word) for word in spelling.split())


_PATTERN = _any_spelling()
