"""Designs of a trial: how it is split, with how many arms and seeds; and which of them has the best chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from equipoise.statistics.planning import Plan

Shares = tuple[float, float, float]
SHARES: tuple[Shares, ...] = ((0.8, 0.1, 0.1), (0.7, 0.1, 0.2), (0.6, 0.1, 0.3))
"""Train, validation, test. Less than six tenths for training would judge networks that hardly learned."""
FOLDS = 5
SEEDS = (3, 5)
FEW_PATIENTS = 300
"""Below this number of patients cross-validation is offered: each patient is a test patient once."""


@dataclass(frozen=True)
class Design:
    """scheme: as in [split]; fractions; folds: 1 outside of cross-validation; seeds, arms: how many."""

    scheme: str
    fractions: Shares
    folds: int
    seeds: int
    arms: int

    @property
    def jobs(self) -> int:
        """The number of trainings."""
        return self.folds * self.seeds * self.arms


def designs(scheme: str, patients: int, arms: int, seeds: Sequence[int] = SEEDS) -> Iterator[Design]:
    """Yield the designs that a cohort offers: its own parts alone where it has some, else splits and five folds."""
    splits: list[tuple[str, Shares, int]] = [("given", SHARES[0], 1)]
    if scheme != "given":
        splits = [("holdout", shares, 1) for shares in SHARES]
        splits += [("kfold", SHARES[0], FOLDS)] if patients < FEW_PATIENTS else []
    for repeats in seeds:
        for count in range(arms, 1, -1):
            for kind, shares, folds in splits:
                yield Design(kind, shares, folds, repeats, count)


@dataclass(frozen=True)
class Chance:
    """Whether a verdict can come of a design, by the power computation.

    power: probability to find a true difference of the margin; equivalence: to show equal arms to be equivalent.
    refusal: why no verdict can come whatever the arms do; empty where one can. needed: test patients that would find
    the margin in 4 of 5 trials with as many seeds; None where no number does, or where nothing is known.
    """

    power: float = 0.0
    equivalence: float = 0.0
    refusal: str = ""
    needed: int | None = None

    @property
    def verdict(self) -> float:
        """The mean probability of a verdict over arms that differ by the margin and arms that are equal."""
        return 0.0 if self.refusal else (self.power + self.equivalence) / 2


def chance_of(plan: Plan, refusals: Sequence[str]) -> Chance:
    """Return the chance by a plan; refusals: the plan's warnings, in words."""
    needed = next((entry.patients for entry in plan.needed if entry.seeds == plan.seeds), None)
    refusal = refusals[0] if refusals else ""
    return Chance(plan.power_at_margin or 0.0, plan.equivalence_at_margin or 0.0, refusal, needed)
