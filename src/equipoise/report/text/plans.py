"""The power calculation of `equipoise check` in sentences."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from equipoise.configuration.design import FEW_PATIENTS, FOLDS
from equipoise.report.results.plain import json_safe
from equipoise.report.text.amounts import amount
from equipoise.report.text.reasons import sentence
from equipoise.statistics.planning import ALIKE, NO_VERDICT, UNLIKE, Plan
from equipoise.statistics.power import guard_decides

_IN_WORDS = ("warnings", "assumptions", "label", "margin", "fewest_seeds", "folds", "as_fitted", "width")


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the public JSON of a plan: its numbers and sentences."""
    numbers = {
        field.name: json_safe(getattr(plan, field.name)) for field in fields(plan) if field.name not in _IN_WORDS
    }
    return numbers | {"sentences": plan_sentences(plan), "assumptions": sentence(plan.assumptions)}


def plan_sentences(plan: Plan) -> list[str]:
    """Return the sentences of the plan, beginning with conditions that refuse a verdict in any case."""
    # More patients and more seeds side by side, because either may be the cheaper one to get.
    doubled = next(p for p in plan.more if p.factor == 2 and p.seeds == plan.seeds)
    seeded = next((p for p in plan.more if p.factor == 1 and p.seeds > plan.seeds), None)
    first = (
        f"With {plan.patients} test patients and {plan.seeds} seeds, the trial has 80 % power to detect a difference "
        f"in {plan.label} of {amount(plan.detectable)}{_range(plan)}."
    )
    if plan.detectable >= plan.width:
        first = (
            f"With {plan.patients} test patients and {plan.seeds} seeds, no difference in {plan.label} is large enough "
            "to be detected with 80 % power."
        )
    likeness = (
        f"The detectable difference is {amount(plan.alike)} if the scores of the arms agree more (correlation "
        f"{ALIKE:g}), and {amount(plan.unlike)} if they agree less ({UNLIKE:g})."
    )
    bought = f"With twice the patients, the detectable difference is {_possible(doubled.detectable, plan)}"
    bought += f"; with {seeded.seeds} seeds, it is {_possible(seeded.detectable, plan)}." if seeded else "."
    warnings = [sentence(reason) for reason in plan.warnings]
    margin = [] if plan.margin is None else _about_margin(plan, plan.margin)
    guarded = plan.detectable < plan.width and guard_decides(plan.detectable, plan.detectable_by_tests)
    known = [first, *([_about_guard(plan)] if guarded else [])]
    known += [likeness] if max(plan.alike, plan.unlike) < plan.width else []
    return [*warnings, *known, bought, *margin, *_about_folds(plan)]


def _about_guard(plan: Plan) -> str:
    """Say that the guard against unseen failures sets the detectable difference, and what would change that."""
    share = 100 * min(3 / plan.patients, 1.0)
    return (
        f"This is set by the guard against unseen failures: {plan.patients} test patients without a failure cannot "
        f"exclude a failure rate of {share:.3g} %, so a smaller difference is not called one, however many seeds there "
        f"are; by the tests alone it would be {amount(plan.detectable_by_tests or 0.0)}. More patients lower it."
    )


def _range(plan: Plan) -> str:
    """Return the range of the detectable difference in brackets; empty where both ends read alike."""
    low, high = amount(plan.low), amount(plan.high)
    return "" if low == high else f" ({low} to {high}, because the spread between training runs is known only roughly)"


def _possible(difference: float, plan: Plan) -> str:
    """Format a detectable difference; one that the endpoint's range excludes is none."""
    return amount(difference) if difference < plan.width else "still larger than any possible one"


LIKELY, HARDLY = 0.8, 0.2
"""Probabilities of a verdict from which it is likely, and below which it is hardly possible."""


def prospect(plan: Plan | None, unplanned: str | None, refusals: Sequence[str]) -> str:
    """Say in one sentence whether a verdict can come of a trial; unplanned: why its power is not known.

    refusals: why a run would be refused; of them the first is given.
    """
    if refusals:
        return f"No verdict is possible: a run would be refused, because {refusals[0].rstrip('.')}."
    if plan is None or plan.margin is None or plan.power_at_margin is None:
        unknown = (unplanned or "nothing is planned").rstrip(".")
        if unknown.startswith(NO_VERDICT):
            return f"{unknown[:1].upper()}{unknown[1:]}."
        return f"It is not known in advance whether a verdict is possible: {unknown}."
    if plan.warnings:
        reason = sentence(plan.warnings[0])
        return f"No verdict is possible with this plan: {reason[:1].lower()}{reason[1:]}"
    power, equal = plan.power_at_margin, plan.equivalence_at_margin or 0.0
    hardly = max(power, equal) < HARDLY
    word = "likely" if min(power, equal) >= LIKELY else "hardly possible" if hardly else "possible"
    return (
        f"A verdict is {word}: with {plan.patients} test patients and {plan.seeds} seeds, the power "
        f"to detect a difference of the margin ({amount(plan.margin)} in {plan.label}) is {100 * power:.0f} %, and the "
        f"power to show that equal arms are equivalent is {100 * equal:.0f} %."
    )


def _about_folds(plan: Plan) -> list[str]:
    """State the price of a verdict on the method under cross-validation, before anybody trains."""
    if plan.as_fitted is None or plan.power_at_margin is None:
        return []
    sentence_of_folds = (
        f"With {plan.folds} folds a verdict must also hold for new training data (corrected resampled t test): the "
        f"power to detect a difference of the margin is {100 * plan.as_fitted:.0f} % for the networks of these folds "
        f"alone, and {100 * plan.power_at_margin:.0f} % for the methods; more repeats raise the latter."
    )
    return [sentence_of_folds]


def folds_instead(plan: Plan, patients: int, times: float) -> list[str]:
    """Say that cross-validation would test all patients, where a split tests some of few and a verdict is not likely.

    patients: of the whole cohort. times: how much longer five folds train than this split.
    """
    likely = min(plan.power_at_margin or 0.0, plan.equivalence_at_margin or 0.0) >= LIKELY
    if likely or plan.folds > 1 or not plan.patients < patients < FEW_PATIENTS:
        return []
    keys = f'split.scheme = "kfold" with split.folds = {FOLDS}'
    tested = f"{keys} tests all {patients} patients instead of {plan.patients}, in about {times:.0f} times the time"
    return [f"Without more patients: {tested}; a verdict must then also hold for new training data."]


def _about_margin(plan: Plan, margin: float) -> list[str]:
    detected, equivalent = 100 * (plan.power_at_margin or 0), 100 * (plan.equivalence_at_margin or 0)
    first = (
        f"The power to detect a true difference of the margin ({amount(margin)}) is {detected:.0f} %; the power to "
        f"show that equal arms are equivalent within the margin is {equivalent:.0f} %."
    )
    own = next(n for n in plan.needed if n.seeds == plan.seeds)
    # A design with enough power is enough, even where still more patients would leave fewer degrees of freedom.
    if detected >= 80:
        return [first]
    if own.patients is None:
        enough = f"use at least {plan.fewest_seeds}" if plan.fewest_seeds else "the training must become more stable"
        # Before the trial the spread is assumed, and the number of runs grows with its square.
        spread = f"{plan.assumptions.facts['seed_sd']:.2g}"
        assumed = f"this assumes a spread between training runs of {spread}, and the report will use the measured one"
        return [first, f"With {plan.seeds} seeds no number of patients is enough; {enough} ({assumed})."]
    if own.patients > plan.patients:
        return [first, f"About {own.patients} test patients are needed for a power of 80 %."]
    return [first]
