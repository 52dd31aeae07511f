"""Split a cohort into train, validation and test parts that share no patient and hold each class in proportion.

Whole patients are assigned one at a time, those with the rarest class first, then those with most cases, in an order
shuffled by the seed. Each goes to the part where the squared distance from the target counts (cases per class, and
patients), each divided by its target, grows least; a part that still lacks a class has priority for the last patients
of that class. Patients with many cases are thus spread in proportion and do not gather in the largest part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Cohort
from equipoise.errors import CohortError, ProtocolError

Indices = NDArray[np.int64]
PARTS = ("train", "validation", "test")
SCHEMES = ("holdout", "kfold", "given")
UNITS = ("patient", "case")


@dataclass(frozen=True)
class Fold:
    """Indices into `cohort.cases` of one fold's parts, ascending; no patient is in two parts, unless split by case."""

    train: Indices
    validation: Indices
    test: Indices

    def part(self, name: str) -> Indices:
        """Return the part named "train", "validation" or "test"."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def split(
    cohort: Cohort,
    *,
    scheme: str = "holdout",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    folds: int = 5,
    repeats: int = 1,
    unit: str = "patient",
) -> tuple[Fold, ...]:
    """Return the folds of a scheme, the same for the same seed and cohort, whatever the order of its patients.

    scheme: "holdout" (one fold), "kfold" (`folds` × `repeats` folds; every case is a test case once per repeat) or
        "given" (the source's own parts; these are not altered, so a patient in two of them is for the leak search).
    fractions: train, validation, test. Where test is set by the scheme, validation is its share of the other two.
    unit: what is kept together: "patient", or "case", which divides patients between the parts: their cases then
        leak, and the leak search names them.
    Errors: ProtocolError for impossible settings; CohortError for a class with fewer patients than parts, a part
        without a case of some class, or a source without parts.
    """
    _check_settings(scheme, fractions, folds, repeats, unit)
    if unit == "case":
        cohort = replace(cohort, cases=tuple(replace(case, patient=case.id) for case in cohort.cases))
    everyone = np.arange(len(cohort), dtype=np.int64)
    within_train = (fractions[0] / (fractions[0] + fractions[1]), fractions[1] / (fractions[0] + fractions[1]))
    if scheme == "given":
        made = [_given(cohort, within_train, seed)]
    elif scheme == "holdout":
        train, validation, test = _deal(cohort, everyone, fractions, (seed,), "split.fractions")
        made = [Fold(train, validation, test)]
    else:
        made = []
        for repeat in range(repeats):
            parts = _deal(cohort, everyone, [1 / folds] * folds, (seed, repeat), "split.folds")
            for index, test in enumerate(parts):
                rest = np.setdiff1d(everyone, test)
                train, validation = _deal(cohort, rest, within_train, (seed, repeat, index), "split.folds")
                made.append(Fold(train, validation, test))
    for fold in made:
        _check_classes(cohort, fold)
    return tuple(made)


def _check_settings(scheme: str, fractions: Sequence[float], folds: int, repeats: int, unit: str) -> None:
    """Refuse impossible settings with the key, its value and the allowed values."""
    if scheme not in SCHEMES:
        raise ProtocolError(f"split.scheme is {scheme!r}; choose one of {', '.join(SCHEMES)}")
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ProtocolError(
            f"split.fractions is {list(fractions)!r}; give three shares above 0 for train, validation and test "
            "that sum to 1"
        )
    if folds < 2:
        raise ProtocolError(f"split.folds is {folds!r}; give at least 2")
    if repeats < 1:
        raise ProtocolError(f"split.repeats is {repeats!r}; give at least 1")
    if unit not in UNITS:
        raise ProtocolError(f"split.unit is {unit!r}; choose one of {', '.join(UNITS)}")


def _given(cohort: Cohort, within_train: Sequence[float], seed: int) -> Fold:
    """Return the source's own parts; validation is taken from train where the source has none."""
    named = np.array([case.part or "" for case in cohort.cases])
    strange = sorted(set(named.tolist()) - set(PARTS))
    if strange:
        case = cohort.cases[int(np.flatnonzero(named == strange[0])[0])].id
        raise CohortError(
            f"case {case} of cohort {cohort.name} belongs to part {strange[0]!r}, not to train, validation or test; "
            "choose split.scheme holdout or kfold"
        )
    train, validation, test = (np.flatnonzero(named == part).astype(np.int64) for part in PARTS)
    if not len(train) or not len(test):
        raise CohortError(
            f"cohort {cohort.name} has no official {'test' if len(train) else 'train'} part; "
            "choose split.scheme holdout or kfold"
        )
    if not len(validation):
        train, validation = _deal(cohort, train, within_train, (seed,), "split.fractions")
    return Fold(train, validation, test)


def _deal(
    cohort: Cohort, indices: Indices, fractions: Sequence[float], seed: tuple[int, ...], key: str
) -> list[Indices]:
    """Assign the patients of the cases at `indices` to len(fractions) parts by the rule of this module."""
    patients, owner = np.unique(cohort.patients[indices], return_inverse=True)
    strata = cohort.task_record.strata(cohort)[indices]
    counts = np.zeros((len(patients), int(strata.max(initial=0)) + 1))
    np.add.at(counts, (owner, strata), 1)
    _check_enough(cohort, counts, len(fractions), key)
    counts = np.hstack([counts, np.ones((len(patients), 1))])  # patients are balanced like an additional class
    part = _assign(counts, np.asarray(fractions, dtype=np.float64), np.random.default_rng(seed))
    return [indices[part[owner] == index] for index in range(len(fractions))]


def _check_enough(cohort: Cohort, counts: NDArray[np.float64], parts: int, key: str) -> None:
    """Refuse a class with fewer patients than parts, for which no split by patient can serve every part."""
    if len(counts) < parts:
        # One patient serves no split, and fractions are always those of train, validation and test.
        fewer = f" or lower {key}" if len(counts) > 1 and key != "split.fractions" else ""
        held = "1 patient" if len(counts) == 1 else f"{len(counts)} patients"
        raise CohortError(f"cohort {cohort.name} has {held} for {parts} parts; add patients{fewer}")
    names = cohort.task_record.counts(cohort)
    owners = np.sum(counts > 0, axis=0)
    for index, name in enumerate(names):
        patients = int(owners[index]) if index < len(owners) else 0
        if patients < parts:
            raise CohortError(
                f"class {name} of cohort {cohort.name} has {patients} patients for {parts} parts; "
                f"merge or exclude the class, or split into fewer parts ({key})"
            )


def _assign(counts: NDArray[np.float64], fractions: NDArray[np.float64], generator: np.random.Generator) -> Indices:
    """Return the part of each patient. counts: (patients, classes + 1); the last column is 1 for the patient itself."""
    target = fractions[:, None] * counts.sum(axis=0)
    target[target == 0] = 1  # avoids 0/0 for a class without cases here; its cost is 0
    owners = np.sum(counts > 0, axis=0)
    # The rarest class first: late in the order, its patients could no longer reach every part.
    rarest = np.where(counts > 0, owners, len(counts) + 1).argmin(axis=1)
    shuffled = generator.permutation(len(counts))
    order = shuffled[np.lexsort((-counts[shuffled].sum(axis=1), owners[rarest[shuffled]]))]
    filled = np.zeros_like(target)
    left = owners.copy()
    part = np.zeros(len(counts), dtype=np.int64)
    for patient in order:
        own = counts[patient]
        # The growth of Σ (filled − target)² / target when this patient is added.
        cost = np.sum((2 * (filled - target) + own) * own / target, axis=1)
        lacking = filled[:, rarest[patient]] == 0
        if lacking.any() and left[rarest[patient]] <= lacking.sum():
            cost[~lacking] = np.inf
        part[patient] = int(cost.argmin())
        filled[part[patient]] += own
        left -= own > 0
    return part


def _check_classes(cohort: Cohort, fold: Fold) -> None:
    """Refuse a fold with a part in which some class has no case."""
    for name in PARTS:
        counts = cohort.task_record.counts(cohort, fold.part(name))
        for label, cases in counts.items():
            if cases == 0:
                raise CohortError(
                    f"the {name} part of cohort {cohort.name} has no case of class {label}; "
                    "try another split.seed, a larger share of that part, or merge the class"
                )
