"""Detect attributes that predict the class: a leaked label or a confounder."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.cohorts.cohort import Cohort

FEWEST = 20
"""Number of patients below which an attribute may predict the class by chance."""
SHARE = 0.9
"""Share of the errors of "everyone has the commonest class" that an attribute must correct to count as predictive."""
_SEVERAL = 10


def predictive_attributes(
    patients: Sequence[str], labels: Sequence[str], attributes: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return, for each predictive attribute, the share of patients whose class it predicts; in the given order.

    patients, labels, and the values of every attribute ("" where unknown) have one entry per case. One case per patient
    counts, because a patient's other cases share both class and attribute. The class is predicted from the patient
    with the nearest number, or, for other values, from the other patients with the same value.

    >>> people = [str(k) for k in range(40)]
    >>> attributes = {"grade": ["1"] * 20 + ["2"] * 20, "sex": ["f", "m"] * 20}
    >>> predictive_attributes(people, ["a"] * 20 + ["b"] * 20, attributes)
    {'grade': 1.0}
    """
    first = list({patient: index for index, patient in reversed(list(enumerate(patients)))}.values())
    shares = {}
    for name, values in attributes.items():
        known = [index for index in first if values[index] != ""]
        share = _predicted_share([labels[index] for index in known], [values[index] for index in known])
        if share is not None:
            shares[name] = share
    return shares


def warnings(cohort: Cohort, declared: str = "") -> list[str]:
    """Return a sentence for each attribute of a classification cohort that predicts the class.

    declared: the attribute that the label was made from, according to the protocol; it and attributes whose names begin
    with it (malignancy, malignancy_ratings) are expected, and reported only if a size rule uses them.
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
        f"The attribute {name!r} tells the class of {100 * share:.0f} % of patients: if it was derived from the "
        "label, do not use it; if not (a site, a scanner), networks may be reading it in place of the disease."
        for name, share in predictive_attributes([case.patient for case in cases], labels, columns).items()
    ]


def _predicted_share(labels: Sequence[str], values: Sequence[str]) -> float | None:
    """Return the share of classes predicted correctly if the attribute counts as predictive; otherwise None."""
    # Few distinct numbers are codes (1 = site A), whose order means nothing.
    numbers = _numbers(values) if len(set(values)) > _SEVERAL else None
    guesses = _from_others(labels, values) if numbers is None else _from_neighbours(labels, numbers)
    pairs = [(guess, label) for guess, label in zip(guesses, labels, strict=True) if guess is not None]
    if len(pairs) < max(FEWEST, len(labels) / 2):
        return None
    wrong = sum(guess != label for guess, label in pairs)
    # Measured by the errors of the commonest class: with 95 % benign cases, any attribute is right 95 % of the time.
    rare = len(pairs) - max(Counter(label for _, label in pairs).values())
    return 1 - wrong / len(pairs) if rare and wrong <= (1 - SHARE) * rare else None


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _from_others(labels: Sequence[str], values: Sequence[str]) -> list[str | None]:
    """Predict the commonest class among the others with the same value; None where there are none."""
    counts: dict[str, Counter[str]] = {}
    for value, label in zip(values, labels, strict=True):
        counts.setdefault(value, Counter())[label] += 1
    out: list[str | None] = []
    for value, label in zip(values, labels, strict=True):
        # Leave one out: a value that a single patient has would otherwise predict its own class.
        rest = counts[value] - Counter([label])
        out.append(rest.most_common(1)[0][0] if rest else None)
    return out


def _from_neighbours(labels: Sequence[str], numbers: Sequence[float]) -> list[str | None]:
    """Predict the class of the patient with the nearest number."""
    order = sorted(range(len(numbers)), key=lambda index: numbers[index])
    out: list[str | None] = [None] * len(numbers)
    for place, index in enumerate(order):
        beside = [order[near] for near in (place - 1, place + 1) if 0 <= near < len(order)]
        if beside:
            out[index] = labels[min(beside, key=lambda other: abs(numbers[other] - numbers[index]))]
    return out
