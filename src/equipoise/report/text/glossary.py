"""The words of a report and of the documentation, each explained once in plain English.

One source: the site's glossary is made from it, and pages may show an explanation beside a word.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word, what it means in one or two sentences, and other spellings by which it is met."""

    name: str
    meaning: str
    also: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The end of a link to the word on a page, as forges and the site make it from a heading.

        >>> Term("test opening", "").anchor, Term("p, adjusted", "").anchor
        ('test-opening', 'p-adjusted')
        """
        kept = "".join(letter for letter in self.name.lower() if letter.isalnum() or letter in " -_")
        return kept.replace(" ", "-")


TERMS = (
    Term("alpha", "The largest accepted probability of any false claim in the whole family of comparisons; .05 by default."),
    Term(
        "arm",
        "One way to train a network: an architecture with its optimizer and all settings. A trial compares arms, as a "
        "clinical trial compares treatments.",
    ),
    Term("AUC", "How often a positive case gets a higher score than a negative one: 1 is perfect, 0.5 is chance.", ("ROC",)),
    Term(
        "audit",
        "The judgement of predictions that were made elsewhere, from tables or masks alone. Nothing is trained.",
    ),
    Term(
        "average precision",
        "The mean, over all positive cases, of the precision at the score of that case. It depends on how common positive "
        "cases are.",
    ),
    Term(
        "baseline",
        "A trivial rule that stands beside the networks, such as “always the majority class” or “large lesions are malignant”.",
        ("trivial rule",),
    ),
    Term(
        "Brier score",
        "The mean squared distance between the predicted probabilities and the truth; lower is better, 0 is perfect.",
    ),
    Term(
        "bundle",
        "A folder of data without code that holds one trained arm, proven to give the predictions of its trial again.",
    ),
    Term(
        "calibration",
        "Whether probabilities can be taken at their word: of 100 cases with a probability of 0.7, about 70 should be "
        "positive.",
    ),
    Term("case", "One image, nodule or volume with its truth. A patient may have several cases."),
    Term("cohort", "All cases of a trial with their patients, as one source gives them."),
    Term(
        "confidence interval",
        "The range of values that the data leave plausible. An interval of 95 % misses the true value in 5 of 100 trials.",
        ("interval",),
    ),
    Term(
        "CPM",
        "Competition performance metric: the mean sensitivity of a detector at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives "
        "per scan.",
    ),
    Term("deposit", "A small file with the head of the ledger that somebody else keeps, so that a rewritten run shows."),
    Term("Dice", "The overlap of two masks: twice the shared voxels over the sum of both; 1 is perfect, 0 is no overlap."),
    Term(
        "draw",
        "One setting that tuning tries for an arm, chosen at random from its range. Every arm gets the same number of draws, "
        "fixed before training.",
        ("draws",),
    ),
    Term(
        "ECE",
        "Expected calibration error: the mean distance between predicted probability and observed frequency, over bins of "
        "probability; 0 is perfect.",
        ("expected calibration error",),
    ),
    Term("endpoint", "The number by which arms are judged. One is primary, and the verdict rests on it alone."),
    Term(
        "equivalent",
        "The difference was shown to be smaller than the margin. It does not mean that there is no difference.",
        ("equivalence",),
    ),
    Term(
        "exploratory",
        "A mark on a trial whose plan was broken, for example because the test set was opened twice. The numbers stand, the "
        "claim does not.",
    ),
    Term("failure", "A case in which a method gave no usable answer, such as a mask with a Dice below 0.1."),
    Term("family", "All comparisons that share one alpha: all pairs of arms, or every arm with one control."),
    Term(
        "fingerprint",
        "What `init` measures of a cohort to configure a trial: sizes, spacings, intensities, classes, patients.",
    ),
    Term("fold", "One of the parts into which cross-validation divides the patients; each is the test part once.", ("folds",)),
    Term(
        "FROC",
        "The curve of a detector's sensitivity against false positives per scan; CPM is a mean over seven points of it.",
    ),
    Term(
        "HD95",
        "The 95th percentile of the distances between two surfaces, the larger of both directions, in mm; 0 is perfect.",
    ),
    Term("job", "One training: one arm, one fold, one seed. A trial is a list of jobs."),
    Term(
        "leak",
        "A patient or an image in two parts of the split. The network has seen what it is tested on, and the result is too "
        "good.",
        ("leaks",),
    ),
    Term(
        "ledger",
        "The record of a trial: every event with the hash of the one before, so that a later change shows.",
    ),
    Term("lock", "The file in which a trial fixes its plan, data and code before training; later changes are refused."),
    Term(
        "looks",
        "Planned analyses before all seeds are trained, such as after three of five. Their additional chance of a false claim "
        "is paid for.",
        ("look",),
    ),
    Term("margin", "The smallest difference that would change what you do. You state it; no data contain it."),
    Term(
        "net benefit",
        "True positives minus false positives, weighed by the threshold at which a patient would be treated; it says whether "
        "acting on a score helps.",
        ("decision curve",),
    ),
    Term(
        "not enough data",
        "Neither a difference nor equivalence could be shown. The report says how many patients or runs would be needed.",
    ),
    Term("NSD", "Normalised surface Dice: the share of both surfaces within a tolerance of each other.", ("surface Dice",)),
    Term(
        "p, adjusted",
        "How surprising the difference would be if there were none, after a correction for the number of comparisons.",
        ("p value",),
    ),
    Term("patch", "A piece of an image on which a network trains where whole images do not fit in memory."),
    Term(
        "power",
        "The probability that a trial finds a difference of the margin, if there is one. 80 % is a usual aim.",
    ),
    Term("protocol", "The plan of a trial, one TOML file: data, split, arms, budget, endpoints and margin."),
    Term(
        "region",
        "A structure that is judged in segmentation; regions may overlap, as the whole tumour and its core do.",
    ),
    Term(
        "seed",
        "The start of the random numbers of a training. Several seeds per arm show how much chance alone changes the result.",
        ("seeds",),
    ),
    Term("study", "Many trials that ask one question on several data sets and networks, with a joint answer."),
    Term("subgroup", "Cases with a common attribute, such as one hospital; shown beside the verdict, never deciding it."),
    Term(
        "test opening",
        "The one moment at which the test cases are predicted, after all training has ended. A second one makes a trial "
        "exploratory.",
        ("opening",),
    ),
    Term("trial", "A comparison of arms on one cohort by one protocol, from the lock to the verdict."),
    Term("verdict", "The answer for one pair of arms: better, equivalent, not enough data, about these networks, or refused."),
)
"""Every term, in the order of the alphabet."""


def term_named(name: str) -> Term | None:
    """Return the term of a word, by its name or another spelling, whatever its case; None for any other word."""
    return _BY_SPELLING.get(name.strip().lower())


def markdown(terms: Iterable[Term] = TERMS) -> str:
    """Return the glossary as Markdown, one heading per term, so that pages can link to it."""
    return "\n\n".join(
        f"## {term.name}\n{term.meaning}" + (f" *Also: {', '.join(term.also)}.*" if term.also else "") for term in terms
    )


_BY_SPELLING = {spelling.lower(): term for term in TERMS for spelling in (term.name, *term.also)}
