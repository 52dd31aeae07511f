"""Sentences, by code, on two arms: the verdict, the reason of a refusal, and the gain by more data."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

from equipoise.report.text.amounts import (
    adding_up,
    amount,
    amounts,
    decimals_for,
    fixed,
    p_text,
    percent,
    usual_decimals,
)


def no_verdict(endpoint: str, why: str) -> str:
    """Describe a refusal, with its reason."""
    return f"No verdict on {endpoint}: {why}"


def unknown_patients() -> str:
    """Describe predictions without patients."""
    return (
        "The predictions do not say which cases belong to one patient, and treating the cases as independent finds "
        "differences that do not exist; add a patient column, or state that every case is a different patient."
    )


def few_events(events: int, fewest: int) -> str:
    """Describe few patients of the rarer class; no verdict."""
    return (
        f"Only {events} test patients belong to the rarer class, and a verdict needs at least {fewest}; only the "
        "interval of each arm is given."
    )


def few_patients(patients: int, fewest: int) -> str:
    """Describe few patients."""
    return (
        f"Only {patients} test patients, and a verdict needs at least {fewest}; only the interval of each arm is given."
    )


def few_beyond(endpoint: str, negatives: int, fewest: int, folds: int = 1) -> str:
    """Describe few negative patients, whose highest scores decide a threshold by chance."""
    where = "in a fold" if folds > 1 else "in the test set"
    return (
        f"Only {negatives} patients without the positive class {where}, and the threshold of {endpoint} needs at least "
        f"{fewest}, because the few with the highest scores would decide it by chance; test more of them, or state a "
        "lower specificity."
    )


def few_decide(endpoint: str, patients: float, fewest: int) -> str:
    """Describe a metric of one's own whose difference a few patients decide, as an extreme case does."""
    return (
        f"The difference in {endpoint} rests on about {patients:.0f} patients, as where one extreme case decides, and "
        f"its error is not known with fewer than {fewest}; choose a metric to which all cases contribute."
    )


def few_patients_yet(patients: int, fewest: int) -> str:
    """Describe an audit that grows and is looked at too early."""
    return f"Only {patients} test patients so far; a growing audit gives verdicts from {fewest} patients on."


def both_perfect(endpoint: str, best: float) -> str:
    """Describe two arms at the end of the scale."""
    if best == 0:  # a rate of failures, an error, a distance
        return f"Every test case has {endpoint} 0 in both arms, so there is no difference to test."
    return f"Both arms are perfect on these cases ({endpoint} {best:g}); harder cases are needed."


def turned_classes(areas: Sequence[tuple[str, float]]) -> str:
    """Describe scores that lie below chance in every arm."""
    shown = ", ".join(f"{arm} {area:.3f}" for arm, area in areas)
    return (
        f"The AUC of every arm lies below 0.5 ({shown}), as if the classes of the scores or of the truth were "
        "swapped; correct them, or audit these predictions with --below-chance if they are right."
    )


def few_cases(cases: int, fewest: int, metric: str) -> str:
    """Describe few cases of a metric that failures decide."""
    return (
        f"Only {cases} test cases; with fewer than {fewest}, the interval of a mean {metric} is only descriptive, "
        "because a few failures dominate it."
    )


def few_failures(arm: str, metric: str, below: float, failures: float, cases: int) -> str:
    """Describe few failures, which decide the mean by chance."""
    return (
        f"{arm} fails ({metric} below {below:g}) on {failures:.2g} of {cases} cases in the mean run; so few failures "
        "decide a mean by chance, and the difference is no larger than they can change (see the failure rate)."
    )


def one_seed(arm: str, fewest: int) -> str:
    """Describe an arm that was trained once."""
    return (
        f"{arm} was trained once, so the numbers describe these trained networks on patients like these, not the "
        f"methods; train each arm with at least {fewest} seeds."
    )


def few_seeds(arm: str, seeds: int, fewest: int) -> str:
    """Describe an arm with too few seeds for a test."""
    return (
        f"{arm} has {seeds} finished training runs; with fewer than {fewest} the variance between runs is too "
        "uncertain, and a test would give too many false positives. Train one more seed."
    )


def copied_runs(arm: str, given: int, distinct: int, fewest: int) -> str:
    """Describe runs that are copies of each other."""
    are = f"{distinct} training run{'s' * (distinct > 1)}"
    return (
        f"{given} runs of {arm} were given, but they are only {are}: the others have the same predictions, so the "
        f"variance between runs is unknown. Train {arm} with at least {fewest} different seeds, or give every run once."
    )


def no_variation(a: str, b: str) -> str:
    """Describe two arms that are alike everywhere."""
    return f"{a} and {b} do not differ on any patient or run, so there is no variation to test."


def only_large_differences(events: int, unequal: bool = False) -> str:
    """Describe a test of few events; unequal: some patients have several times the cases of the others."""
    if unequal:
        return (
            f"Only {events} patients of the rarer class, and few of them have most of the cases: the test is wider for "
            "it, and can detect only very large differences."
        )
    return f"Only {events} patients of the rarer class: the test is valid but can detect only large differences."


def trained_networks(stands_out: bool, difference: str, first: str, why: str) -> str:
    """Describe two trained networks, whatever the methods."""
    clear = f"This trained network of {first} scored better" if stands_out else "Neither network scored clearly better"
    return f"{clear}: {difference}. {why}"


def of_these_networks(verdict: str, shown: Sequence[str] = ()) -> str:
    """State that a verdict is about single trained networks; `shown`: sentences on what is not inferior."""
    verdicts = " ".join([verdict, *shown])
    return f"For these trained networks, on patients like these: {verdicts}"


def not_inferior(a: str, b: str, margin: float) -> str:
    """State that an arm is not worse than the other by the margin or more."""
    return f"{a} is non-inferior to {b} (margin {amount(margin)}): the interval excludes a loss of that size."


def better(
    endpoint: str,
    winner: str,
    loser: str,
    p: float,
    family: int,
    difference: str,
    secondary: bool,
    unseen: str = "",
    margin: float | None = None,
    exceeds: bool = False,
) -> str:
    """Describe a verdict for one arm; exceeds: the whole interval lies beyond the margin."""
    weight = "This endpoint is secondary, so the result is exploratory." if secondary else ""
    verdict = f"{winner} has a better {endpoint} than {loser}: {difference}; {_adjusted(p, family)}."
    return " ".join(filter(None, (verdict, _beside(margin, exceeds), weight, unseen)))


def secondary_in_sequence(
    verdict: str, a: str, b: str, margin: float, confirmed: Sequence[str], lost: bool, before: str
) -> str:
    """State what of a secondary endpoint with a margin is confirmed behind the primary one."""
    if not confirmed:
        why = (
            f"the same claim was not shown for {before}, an earlier endpoint"
            if lost
            else "the interval used in the sequence shows no claim"
        )
        return f"{verdict} Secondary endpoint, in fixed sequence: nothing is confirmed, because {why}."
    other, parts = {a: b, b: a}, []
    for claim in confirmed:
        kind, _, arm = claim.partition(":")
        if kind == "equivalent":
            parts.append(f"{a} and {b} are equivalent within {amount(margin)}")
        elif kind == "better":
            parts.append(f"{arm} is better than {other[arm]}")
        elif f"better:{arm}" not in confirmed:
            parts.append(f"{arm} is non-inferior to {other[arm]} (margin {amount(margin)})")
    return f"{verdict} Secondary endpoint, confirmed in fixed sequence: {' and '.join(parts)}."


def _beside(margin: float | None, exceeds: bool) -> str:
    """State whether a difference is shown to matter."""
    if margin is None:
        return ""
    if exceeds:
        return f"The whole interval lies beyond the margin of {amount(margin)}, so the difference matters."
    return f"It is better, but the difference may be smaller than the margin of {amount(margin)}."


def unseen_failures(arm: str, rate: float, **facts: Any) -> str:
    """State the rate of failures that would reverse a difference, and the rate that the patients cannot exclude."""
    result = "the result would be reversed"
    return f"{_also_failed(arm, rate, **facts)}, {result}; {_possible(arm, **facts)}."


def unseen_beyond_margin(arm: str, rate: float, **facts: Any) -> str:
    """State the rate of failures that would lead beyond the margin, and the rate that the patients cannot exclude."""
    result = "the difference would exceed the margin"
    return f"{_also_failed(f'{arm} or the other arm', rate, **facts)}, {result}; {_possible(arm, **facts)}."


def _also_failed(who: str, rate: float, **facts: Any) -> str:
    """Begin a sentence on failures beyond those seen; a rate of 1 is every patient, and no larger one exists."""
    if rate >= 1:
        return f"Only if {who} failed ({_failed(**facts)}) in every patient"
    return f"If {who} failed ({_failed(**facts)}) in {percent(rate)} of patients beyond the failures seen"


def _failed(endpoint: str, unit: str, failed: float, **_others: Any) -> str:
    return f"{endpoint} {failed:.3g}{' ' * bool(unit)}{unit}"


def _possible(arm: str, seen: float, patients: int, excluded: float, assumed: str, **_others: Any) -> str:
    """State the failures seen, the rate that they leave possible, and how to state another value of a failure."""
    option = f"--failure-value {quote(f'{assumed}=VALUE')}"
    remedy = f" (no table tells how far {assumed} goes; the worst value of a case: {option})" if assumed else ""
    alone = f"{arm} failed where the other arm did not"
    # Not a failure rate: cases in which both arms fail are none of these. A mean over runs, hence no whole number.
    if seen == 0:
        some = f"there was no patient of {patients} in whom {alone}"
    elif seen == int(seen):
        some = f"{alone} in {int(seen)} of {patients} patients"
    else:
        some = f"{alone} in {seen:.2g} patients of {patients} on average over the runs"
    return f"{some}, which does not exclude a rate of up to {percent(excluded)}{remedy}"


def equivalent(
    a: str, b: str, endpoint: str, level: float, interval: Sequence[float], margin: float, smaller: str | None
) -> str:
    """Describe a verdict of equivalence; `smaller` is the arm that is better by less than the margin."""
    low, high = amounts(*interval, marks=(0.0, margin, -margin))
    inside = f"the {percent(level)} interval {low} to {high} of the difference lies within the margin of"
    less = f" {smaller} is better, but by less than the margin." if smaller is not None else ""
    return f"{a} and {b} are equivalent in {endpoint}: {inside} {amount(margin)}.{less}"


def undecided(
    a: str,
    b: str,
    endpoint: str,
    p: float,
    family: int,
    difference: str,
    new_data: str = "",
    advice: str = "",
    guard: str = "",
) -> str:
    """State that there is no verdict, and the gain by more data."""
    no_difference = (
        f"The data do not show whether {a} or {b} has the better {endpoint}: {difference}; {_adjusted(p, family)}."
    )
    return " ".join(filter(None, (no_difference, new_data, advice, guard)))


def withheld(
    a: str,
    b: str,
    endpoint: str,
    p: float,
    family: int,
    difference: str,
    margin: float | None,
    better: str | None,
    new_data: str = "",
    advice: str = "",
    unseen: str = "",
    guard: str = "",
) -> str:
    """State which verdict of the tests is withheld because of failures that nobody saw, and the gain by more data.

    margin: of an equivalence that is withheld; None where it is a difference. better: the arm that is better by the
    tests, if one is.
    """
    leads = "" if better is None else f"{better} has a better {endpoint} than {b if better == a else a}"
    if margin is None:
        tested, could = leads, "reverse it"
    else:
        equal = f"{a} and {b} are equivalent in {endpoint} within the margin of {amount(margin)}"
        tested = f"{leads}, by less than the margin of {amount(margin)}" if leads else equal
        could = "lead beyond the margin"
    first = f"By the tests alone, {tested}; no verdict is given, because failures that nobody saw could {could}"
    return " ".join(filter(None, (f"{first}: {difference}; {_adjusted(p, family)}.", unseen, new_data, advice, guard)))


def difference(means: Sequence[float], unit: str, level: float, interval: Sequence[float], family: int = 1) -> str:
    """State both means, and the first minus the second with the interval that decides; a part of a sentence."""
    units = f" {unit}" if unit else ""
    gap = means[0] - means[1]
    usual = usual_decimals([*means, *interval])
    # As many digits as tell the means apart: "0.812 against 0.812" would name a difference that nobody can see.
    digits = max(decimals_for([gap, *interval], usual), decimals_for([means[0]], usual, [means[1]]))
    low, high = (fixed(value, digits) for value in interval)
    first, second, gap_text = (fixed(value, adding_up(means, digits)) for value in (*means, gap))
    together = f" for all {family} comparisons together" if family > 1 else ""
    return (
        f"{first} against {second}{units}, a difference of {gap_text} "
        f"({percent(level)} interval{together} {low} to {high})"
    )


def new_data_undecided(p: float) -> str:
    """Describe fitted models that differ, where methods may not."""
    return (
        "The models fitted here differ, but models fitted to new training data may not (corrected resampled t test, "
        f"p = {p:.3f}); more repeats of cross-validation would help."
    )


def _adjusted(p: float, family: int) -> str:
    return p_text(p) + (f" adjusted for {family} comparisons" if family > 1 else "")


# Listed here and not registered by a decorator, so that one place shows all codes.
WRITERS = (
    no_verdict, unknown_patients, few_events, few_patients, few_patients_yet, few_beyond, few_decide, both_perfect,
    turned_classes, few_cases, few_failures,
    one_seed, few_seeds, copied_runs, no_variation, only_large_differences, trained_networks, of_these_networks,
    not_inferior, better, secondary_in_sequence,
    equivalent, undecided, withheld, difference, new_data_undecided, unseen_failures,
    unseen_beyond_margin,
)  # fmt: skip
