"""Sentences, by code, on budgets: arms that were not trained on equal ones."""

from collections.abc import Sequence

from equipoise.report.text.words import plural


def unequal_budgets(draws: Sequence[tuple[str, int]]) -> str:
    """Describe tuning with other numbers of draws; `draws` are (arm, number)."""
    counts = ", ".join(f"{arm} {count}" for arm, count in draws)
    return f"The arms were tuned on unequal budgets ({counts} draws), so a difference may be due to the budgets."


def other_budget(
    arm: str, minutes: float | None, epochs: int | None, steps_per_epoch: int | None, common: int | None
) -> str:
    """Describe an arm that another program trained, within a budget of its own."""
    networks = "that of the other arms" if common is None else f"the {plural(common, 'epoch')} of the networks"
    if minutes is not None:
        budget = f"{minutes:g} minutes"
    else:
        count = epochs if epochs is not None else common
        budget = "the common epochs" if count is None else plural(count, "epoch")
        budget += f" of {plural(steps_per_epoch or 250, 'update')}"
    return (
        f"The budgets are unequal: {arm} was trained for {budget}, which is another budget than {networks}, so a "
        "difference may be due to the budgets."
    )


def evaluations_in_words(evaluations: Sequence[tuple[str, float]]) -> str:
    """Name the gradient evaluations of each arm; `evaluations` are (arm, mean number for each update).

    >>> evaluations_in_words([("lbfgs", 18.26), ("adam", 1.0)])
    'lbfgs used 18.3 gradient evaluations for each update, adam 1'
    """
    (first, most), *others = evaluations
    return ", ".join(
        [f"{first} used {most:.3g} gradient evaluations for each update", *(f"{arm} {n:.3g}" for arm, n in others)]
    )


def unequal_evaluations(evaluations: Sequence[tuple[str, float]]) -> str:
    """Describe optimizers that took more gradients for an update than others."""
    return (
        f"The budgets are unequal: {evaluations_in_words(evaluations)}, so a difference may be due to the budgets "
        "and not to the methods."
    )


def more_evaluations(a: str, b: str, evaluations: float, fewer: float) -> str:
    """State that the arm a, which would be named for its cost, was trained at a higher price than b."""
    return f"{evaluations_in_words([(a, evaluations), (b, fewer)])}: arms of unequal budgets are not ranked by cost."


def stopped_early(arm: str, runs: int, of_runs: int, epochs: Sequence[int], of_epochs: int | None) -> str:
    """Describe an arm that spent less than its budget."""
    low, high = min(epochs), max(epochs)
    span = str(low) if low == high else f"{low} to {high}"
    return (
        f"{arm} stopped early in {runs} of {plural(of_runs, 'run')}, after {span} of {of_epochs} epochs: it used less "
        "than its budget."
    )


WRITERS = (unequal_budgets, other_budget, unequal_evaluations, more_evaluations, stopped_early)
