"""Patients of an audit whose names look like images of fewer persons, judged by how far scores agree within a stem.

Names that end like images of one person in the whole column (`person_stems`) are joined where scores show that they go
together. Weaker signs, any beginning or end that recurs, need scores that agree nearly: hospitals look like this too,
and the scores of their patients agree a little.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from equipoise.cohorts.splits.person_stems import FEWEST_STEMS, regular_stems
from equipoise.evaluation.external.case_numbers import CaseNumbers, Floats, Ints

AGREEING = 0.6
"""Share of the variance of scores, beside that between classes, that lies between stems."""
_CHANCE = 1e-3
"""Significance at which stems differ, over all arms: of stems without a meaning, one column in a thousand."""
_RUNNING_NUMBER = re.compile(r"(?<=[^\W_])[\s_\-.]+[a-z]{0,8}[\s_\-.]*\d+$", re.IGNORECASE)
_PART = re.compile(r"[^\s_\-./\\()\[\]#]+")
_MOST_PARTS = 12


@dataclass(frozen=True)
class _Agreement:
    """How far patients of one stem agree. share: arm → intraclass correlation. chance: arm → its p value."""

    share: dict[str, float]
    chance: dict[str, float]

    def is_near(self, chance: float) -> bool:
        """Whether every arm's scores agree nearly, each at this level of significance."""
        certain = all(p < chance for p in self.chance.values())
        return bool(self.share) and min(self.share.values()) >= AGREEING and certain

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the scores of some arm agree more than chance allows, among all arms."""
        return bool(self.chance) and min(self.chance.values()) < _CHANCE / len(self.chance)


def joined_by_name(numbers: CaseNumbers, everyone: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Join patients whose names are those of images of one person, where their scores say so too.

    everyone: the patients of all parts. Returns the new name of every patient that gets another, and notes.
    """
    names = list(dict.fromkeys(numbers.patient.tolist()))
    regular = regular_stems(names)
    notes = []
    if regular is not None:
        kind, stem_of = regular.kind, regular.stem
        agreement = _agreement(numbers, regular.of)
        first, second = regular.example()
        if agreement.is_beyond_chance:
            why = f"end as those of images of one person do, in the whole column ({kind} beside a common stem)"
            return _joined(everyone, stem_of, (first, second), why, agreement)
        notes.append(
            f"Patients such as {first!r} and {second!r} have names that end as those of images of one person do "
            f"({kind} beside a common stem), but their scores do not show it: they were counted as {len(names):,} "
            "patients; if they are fewer persons, give the true patients."
        )
    candidates = [
        (stem, why, stems) for stem, why in _cuts(names) if _may_tell(stems := {one: stem(one) for one in names})
    ]
    for stem, why, stems in candidates:
        agreement = _agreement(numbers, stems)
        if agreement.is_near(_CHANCE / len(candidates)):
            return _joined(everyone, stem, _example(stems), why, agreement)
    return {}, notes


def _cuts(names: Sequence[str]) -> list[tuple[Callable[[str], str], str]]:
    """Return ways to take parts of names away, with words for what remains different; first those that take most.

    Whatever the parts mean: scores decide, which agree within patients more nearly than within hospitals.
    """
    beginning, end = "differ by their beginning alone", "differ by their end alone"
    most = min(max((len(_PART.findall(name)) for name in names), default=1), _MOST_PARTS)
    return [
        (_without_number, "differ by a running number alone"),
        *((partial(_first_parts, count=count), end) for count in range(1, most)),
        *((partial(_last_parts, count=count), beginning) for count in range(1, most)),
    ]


def _may_tell(stems: dict[str, str]) -> bool:
    """Return whether enough stems have several names, and, where beginnings were taken away, they recur alike."""
    groups = _groups(stems)
    before = any(not name.startswith(stem) for name, stem in stems.items())
    return len(groups) >= FEWEST_STEMS and (not before or _recur_alike(stems))


def _first_parts(name: str, count: int) -> str:
    ends = [match.end() for match in _PART.finditer(name)]
    return name if len(ends) <= count else name[: ends[count - 1]]


def _last_parts(name: str, count: int) -> str:
    starts = [match.start() for match in _PART.finditer(name)]
    return name if len(starts) <= count else name[starts[-count] :]


def _without_number(name: str) -> str:
    return _RUNNING_NUMBER.sub("", name)


def _recur_alike(stems: dict[str, str]) -> bool:
    """Return whether most ends of names have the same beginnings before them."""
    beginnings: dict[str, set[str]] = {}
    for name, stem in stems.items():
        beginnings.setdefault(stem, set()).add(name[: len(name) - len(stem)])
    usual = Counter(frozenset(one) for one in beginnings.values() if len(one) > 1).most_common(1)
    return bool(usual) and 2 * usual[0][1] >= len(beginnings)


def _groups(stems: dict[str, str]) -> dict[str, list[str]]:
    """Return the stems that several names have, with these names."""
    groups: dict[str, list[str]] = {}
    for name in sorted(stems):
        groups.setdefault(stems[name], []).append(name)
    return {stem: names for stem, names in groups.items() if len(names) > 1}


def _example(stems: dict[str, str]) -> tuple[str, str]:
    first, second, *_ = next(iter(_groups(stems).values()))
    return first, second


def _joined(
    everyone: Collection[str], stem: Callable[[str], str], example: tuple[str, str], why: str, agreement: _Agreement
) -> tuple[dict[str, str], list[str]]:
    """Return the first name of its stem for every other name, and the note."""
    groups = _groups({name: stem(name) for name in everyone})
    names = {name: own[0] for own in groups.values() for name in own[1:]}
    arm, share = max(agreement.share.items(), key=lambda pair: pair[1])
    note = (
        f"Patients such as {example[0]!r} and {example[1]!r} have names that {why}, and {share:.0%} of the variance of "
        f"{arm}'s scores lies between their stems: they were taken for images of one patient ({len(names)} patients "
        "were joined with others); if they are several people, give them names without a common stem."
    )
    return names, [note]


def _agreement(numbers: CaseNumbers, stems: dict[str, str]) -> _Agreement:
    """Return how far patients of one stem agree, beside what the true class explains; empty with too few stems."""
    groups = _groups(stems)
    if len(groups) < FEWEST_STEMS:
        return _Agreement({}, {})
    rows = np.isin(numbers.patient, [name for own in groups.values() for name in own])
    patients, owner = np.unique(numbers.patient[rows], return_inverse=True)
    group = np.unique([stems[name] for name in patients.tolist()], return_inverse=True)[1].ravel()
    truth = np.unique(numbers.truth[rows], return_inverse=True)[1].ravel()
    shares: dict[str, list[float]] = {}
    for column, arm in enumerate(numbers.arm.tolist()):
        values = numbers.values[rows, column]
        if np.isfinite(values).all() and np.ptp(values) > 0:
            rest = values - (np.bincount(truth, values) / np.bincount(truth))[truth]
            # A mean for each patient: that its own cases agree says nothing of other patients.
            means = np.bincount(owner.ravel(), rest) / np.bincount(owner.ravel())
            shares.setdefault(arm, []).append(intraclass(means, group))
    share = {arm: float(np.mean(one)) for arm, one in shares.items()}
    return _Agreement(share, {arm: _chance(one, group) for arm, one in share.items()})


def intraclass(values: Floats, group: Ints) -> float:
    """Return the intraclass correlation ICC(1) of a one-way layout; 0 where nothing varies within it."""
    sizes = np.bincount(group)
    n, groups = len(values), len(sizes)
    means = np.bincount(group, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[group]) ** 2).sum()) / max(n - groups, 1)
    total = between + (_size(sizes) - 1) * within
    return (between - within) / total if total > 0 else 0.0


def _size(sizes: NDArray[np.int64]) -> float:
    """Return the size of the groups that a one-way layout of unequal ones counts as."""
    n = int(sizes.sum())
    return (n - float((sizes**2).sum()) / n) / (len(sizes) - 1)


def _chance(share: float, group: Ints) -> float:
    """Return the p value of the F test that groups do not differ, of an intraclass correlation."""
    sizes = np.bincount(group)
    ratio = (1 + (_size(sizes) - 1) * share) / max(1 - share, 1e-12)
    return float(f_distribution.sf(ratio, len(sizes) - 1, len(group) - len(sizes)))
