"""How p and the interval of a comparison were computed, in plain words beside them."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.amounts import p_text
from equipoise.report.text.words import decisive, interval

_PARTS = (
    ("Welch", "training runs as readers, each arm with its own variance between runs (Welch)"),
    ("crossed", "training runs as readers that share their seeds"),
    ("clustered", "the trained networks themselves; only patients vary"),
    ("Tango score", "Tango’s score test of paired rates of the trained networks"),
    ("wider with runs fixed", "with the runs fixed, because that gave the wider interval"),
    ("wider for new training data", "for new training data (corrected resampled t), which gave the wider interval"),
    ("wider to be valid at every look", "widened to be valid at every look"),
    (
        "skewness corrected",
        "corrected for the long tail of the patients’ differences (skewness): the stricter of Student’s and Hall’s t",
    ),
    ("moderated over arms in the family", "the adjustment uses variances between runs moderated over all arms"),
)
"""Beginnings of the parts of `method` in results.json, and what each means."""


def is_skewness_corrected(pair: Mapping[str, Any]) -> bool:
    """Return whether a comparison was corrected for the skewness of its patients."""
    return "skewness corrected" in str(pair.get("method") or "")


def method_in_words(method: str) -> str:
    """Return the rules of a comparison, by its `method` of results.json; empty where none is known.

    >>> method_in_words("Welch, wider with runs fixed").partition("(")[2]
    'Welch); with the runs fixed, because that gave the wider interval'
    """
    parts = [part.strip() for part in method.split(",")]
    known = [words for name, words in _PARTS if any(part.startswith(name) for part in parts)]
    return "; ".join(known)


def computed(pair: Mapping[str, Any], alpha: float = 0.05) -> str:
    """Return how a comparison's p and interval were made, and why both stand where one alone speaks for a difference.

    alpha: the two-sided level of the verdict. Empty for a comparison that was not tested.
    """
    rules = method_in_words(str(pair.get("method") or ""))
    sentences = [f"Test and interval: {rules}."] if rules else []
    p, adjusted, (low, high) = pair.get("p"), pair.get("p_adjusted"), decisive(pair)
    if p is None or adjusted is None or low is None or high is None or not low <= 0 <= high:
        return " ".join(sentences)
    if p < alpha <= adjusted:
        own = interval(pair["low"], pair["high"])
        sentences.append(
            f"{p_text(p)} and the interval {own} are of this comparison alone; the verdict uses the adjusted p "
            "and the wider interval in the sentence, which hold for all comparisons of its family together."
        )
    elif adjusted < alpha:
        level = pair.get("decisive_level")
        at = "" if level is None else f" at {100 * level:.3g} %"
        sentences.append(
            f"The interval in the sentence is that of the two one-sided tests of equivalence{at}; p tests another "
            "hypothesis, that there is no difference at all."
        )
    return " ".join(sentences)
