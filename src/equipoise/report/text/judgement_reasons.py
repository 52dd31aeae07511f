"""Sentences, by code, on arms, cases and folds that could not be used, and on cautions about them."""

from collections.abc import Sequence

from equipoise.report.text.amounts import p_text
from equipoise.report.text.words import listed, plural


def missing_fold(arm: str, seed: int, fold: int) -> str:
    """Describe a seed that did not test every fold."""
    return f"Seed {seed} of {arm} has no test predictions in fold {fold}; it is not counted."


def no_finished_seed(arm: str) -> str:
    """Describe an arm without any complete seed."""
    return f"{arm} has no finished seed with test predictions in every fold."


def missing_cases(arm: str, seed: int | None, missing: int, cases: int, first: str) -> str:
    """Describe an arm that lacks test cases; seed: of its run, None where it has one run."""
    run = "" if seed is None else f" (seed {seed})"
    return (
        f"{arm}{run} has no prediction for {missing} of {cases} test cases, first {first!r}; a paired "
        "comparison needs all of them."
    )


def cases_left_out(lost: int, cases: int) -> str:
    """Describe cases that some arm lacks, left out for all."""
    return f"{lost} of {cases} test cases lack a prediction of some arm and were left out for all arms, as requested."


def not_computable(endpoint: str, error: str) -> str:
    """Describe an endpoint that a fold does not allow."""
    return f"{endpoint} cannot be computed: {error}."


def no_predictions(arm: str) -> str:
    """Describe an arm without any prediction."""
    return f"{arm} has no predictions."


def uncertain_interval(events: int, endpoint: str) -> str:
    """Describe an interval of few events."""
    return f"Only {events} patients of the rarer class: {endpoint} is more uncertain than its interval shows."


def bad_value(
    fault: str,
    arm: str,
    seed: int | None,
    column: str | None,
    case: str,
    rows: int,
    endpoint: str,
    low: float,
    high: float,
) -> str:
    """Describe the first value that cannot be used; seed: of its run, None where the arm has one run."""
    what = {
        "no_number": "is missing or no number",
        "out_of_range": f"lies outside {low:g} to {high:g}, the range of {endpoint}",
        "no_probability": "lies outside 0 to 1, so it is not a probability",
    }[fault]
    run = "" if seed is None else f", seed {seed}"
    such = f" ({rows} such rows)" if rows > 1 else ""
    return (
        f"{arm}{run}: {column or 'a score'} of case {case!r} {what}{such}; {endpoint} needs a valid "
        "value for every case."
    )


def constant_scores(arm: str) -> str:
    """Describe scores that do not depend on the case."""
    return f"{arm} gives every test case the same score; it has learned nothing or collapsed."


def patient_prevails(cases: int, of: int, label: str | None) -> str:
    """Say that one patient has a large share of the cases, of all or of a class, and what follows."""
    which = f"test cases of class {label}" if label else "test cases"
    return (
        f"{cases} of {of} {which} ({100 * cases / of:.0f} %) are of one patient: the estimates are mostly about few "
        "patients, and intervals are wider for it; check the patient column, or test more cases of other patients."
    )


def thin_fold(fold: int, patients: int, endpoint: str) -> str:
    """Describe a fold with few patients of the rarer class."""
    return (
        f"Fold {fold} tests only {plural(patients, 'patient')} of the rarer class; {endpoint} in such a small fold is "
        "mostly chance; use fewer folds."
    )


def look(seeds: int, planned: int, level: float) -> str:
    """State which planned look this is."""
    return f"This is the planned look at {seeds} of {planned} seeds: a difference is significant below p = {level:.4f}."


def looks_over_folds() -> str:
    """Describe looks in a cross-validation."""
    return "Looks over seeds have not been validated for cross-validation."


def unfinished_seeds(arm: str, seeds: int, planned: int) -> str:
    """Describe runs that failed."""
    return (
        f"{arm} finished {seeds} of {planned} planned training runs; the others failed and are not included in its "
        "mean."
    )


def same_predictions(a: str, b: str) -> str:
    """Describe a copied file."""
    return f"{a} and {b} have the same predictions in every run, case by case."


def shared_run(a: str, seed_a: int, b: str, seed_b: int, runs: int) -> str:
    """Describe a run that stands under two arms."""
    more = f" ({runs} such pairs)" if runs > 1 else ""
    return (
        f"Run {seed_a} of {a} and run {seed_b} of {b} have the same predictions, case by case{more}. The usual "
        "cause is one file that was given for two arms; it makes their means more alike."
    )


def repeated_runs(arm: str, seeds: Sequence[int], distinct: int) -> str:
    """Name runs that are one."""
    named = ", ".join(str(seed) for seed in seeds)
    return (
        f"The runs {named} of {arm} have equal or nearly equal predictions and count as one training run, so {arm} has "
        f"{distinct} in total. The usual cause is a fixed seed or a copied file."
    )


_NEAREST_TRAININGS, _NOISE, _NOISY = 0.14, 0.01, 0.06
"""The nearest two trainings of an arm in docs/experiments.md, and how near a copy with so much noise stays."""


def run_nearness(arms: Sequence[tuple[str, float]]) -> str:
    """Say how near runs of an arm come, beside trainings of their own and copies with noise."""
    each = ", ".join(f"{apart:.2g} ({arm})" for arm, apart in arms)
    near = [arm for arm, apart in arms if apart < _NEAREST_TRAININGS]
    doubt = f"; those of {listed(near)} are nearer than any of them" if near else ""
    return (
        f"The nearest two runs are {each} apart (root mean square of the differences, in standard deviations over "
        f"cases). Trainings of their own were {_NEAREST_TRAININGS:g} to 2 apart in small trials, and one run with a "
        f"noise of {_NOISE:g} on its scores {_NOISY:g}{doubt}; a distance proves no training."
    )


def wide_margin(endpoint: str, margin: float, share: float, guessing: float, best: float) -> str:
    """Caution against a wide margin."""
    return (
        f"The margin {margin:g} of {endpoint} is {100 * share:.0f} % of the way from guessing ({guessing:g}) to "
        f"perfect ({best:g}): arms that are called equivalent, or not inferior, may differ by so much "
        "of what they are worth."
    )


def what_would_help(seeds_share: float, patients_share: float) -> str:
    """Describe the sources of uncertainty, and which would help more: seeds or patients."""
    runs, people = round(50 * seeds_share), round(50 * patients_share)
    more, less = ("seeds", "patients") if seeds_share > patients_share else ("patients", "seeds")
    which = f"more {more} would help more than more {less}"
    # The shares are estimates from a few runs: 43 against 42 is no difference.
    if abs(runs - people) < _ALIKE:
        which = "more seeds and more patients would help about equally"
    return (
        f"Twice the training runs would reduce the squared standard error by {runs} %, twice the patients "
        f"by {people} %: {which}."
    )


_ALIKE = 5
"""Percentage points below which two shares of a variance are called alike."""


def group_of_few_patients(patients: int) -> str:
    """Describe a small subgroup."""
    return f"Too few patients for an estimate: {patients}."


def group_of_few_events(events: int) -> str:
    """Describe a subgroup in which a class is rare."""
    return f"Too few patients of the rarer class for an estimate: {events}."


def group_without_arm(why: str | None) -> str:
    """Describe a subgroup in which no arm can be judged."""
    return f"No estimate: {why or 'no arm can be used.'}"


def too_few_groups(endpoint: str, a: str, b: str | None, attribute: str) -> str:
    """Describe an attribute with one usable group."""
    return f"Too few groups of {attribute} to test whether {_subject(endpoint, a, b)} varies."


def no_variation_by_group(endpoint: str, a: str, b: str | None, attribute: str) -> str:
    """Describe groups without any spread to test by."""
    return f"It cannot be tested whether {_subject(endpoint, a, b)} varies by {attribute}: there is no variation."


def group_test(endpoint: str, a: str, b: str | None, attribute: str, varies: bool, p: float, tests: int) -> str:
    """Describe the result of a test of heterogeneity."""
    subject = _subject(endpoint, a, b)
    variation = "varies more than chance explains" if varies else "shows no significant variation"
    return f"{subject[0].upper()}{subject[1:]} by {attribute}: {variation} ({p_text(p)} adjusted for {tests} tests)."


def _subject(endpoint: str, a: str, b: str | None) -> str:
    return f"{endpoint} of {a}" if b is None else f"the difference in {endpoint} of {a} and {b}"


# The code of a reason is the name of its function here: the statistics state reasons by code, without words, so a
# function that is renamed loses the sentences of them.
WRITERS = (
    missing_fold, no_finished_seed, missing_cases, cases_left_out, not_computable, no_predictions, uncertain_interval,
    bad_value, constant_scores, patient_prevails, thin_fold, look, looks_over_folds, unfinished_seeds, same_predictions,
    shared_run, repeated_runs, run_nearness, wide_margin,
    what_would_help,
    group_of_few_patients, group_of_few_events, group_without_arm, too_few_groups, no_variation_by_group, group_test,
)  # fmt: skip
