"""Fit a trial into minutes: which design, and how many epochs. Pure arithmetic on measured costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from equipoise.configuration.design import Chance, Design

ENOUGH_UPDATES = {True: 1000, False: 500}
"""Updates from which a network for masks, or for labels, is worth judging: fewer, and it has hardly begun to learn."""
WELL_UPDATES = 2000
"""Updates up to which longer training is worth more than a further arm."""
MOST_UPDATES = 20_000
"""Updates after which a small network hardly improves."""
MOST_EPOCHS = 500
ALIKE = 0.05
"""Chances of a verdict that differ by less count as equal; the design with more training cases is then better."""
RESERVE = 0.1
"""Share of the time that is left for reading, staging, baselines and the report."""
FIXED_SECONDS = 20.0
"""Time to start workers and to try every layer of every arm."""
AVERAGED = 2048
"""Cases or patches that averaged weights need for their statistics of normalisation, at most."""


@dataclass(frozen=True)
class Rates:
    """Measured costs of an arm, in seconds of one job's threads: processor time on a CPU, elapsed time on CUDA.

    patch: to train on one case or patch; preparing: to recompute statistics of normalisation, per case or patch, 0
    where nothing is averaged; answer: to validate or predict one case.
    """

    arm: str
    patch: float
    preparing: float
    answer: float


@dataclass(frozen=True)
class Offer:
    """A design with the cases of the parts of its first fold, and its chance of a verdict."""

    design: Design
    train: int
    validation: int
    test: int
    test_patients: int
    chance: Chance


@dataclass(frozen=True)
class Fit:
    """An offer with the epochs that fit, the updates of one job, and the minutes that the whole trial takes.

    fewest: updates from which its networks are worth judging. fits: whether even one epoch ends in time.
    """

    offer: Offer
    epochs: int
    updates: int
    minutes: float
    fewest: int
    fits: bool = True

    @property
    def enough(self) -> bool:
        """Whether its networks are trained long enough to be judged."""
        return self.updates >= self.fewest


def epoch_seconds(rates: Rates, train: int, validation: int, per_case: int) -> float:
    """Return the time of one epoch of one job."""
    patches = train * per_case
    return rates.patch * patches + rates.preparing * min(patches, AVERAGED) + rates.answer * validation


def elapsed(jobs: Sequence[float], side_by_side: int) -> float:
    """Return the time until the last of some jobs ends, where each free worker takes the next one.

    >>> elapsed([3, 3, 3], 2), elapsed([4, 2, 2], 2)
    (6.0, 4.0)
    """
    free = [0.0] * max(1, side_by_side)
    for seconds in jobs:
        worker = free.index(min(free))
        free[worker] += seconds
    return max(free)


def trial_seconds(offer: Offer, rates: Sequence[Rates], epochs: int, per_case: int, side_by_side: int) -> float:
    """Return the time of a whole trial: training, then predictions of validation and test cases."""
    arms = rates[: offer.design.arms]
    repeats = offer.design.folds * offer.design.seeds
    training = [epochs * epoch_seconds(one, offer.train, offer.validation, per_case) for one in arms]
    predicting = [2 * one.answer * (offer.validation + offer.test) for one in arms]
    waits = elapsed(training * repeats, side_by_side) + elapsed(predicting * repeats, side_by_side)
    return FIXED_SECONDS + waits / (1 - RESERVE)


def fitted(
    offer: Offer, rates: Sequence[Rates], minutes: float, *, batch: int, per_case: int, side_by_side: int, fewest: int
) -> Fit:
    """Return the most epochs with which an offer ends in these minutes, at least one, at most what still helps."""

    def seconds(epochs: int) -> float:
        """The time of the trial with so many epochs."""
        return trial_seconds(offer, rates, epochs, per_case, side_by_side)

    steps = max(1, -(-offer.train * per_case // batch))
    one = seconds(2) - seconds(1)
    room = int((60 * minutes - seconds(1)) / one) + 1 if one > 0 else MOST_EPOCHS
    epochs = max(1, min(room, MOST_EPOCHS, max(1, MOST_UPDATES // steps)))
    return Fit(offer, epochs, epochs * steps, seconds(epochs) / 60, fewest, room >= 1)


def of_folds(
    chosen: Fit, offers: Iterable[Offer], rates: Sequence[Rates], *, batch: int, per_case: int, side_by_side: int
) -> Fit | None:
    """Return the cross-validation with the chosen arms and seeds, and the minutes that it takes; None where none is
    offered, or one is chosen.

    Its networks are trained for as many epochs, or for as many as are worth judging.
    """
    design = chosen.offer.design
    like = (one for one in offers if one.design.folds > 1 and one.design.seeds == design.seeds)
    offer = next((one for one in like if one.design.arms == design.arms), None)
    if offer is None or design.folds > 1:
        return None
    steps = max(1, -(-offer.train * per_case // batch))
    epochs = max(chosen.epochs, -(-chosen.fewest // steps))
    seconds = trial_seconds(offer, rates, epochs, per_case, side_by_side)
    return Fit(offer, epochs, epochs * steps, seconds / 60, chosen.fewest)


def best(fits: Iterable[Fit]) -> Fit:
    """Return the fit to propose.

    Of those that train long enough and may end in a verdict, the likeliest verdict; of equals the most training cases,
    then the longest training up to `WELL_UPDATES`, then the most arms and the fewest jobs. Where none trains long
    enough, the longest training; where nothing fits, the shortest trial.
    """
    every = list(fits)
    possible = [fit for fit in every if not fit.offer.chance.refusal] or every
    long_enough = [fit for fit in possible if fit.enough]
    if not long_enough:
        short = [fit for fit in possible if fit.fits]
        if not short:
            return min(possible, key=lambda fit: fit.minutes)
        return max(short, key=lambda fit: (fit.updates, fit.offer.chance.verdict, -fit.offer.design.jobs))
    top = max(fit.offer.chance.verdict for fit in long_enough)
    alike = [fit for fit in long_enough if fit.offer.chance.verdict >= top - ALIKE]
    steps = WELL_UPDATES // 4

    def worth(fit: Fit) -> tuple[int, ...]:
        """The order among equally likely verdicts."""
        length = min(fit.updates, WELL_UPDATES) // steps
        return fit.offer.train, length, fit.offer.design.arms, -fit.offer.design.jobs

    return max(alike, key=worth)
