"""The power calculation of `equipoise check` in sentences."""

from dataclasses import fields
from typing import Any

from equipoise.report.results.plain import json_safe
from equipoise.report.text.amounts import amount
from equipoise.report.text.reasons import sentence
from equipoise.statistics.planning import ALIKE, UNLIKE, Plan

_IN_WORDS = ("warnings", "assumptions", "label", "margin", "fewest_seeds", "folds", "as_fitted")


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
        f"With {plan.patients} test patients and {plan.seeds} seeds, a difference in {plan.label} of "
        f"{amount(plan.detectable)} is found in 4 of 5 trials ({amount(plan.low)} to {amount(plan.high)} as far as the "
        "spread between training runs is known)."
    )
    likeness = (
        f"It would be {amount(plan.alike)} if the arms' scores were more alike (correlation {ALIKE:g}), and "
        f"{amount(plan.unlike)} if less ({UNLIKE:g})."
    )
    bought = f"Twice the patients would show {amount(doubled.detectable)}"
    bought += f", {seeded.seeds} seeds {amount(seeded.detectable)}." if seeded else "."
    warnings = [sentence(reason) for reason in plan.warnings]
    margin = [] if plan.margin is None else _about_margin(plan, plan.margin)
    return [*warnings, first, likeness, bought, *margin, *_about_folds(plan)]


def _about_folds(plan: Plan) -> list[str]:
    """State the price of a verdict on the method under cross-validation, before anybody trains."""
    if plan.as_fitted is None or plan.power_at_margin is None:
        return []
    sentence_of_folds = (
        f"With {plan.folds} folds a verdict must also hold for new training data (corrected resampled t): the networks "
        f"of these folds alone would differ by the margin visibly in {100 * plan.as_fitted:.0f} % of trials, the "
        f"methods in {100 * plan.power_at_margin:.0f} %; more repeats raise the latter."
    )
    return [sentence_of_folds]


def _about_margin(plan: Plan, margin: float) -> list[str]:
    detected, equivalent = 100 * (plan.power_at_margin or 0), 100 * (plan.equivalence_at_margin or 0)
    first = (
        f"A true difference of the margin ({amount(margin)}) would be found in {detected:.0f} % of trials; equal arms "
        f"would be shown to be equivalent within it in {equivalent:.0f} %."
    )
    own = next(n for n in plan.needed if n.seeds == plan.seeds)
    if own.patients is None:
        stable = "a more stable training is needed"
        enough = f"at least {plan.fewest_seeds} are needed" if plan.fewest_seeds else stable
        return [first, f"No number of patients suffices to find it with {plan.seeds} seeds; {enough}."]
    if own.patients > plan.patients:
        return [first, f"About {own.patients} test patients would find it in 4 of 5 trials."]
    return [first]
