"""Cases of different patients that are one: copies of an image, or images of one person, that count as patients.

Three rules, from certain to likely. Equal numbers in every run of every arm are one image. Numbers that are nearly
equal, more often than chance brings cases together, are copies with noise. Patients whose names are one stem with a
running number, and whose scores agree within the stem, are slices or visits of one person.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TELLING = 0.9
"""Share of different cases whose numbers must differ in a run, for equal numbers to be no chance."""
FEWEST_DISTINCT = 10
"""Different cases that are needed to tell so: constant numbers are equal whatever the images."""
WIDEST = 32
"""Ranks between two cases up to which they are compared; as many copies of one image are recognised."""
FEWEST_PAIRS = 8
SURE = 6.0
"""Standard deviations of a binomial count. Pairs depend on each other, which doubles or trebles its deviation."""
FEWEST_STEMS = 10  # with fewer, stems may be hospitals or years
AGREEING = 0.6
"""Share of the variance of scores, beside that between classes, that lies between stems."""
_RUNNING_NUMBER = re.compile(r"(?<=[^\W_])[\s_\-.]+[a-z]{0,8}[\s_\-.]*\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class _Numbers:
    """The test cases with their patients, true classes, and numbers in every run (cases, runs × numbers).

    arm: of each column. NaN where a case has no number.
    """

    case: NDArray[np.str_]
    patient: NDArray[np.str_]
    truth: Ints
    values: Floats
    arm: NDArray[np.str_]

    @classmethod
    def of(cls, test: Predictions) -> "_Numbers":
        cases, first, place = np.unique(test.case, return_index=True, return_inverse=True)
        keys = np.stack([test.arm, test.seed.astype(str)], axis=1)
        jobs, number = np.unique(keys, axis=0, return_inverse=True)
        # The last class follows from the others; sizes of true masks are alike in small structures.
        own = [*test.scores[:, 1:].T, *(one for name, one in test.metrics.items() if "voxels" not in name)]
        values = np.full((len(cases), len(jobs), len(own)), np.nan)
        if own:
            values[place, number.ravel()] = np.stack(own, axis=1)
        arm = np.repeat(jobs[:, 0], len(own)) if len(jobs) else np.empty(0, dtype=np.str_)
        return cls(cases, test.patient[first], test.truth[first], values.reshape(len(cases), -1), arm)

    @cached_property
    def telling(self) -> Floats:
        """Return the columns in which cases differ, of those that lack no case."""
        whole = self.values[:, np.isfinite(self.values).all(axis=0)]
        distinct = len(np.unique(whole, axis=0)) if whole.shape[1] else 0
        if distinct < FEWEST_DISTINCT:
            return whole[:, :0]
        return whole[:, [c for c in range(whole.shape[1]) if len(np.unique(whole[:, c])) >= TELLING * distinct]]


def joined_twins(table: Predictions) -> tuple[Predictions, list[str]]:
    """Give patients whose cases are one image, or whose names and scores are those of one person, one name.

    Returns the table and a note for each rule that joined any. Raises PredictionError where cases of different patients
    are nearly equal more often than chance allows, because nothing says then which of them are one.
    """
    notes = []
    for rule in (_equal, _of_one_stem):
        numbers = _Numbers.of(table.where(table.split == "test"))
        names, note = rule(numbers)
        if names:
            renamed = np.array([names.get(one, one) for one in table.patient.tolist()])
            table = replace(table, patient=renamed)
            notes.append(note)
    _refuse_near(_Numbers.of(table.where(table.split == "test")))
    return table, notes


def _equal(numbers: _Numbers) -> tuple[dict[str, str], str]:
    """Join patients with a case whose numbers are equal in every run; numbers that cases share by chance say nothing.

    Returns the new name of every patient that gets another, and the note.
    """
    if numbers.telling.shape[1] < 2:
        return {}, ""
    group = np.unique(numbers.values, axis=0, return_inverse=True, equal_nan=False)[1].ravel()
    names = _one_name(numbers.patient, group)
    if not names:
        return {}, ""
    twins = [one for one in _members(group) if len(set(numbers.patient[one].tolist())) > 1]
    first = sorted(numbers.case[one].tolist() for one in twins)[0]
    note = (
        f"The cases {first[0]!r} and {first[1]!r} of different patients have the same numbers in every run of every "
        f"arm ({sum(map(len, twins))} of {len(numbers.case)} cases have such a twin): an image that occurs twice is "
        f"one patient, so {len(names)} patients were joined with others; give the true patients, or keep one of each."
    )
    return names, note


def _members(group: Ints) -> list[Ints]:
    """Return the cases of every group that has several."""
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return [one for one in np.split(order, ends) if len(one) > 1]


def _one_name(patient: NDArray[np.str_], group: Ints) -> dict[str, str]:
    """Return, for every patient that shares a group with others, through others too, the name of the first of them."""
    names, owner = np.unique(patient, return_inverse=True)
    size = max(len(names), int(group.max(initial=-1)) + 1)
    edges = coo_array((np.ones(len(group)), (owner, len(names) + group)), shape=(len(names) + size, len(names) + size))
    label = connected_components(edges, directed=False)[1][: len(names)]
    first = np.unique(label, return_index=True)[1]
    chosen = {int(label[k]): str(names[k]) for k in first}
    return {str(name): chosen[int(one)] for name, one in zip(names, label, strict=True) if chosen[int(one)] != name}


def _of_one_stem(numbers: _Numbers) -> tuple[dict[str, str], str]:
    """Join patients whose names differ by a running number alone, where scores of one stem agree in every arm."""
    stems = np.array([_RUNNING_NUMBER.sub("", name) for name in numbers.patient.tolist()])
    group = np.unique(stems, return_inverse=True)[1].ravel()
    owners: dict[int, set[str]] = {}
    for number, name in zip(group.tolist(), numbers.patient.tolist(), strict=True):
        owners.setdefault(number, set()).add(name)
    several = np.isin(group, [number for number, names in owners.items() if len(names) > 1])
    if len(np.unique(group[several])) < FEWEST_STEMS:
        return {}, ""
    agreement = _agreement(numbers, several, group)
    if not agreement or min(agreement.values()) < AGREEING:
        return {}, ""
    names = _one_name(numbers.patient[several], np.unique(group[several], return_inverse=True)[1].ravel())
    first, second = next((old, new) for old, new in names.items())
    note = (
        f"Patients such as {second!r} and {first!r} have names that differ by a running number alone, and at least "
        f"{min(agreement.values()):.0%} of the variance of every arm's scores lies between their stems: they were "
        f"taken for images of one patient ({len(names)} patients were joined with others); if they are several people, "
        "give them names without a common stem."
    )
    return names, note


def _agreement(numbers: _Numbers, rows: NDArray[np.bool_], group: Ints) -> dict[str, float]:
    """Return each arm's mean intraclass correlation of scores within groups, beside what the true class explains."""
    owner = np.unique(group[rows], return_inverse=True)[1].ravel()
    truth = np.unique(numbers.truth[rows], return_inverse=True)[1].ravel()
    per_arm: dict[str, list[float]] = {}
    for column, arm in enumerate(numbers.arm.tolist()):
        values = numbers.values[rows, column]
        if np.isfinite(values).all() and np.ptp(values) > 0:
            rest = values - (np.bincount(truth, values) / np.bincount(truth))[truth]
            per_arm.setdefault(arm, []).append(_intraclass(rest, owner))
    return {arm: float(np.mean(one)) for arm, one in per_arm.items()}


def _intraclass(values: Floats, group: Ints) -> float:
    """Return the intraclass correlation ICC(1) of a one-way layout; 0 where nothing varies within it."""
    sizes = np.bincount(group)
    n, groups = len(values), len(sizes)
    means = np.bincount(group, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[group]) ** 2).sum()) / max(n - groups, 1)
    size = (n - float((sizes**2).sum()) / n) / (groups - 1)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else 0.0


def _refuse_near(numbers: _Numbers) -> None:
    """Refuse cases of different patients that lie nearer to each other, in every run, than chance brings them.

    Cases are compared by ranks, which a saturated score does not crowd. Among cases of their own, at most half of the
    pairs within 2w ranks in every run are within w, because they scatter along one line at least; copies with noise lie
    together at either width.
    """
    columns = numbers.telling
    if columns.shape[1] < 2:
        return
    ranks = np.stack([rankdata(one) for one in columns.T], axis=1)
    order = np.argsort(ranks[:, 0], kind="stable")
    widest = min(WIDEST, len(ranks) // 30)
    near = _near(ranks[order], np.unique(numbers.patient, return_inverse=True)[1].ravel()[order], 2 * widest)
    for width in (2**k for k in range(6)):
        inner, outer = int((near[:, 2] <= width).sum()), int((near[:, 2] <= 2 * width).sum())
        excess = inner - 0.5 * outer
        if width <= widest and inner >= FEWEST_PAIRS and excess > SURE * np.sqrt(0.25 * outer):
            a, b = (str(numbers.case[order[int(k)]]) for k in near[np.argmin(near[:, 2]), :2])
            raise PredictionError(
                f"{inner} pairs of cases of different patients, such as {a!r} and {b!r}, have nearly the same numbers "
                f"in every run of every arm, where chance gives at most about {outer // 2}: copies of an image, or "
                "images of one patient, would count as patients; give the true patients (a column patient, or "
                "--patients FILE)"
            )


def _near(ranks: Floats, person: Ints, reach: int) -> Floats:
    """Return (row, row, largest difference of ranks) of pairs of different persons within reach in every column.

    ranks: (cases, columns), in the order of the first column, where a pair within reach is at most so many rows apart.
    """
    pairs = [np.empty((0, 3))]
    for step in range(1, min(reach, len(ranks) - 1) + 1):
        apart = np.abs(ranks[step:] - ranks[:-step])
        # Ties are numbers that many cases share: rounded, or at an end of their range.
        counted = (apart.min(axis=1) > 0) & (apart.max(axis=1) <= reach) & (person[step:] != person[:-step])
        rows = np.flatnonzero(counted)
        pairs.append(np.stack([rows, rows + step, apart[rows].max(axis=1)], axis=1))
    return np.concatenate(pairs)
