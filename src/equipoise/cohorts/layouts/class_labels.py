"""What counts as a class label: an empty cell is none, and 0 and 0.0 are one."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from equipoise.cohorts.layouts.tables import number_or_text, sort_key
from equipoise.cohorts.layouts.unseen_signs import as_seen
from equipoise.errors import CohortError

# The labels of CheXpert leave cells empty where a report says nothing. An empty cell once became a class of its own.
# Some of these words are labels elsewhere ("none" is also a grade), hence the argument `classes` of `is_missing`.
_MISSING = frozenset({
    "", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "missing", "?", "-", "--", ".",
})  # fmt: skip
"""How spreadsheets and tools write that a value is missing, in lower case."""


def is_missing(label: str, classes: Collection[str] = ()) -> bool:
    """Return whether a cell states no label; a word that the protocol names among its classes is one.

    >>> is_missing("NaN"), is_missing("none"), is_missing("none", ["none", "mild"]), is_missing("0")
    (True, True, False, False)
    """
    return label not in classes and label.strip().lower() in _MISSING


def class_of(label: str, classes: Sequence[str]) -> str | None:
    """Return the class that a label names, numbers by their value; None where it names none.

    >>> class_of("1.0", ["0", "1"]), class_of("b", ["a", "b"]), class_of("2", ["0", "1"])
    ('1', 'b', None)
    """
    if label in classes:
        return label
    # pandas writes a column of whole numbers as 1.0, 2.0 … as soon as one cell is empty.
    value = number_or_text(label)
    if not isinstance(value, float) or math.isnan(value):
        return None
    return next((name for name in classes if number_or_text(name) == value), None)


def class_names(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the classes among labels, in the order of numbers and letters, without what states none.

    Numbers of one value are one class, named as most rows write it. Raises CohortError where two classes differ in
    capitals or spaces alone, or where fewer than two are left.
    """
    counts = Counter(label for label in labels if not is_missing(label))
    spellings: dict[object, list[str]] = {}
    for label in counts:
        spellings.setdefault(number_or_text(label), []).append(label)
    names = [max(group, key=lambda label: (counts[label], -len(label))) for group in spellings.values()]
    refuse_look_alikes(names, where)
    _refuse_several(names, where)
    if len(names) < 2:
        label_count = f"the one label {names[0]!r}" if names else "no label at all"
        raise CohortError(f"{where} has {label_count}; a comparison needs at least two classes.")
    return tuple(sorted(names, key=sort_key))


def _refuse_several(names: Collection[str], where: str) -> None:
    """Refuse labels that name several classes in one cell, which a verdict about one class cannot use."""
    for name in names:
        # A name with a comma may be one class. Only where one of its parts is a class as well are several meant, as in
        # the finding labels of the NIH chest X-rays ("Effusion|Mass").
        parts = [part.strip() for part in re.split(r"[|;,]", name)]
        if len(parts) > 1 and any(part in names for part in parts):
            raise CohortError(
                f"{where} has the label {name!r}, which stands for several of the others; put the intended class into "
                "a column of its own and name it in cohort.columns, or name all classes in cohort.classes."
            )


_WRITE_ALIKE = "use one spelling, or name all classes in cohort.classes"


def refuse_look_alikes(names: Sequence[str], where: str, what: str = "labels", remedy: str = _WRITE_ALIKE) -> None:
    """Raise CohortError where two classes differ in capitals, spaces or unseen signs alone (é is one sign or two)."""
    alike: dict[str, str] = {}
    for name in names:
        # Joining the two would be a guess about the truth of many cases, so the user decides.
        other = alike.setdefault(" ".join(as_seen(name).replace("_", " ").split()), name)
        if other != name:
            # ascii() shows what is not seen, but only where nothing else would tell the two apart.
            plain = _plain(name) != _plain(other)
            first, second = (ascii(other), ascii(name)) if plain else (repr(other), repr(name))
            signs = "signs that look alike or are invisible" if plain else "capitals or spaces"
            raise CohortError(f"{where} has the {what} {first} and {second}, which differ only in {signs}; {remedy}.")


def _plain(name: str) -> list[str]:
    return name.casefold().replace("_", " ").split()
