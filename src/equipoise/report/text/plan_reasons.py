"""Sentences, by code, on a plan's assumptions, and on conditions that refuse a verdict in any case."""

from collections.abc import Sequence

from equipoise.report.text.run_spread import NAME
from equipoise.report.text.words import plural

FEW_TRIALS = 3
"""Earlier trials that a sentence names."""


def plan_of_few_events(events: int, fewest: int) -> str:
    """Describe a class too rare for a verdict."""
    return f"Only {plural(events, 'test case')} of the rarest class: with fewer than {fewest} no verdict is given."


def plan_of_few_patients(patients: int, fewest: int) -> str:
    """Describe too few patients for a verdict."""
    return f"Only {plural(patients, 'test patient')}: with fewer than {fewest} no verdict is given."


def plan_of_few_cases(cases: int, fewest: int, metric: str) -> str:
    """Describe too few cases for a mean that failures decide."""
    return f"Only {plural(cases, 'test case')}: with fewer than {fewest} a mean {metric} allows no verdict."


def plan_assumptions(
    case_sd: float | None,
    auc: float,
    share: float | None,
    per_patient: float,
    correlation: float,
    seed_sd: float,
    seed_df: int,
    elsewhere: bool,
    comparisons: int,
    seed_sd_high: float | None = None,
    trials: Sequence[str] = (),
) -> str:
    """Describe the assumptions of the plan; per_patient: the mean number of cases of a patient;
    trials: names of the earlier trials that the spread is from.
    """
    where = " on other cohorts" if elsewhere else ""
    guess = (
        "assumed: no earlier trial of this user has these networks, classes and endpoint and a similar number of epochs"
    )
    names = [repr(name) for name in trials if name]
    more = f" and {len(names) - FEW_TRIALS} more" if len(names) > FEW_TRIALS else ""
    named = f" ({', '.join(names[:FEW_TRIALS])}{more})" if names else ""
    limit = "" if seed_sd_high is None else f", with 90 % confidence at most {seed_sd_high:.2g}"
    known = f"from earlier trials{where}{named} with {seed_df} degrees of freedom{limit}" if seed_df else guess
    cases = "one case per patient" if per_patient == 1 else f"{per_patient:.3g} cases per patient on average"
    metric = (
        f"standard deviation between cases {case_sd:g}"
        if share is None
        else f"AUC {auc:g}, rarer class {100 * share:.0f} %"
    )
    several = f", alpha shared by {comparisons} comparisons" if comparisons > 1 else ""
    return (
        f"80 % power; {metric}, {cases}, correlation between the scores of two arms {correlation:g}, "
        f"{NAME}, {seed_sd:.2g} ({known}){several}."
    )


WRITERS = (plan_of_few_events, plan_of_few_patients, plan_of_few_cases, plan_assumptions)
