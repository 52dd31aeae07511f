"""Sentences, by code, on what a design can detect, and on the patients and runs that it would need."""

from collections.abc import Sequence

from equipoise.report.text.amounts import about, amount, percent


def detectable_only(detectable: float) -> str:
    """Describe the detectable difference of a design without a margin."""
    return f"This design has 80 % power to detect a difference of {amount(detectable)}."


def guard_decides(
    detectable: float, alone: float, patients: int, excluded: float, shift: float, arm: str, named_before: bool = False
) -> str:
    """Say that the guard against failures that nobody saw sets the detectable difference, and not the tests.

    named_before: whether a sentence before this one is about these failures.
    """
    if named_before:
        detected = f"With this guard against unseen failures the design detects a difference of {amount(detectable)}"
        return f"{detected}, by the tests alone one of {amount(alone)}."
    return (
        f"The guard against unseen failures sets these numbers: {patients} patients cannot exclude that {arm} fails in "
        f"up to {percent(excluded)} of patients, which may change the difference by {amount(shift)}; the design "
        f"detects {amount(detectable)}, by the tests alone {amount(alone)}."
    )


def more_seeds_needed(margin: float, power: float, seeds: int, seeds_needed: int | None) -> str:
    """State that no number of patients is enough."""
    remedy = (
        f"some number is with {seeds_needed} runs or more, and the more runs, the fewer patients (equipoise samplesize "
        f"RUN --seeds {seeds_needed},{2 * seeds_needed})"
        if seeds_needed
        else "the training must become more stable"
    )
    return f"{_design(margin, power)}. With {seeds} runs of each arm no number of patients is enough; {remedy}."


def enough_patients(margin: float, power: float, detectable: float) -> str:
    """State that the trial's patients are enough for the margin."""
    return (
        f"{_design(margin, power)}; for a difference of {amount(detectable)} it is 80 %. Equivalence within the margin "
        "was not shown either."
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
    span = (
        f" (range {about(low)} to {about(high)})"
        if high
        else f" (at least {about(low)}, because the variances are uncertain)"
    )
    also = f", or {', '.join(f'{about(count)} with {runs} runs each' for count, runs in others)}" if others else ""
    each = "" if seeds == 1 else f" with {seeds} runs of each arm"
    return f"{_design(margin, power)}; 80 % power needs about {about(patients)} test patients{span}{each}{also}."


def _design(margin: float, power: float) -> str:
    return f"The power of this design to detect a true difference of {amount(margin)} is {_share(power)}"


def _share(power: float) -> str:
    """Format a power, which is neither 0 nor 1."""
    return "under 1 %" if power < 0.01 else "over 99 %" if power > 0.99 else f"{100 * power:.0f} %"


# Listed here and not registered by a decorator, so that one place shows all codes.
WRITERS = (detectable_only, more_seeds_needed, enough_patients, more_patients_needed, guard_decides)
