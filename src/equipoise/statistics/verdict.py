"""What may be said of two arms: the refusals, the verdict's word, and the sentence that gives the numbers behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.statistics.analysis import FEW_EVENTS, FEWEST_EVENTS, Analysis
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.judgement import Verdict

FEWEST_SEEDS = 3
FEWEST_FAILURES = 5  # so few failures decide the mean, and their own number is mostly chance


@dataclass(frozen=True)
class Question:
    """What is asked of every pair: `margin` is the smallest difference that matters.

    `alpha` is the level of this look, `level` the confidence of intervals (1 - alpha of the whole trial).
    """

    margin: float | None
    alpha: float
    level: float
    role: str
    deterministic: frozenset[str]
    patients_known: bool
    shared_seeds: bool


@dataclass(frozen=True)
class Evidence:
    """A pair's numbers; `p_new_data` and `new_data_equivalent` are NaN outside cross-validation."""

    contrast: Contrast
    p_adjusted: float
    p_equivalence: float
    p_new_data: float
    interval: tuple[float, float]
    equivalence: tuple[float, float]


def obstacle(analysis: Analysis, a: str, b: str, question: Question) -> tuple[Verdict, str] | None:
    """The reason why no verdict on the two methods may be given, or None."""
    for arm in (a, b):
        if arm in analysis.refused:
            return "refused", analysis.refused[arm]
    found = _data_obstacle(analysis, a, b, question) or _segmentation_obstacle(analysis, a, b)
    return ("refused", found) if found else _seed_obstacle(analysis, a, b, question)


def flags(analysis: Analysis) -> tuple[str, ...]:
    """What a reader should know about the data behind a verdict that is allowed."""
    events = analysis.events
    if events is None or not FEWEST_EVENTS <= events < FEW_EVENTS:
        return ()
    return (f"Only {events} patients of the rarer class: the test is valid but finds only large differences.",)


def decide(evidence: Evidence, question: Question) -> Verdict:
    """The verdict's word for a pair without obstacle, for an endpoint where higher is better."""
    if question.margin is not None and evidence.p_equivalence < question.alpha:
        return "equivalent"
    new_data = not evidence.p_new_data >= question.alpha  # NaN: not cross-validation
    if evidence.p_adjusted < question.alpha and new_data:
        return "a_better" if evidence.contrast.difference > 0 else "b_better"
    return "not_enough_data"


def turned(verdict: Verdict, sign: int) -> Verdict:
    """The word for an endpoint where lower is better (sign -1)."""
    if sign > 0 or verdict not in ("a_better", "b_better"):
        return verdict
    return "b_better" if verdict == "a_better" else "a_better"


def _data_obstacle(analysis: Analysis, a: str, b: str, question: Question) -> str:
    arms = analysis.arms
    if not question.patients_known:
        return (
            "The predictions do not say which cases belong to one patient, and treating them as independent finds "
            "differences that are not there; add a patient column, or state that every case is another patient."
        )
    if analysis.events is not None and analysis.events < FEWEST_EVENTS:
        return (
            f"Only {analysis.events} test patients belong to the rarer class; below {FEWEST_EVENTS} only each arm's "
            "own interval is given."
        )
    if arms.n_patients < FEWEST_EVENTS:
        return f"Only {arms.n_patients} test patients; below {FEWEST_EVENTS} only each arm's own interval is given."
    first, second = arms.index(a), arms.index(b)
    best = analysis.endpoint.high if analysis.endpoint.higher_is_better else analysis.endpoint.low
    if arms.mean[first] == arms.mean[second] == best:
        return f"Both arms are perfect on these cases ({analysis.endpoint.label} {best:g}); harder cases are needed."
    return ""


def _segmentation_obstacle(analysis: Analysis, a: str, b: str) -> str:
    """Why the mean of a metric in which failures weigh much is descriptive only: few cases, or few failures."""
    endpoint, panel = analysis.endpoint, analysis.panel
    if not endpoint.fewest_cases or not endpoint.kind.typical_case:
        return ""
    if panel.n_cases < endpoint.fewest_cases:
        return (
            f"Only {panel.n_cases} test cases; below {endpoint.fewest_cases} the interval of a mean {endpoint.display} "
            "is descriptive only, because a few failures decide it."
        )
    worst = endpoint.fails_below
    if worst is None:
        return ""
    for arm in (a, b):
        columns = panel.columns(arm)
        failures = sum(int((endpoint.case_values(fold)[columns] < worst).sum()) for fold in panel.folds)
        tested = sum(len(fold.case) for fold in panel.folds) * len(columns)
        per_run = failures / tested * panel.n_cases
        if 0 < per_run < FEWEST_FAILURES:
            return (
                f"{arm} fails ({endpoint.display} below {worst:g}) on {per_run:.2g} of {panel.n_cases} "
                "cases in a run; so few failures decide the mean by chance, and its interval is descriptive only (see "
                "the failure rate)."
            )
    return ""


def _seed_obstacle(analysis: Analysis, a: str, b: str, question: Question) -> tuple[Verdict, str] | None:
    arms = analysis.arms
    trained = [arm for arm in (a, b) if arm not in question.deterministic]
    seeds = {arm: int(arms.seeds[arms.index(arm)]) for arm in trained}
    fewest = min(trained, key=lambda arm: seeds[arm], default="")
    if fewest and seeds[fewest] == 1:
        return "single_run", (
            f"{fewest} was trained once, so the numbers speak of these trained networks on patients like these, not of "
            f"the methods; train at least {FEWEST_SEEDS} seeds of each arm."
        )
    if fewest and seeds[fewest] < FEWEST_SEEDS:
        return "refused", (
            f"{fewest} has {seeds[fewest]} finished training runs; with fewer than {FEWEST_SEEDS} the spread between "
            "runs is unknown, and a test would err too often. Train one more seed."
        )
    return None


def single_run_sentence(analysis: Analysis, a: str, b: str, evidence: Evidence, why: str, question: Question) -> str:
    """What may be said of two trained networks."""
    first, second = _better(analysis, a, b, evidence)
    clear = (
        f"This trained network of {first} scored better"
        if evidence.p_adjusted < question.alpha
        else "Neither stands out"
    )
    return f"{clear}: {_difference(analysis, first, second, evidence, question.level)}. {why}"


def sentence(
    analysis: Analysis, a: str, b: str, evidence: Evidence, verdict: Verdict, question: Question, family: int
) -> str:
    """One or two plain sentences with the numbers on which the verdict rests."""
    name, better = analysis.endpoint.label, _better(analysis, a, b, evidence)
    adjusted = p_text(evidence.p_adjusted) + (f" adjusted for {family} comparisons" if family > 1 else "")
    if verdict in ("a_better", "b_better"):
        winner, loser = better
        found = _difference(analysis, winner, loser, evidence, question.level)
        weight = "" if question.role == "primary" else " A secondary endpoint, so exploratory."
        return f"{winner} has a better {name} than {loser}: {found}; {adjusted}.{weight}"
    if verdict == "equivalent":
        level, margin = percent(2 * question.level - 1), amount(question.margin or 0.0)
        low, high = (amount(bound) for bound in evidence.equivalence)
        inside = f"the {level} interval {low} to {high} of the difference lies within the margin of {margin}"
        less = f" {better[0]} is better, but by less than the margin." if evidence.p_adjusted < question.alpha else ""
        return f"{a} and {b} are equivalent in {name}: {inside}.{less}"
    found = _difference(analysis, a, b, evidence, question.level)
    return f"The data cannot tell {a} and {b} apart in {name}: {found}; {adjusted}."


def _better(analysis: Analysis, a: str, b: str, evidence: Evidence) -> tuple[str, str]:
    """The arm with the better value, then the other."""
    return (a, b) if analysis.endpoint.sign * evidence.contrast.difference > 0 else (b, a)


def amount(value: float) -> str:
    """A metric's value or difference with three decimals, or three digits where it is large.

    >>> amount(0.0312), amount(-12.34)
    ('0.031', '-12.3')
    """
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def p_text(p: float) -> str:
    """p as journals print it.

    >>> p_text(0.00001), p_text(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(level: float) -> str:
    """A confidence level as it is printed.

    >>> percent(0.95)
    '95 %'
    """
    return f"{100 * level:.3g} %"


def _difference(analysis: Analysis, first: str, second: str, evidence: Evidence, level: float) -> str:
    """Both means, and the difference first minus second with its interval."""
    arms, unit = analysis.arms, f" {analysis.endpoint.unit}" if analysis.endpoint.unit else ""
    means = [float(arms.mean[arms.index(arm)]) for arm in (first, second)]
    same = np.sign(means[0] - means[1]) == np.sign(evidence.contrast.difference)
    low, high = evidence.interval if same else (-evidence.interval[1], -evidence.interval[0])
    return (
        f"{amount(means[0])} against {amount(means[1])}{unit}, a difference of {amount(means[0] - means[1])} "
        f"({percent(level)} interval {amount(low)} to {amount(high)})"
    )


def paired_differences(analysis: Analysis, a: str, b: str) -> NDArray[np.float64]:
    """Per-case differences of a metric (cases,), averaged over seeds and over repeats of cross-validation."""
    name, panel = analysis.endpoint.name, analysis.panel
    values = [
        fold.metrics[name][panel.columns(a)].mean(axis=0) - fold.metrics[name][panel.columns(b)].mean(axis=0)
        for fold in panel.folds
    ]
    cases, number = np.unique(np.concatenate([fold.case for fold in panel.folds]), return_inverse=True)
    return np.asarray(np.bincount(number, np.concatenate(values), len(cases)) / np.bincount(number))
