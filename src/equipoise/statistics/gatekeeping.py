"""Claims about secondary endpoints that have a margin of their own: a fixed sequence behind the primary endpoint.

Of every comparison and endpoint one interval is read, at the level 1 - alpha / K for K comparisons of a family. An arm
is better where it excludes 0, and not inferior where it excludes -margin. A claim about a secondary endpoint counts
where the same claim, or a stronger one, stands for the same arm in the primary endpoint and in every secondary one
stated before it. Each arm of each comparison is thus one chain of tests at alpha / 2K (fixed sequence: Maurer, Hothorn
& Lehmacher 1995), so a false "better" of any endpoint occurs in at most alpha of trials, and so does a false "not
inferior" or "equivalent".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from equipoise.statistics.judgement import Comparison
from equipoise.statistics.reasons import Reason

BETTER, NOT_INFERIOR = "better", "not_inferior"


def claims(
    bounds: tuple[float, float], margin: float | None, sign: int, ahead: float, doubt: float, reverses: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the interval of first minus second shows of the first arm and of the second.

    sign: -1 where lower is better. ahead: the difference, first minus second. doubt: how much of it failures that
    nobody saw may take; reverses: whether all of it.

    >>> claims((-0.01, 0.04), 0.02, 1, 0.015, 0.0, False)
    (('not_inferior',), ())
    """
    low, high = bounds if sign > 0 else (-bounds[1], -bounds[0])
    out = []
    for worst, own in ((low, sign * ahead), (-high, -sign * ahead)):
        shown = [BETTER] if worst > 0 and not reverses else []
        inside = margin is not None and worst > -margin and own - doubt > -margin
        out.append((*shown, *([NOT_INFERIOR] if inside or shown else [])))
    return out[0], out[1]


def gated(comparisons: Sequence[Comparison], order: Sequence[str]) -> list[Comparison]:
    """Return the comparisons with what is confirmed of each secondary endpoint in this order; the others unchanged.

    order: the secondary endpoints with a margin, as the plan states them.
    """
    if not order:
        return list(comparisons)
    primary = {(c.a, c.b): c for c in comparisons if c.role == "primary"}
    beside = {(c.a, c.b, c.endpoint): c for c in comparisons if c.role != "primary" and c.endpoint in order}
    made: dict[tuple[str, str, str], Comparison] = {}
    for pair, first in primary.items():
        standing, last = [set(side) for side in first.claims], first.endpoint
        for name in order:
            here = beside.get((*pair, name))
            if here is None:
                continue
            # Against the intersection and not the previous endpoint alone: a claim lost on the way stays lost.
            before = [set(side) for side in standing]
            standing = [side & set(own) for side, own in zip(standing, here.claims, strict=True)]
            made[(*pair, name)] = _told(here, standing, before, last)
            last = name
    return [made.get((c.a, c.b, c.endpoint), c) if c.role != "primary" else c for c in comparisons]


def _told(pair: Comparison, standing: Sequence[set[str]], before: Sequence[set[str]], last: str) -> Comparison:
    """Return the comparison with what stands of its claims, and the reason that says so."""
    confirmed = _confirmed(pair, standing)
    facts: Mapping[str, object] = {"a": pair.a, "b": pair.b, "margin": pair.margin, "confirmed": confirmed}
    lost = any(set(own) - side for own, side in zip(pair.claims, before, strict=True))
    if pair.verdict == "refused":
        return replace(pair, confirmed=())
    reason = Reason("secondary_in_sequence", verdict=pair.reason, lost=lost, before=last, **facts)
    return replace(pair, confirmed=confirmed, reason=reason)


def _confirmed(pair: Comparison, standing: Sequence[set[str]]) -> tuple[str, ...]:
    """Return the claims that stand: an arm that is better, "equivalent", and arms that are not inferior."""
    better = tuple(f"{BETTER}:{arm}" for arm, side in zip((pair.a, pair.b), standing, strict=True) if BETTER in side)
    both = all(NOT_INFERIOR in side for side in standing)
    alone = [arm for arm, side in zip((pair.a, pair.b), standing, strict=True) if NOT_INFERIOR in side]
    return (*better, *(["equivalent"] if both else [f"{NOT_INFERIOR}:{arm}" for arm in alone]))
