"""What is known of arms that were not shown to be worse than the best: pairs with a verdict first, then the others."""

from collections.abc import Sequence

from equipoise.report.text.words import listed

MOST_NAMED = 3
"""Pairs of one kind that are named one by one; more are counted."""
Pairs = Sequence[Sequence[str]]


def tied_arms(arms: Sequence[str], equal: bool, equivalent: Pairs = (), better: Pairs = ()) -> str:
    """Say what the comparisons of arms show, without a stop; undecided is not equal.

    equal: every two were shown to be equivalent. equivalent: the pairs that were; better: (winner, loser) of the pairs
    that were shown to differ. Of the other pairs neither was shown.
    """
    among = listed(list(arms))
    if equal:
        return f"{among} are equivalent within the margin"
    shown = verdicts_of_pairs(equivalent, better, " within the margin")
    if not shown:
        return f"The data do not show which of {among} is better, nor that they are equivalent"
    every = [(a, b) for at, a in enumerate(arms) for b in arms[at + 1 :]]
    known = {frozenset(pair) for pair in (*equivalent, *better)}
    others = [pair for pair in every if frozenset(pair) not in known]
    if not others:
        return shown
    if len(others) == 1:
        which = listed(list(others[0]))
        return f"{shown}; the data do not show which of {which} is better, nor that they are equivalent"
    rest = f"the other {len(others)} pairs of {among}"
    return f"{shown}; of {rest} the data show neither which arm is better nor that they are equivalent"


def verdicts_of_pairs(equivalent: Pairs, better: Pairs, within: str = "") -> str:
    """Return the pairs that were shown to be equivalent or different, in words; empty without any.

    within: what is added to "are equivalent".
    """
    parts = []
    if 0 < len(equivalent) <= MOST_NAMED:
        parts.append(", ".join(f"{a} and {b} are equivalent{within}" for a, b in equivalent))
    elif equivalent:
        parts.append(f"{len(equivalent)} pairs are equivalent{within}")
    if 0 < len(better) <= MOST_NAMED:
        parts.append(", ".join(f"{winner} is better than {loser}" for winner, loser in better))
    elif better:
        parts.append(f"{len(better)} pairs were shown to differ")
    return ", and ".join(parts)
