"""Names and numbers in the form of medical journals."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from equipoise.report.text.amounts import decimals_for
from equipoise.statistics.endpoints import described
from equipoise.tasks import recorded_task
from equipoise.tasks.task import one_stratum

_BASELINES = {
    "majority-class": "majority class",
    "intensity-rule": "intensity rule",
    "empty-mask": "empty mask",
    "mean-mask": "mean training mask",
    "size-rule": "size rule",
    "no-candidates": "no candidates",
    "spot-rule": "spot rule",
}
VERDICTS = {
    "a_better": "first is better",
    "b_better": "second is better",
    "equivalent": "equivalent within the margin",
    "not_enough_data": "not enough data",
    "single_run": "one run each: no verdict",
    "refused": "no verdict",
}
VERDICT_NOTES = {
    "a_better": "first is better",
    "b_better": "second is better",
    "equivalent": "equivalent within the margin",
    "not_enough_data": "not enough data",
    "single_run": "single runs, no verdict",
}
"""The verdicts as a row of the figure of differences has room for them."""
_WITHHELD = "withheld: failures could undo it"


def verdict_in_words(pair: Mapping[str, Any], short: bool = False) -> str:
    """Return a comparison's verdict in a few words.

    >>> verdict_in_words({"verdict": "equivalent"}), verdict_in_words({"verdict": "not_enough_data"}, short=True)
    ('equivalent within the margin', 'not enough data')
    """
    if pair.get("withheld"):
        return _WITHHELD
    if pair["verdict"] == "equivalent" and not short and pair.get("p_equivalence") is not None:
        # The p beside it tests another hypothesis, that there is no difference.
        return f"{VERDICTS['equivalent']} (p of equivalence {p_value(pair['p_equivalence'])})"
    return (VERDICT_NOTES if short else VERDICTS).get(pair["verdict"], "no verdict")


def endpoint_name(name: str, classes: int = 2) -> str:
    """Return the display name of an endpoint, with its unit.

    >>> endpoint_name("my_lab.metrics:edge_error")
    'edge error'
    >>> endpoint_name("auc"), endpoint_name("auc", 4), endpoint_name("sensitivity@0.90"), endpoint_name("dice_core")
    ('AUC', 'macro AUC', 'sensitivity at 90 % specificity', 'Dice core')
    """
    return described(name, classes).heading


def label_of(results: Mapping[str, Any], name: str) -> str:
    """Return the display name of an endpoint on the page of these results; in pixels where no spacing was stated."""
    record, plan = described(name, len(results["cohort"]["classes"])), results["endpoints"]
    if not plan.get("units_stated", True):
        record = record.counted_in(plan.get("length_unit", ""))
    return record.heading


def baseline_name(name: str, size_attribute: str | None = None) -> str:
    """Return the display name of a baseline; that of the size rule names its attribute.

    >>> baseline_name("size-rule", "diameter_mm"), baseline_name("majority-class")
    ('diameter rule', 'majority class')
    """
    if name == "size-rule" and size_attribute:
        return size_attribute.removesuffix("_mm").removesuffix("_ml").replace("_", " ") + " rule"
    return _BASELINES.get(name, name.replace("-", " "))


def case_noun(lock: Mapping[str, Any]) -> str:
    """Return the word for a case: in lung-nodule cohorts "nodule", or "scan" in detection; else "case"."""
    if not str(lock["cohort"].get("name", "")).startswith("lidc"):
        return "case"
    task = recorded_task(lock["cohort"])
    return "scan" if task is not None and task.whole_scans else "nodule"


_READERS = frozenset(("decathlon", "folders", "manifest", "nnunet", "pairs"))


def cohort_words(cohort: str, trial: str) -> str:
    """Name the data of a trial; the name of a reader of files, which such cohorts have, says nothing of them.

    >>> cohort_words("lidc-contours", "which"), cohort_words("pairs", "brains"), cohort_words("pairs", "")
    ('the cohort lidc-contours', 'the cohort of the trial brains', 'the cohort pairs')
    """
    return f"the cohort of the trial {trial}" if cohort in _READERS and trial else f"the cohort {cohort}"


def cohort_title(cohort: str, trial: str) -> str:
    """Return the name of a trial's data as a heading, as `cohort_words` chooses it."""
    return trial if cohort in _READERS and trial else cohort


def split_unit(lock: Mapping[str, Any]) -> str:
    """Describe the unit of the split; older locks do not state it and were split by patient."""
    # Locks of version 0.1 may lack the key; they were split by patient.
    if lock["split"].get("scheme") == "given":
        return "the source's own parts"
    by_case = lock["split"].get("unit", "patient") == "case"
    return (
        "by case, dividing patients" if by_case else "by guessed patients" if patients_guessed(lock) else "by patient"
    )


def patients_guessed(lock: Mapping[str, Any]) -> bool:
    """Return whether the source states no patients, so that groups of alike images stand for them."""
    return bool(lock["cohort"].get("patients_guessed", False))


def stratified(lock: Mapping[str, Any]) -> str:
    """Return the words ", stratified by class" for a task whose cases have classes; else none, for nothing else is.

    None too for parts that the source gives: nobody knows how they were made.
    """
    if lock["split"].get("scheme") == "given":
        return ""
    task = recorded_task(lock["cohort"])
    by_class = task is None or (task.strata is not one_stratum and len(lock["cohort"].get("classes") or (1, 2)) > 1)
    return ", stratified by class" if by_class else ""


def decisive(pair: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the interval of a comparison on which its verdict rests; the pair's own where none is recorded."""
    low, high = pair.get("decisive") or (None, None)
    return (pair["low"], pair["high"]) if low is None or high is None else (low, high)


def exceeds_margin(pair: Mapping[str, Any]) -> bool:
    """Return whether the difference is shown to be larger than the margin that matters."""
    low, high = decisive(pair)
    margin = pair.get("margin")
    return None not in (low, high, margin) and (low > margin or high < -margin)  # type: ignore[operator]


def plural(count: int, noun: str) -> str:
    """Format a count with its noun.

    >>> plural(1, "nodule"), plural(1300, "patient")
    ('1 nodule', '1,300 patients')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def number(value: float | None, decimals: int = 3, signed: bool = False) -> str:
    """Format a number with a true minus sign; a dash for None.

    A number that is not 0 has as many decimals as show it.

    >>> number(-0.01234), number(0.5, 2, signed=True), number(None), number(0.00004)
    ('−0.012', '+0.50', '–', '0.00004')
    """
    if value is None:
        return "–"
    decimals = decimals_for([value], decimals)
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    # A rounded zero has no sign: "−0.000" would suggest a direction.
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def sampled(entries: Iterable[Mapping[str, Any]], folds: int = 1) -> str:
    """Name what an arm's own interval is about: patients, and training runs where some arm has several.

    With folds it is about the networks fitted in them: other training patients would add doubt, which the comparisons
    allow for and the interval of one arm does not.

    >>> sampled([{"seeds": [0]}, {"seeds": [0]}]), sampled([{"seeds": [0, 1]}])
    ('patients', 'patients and training runs')
    >>> sampled([{"seeds": [0]}], folds=5)
    'patients, for the networks fitted in these folds'
    """
    over = "patients and training runs" if several_runs(entries) else "patients"
    return f"{over}, for the networks fitted in these folds" if folds > 1 else over


def several_runs(entries: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether some arm has several training runs."""
    return any(len(entry.get("seeds") or ()) > 1 for entry in entries)


def interval(low: float | None, high: float | None, decimals: int = 3) -> str:
    """Format an interval with "to", because a dash could be read as a minus sign; no bound reads 0 that excludes it.

    >>> interval(-0.01, 0.02, 2), interval(0.0004, 0.021)
    ('−0.01 to 0.02', '0.0004 to 0.0210')
    """
    if low is None or high is None:
        return "–"
    decimals = decimals_for([low, high], decimals)
    return f"{number(low, decimals)} to {number(high, decimals)}"


def percentage(value: float, decimals: int = 0) -> str:
    """Format a share in percent, without its sign; 0 and 100 are those values alone.

    >>> percentage(0.43), percentage(0.9996), percentage(1.0), percentage(0.002)
    ('43', '99.96', '100', '0.2')
    """
    return f"{100 * value:.{decimals_for([100 * value], decimals, (0.0, 100.0))}f}"


def typographic(text: str) -> str:
    """Return a sentence of results.json with true minus signs.

    >>> typographic("a difference of -0.012 in LIDC-0012")
    'a difference of −0.012 in LIDC-0012'
    """
    return _MINUS.sub("−", text)


_MINUS = re.compile(r"(?<!\S)-(?=\d)")


def p_value(value: float | None) -> str:
    """Format a p value as journals print it.

    >>> p_value(0.00001), p_value(0.03123), p_value(0.2345)
    ('<0.001', '0.031', '0.23')
    """
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def listed(names: list[str]) -> str:
    """Join names for a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""


def seconds(value: float | None) -> str:
    """Format a duration.

    >>> seconds(4.21), seconds(92), seconds(7300)
    ('4.2 s', '92 s', '2 h 2 min')
    """
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def trained_as(arm: Mapping[str, Any]) -> str:
    """Name an arm's model and its optimizer, where it has one of ours; of an ensemble what it is made of.

    >>> trained_as({"model": "unet", "optimizer": "adam"}), trained_as({"model": "nnunet", "optimizer": None})
    ('unet with adam', 'nnunet')
    >>> trained_as({"model": "ensemble", "optimizer": None, "ensemble": ["a"], "members": 3})
    'ensemble of 3 runs of a'
    """
    if arm.get("ensemble"):
        each = f"{plural(arm['members'], 'run')} of {'each of ' * (len(arm['ensemble']) > 1)}"
        return f"ensemble of {each}{listed(arm['ensemble'])}"
    return f"{arm['model']} with {arm['optimizer']}" if arm["optimizer"] is not None else str(arm["model"])
