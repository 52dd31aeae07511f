"""Names of patients that look like images of fewer persons: a stem with a side, a view, a visit or a number behind it.

A name alone proves nothing: 0071-2 may be the second image of a person, or the second patient of a hospital. The whole
column tells more: where most stems occur several times, with the same few endings, the endings name images. Hospitals
have unequal numbers of patients, and few of them have many. Names whose beginning differs (S1-P07, S2-P07) are not
judged here: hospitals that number their patients alike look the same as sides of one person.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from equipoise.protocol.look_alikes import skeleton

_SIDES = r"left|right|lt|rt|l|r|od|os|ou"
_VIEWS = r"cc|mlo|ml|lm|xcc|xccl|xc|ap|pa|lat|lateral|frontal|ax|axial|sag|sagittal|cor|coronal"
_SEQUENCES = r"t1|t2|t1w|t2w|t1c|t1ce|t1gd|flair|dwi|adc"
_TIMES = r"pre|post|baseline|followup|fu|visit|ses|session|timepoint|tp|time|day|week|month|year"
_PIECES = r"scan|slice|sl|image|img|view|frame|series|ser|lesion|nodule|crop|patch|tile|roi|exam|study"
_SIGNS = r"[\s_\-.]"
# A side or view has one digit at most: H1-PA007 is patient 7 of hospital 1.
_WORD_AT_END = re.compile(
    rf"(?:(?<=\d)|{_SIGNS}+)(?:(?:{_SIDES}|{_VIEWS}|{_SEQUENCES}){_SIGNS}?\d?|(?:{_TIMES}|{_PIECES})(?:{_SIGNS}?\d{{1,4}})?)$",
    re.IGNORECASE,
)
_SIDE_AT_END = re.compile(rf"(?:(?<=\d)|{_SIGNS}+)(?:{_SIDES}|{_VIEWS})$", re.IGNORECASE)
_LETTER_AT_END = re.compile(rf"(?<=\d){_SIGNS}*[a-h]$", re.IGNORECASE)
# Not p: S3-P07 is patient 7 of hospital 3. Not three digits: hospitals number their patients 001, 002.
_NUMBER_AT_END = re.compile(rf"(?<=[^\W_]){_SIGNS}+[a-oq-z]?\d{{1,2}}$", re.IGNORECASE)
FEWEST_STEMS = 10
"""Stems with several names that are needed: fewer may be hospitals or years."""
FEWEST_SIDES = 3
"""Stems with several sides or views that are needed for a warning: it joins nothing, and fewer may be chance."""
_TIMES_MORE_STEMS = 3
"""So many times more stems than numbers behind one: a person has few images, a hospital has many patients."""
WORDS, LETTERS, NUMBERS = "words", "letters", "numbers"
"""What names end with, from the surest sign of images to the weakest."""
_MIDDLES = {WORDS: None, LETTERS: _LETTER_AT_END, NUMBERS: _NUMBER_AT_END}


@dataclass(frozen=True)
class Stems:
    """The names of a column by their stems. kind: what follows a stem, `WORDS`, `LETTERS` or `NUMBERS`."""

    kind: str
    of: dict[str, str]

    @property
    def several(self) -> dict[str, list[str]]:
        """Return the stems that several names have, with these names."""
        names: dict[str, list[str]] = {}
        for name, stem in self.of.items():
            names.setdefault(stem, []).append(name)
        return {stem: own for stem, own in names.items() if len(own) > 1}

    def example(self) -> tuple[str, str]:
        """Return two names that have one stem."""
        first = next(iter(self.several.values()))
        return first[0], first[1]

    def pattern(self) -> str | None:
        """Return a regular expression whose first group tells the persons of all names apart; None without a short one.

        It holds for the names of files too, which may have an ending of their own.
        """
        signs = [sign for sign in "_-. " if any(sign in name for name in self.of)]
        bare = {sign: sign.replace(".", r"\.") for sign in signs}  # outside of brackets only a dot has a meaning
        tried = [f"([^/{sign}]+){bare[sign]}[^/]*$" for sign in signs]
        tried += [f"([^/]+){bare[sign]}[^/{sign}]*$" for sign in signs]
        tried += [r"([^/]*\d)[A-Za-z](?:\.\w+)*$"]
        return next((one for one in tried if self._is_told_by(one)), None)

    def _is_told_by(self, pattern: str) -> bool:
        groups = {name: match[1] for name in self.of if (match := re.search(pattern, name))}
        pairs = {(groups.get(name), stem) for name, stem in self.of.items()}
        persons = len(set(self.of.values()))
        return len(groups) == len(self.of) and len(pairs) == len(set(groups.values())) == persons


def stem_of(name: str, kind: str) -> str:
    """Return a name without the words at its end, and without the letter or number of this kind among them.

    >>> stem_of("P001_L-CC", WORDS), stem_of("P001a", LETTERS), stem_of("P001-slice-12", WORDS)
    ('P001', 'P001', 'P001')
    >>> stem_of("LIDC-IDRI-0001", NUMBERS), stem_of("S3-P001", NUMBERS), stem_of("A-12", NUMBERS)
    ('LIDC-IDRI-0001', 'S3-P001', 'A-12')
    """
    stem, middle = _cut(skeleton(name), _WORD_AT_END, many=True), _MIDDLES[kind]
    return stem if middle is None else _cut(_cut(stem, middle), _WORD_AT_END, many=True)


def _cut(name: str, ending: re.Pattern[str], *, many: bool = False) -> str:
    """Return a name without an ending, where a number is left of it: a person's id has one."""
    while match := ending.search(name):
        stem = name[: match.start()].rstrip(" _-.")
        if not any(letter.isdigit() for letter in stem):
            break
        name = stem
        if not many:
            break
    return name


def regular_stems(names: Iterable[str]) -> Stems | None:
    """Return the stems of a column of patients whose names look like images of fewer persons; None where they do not.

    >>> regular_stems(f"P{k:03d}_{side}" for k in range(10) for side in "LR").example()
    ('P000_L', 'P000_R')
    """
    column = list(dict.fromkeys(names))
    for kind in (WORDS, LETTERS, NUMBERS):
        stems = Stems(kind, {name: stem_of(name, kind) for name in column})
        if _is_regular(stems):
            return stems
    return None


def _is_regular(stems: Stems) -> bool:
    several, groups = stems.several, len(set(stems.of.values()))
    if len(several) < FEWEST_STEMS or 2 * len(several) < groups:
        return False
    if stems.kind == WORDS:
        return True
    endings = Counter(
        frozenset(skeleton(name)[len(stem) :].casefold() for name in names) for stem, names in several.items()
    )
    usual, times = endings.most_common(1)[0]
    few = stems.kind == LETTERS or groups >= _TIMES_MORE_STEMS * len(usual)
    return few and 2 * times >= groups


def some_sides(names: Iterable[str]) -> str:
    """Say in words that some names of a column differ in a side or view alone; "" where few do, or most do.

    Of a column in which most names end so, `regular_stems` tells. Names without a side beside them are left alone.

    >>> some_sides([f"P{k}" for k in range(20)] + [f"P{k}_{side}" for k in range(20, 24) for side in "LR"])
    '4 pairs of names differ only in _L and _R, as images of one patient do'
    """
    column = list(dict.fromkeys(names))
    if regular_stems(column) is not None:
        return ""
    ends: dict[str, dict[str, str]] = {}
    for name in column:
        stem = _cut(skeleton(name), _SIDE_AT_END, many=True)
        end = skeleton(name)[len(stem) :]
        if end:
            ends.setdefault(stem, {}).setdefault(end.casefold(), end)
    several = [own for own in ends.values() if len(own) > 1]
    if len(several) < FEWEST_SIDES:
        return ""
    usual = Counter(frozenset(own) for own in several).most_common(1)[0][0]
    written = next(own for own in several if own.keys() == usual)
    such = "" if all(own.keys() == usual for own in several) else "ends such as "
    group = "pairs" if all(len(own) == 2 for own in several) else "groups"
    shown = " and ".join(sorted(written.values()))
    return f"{len(several)} {group} of names differ only in {such}{shown}, as images of one patient do"
