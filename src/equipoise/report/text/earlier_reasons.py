"""Sentences, by code, on what this machine saw before a trial: openings of its test cases, trainings of its arms."""

from collections.abc import Sequence

from equipoise.report.text.words import listed, plural
from equipoise.runfolder.chosen_seeds import ranges


def prior_opening(
    name: str, day: str, shared: int, cases: int, in_common: Sequence[str], differs: Sequence[str], counts: bool
) -> str:
    """Describe an earlier opening of the same test cases, or of the same cohort, on this machine."""
    of = f" of its {cases}" if cases else ""
    what = f"{shared}{of} test cases" if shared else "Other test cases of the same cohort"
    arms = f"the same {listed(list(in_common))}" if in_common else "no network or optimizer of this trial"
    other = f"in {listed(list(differs))}" if differs else "in settings of training, or of the machine"
    trial = f"the trial {name}" if name else "another trial"
    text = f"{what} had been opened before, on {day}, by {trial}, which has {arms} and differs {other}"
    return f"{text}, so these results are exploratory." if counts else f"{text}."


def prior_validation(name: str, day: str, shared: int, cases: int, in_common: Sequence[str], counts: bool) -> str:
    """Describe an earlier trial of another plan that validated its arms on test cases of this one."""
    arms = f"the same {listed(list(in_common))}" if in_common else "no network or optimizer of this trial"
    text = (
        f"{shared} of its {cases} test cases had been validated on before, on {day}, by the trial {name}, which has "
        f"{arms}"
    )
    return f"{text}: what it showed may have chosen them, so these results are exploratory." if counts else f"{text}."


def more_openings(number: int) -> str:
    """Count the earlier openings that are not listed."""
    return f"Test cases had been opened before by {plural(number, 'further plan')}."


def same_plan_before(day: str) -> str:
    """Describe an earlier run of the very plan whose predictions were others."""
    return (
        f"This plan was run before, on {day}, and gave other results: a failure, or an environment that differed, may "
        "have chosen between them, so these results are exploratory."
    )


def interrupted_before(day: str) -> str:
    """Describe an opening of this very plan that was begun in another folder and has not ended."""
    return (
        f"The test set of this plan was opened before, on {day}, in another run folder, in an opening that has not "
        "ended: predictions of its single jobs may have been read, so these results are exploratory."
    )


def openings_unknown(why: str) -> str:
    """Describe a cache in which openings can be neither recorded nor looked up."""
    return (
        f"Openings of the test cases could not be recorded nor looked up on this machine ({why}): whether they were "
        "opened before is not known, and no later trial will know of this one."
    )


def prior_trainings(cases: int, trials: Sequence[str]) -> str:
    """Describe earlier trials that trained or validated on test cases of this one."""
    shown = listed(list(trials[:3])) + (f" and {len(trials) - 3} more" if len(trials) > 3 else "")
    return (
        f"Earlier trials on this machine trained or validated on up to {plural(cases, 'test case')} of this one "
        f"({shown}): what they showed may have informed the choice of the arms."
    )


def prior_seeds(name: str, day: str, seeds: Sequence[int], taken: int, of: int, same: bool) -> str:
    """Describe an earlier trial that trained these arms with seeds that the plan leaves out."""
    arms = "the same arms" if same else "arms of these networks and optimizers, with other settings,"
    among = f"{taken} of the {plural(of, 'seed')} of this plan are among them" if taken else "none is in this plan"
    return (
        f"The trial {name} of {day} trained {arms} on these cases with the seeds {ranges(seeds)}, and validated them; "
        f"{among}."
    )


def more_prior_seeds(number: int) -> str:
    """Count the earlier trainings of these arms that are not listed."""
    return f"{plural(number, 'further trial')} trained these arms with other seeds."


def retrained_jobs(names: Sequence[str]) -> str:
    """Name the jobs that were trained more than once and gave other results."""
    return (
        f"{plural(len(names), 'job')} gave other weights, validation results or another outcome when trained again "
        f"({', '.join(names)}): validation results may have chosen between them, so these results are exploratory. The "
        "same plan gives the same numbers on one machine unless code draws random numbers that are not seeded, or "
        "reads what the plan does not hold: seed them (torch.initial_seed() gives a seed), or make what is read a "
        "setting."
    )


WRITERS = (
    prior_opening, prior_validation, more_openings, same_plan_before, interrupted_before, openings_unknown,
    prior_trainings, prior_seeds, more_prior_seeds, retrained_jobs,
)  # fmt: skip
