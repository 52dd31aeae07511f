"""What the names and codes of structures say against the classes that their numbers or names were given.

A mask whose structures are exchanged looks like any other, so whatever speaks against a class is asked: the name of
another class, or a name or a code that differs between cases.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.cohorts.cohort import IGNORED
from equipoise.cohorts.layouts.structure_names import (
    BACKGROUND,
    LEFT_OUT,
    MEANINGS,
    STRUCTURES,
    Codes,
    bare_name,
    by_name,
    is_meant,
)

Doubts = dict[str, tuple[str, str]]
"""By case, what speaks against its structures, and what to do."""
_STATE_NAMES = "state the structures' names in cohort.values instead of numbers, or exclude the case"
_STATE_WORDS = (
    "name the structures in cohort.values, with the words of the codes that are meant among the spellings, or exclude "
    "the case"
)


@dataclass(frozen=True)
class Structures:
    """What one mask says of its structures: number → name, number → code and its words, names that were left out."""

    names: Mapping[int, str] = field(default_factory=dict)
    meanings: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def words(self, number: int) -> str:
        """Return what the code of a structure says, the code itself where it has no words, "" where there is none."""
        code, words = self.meanings.get(number, ("", ""))
        return words or code


def structures_of(header: Mapping[str, Any]) -> Structures | None:
    """Return the structures that a mask's header names, None for a format without names."""
    if STRUCTURES not in header:
        return None
    return Structures(header[STRUCTURES], header.get(MEANINGS, {}), tuple(header.get(LEFT_OUT, ())))


def doubts(cases: Iterable[tuple[str, Structures]], codes: Codes | None, classes: Sequence[str]) -> Doubts:
    """Return, by case, the first thing that speaks against its structures.

    cases: (case, structures) of every case whose mask names them; codes: as their protocol states them; classes: index
    → name. A name or code that differs between cases leaves those that say what their class is called.
    """
    listed = list(cases)
    wrong: Doubts = {}
    if not by_name(codes):
        names = other_names([(case, own.names) for case, own in listed], codes, classes)
        wrong |= {case: (reason, _STATE_NAMES) for case, reason in names.items()}
    for case, own in listed:
        reason = next(_of_other_classes(own, codes, classes), None)
        if reason is not None:
            wrong.setdefault(case, (reason, _what_to_write(own, codes, classes)))
    for case, reason in (*_other_codes(listed, codes, classes), *_other_places(listed, codes, classes)):
        wrong.setdefault(case, (reason, _STATE_WORDS))
    return wrong


def _index_of(number: int, name: str, codes: Codes | None) -> int | None:
    """Return the class index that a structure was given, None where it has none that can be named."""
    known: dict[int | str, int] = dict((codes or {}).items())
    index = number if codes is None else known.get(bare_name(name) if by_name(codes) else number)
    return None if index == IGNORED else index


def _of_other_classes(own: Structures, codes: Codes | None, classes: Sequence[str]) -> Iterator[str]:
    """Yield what names a structure of one mask as a class that it was not given."""
    bare = [bare_name(name) for name in classes]
    called = {index: bare_name(name) for number, name in own.names.items() if (index := _index_of(number, name, codes))}
    right = {index for index, name in called.items() if index < len(bare) and name == bare[index]}
    for number, name in own.names.items():
        index = _index_of(number, name, codes)
        if index is None or index >= len(classes):
            continue
        if bare_name(name) in bare and bare.index(bare_name(name)) != index and not by_name(codes):
            yield f"its structure {number}, called {name!r}, would be the class {classes[index]!r}"
        words = own.words(number)
        # A label that the protocol states, and that is the class's own name, has been chosen over the code.
        chosen = by_name(codes) and bare_name(name) == bare[index]
        if bare_name(words) in bare and bare.index(bare_name(words)) != index and not chosen:
            yield f"its structure {name!r} has the code of {words!r} and would be the class {classes[index]!r}"
    unread = [*own.left_out, *(name for number, name in own.names.items() if _index_of(number, name, codes) is None)]
    for name in unread if not by_name(codes) else ():
        if bare_name(name) in bare[1:] and bare.index(bare_name(name)) not in right:
            yield f"its structure {name!r} has the name of a class and none of the numbers in cohort.values"


def called_otherwise(own: Structures, index: int, classes: Sequence[str]) -> str | None:
    """Return the name of another class that a file of one structure, the class `index`, gives it; None where none."""
    names = [text for number, name in own.names.items() for text in (name, own.words(number))]
    others = {bare_name(name) for other, name in enumerate(classes) if other not in (0, index)}
    if bare_name(classes[index]) in map(bare_name, own.names.values()):
        return None
    return next((name for name in names if bare_name(name) in others), None)


def _what_to_write(own: Structures, codes: Codes | None, classes: Sequence[str]) -> str:
    if by_name(codes):
        return "correct cohort.values, or exclude the case"
    spelled = {bare_name(name): name for name in (*own.names.values(), *own.left_out)}
    # Names such as Segment_1 say nothing: stated, they would be exchanged in the next file as the numbers are.
    if not all(bare_name(name) in spelled for name in classes[1:]):
        return "give its structures the names of their classes and state them in cohort.values, or exclude the case"
    names = [BACKGROUND, *(spelled[bare_name(name)] for name in classes[1:])]
    shown = ", ".join(f'"{name}"' for name in names)
    return f"state the structures' names, such as cohort.values = [{shown}], or exclude the case"


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


def _coded(
    listed: Sequence[tuple[str, Structures]], codes: Codes | None
) -> Iterator[tuple[str, int, int, str, tuple[str, str]]]:
    """Yield case, what stands for the class (its number, or its index by names), class, name and code."""
    for case, own in listed:
        for number, name in own.names.items():
            index = _index_of(number, name, codes)
            if index and own.words(number):
                yield case, index if by_name(codes) else number, index, name, own.meanings[number]


def _is_trusted(words: str, index: int, codes: Codes | None, classes: Sequence[str]) -> bool:
    """Return whether the words of a code are the class's name or one of its stated spellings."""
    spellings = {key for key, of in (codes or {}).items() if of == index and isinstance(key, str)}
    own = {bare_name(classes[index])} if index < len(classes) else set()
    return bare_name(words) in spellings | own


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether two codes mean one thing: by their value, or by their words (SRT and SCT number differently)."""
    return one[0] == other[0] or bool(one[1] and bare_name(one[1]) == bare_name(other[1]))


def _other_codes(
    listed: Sequence[tuple[str, Structures]], codes: Codes | None, classes: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the cases in which a structure has another code than elsewhere."""
    by_key: defaultdict[int, list[tuple[str, int, str, tuple[str, str]]]] = defaultdict(list)
    for case, key, index, name, code in _coded(listed, codes):
        by_key[key].append((case, index, name, code))
    for known in by_key.values():
        different = {code[0]: code for *_, code in known}.values()
        for case, index, name, code in known:
            other = next((each for each in different if not _same(each, code)), None)
            if other is not None and not _is_trusted(code[1] or code[0], index, codes, classes):
                shown, elsewhere = code[1] or code[0], other[1] or other[0]
                yield case, f"its structure {name!r} has the code of {shown!r}, and in another case of {elsewhere!r}"


def _other_places(
    listed: Sequence[tuple[str, Structures]], codes: Codes | None, classes: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the cases in which one code stands for another class than in others."""
    places: defaultdict[str, defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for case, key, _, _, code in _coded(listed, codes):
        places[code[0]][case].add(key)
    for case, key, index, name, code in _coded(listed, codes):
        keys = places[code[0]].values()
        # A code that several structures of one file share (tissue, mass) does not tell them apart.
        if any(len(own) > 1 for own in keys) or all(own == {key} for own in keys):
            continue
        chosen = by_name(codes) and index < len(classes) and bare_name(name) == bare_name(classes[index])
        if not chosen and not _is_trusted(code[1] or code[0], index, codes, classes):
            yield case, f"its structure {name!r} has the code of {code[1] or code[0]!r}, as another one has elsewhere"


def renamed(own: Structures, codes: Codes | None, classes: Sequence[str]) -> list[str]:
    """Return a remark for every structure that is not called as its class is, and for every class without one.

    Only numbers are remarked on: names are stated, and a file that lacks one is refused.
    """
    if codes is None or by_name(codes):
        return []
    meant = {int(key): classes[index] for key, index in codes.items() if index and index != IGNORED}
    remarks = [
        f"its structure {number}, called {own.names[number]!r}"
        + (f" with the code of {own.words(number)!r}" if own.words(number) else "")
        + f", is the class {known!r}"
        for number, known in meant.items()
        if own.names.get(number) and bare_name(own.names[number]) != bare_name(known)
    ]
    there = {known for number, known in meant.items() if number in own.names}
    absent = {known: number for number, known in reversed(meant.items()) if known not in there}
    return remarks + [
        f"it has no structure {number}: the class {known!r} is nowhere in it" for known, number in absent.items()
    ]
