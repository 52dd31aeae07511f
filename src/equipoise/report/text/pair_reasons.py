"""Sentences, by code, on two arms: the verdict, the reason of a refusal, and the gain by more data."""

from collections.abc import Sequence
from typing import Any

from equipoise.report.text.amounts import about, amount, amounts, decimals_for, fixed, p_text, percent, usual_decimals


def no_verdict(endpoint: str, why: str) -> str:
    """Describe a refusal, with its reason."""
    return f"No verdict on {endpoint}: {why}"


def unknown_patients() -> str:
    """Describe predictions without patients."""
    return (
        "The predictions do not say which cases belong to one patient, and treating them as independent finds "
        "differences that are not there; add a patient column, or state that every case is another patient."
    )


def few_events(events: int, fewest: int) -> str:
    """Describe few patients of the rarer class; no verdict."""
    return (
        f"Only {events} test patients belong to the rarer class; below {fewest} only each arm's own interval is given."
    )


def few_patients(patients: int, fewest: int) -> str:
    """Describe few patients."""
    return f"Only {patients} test patients; below {fewest} only each arm's own interval is given."


def few_patients_yet(patients: int, fewest: int) -> str:
    """Describe an audit that grows and is looked at too early."""
    return f"Only {patients} test patients so far; an audit that grows gives verdicts from {fewest} on."


def both_perfect(endpoint: str, best: float) -> str:
    """Describe two arms at the end of the scale."""
    return f"Both arms are perfect on these cases ({endpoint} {best:g}); harder cases are needed."


def turned_classes(areas: Sequence[tuple[str, float]]) -> str:
    """Describe scores that lie below chance in every arm."""
    shown = ", ".join(f"{arm} {area:.3f}" for arm, area in areas)
    return (
        f"The AUC of every arm lies below 0.5 ({shown}), as if the classes of the scores or of the truth were "
        "exchanged; correct them, or audit these predictions with --below-chance if they are right."
    )


def few_cases(cases: int, fewest: int, metric: str) -> str:
    """Describe few cases of a metric that failures decide."""
    return (
        f"Only {cases} test cases; below {fewest} the interval of a mean {metric} is descriptive only, because a few "
        "failures decide it."
    )


def few_failures(arm: str, metric: str, below: float, failures: float, cases: int) -> str:
    """Describe few failures, which decide the mean by chance."""
    return (
        f"{arm} fails ({metric} below {below:g}) on {failures:.2g} of {cases} cases in a run; so few failures decide "
        "the mean by chance, and its interval is descriptive only (see the failure rate)."
    )


def one_seed(arm: str, fewest: int) -> str:
    """Describe an arm that was trained once."""
    return (
        f"{arm} was trained once, so the numbers speak of these trained networks on patients like these, not of the "
        f"methods; train at least {fewest} seeds of each arm."
    )


def few_seeds(arm: str, seeds: int, fewest: int) -> str:
    """Describe an arm with too few seeds for a test."""
    return (
        f"{arm} has {seeds} finished training runs; with fewer than {fewest} the spread between runs is unknown, and a "
        "test would err too often. Train one more seed."
    )


def copied_runs(arm: str, given: int, distinct: int, fewest: int) -> str:
    """Describe runs that are copies of each other."""
    are = f"{distinct} training run{'s' * (distinct > 1)}"
    return (
        f"{given} runs of {arm} were given, and they are {are}: the others have the same predictions, so the spread of "
        f"training is unknown. Train {arm} with at least {fewest} different seeds, or give every run once."
    )


def no_variation(a: str, b: str) -> str:
    """Describe two arms that are alike everywhere."""
    return f"{a} and {b} do not differ on any patient or run, so there is no variation to judge by."


def only_large_differences(events: int) -> str:
    """Describe a valid test of few events."""
    return f"Only {events} patients of the rarer class: the test is valid but finds only large differences."


def trained_networks(stands_out: bool, difference: str, first: str, why: str) -> str:
    """Describe two trained networks, whatever the methods."""
    clear = f"This trained network of {first} scored better" if stands_out else "Neither stands out"
    return f"{clear}: {difference}. {why}"


def of_these_networks(verdict: str, shown: Sequence[str] = ()) -> str:
    """State that a verdict is about single trained networks; `shown`: sentences on what is not inferior."""
    verdicts = " ".join([verdict, *shown])
    return f"Of these trained networks, on patients like these: {verdicts}"


def not_inferior(a: str, b: str, margin: float) -> str:
    """State that an arm is not worse than the other by the margin or more."""
    return f"{a} is not inferior to {b} by the margin of {amount(margin)}: the interval excludes it."


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
    weight = "A secondary endpoint, so exploratory." if secondary else ""
    verdict = f"{winner} has a better {endpoint} than {loser}: {difference}; {_adjusted(p, family)}."
    return " ".join(filter(None, (verdict, _beside(margin, exceeds), weight, unseen)))


def secondary_in_sequence(
    verdict: str, a: str, b: str, margin: float, confirmed: Sequence[str], lost: bool, before: str
) -> str:
    """State what of a secondary endpoint with a margin is confirmed behind the primary one."""
    if not confirmed:
        why = (
            f"it is not shown of {before}, which comes before it" if lost else "the interval of the sequence shows none"
        )
        return f"{verdict} Secondary, in fixed sequence: nothing is confirmed, since {why}."
    other, parts = {a: b, b: a}, []
    for claim in confirmed:
        kind, _, arm = claim.partition(":")
        if kind == "equivalent":
            parts.append(f"{a} and {b} are equivalent within {amount(margin)}")
        elif kind == "better":
            parts.append(f"{arm} is better than {other[arm]}")
        elif f"better:{arm}" not in confirmed:
            parts.append(f"{arm} is not inferior to {other[arm]} by the margin of {amount(margin)}")
    return f"{verdict} Secondary, confirmed in fixed sequence: {' and '.join(parts)}."


def _beside(margin: float | None, exceeds: bool) -> str:
    """State whether a difference is shown to matter."""
    if margin is None:
        return ""
    if exceeds:
        return f"The whole interval lies beyond the margin of {amount(margin)} that matters."
    return f"It is better, but possibly by less than matters (the margin of {amount(margin)})."


def unseen_failures(arm: str, rate: float, **facts: Any) -> str:
    """State the rate of failures that would reverse a difference, and the rate that the patients cannot exclude."""
    failing = f"{arm} fails ({_failed(**facts)}) in {percent(rate)} of patients more"
    return f"If {failing}, this is reversed; {_possible(**facts)}."


def unseen_beyond_margin(arm: str, rate: float, **facts: Any) -> str:
    """State the rate of failures that would lead beyond the margin, and the rate that the patients cannot exclude."""
    failing = f"{arm} or the other arm fails ({_failed(**facts)}) in {percent(rate)} of patients more"
    return f"If {failing}, the difference exceeds the margin; {_possible(**facts)}."


def _failed(endpoint: str, unit: str, failed: float, **_others: Any) -> str:
    return f"{endpoint} {failed:.3g}{' ' * bool(unit)}{unit}"


def _possible(seen: float, patients: int, excluded: float, assumed: str, **_others: Any) -> str:
    """State the failures seen, the rate that they leave possible, and how to state another value of a failure."""
    some = "without such a failure" if seen == 0 else f"with {seen:.2g} such failures"
    remedy = f" (a failure that costs less can be stated: --failure-value {assumed}=VALUE)" if assumed else ""
    return f"{patients} patients {some} cannot exclude a rate of {percent(excluded)}{remedy}"


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
    unseen: str = "",
) -> str:
    """State that there is no verdict, and the gain by more data."""
    no_difference = f"The data cannot tell {a} and {b} apart in {endpoint}: {difference}; {_adjusted(p, family)}."
    return " ".join(filter(None, (no_difference, unseen, new_data, advice)))


def difference(means: Sequence[float], unit: str, level: float, interval: Sequence[float], family: int = 1) -> str:
    """State both means, and the first minus the second with the interval that decides; a part of a sentence."""
    units = f" {unit}" if unit else ""
    gap = means[0] - means[1]
    usual = usual_decimals([*means, *interval])
    # As many digits as tell the means apart: "0.812 against 0.812" would name a difference that nobody can see.
    digits = max(decimals_for([gap, *interval], usual), decimals_for([means[0]], usual, [means[1]]))
    first, second, gap_text, low, high = (fixed(value, digits) for value in (*means, gap, *interval))
    together = f" for all {family} comparisons together" if family > 1 else ""
    return (
        f"{first} against {second}{units}, a difference of {gap_text} "
        f"({percent(level)} interval{together} {low} to {high})"
    )


def new_data_undecided(p: float) -> str:
    """Describe fitted models that differ, where methods may not."""
    return (
        "These fitted models differ, but models fitted to new training data may not (corrected resampled t, "
        f"p = {p:.3f}); more repeats of cross-validation would tell."
    )


def detectable_only(detectable: float) -> str:
    """Describe the detectable difference of a design without a margin."""
    return f"Differences of {amount(detectable)} or more would be found in 4 of 5 such trials."


def more_seeds_needed(margin: float, power: float, seeds: int, seeds_needed: int | None) -> str:
    """State that no number of patients is enough."""
    enough = f"at least {seeds_needed} runs are" if seeds_needed else "a more stable training is"
    return f"{_design(margin, power)}; no number of patients suffices with {seeds} runs of each arm, {enough} needed."


def enough_patients(margin: float, power: float, detectable: float) -> str:
    """State that the trial's patients are enough for the margin."""
    return (
        f"{_design(margin, power)}; differences from {amount(detectable)} on are found in 4 of 5. That the difference "
        "is smaller is not shown either."
    )


def more_patients_needed(
    margin: float,
    power: float,
    seeds: int,
    patients: int,
    low: int,
    high: int | None,
    others: Sequence[tuple[int, int]],
) -> str:
    """Describe the number of patients that would detect the margin; `others` are (patients, seeds)."""
    span = f" (range {about(low)} to {about(high)})" if high else f" ({about(low)} or more, as spreads are uncertain)"
    also = f", or {', '.join(f'{about(count)} with {runs} runs each' for count, runs in others)}" if others else ""
    each = "" if seeds == 1 else f" with {seeds} runs of each arm"
    return f"{_design(margin, power)}; about {about(patients)} test patients{span} are needed{each}{also}."


def _design(margin: float, power: float) -> str:
    return f"This design finds a true difference of {amount(margin)} in {_share(power)} of trials"


def _share(power: float) -> str:
    """Format a power, which is neither 0 nor 1."""
    return "under 1 %" if power < 0.01 else "over 99 %" if power > 0.99 else f"{100 * power:.0f} %"


def _adjusted(p: float, family: int) -> str:
    return p_text(p) + (f" adjusted for {family} comparisons" if family > 1 else "")


# Listed here and not registered by a decorator, so that one place shows all codes.
WRITERS = (
    no_verdict, unknown_patients, few_events, few_patients, few_patients_yet, both_perfect,
    turned_classes, few_cases, few_failures,
    one_seed, few_seeds, copied_runs, no_variation, only_large_differences, trained_networks, of_these_networks,
    not_inferior, better, secondary_in_sequence,
    equivalent, undecided, difference, new_data_undecided, detectable_only, more_seeds_needed, enough_patients,
    more_patients_needed, unseen_failures, unseen_beyond_margin,
)  # fmt: skip
