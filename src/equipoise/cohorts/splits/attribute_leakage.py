"""Attributes that tell the class of a case: a label that leaked into what stands beside the pixels, or a confounder."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.cohorts.cohort import Cohort

FEWEST = 20
"""Patients below which an attribute may tell the class by chance."""
SHARE = 0.9
"""An attribute tells the class if it sets right this share of what calling everyone the commonest class gets wrong."""
_SEVERAL = 10


def telling(
    patients: Sequence[str], labels: Sequence[str], attributes: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Share of patients whose class the attribute tells, for each attribute that tells it; in the given order.

    patients, labels, and the values of every attribute ("" where unknown) stand case by case. One case a patient
    counts, because a patient's other cases share both class and attribute. A number is told from its neighbours in
    order, any other value from the other patients who have it.

    >>> people = [str(k) for k in range(40)]
    >>> telling(people, ["a"] * 20 + ["b"] * 20, {"grade": ["1"] * 20 + ["2"] * 20, "sex": ["f", "m"] * 20})
    {'grade': 1.0}
    """
    first = list({patient: index for index, patient in reversed(list(enumerate(patients)))}.values())
    found = {}
    for name, values in attributes.items():
        known = [index for index in first if values[index] != ""]
        told = _told([labels[index] for index in known], [values[index] for index in known])
        if told is not None:
            found[name] = told
    return found


def warnings(cohort: Cohort, declared: str = "") -> list[str]:
    """A sentence for each attribute of a classification cohort that tells the class.

    declared: the attribute that the cohort's label was made from, as its protocol says; it and what is named after it
    (malignancy, malignancy_ratings) are no surprise, unless a size rule uses them.
    """
    if not cohort.task_record.has_labels:
        return []
    cases = cohort.cases
    names = [
        name
        for name in dict.fromkeys(name for case in cases for name in case.attributes)
        if not (declared and name.startswith(declared)) or name == cohort.size_attribute
    ]
    columns = {name: [str(case.attributes.get(name, "")) for case in cases] for name in names}
    labels = [cohort.classes[case.label or 0] for case in cases]
    return [
        f"The attribute {name!r} tells the class of {100 * share:.0f} % of patients: if it was made from the label, "
        "nothing may rest on it; if not (a site, a scanner), networks may be reading it in place of the disease."
        for name, share in telling([case.patient for case in cases], labels, columns).items()
    ]


def _told(labels: Sequence[str], values: Sequence[str]) -> float | None:
    """Share of classes told rightly, where that is as good as knowing them; None else."""
    numbers = _numbers(values) if len(set(values)) > _SEVERAL else None
    guesses = _from_others(labels, values) if numbers is None else _from_neighbours(labels, numbers)
    pairs = [(guess, label) for guess, label in zip(guesses, labels, strict=True) if guess is not None]
    if len(pairs) < max(FEWEST, len(labels) / 2):
        return None
    wrong = sum(guess != label for guess, label in pairs)
    rare = len(pairs) - max(Counter(label for _, label in pairs).values())
    return 1 - wrong / len(pairs) if rare and wrong <= (1 - SHARE) * rare else None


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _from_others(labels: Sequence[str], values: Sequence[str]) -> list[str | None]:
    """The commonest class among the others of the same value; None where there are none."""
    counts: dict[str, Counter[str]] = {}
    for value, label in zip(values, labels, strict=True):
        counts.setdefault(value, Counter())[label] += 1
    out: list[str | None] = []
    for value, label in zip(values, labels, strict=True):
        rest = counts[value] - Counter([label])
        out.append(rest.most_common(1)[0][0] if rest else None)
    return out


def _from_neighbours(labels: Sequence[str], numbers: Sequence[float]) -> list[str | None]:
    """The class of the patient with the nearest number."""
    order = sorted(range(len(numbers)), key=lambda index: numbers[index])
    out: list[str | None] = [None] * len(numbers)
    for place, index in enumerate(order):
        beside = [order[near] for near in (place - 1, place + 1) if 0 <= near < len(order)]
        if beside:
            out[index] = labels[min(beside, key=lambda other: abs(numbers[other] - numbers[index]))]
    return out
