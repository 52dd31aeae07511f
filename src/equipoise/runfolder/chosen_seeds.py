"""What a lock says of seeds that its arms were trained with before: whether the plan's were chosen among them."""

from collections.abc import Mapping, Sequence
from typing import Any

PRIOR_SEEDS = "prior_seeds"
"""The key of the lock with earlier trainings of its arms; see `trained_seeds.prior_seeds`."""


def chosen_seeds(lock: Mapping[str, Any]) -> tuple[list[int], list[int], bool]:
    """Return the seeds that the plan may have been chosen from, those of them that it took, and whether arms are equal.

    They are the seeds of the same arms and settings, where the plan took some of them and not all; else those of all
    arms of its networks and optimizers, where they are half of the plan's seeds or more and it left out others: another
    rate keeps the favour of a seed in part. Both are empty where validation results chose nothing.
    """
    rows, plan = prior_of(lock), set(lock.get("seeds") or ())
    for same, fewest in ((True, 1), (False, len(plan) / 2)):
        known = seeds_of([row for row in rows if row.get("same") is True or not same])
        if known - plan and len(known & plan) >= fewest:
            return sorted(known), sorted(known & plan), same
    return [], [], False


def prior_of(lock: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of a lock that `prior_seeds` made; none where an earlier version made the lock."""
    listed = lock.get(PRIOR_SEEDS)
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def caution_of_seeds(lock: Mapping[str, Any]) -> list[str]:
    """Return why a choice of seeds makes the results exploratory, as the end of a sentence."""
    known, taken, same = chosen_seeds(lock)
    if not known:
        return []
    which = f"those of this plan that are among them ({ranges(taken)})"
    arms = "the same arms" if same else "arms of these networks and optimizers"
    before = f"{arms} were trained before on these cases with the seeds {ranges(known)}"
    return [f"{before}, and {which} may have been chosen by their validation results"]


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers with ranges.

    >>> ranges([0, 1, 2, 3, 7, 9, 10])
    '0–3, 7, 9, 10'
    """
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]}–{group[-1]}" if len(group) > 2 else ", ".join(map(str, group)) for group in groups)


def seeds_of(trials: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the seeds of rows of `prior_seeds`."""
    lists = [row.get("seeds") for row in trials]
    return {seed for one in lists if isinstance(one, list) for seed in one if isinstance(seed, int)}
