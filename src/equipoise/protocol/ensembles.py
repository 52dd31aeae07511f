"""Arms that are made of the finished runs of other arms: what the protocol may ask for, and which runs they take.

An ensemble is one object for every set of runs it is made of, so it has as many independent runs as there are disjoint
sets: the seeds are divided into groups of `members`, in their order, and each group makes one ensemble of each fold.
"""

from collections.abc import Sequence

from equipoise.lookup import nearest
from equipoise.protocol.arm import Arm

FEWEST_GROUPS = 3
"""Fewest ensembles of an arm where one takes several seeds: of fewer runs of an arm no verdict is given."""


def groups_of(seeds: Sequence[int], members: int) -> list[tuple[int, ...]]:
    """Divide the seeds into disjoint groups in their order; seeds that fill no group are in none.

    >>> groups_of([0, 1, 2, 3, 4], 2)
    [(0, 1), (2, 3)]
    """
    return [tuple(seeds[at : at + members]) for at in range(0, len(seeds) - members + 1, members)]


def seeds_of(arm: Arm, seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds for which an arm has a run: all of a network's; of an ensemble the first of each group."""
    return tuple(seeds) if not arm.ensemble else tuple(group[0] for group in groups_of(seeds, arm.members))


def member_runs(arm: Arm, seed: int, seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Return the arm and the seed of every member of the ensemble whose group begins with `seed`."""
    group = next(group for group in groups_of(seeds, arm.members) if group[0] == seed)
    return [(name, one) for name in arm.ensemble for one in group]


def ensemble_complaint(arm: Arm, arms: Sequence[Arm], seeds: Sequence[int], task: str) -> str | None:
    """Return why an ensemble cannot be made of these arms and seeds; None where it can, and for another kind of arm."""
    if not arm.ensemble:
        return "members is the number of runs in an ensemble; name its arms with ensemble" if arm.members > 1 else None
    names = {other.name: other for other in arms}
    for name in arm.ensemble:
        if name not in names:
            return f"its ensemble names the unknown arm {name!r}; {nearest(name, [n for n in names if n != arm.name])}"
        if names[name].ensemble:
            return f"its ensemble names {name!r}, which is an ensemble or this arm itself; name arms that are trained"
        if names[name].nnunet is not None:
            return f"{name!r} is trained by nnU-Net, which predicts in its own windows; leave it out of the ensemble"
    if len(set(arm.ensemble)) < len(arm.ensemble):
        return "its ensemble names an arm twice; set members for more runs of one arm"
    if len(arm.ensemble) * arm.members < 2:
        return f"its ensemble has only one run; name further arms, or set members for more runs of {arm.ensemble[0]!r}"
    if ":" in task:
        return f"an ensemble averages probabilities, and task {task} may predict other values; leave the ensemble out"
    groups = len(groups_of(seeds, arm.members))
    if groups < (FEWEST_GROUPS if arm.members > 1 else 1):
        return (
            f"each of its ensembles uses {arm.members} seeds of its own, and a verdict needs {FEWEST_GROUPS} "
            f"ensembles; training.seeds names {len(seeds)}, name {FEWEST_GROUPS * arm.members} or more"
        )
    return None
