"""What `equipoise init` says of the time of a trial, and of what more time would buy."""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.configuration.budget import Fit
from equipoise.configuration.design import Design
from equipoise.report.text.words import listed, plural

_SHOWN = 5
"""Cases that a sentence names."""


@dataclass(frozen=True)
class Bought:
    """The fit of a longer time."""

    minutes: float
    fit: Fit


def time_sentence(fit: Fit, minutes: float, side_by_side: int) -> str:
    """Say what fits into the minutes: jobs, epochs, and the time that is foretold."""
    design = fit.offer.design
    jobs = f"{plural(design.jobs, 'job')} ({design_words(design)})"
    work = f"{jobs} of {plural(fit.epochs, 'epoch')} take about {_minutes(fit.minutes)} with {side_by_side} at a time"
    if fit.minutes > 1.05 * minutes:
        return f"{_minutes(minutes)} are not enough: {work}."
    short = "" if fit.enough else (
        f", which is too short: each network gets {fit.updates:,} updates, and with fewer than {fit.fewest:,} it has "
        "hardly begun to learn"
    )  # fmt: skip
    return f"{work}{short}."


def more_time(fit: Fit, bought: Sequence[Bought]) -> list[str]:
    """Say what longer times would buy, such as "60 minutes: 24 epochs instead of 12"; nothing if nothing."""
    lines = []
    for one in bought:
        gains = _gains(fit, one.fit)
        if gains:
            lines.append(f"{_minutes(one.minutes)}: {', '.join(gains)}.")
    return lines


def folds_sentence(fit: Fit, folds: Fit | None, likely: float) -> list[str]:
    """Say in which time cross-validation would test every patient, where a verdict is not likely; nothing elsewhere.

    folds: the cross-validation; None where none is offered. likely: chance of a verdict from which nothing is said.
    """
    if folds is None or fit.offer.chance.verdict >= likely:
        return []
    offer, chance = folds.offer, 100 * folds.offer.chance.verdict
    tested = f"{offer.design.folds} folds test {offer.test_patients} patients instead of {fit.offer.test_patients}"
    epochs = f"with {plural(folds.epochs, 'epoch')}; a verdict in {chance:.0f} % of trials"
    return [f'{_minutes(folds.minutes)}, scheme = "kfold": {tested}, {epochs}.']


def parts_are_shared(pairs: int) -> str:
    """Say that a source's own parts leak, and what was done."""
    return (
        f"The source's own parts share cases ({plural(pairs, 'pair')}, which `equipoise check` lists), so the cohort "
        'gets a new split; scheme = "given" with allow_leaks = true keeps the parts, and the report states the leaks.'
    )


def patients_are_guessed(cases: int, groups: int, pattern: str | None) -> str:
    """Say that patients are guesses, and how names may state them; pattern: that of names like PATIENT_IMAGE."""
    first = (
        f"The source states no patients: {plural(cases, 'case')} were joined to {plural(groups, 'group')} of alike "
        "images, which count as patients; "
    )
    if pattern is None:
        return first + "patient_pattern, or a column of a table, states them."
    sign = pattern.partition(")")[2][:1]
    return first + (
        f"the names of the cases look like PATIENT{sign}IMAGE: if they are, add --set patient_pattern='{pattern}'."
    )


def rare_class(name: str, count: int, cases: int) -> str:
    """Say that hardly any mask holds a class, and what follows.

    >>> rare_class("label 128", 1, 60)[:44]
    "The class 'label 128' occurs in 1 of 60 case"
    """
    return (
        f"The class {name!r} occurs in {count} of {cases} cases: if masks store a stray value, correct them and leave "
        "the class out of cohort.classes; else its scores say little, and they change the mean over classes."
    )


def empty_masks(cases: Sequence[str], of: int) -> str:
    """Say which masks hold no class, which is a healthy case or a mask that was never drawn.

    >>> empty_masks(["a", "b"], 60)[:50]
    "2 of 60 cases have an empty mask ('a', 'b'), so th"
    """
    shown = ", ".join(map(repr, cases[:_SHOWN])) + (", …" if len(cases) > _SHOWN else "")
    verb = "has an empty mask" if len(cases) == 1 else "have an empty mask"
    return (
        f"{len(cases)} of {of} cases {verb} ({shown}), so that every voxel that an arm marks there is false: correct "
        "the masks that were never drawn."
    )


def one_patient_prevails(most: int, cases: int, guessed: bool) -> str:
    """Say that one patient has a large share of the cases, and what follows."""
    patients = "a group of alike images that counts as one patient" if guessed else "one patient"
    remedy = "; state the patients with cohort.patient_pattern if it is several persons" if guessed else ""
    return (
        f"{most} of {cases} cases ({100 * most / cases:.0f} %) are of {patients}: the part that holds them has few "
        f"other patients, or the others have few cases{remedy}."
    )


def design_words(design: Design) -> str:
    """Describe a design: arms, seeds, and folds where there are several.

    >>> design_words(Design("kfold", (0.8, 0.1, 0.1), 5, 3, 2))
    '2 arms × 3 seeds × 5 folds'
    """
    folds = f" × {design.folds} folds" if design.folds > 1 else ""
    return f"{plural(design.arms, 'arm')} × {plural(design.seeds, 'seed')}{folds}"


def _gains(now: Fit, then: Fit) -> list[str]:
    gains = []
    if then.epochs != now.epochs:
        gains.append(f"{then.epochs} epochs instead of {now.epochs}")
    before, after = (design_words(fit.offer.design) for fit in (now, then))
    # Designs may differ in their fractions alone, which the test patients tell.
    if after != before:
        gains.append(f"{after} instead of {before}")
    if then.offer.test_patients != now.offer.test_patients:
        patients = plural(then.offer.test_patients, "test patient")
        gains.append(f"{patients} instead of {now.offer.test_patients}")
    chance, later = (100 * fit.offer.chance.verdict for fit in (now, then))
    if abs(later - chance) >= 1:
        gains.append(f"a verdict in {later:.0f} % of trials instead of {chance:.0f} %")
    return gains


def _minutes(minutes: float) -> str:
    return plural(round(minutes), "minute") if minutes >= 1.5 else f"{60 * minutes:.0f} seconds"


def arms_alike(names: Sequence[str]) -> str:
    """Describe arms that are equal in all but their names.

    >>> arms_alike(["a", "b"])[:75]
    'The arms a and b are equal in all but their names: a difference between the'
    """
    return (
        f"The arms {listed(list(names))} are equal in all but their names: a difference between them is one of chance "
        "or of what the plan does not hold, as an environment variable, and a winner would be a false one."
    )
