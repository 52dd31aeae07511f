"""Structures of DICOM masks by their names: a number often means another structure in another patient's file."""

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from equipoise.cohorts.cohort import IGNORED
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.unseen_signs import as_seen
from equipoise.errors import ProtocolError

Codes = Mapping[int, int] | Mapping[int | str, int]
"""Stored value, or name of a structure, → class index."""
STRUCTURES, MEANINGS, LEFT_OUT, EMPTY = "structures", "meanings", "left_out", "empty"
"""The keys of `Scan.header` with the name of each number of a mask, its code and what that says, the names of the
structures that were not wanted, and of those that nothing is drawn of."""
BACKGROUND = "background"
_BACKGROUNDS = frozenset((BACKGROUND, "bg", "backgr", "0", "hintergrund", "fond", "fondo", "sfondo", "achtergrond"))
_RESTS = frozenset(("other", "others", "rest", "none", "nothing", "outside"))
"""Names, by their letters, of what is no structure; those of the second kind may be one beside other structures."""
_INSIDE = re.compile(r"(?<=\w)-(?=\w)|(?<= )-+(?= )|(?<!\d)\.|\.(?!\d)")
"""Hyphens that join words and points that end them. A hyphen with a word on one side alone is a sign (GTV-, level -1),
and a point between digits makes a number (5.0 is not 50)."""


def bare_name(name: str) -> str:
    """Return a name without what programs write differently: capitals, spaces, underscores, hyphens between words.

    Letters that are written with one sign or with two (é) are one, and invisible signs are none.

    >>> bare_name("GTV_Primary ") == bare_name("gtv-primary"), bare_name("GTV-") == bare_name("GTV")
    (True, False)
    """
    return " ".join(_INSIDE.sub(" ", " ".join(re.split(r"[\s_]+", as_seen(name)))).split())


def letters_of(name: str) -> str:
    """Return the letters and digits of a name alone; names that share them may be one in two spellings.

    >>> letters_of("Kidney-Left") == letters_of("kidney_left ")
    True
    """
    return re.sub(r"[\W_]+", "", bare_name(name))


def refuse_late_background(classes: Any) -> None:
    """Raise ProtocolError where another class than the first, which is never judged, has the name of the background.

    classes: `cohort.classes`, None where it is not stated.
    """
    letters = [letters_of(name) if isinstance(name, str) else "" for name in classes or ()]
    nothing = _BACKGROUNDS | _RESTS
    late = nothing if len(letters) == 2 else _BACKGROUNDS
    place = next((place for place, name in enumerate(letters) if place and name in late), None)
    if place is not None and letters[0] not in nothing:
        raise ProtocolError(
            f"cohort.classes has {classes[place]!r} as class {place}, which would be judged, and {classes[0]!r} as "
            "class 0, which would not: put background first, and its value first in cohort.values, or give a "
            "structure that is not the background another name"
        )


def codes_of(values: Sequence[Any] | None, classes: Sequence[str]) -> dict[int | str, int]:
    """Return the codes of `cohort.values`: per class a stored value, a structure's name, or a list of its spellings.

    By default the values are 0, 1, 2 …; the names of the first class, the background, stand for what lies outside.
    Raises ProtocolError for values that do not fit the classes, or that give a class the name of another one.
    """
    one_per_class = list(values) if values is not None else list(range(len(classes)))
    spelled = [one if isinstance(one, list | tuple) else [one] for one in one_per_class]
    if not {type(key) for keys in spelled for key in keys} <= {int, str}:
        raise ProtocolError(f"cohort.values has {one_per_class}; give whole numbers, or names of structures")
    named = [[bare_name(key) if isinstance(key, str) else key for key in keys] for keys in spelled]
    keys = [key for keys in named for key in keys]
    if len(one_per_class) != len(classes) or len(set(keys)) < len(keys) or not all(named) or "" in keys:
        raise ProtocolError(
            f"cohort.values has {one_per_class} for {len(classes)} classes; give each class its own value"
        )
    if len(classes) > IGNORED:
        raise ProtocolError(f"cohort.classes has {len(classes)} classes; a mask holds at most {IGNORED}")
    if any(isinstance(key, str) for key in keys):
        if not all(isinstance(key, str) for keys in named[1:] for key in keys):
            raise ProtocolError(
                f"cohort.values has {one_per_class}; give either names or numbers of structures, not both"
            )
        _check_own_names(named, classes)
        named[0] = [0, *(key for key in named[0] if key != 0)]
    return {key: index for index, keys in enumerate(named) for key in keys}


def _check_own_names(named: Sequence[Sequence[int | str]], classes: Sequence[str]) -> None:
    """Refuse a class whose structure is called as another class is: which of the two was exchanged cannot be told."""
    bare = [bare_name(name) for name in classes]
    for index, keys in enumerate(named):
        other = next((bare.index(str(key)) for key in keys if key in bare and bare.index(str(key)) != index), None)
        if other is not None:
            raise ProtocolError(
                f"cohort.values gives the class {classes[index]!r} the structure {classes[other]!r}, which is the name "
                f"of another class; write the values in the order of cohort.classes, {list(classes)}"
            )


def in_order(code: tuple[int | str, int]) -> tuple[bool, int | str]:
    """Key that sorts codes: values by size, then names by letter."""
    return isinstance(code[0], str), code[0]


def by_name(codes: Codes | None) -> bool:
    """Return whether classes are stated by the names of structures."""
    return codes is not None and any(isinstance(key, str) for key in codes)


def _known(codes: Codes) -> dict[int | str, int]:
    return dict(codes.items())


def is_meant(number: int, name: str, codes: Codes | None) -> bool:
    """Return whether the cohort states a class for a structure; none can have the number 0, which lies outside all."""
    if codes is None:
        return True
    if by_name(codes):
        return bool(_known(codes).get(bare_name(name)))
    return number != 0 and number in codes


def numbers_of(path: str | PathLike[str], header: Mapping[str, Any], codes: Codes | None) -> Mapping[int, int] | None:
    """Return stored value → class index of one file, where the cohort states names.

    header: of the mask's scan. Raises RefusedFile where a name stands for no structure of the file (a spelling that is
    not stated would silently be an empty mask) or for several, where the background is called as a structure is, and
    for a format without names.
    """
    structures: Mapping[int, str] | None = header.get(STRUCTURES)
    if codes is None or not by_name(codes):
        if structures is not None and codes is not None and _known(codes).get(0):
            reason = "0 is what lies outside its structures, and cohort.values gives 0 to one of them"
            raise RefusedFile(path, reason, "give 0 to the background, the first of cohort.classes")
        return None if codes is None else {int(key): index for key, index in codes.items()}
    if structures is None:
        reason = "its values have no names, and cohort.values states names"
        raise RefusedFile(path, reason, "state the values that stand for the classes")
    left_out = tuple(header.get(LEFT_OUT, ()))
    for name in (*structures.values(), *left_out):
        if _known(codes).get(bare_name(name)) == 0 and bare_name(name) != BACKGROUND:
            reason = f"its structure {name!r} would be the background, which is the first of cohort.values"
            remedy = f"begin cohort.classes and cohort.values with {BACKGROUND!r} if it is a class"
            raise RefusedFile(path, reason, remedy)
    classes = {0: 0}
    for index in sorted(set(codes.values()) - {0}):
        spellings = [str(key) for key, of in codes.items() if of == index]
        numbers = [number for number, name in structures.items() if bare_name(name) in spellings]
        if len(numbers) != 1:
            raise RefusedFile(path, *_why_not_one(spellings, [structures[one] for one in numbers], header))
        classes[numbers[0]] = index
    return classes


def _why_not_one(spellings: Sequence[str], fitting: Sequence[str], header: Mapping[str, Any]) -> tuple[str, str]:
    """Return why spellings stand for no structure of a file, or for several, and what can be done."""
    called, shown = " or ".join(map(repr, spellings)), ", ".join(map(repr, fitting))
    if len(set(map(bare_name, fitting))) > 1:
        reason = f"it has {len(fitting)} structures called {called}: {shown}"
        return reason, "leave all but one of these spellings out of cohort.values, or exclude the case"
    if fitting:
        reason = f"it has {len(fitting)} structures called {called}: {shown}"
        return reason, "rename or remove all but one of them in the file, or exclude the case"
    empty = [name for name in header.get(EMPTY, ()) if bare_name(name) in spellings]
    if empty:
        return f"nothing is drawn of its structure {empty[0]!r}", "draw it, or exclude the case"
    names = ", ".join(map(repr, (*header.get(STRUCTURES, {}).values(), *header.get(LEFT_OUT, ()))))
    reason = f"it has no structure called {called}, only {names}"
    return reason, "add its spelling to cohort.values as a list, or exclude the case"
