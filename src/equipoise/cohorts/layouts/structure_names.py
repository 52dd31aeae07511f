"""Structures of DICOM masks by their names: a number often means another structure in another patient's file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.errors import ProtocolError

Codes = Mapping[int, int] | Mapping[int | str, int]
"""Stored value, or name of a structure, → class index."""
STRUCTURES, LEFT_OUT = "structures", "left_out"
"""The keys of `Scan.header` with the name of each number of a DICOM mask, and the names of its other structures."""
_SEPARATORS = re.compile(r"[\s_.-]+")


def bare_name(name: str) -> str:
    """Return a name without what programs write differently: capitals, spaces, hyphens, underscores.

    >>> bare_name("GTV_Primary ") == bare_name("gtv-primary")
    True
    """
    return _SEPARATORS.sub(" ", name).strip().casefold()


def codes_of(values: Sequence[Any] | None, classes: Sequence[str]) -> dict[int | str, int]:
    """Return the codes of `cohort.values`: per class a stored value, a structure's name, or a list of its spellings.

    By default the values are 0, 1, 2 …; what the first class, the background, is called does not matter.
    Raises ProtocolError for values that do not fit the classes.
    """
    one_per_class = list(values) if values is not None else list(range(len(classes)))
    spelled = [one if isinstance(one, list | tuple) else [one] for one in one_per_class]
    kinds = {type(key) for keys in spelled for key in keys}
    if not kinds <= {int, str}:
        raise ProtocolError(f"cohort.values has {one_per_class}; give whole numbers, or names of structures")
    keys = [bare_name(key) if isinstance(key, str) else key for keys in spelled for key in keys]
    if len(one_per_class) != len(classes) or len(set(keys)) < len(keys):
        raise ProtocolError(
            f"cohort.values has {one_per_class} for {len(classes)} classes; give each class its own value"
        )
    named = [[bare_name(key) if isinstance(key, str) else key for key in keys] for keys in spelled]
    if any(isinstance(key, str) for keys in named for key in keys):
        if not all(isinstance(key, str) for keys in named[1:] for key in keys):
            raise ProtocolError(
                f"cohort.values has {one_per_class}; give either names or numbers of structures, not both"
            )
        named[0] = [0]
    return {key: index for index, keys in enumerate(named) for key in keys}


def in_order(code: tuple[int | str, int]) -> tuple[bool, int | str]:
    """Key that sorts codes: values by size, then names by letter."""
    return isinstance(code[0], str), code[0]


def by_name(codes: Codes | None) -> bool:
    """Return whether classes are stated by the names of structures."""
    return codes is not None and any(isinstance(key, str) for key in codes)


def is_meant(number: int, name: str, codes: Codes | None) -> bool:
    """Return whether the cohort states a class for a structure."""
    return codes is None or (bare_name(name) if by_name(codes) else number) in codes


def numbers_of(path: str | PathLike[str], header: Mapping[str, Any], codes: Codes | None) -> Mapping[int, int] | None:
    """Return stored value → class index of one file, where the cohort states names.

    header: of the mask's scan. Raises RefusedFile where a name stands for no structure of the file (a spelling that is
    not stated would silently be an empty mask) or for several, and for a format without names.
    """
    structures: Mapping[int, str] | None = header.get(STRUCTURES)
    if codes is None or not by_name(codes):
        return None if codes is None else {int(key): index for key, index in codes.items()}
    if structures is None:
        reason = "its values have no names, and cohort.values states names"
        raise RefusedFile(path, reason, "state the values that stand for the classes")
    classes = {0: 0}
    for index in sorted({index for key, index in codes.items() if key != 0}):
        spellings = [str(key) for key, of in codes.items() if of == index]
        numbers = [number for number, name in structures.items() if bare_name(name) in spellings]
        if len(numbers) != 1:
            shown = ", ".join(map(repr, (*structures.values(), *header.get(LEFT_OUT, ()))))
            count = "no structure" if not numbers else f"{len(numbers)} structures"
            raise RefusedFile(
                path,
                f"it has {count} called {' or '.join(map(repr, spellings))}, only {shown}",
                "add its spelling to cohort.values as a list, or exclude the case",
            )
        classes[numbers[0]] = index
    return classes


def other_names(
    cases: Iterable[tuple[str, Mapping[int, str]]], codes: Codes | None, classes: Sequence[str]
) -> dict[str, str]:
    """Return, by case, why a number of its mask cannot be trusted: other cases give it another name.

    cases: (case, number → name) of every case whose mask names its structures. Where the names of a number differ, only
    cases that call it as its class is called are trusted: that most files agree does not say which of them are meant.
    """
    listed = list(cases)
    names: dict[int, dict[str, str]] = {}
    for _, own in listed:
        for number, name in own.items():
            if name and is_meant(number, name, codes):
                names.setdefault(number, {}).setdefault(bare_name(name), name)
    doubtful = {number: known for number, known in names.items() if len(known) > 1}
    wrong: dict[str, str] = {}
    for case, own in listed:
        for number in sorted(doubtful.keys() & own.keys()):
            name, index = own[number], number if codes is None else dict(codes)[number]
            right = classes[index] if index < len(classes) else ""
            if name and bare_name(name) != bare_name(right) and case not in wrong:
                other = next(text for bare, text in doubtful[number].items() if bare != bare_name(name))
                wrong[case] = f"its structure {number} is called {name!r}, and in another case {other!r}"
    return wrong


def renamed(names: Mapping[int, str], codes: Codes | None, classes: Sequence[str]) -> list[str]:
    """Return a remark for every structure whose name in the file is not that of the class its number stands for."""
    meant = {number: classes[codes[number]] for number in names if codes and codes.get(number)}
    return [
        f"its structure {number}, called {names[number]!r}, is the class {known!r}"
        for number, known in meant.items()
        if names[number] and bare_name(names[number]) != bare_name(known)
    ]
