"""What a lock says of seeds that its arms were trained with before: whether the plan's were chosen among them."""

from collections.abc import Mapping, Sequence
from typing import Any

PRIOR_SEEDS = "prior_seeds"
"""The key of the lock with earlier trainings of its arms; see `trained_seeds.prior_seeds`."""


def chosen_seeds(lock: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return the seeds that the same arms were trained with before, and those of them that the plan took.

    Both are empty where the plan took none, or all of them: then validation results chose nothing.
    """
    known = seeds_of([row for row in prior_of(lock) if row.get("same") is True])
    plan = set(lock.get("seeds") or ())
    return (sorted(known), sorted(known & plan)) if known & plan and known - plan else ([], [])


def prior_of(lock: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the rows of a lock that `prior_seeds` made; none where an earlier version made the lock."""
    listed = lock.get(PRIOR_SEEDS)
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def caution_of_seeds(lock: Mapping[str, Any]) -> list[str]:
    """Return why a choice of seeds makes the results exploratory, as the end of a sentence."""
    known, taken = chosen_seeds(lock)
    if not known:
        return []
    which = f"those of this plan that are among them ({ranges(taken)})"
    before = f"the same arms were trained before on these cases with the seeds {ranges(known)}"
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
