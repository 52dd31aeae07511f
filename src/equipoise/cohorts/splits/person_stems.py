"""Names of patients that look like images of fewer persons: a stem with a side, a view, a visit or a number behind it.

A name alone proves nothing: 0071-2 may be the second image of a person, or the second patient of a hospital. The whole
column tells more: where most stems occur several times, with the same few endings, the endings name images. Hospitals
have unequal numbers of patients, and few of them have many. Names whose beginning differs (S1-P07, S2-P07) are not
judged here: hospitals that number their patients alike look the same as sides of one person.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from statistics import median

from equipoise.protocol.look_alikes import skeleton

_SIDES = r"left|right|lt|rt|l|r|od|os|ou|le|re"
_ORGANS = r"eye|breast|lung|knee|hip|hand|foot|ear|kidney"
_VIEWS = r"cc|mlo|ml|lm|xcc|xccl|xc|ap|pa|lat|lateral|frontal|ax|axial|sag|sagittal|cor|coronal"
_SEQUENCES = r"t1|t2|t1w|t2w|t1c|t1ce|t1gd|flair|dwi|adc"
_MODALITIES = r"mg|ct|mr|mri|pet|oct|cfp|fundus"
_COPIES = r"copy|kopie|anon|orig|original|resized|cropped|enhanced|aug|augmented|flip|flipped|rot|rotated"
_TIMES = r"pre|post|baseline|followup|fu|visit|ses|session|timepoint|tp|time|day|week|month|year"
_PIECES = r"scan|slice|sl|image|img|view|frame|series|ser|lesion|nodule|crop|patch|tile|roi|exam|study|slide"
_SIGNS = r"[\s_\-./\\()\[\]#]"
_EDGES = " _-./\\()[]#"
_SUFFIX = re.compile(
    r"\.(?:png|jpe?g|bmp|gif|webp|tiff?|dcm|dicom|ima|nii|mha|mhd|nrrd|npy|npz|h5|svs|ndpi|mrxs|mp4|avi|csv|txt)(?:\.gz)?$",
    re.IGNORECASE,
)
# A side or view has one digit at most: H1-PA007 is patient 7 of hospital 1.
_WORD_AT_END = re.compile(
    rf"(?:(?<=\d)|{_SIGNS}+)(?:(?:(?:{_SIDES})(?:{_SIGNS}*(?:{_ORGANS}))?|{_VIEWS}|{_SEQUENCES}|{_MODALITIES}){_SIGNS}?\d?"
    rf"|(?:{_TIMES}|{_PIECES}|{_COPIES})(?:{_SIGNS}*\d{{1,6}}){{0,2}}"
    rf"|(?:x|row|r){_SIGNS}?\d{{1,6}}{_SIGNS}*(?:y|column|col|c){_SIGNS}?\d{{1,6}})$",
    re.IGNORECASE,
)
# Without a number: Study-03-017 is a patient of centre 3. No modality: CT-001 and MR-001 are of two cohorts, often.
_WORD_AT_START = re.compile(
    rf"^(?:(?:{_SIDES})(?:{_SIGNS}*(?:{_ORGANS}))?|{_VIEWS}|{_SEQUENCES}|pre|post|baseline|followup){_SIGNS}+(?=.*\d)",
    re.IGNORECASE,
)
_SIDE_AT_END = re.compile(rf"(?:(?<=\d)|{_SIGNS}+)(?:{_SIDES}|{_VIEWS})$", re.IGNORECASE)
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_BETWEEN = r"[\s_\-./]"
# No year alone: 0012-2020 and 0012-2021 are the twelfth patients of two years.
_DATE_AT_END = re.compile(
    rf"{_SIGNS}+(?:{_YEAR}{_BETWEEN}{_MONTH}{_BETWEEN}{_DAY}|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    rf"|{_DAY}{_BETWEEN}{_MONTH}{_BETWEEN}{_YEAR}|{_MONTH}{_BETWEEN}{_DAY}{_BETWEEN}{_YEAR}"
    rf"|{_DAY}{_BETWEEN}?{_MONTHS}{_BETWEEN}?{_YEAR}|{_YEAR}{_BETWEEN}?{_MONTHS}{_BETWEEN}?{_DAY})"
    rf"(?:[T\s_\-]?\d\d[:\-_.]?\d\d(?:[:\-_.]?\d\d)?)?$",
    re.IGNORECASE,
)
# What stands behind a patient who is called one, if it begins with letters: patient-03-017 is a patient of centre 3.
_BEHIND_A_PATIENT = re.compile(
    rf"(?:(?<=(?:(?:patient|subject)))|(?<=sub)|(?<=subj)|(?<=pat)){_SIGNS}*\d+(?P<a>{_SIGNS}+[a-z]{{2}}.*)$"
    rf"|^sub-[a-z\d]+(?P<b>[_/].+)$|^TCGA-\w{{2}}-\w{{4}}(?P<c>-.+)$",
    re.IGNORECASE,
)
_LETTER_AT_END = re.compile(rf"(?:(?<=\d){_SIGNS}*|{_SIGNS}+)[a-h]$", re.IGNORECASE)
# Not p: S3-P07 is patient 7 of hospital 3. Not three digits: hospitals number their patients 001, 002.
_NUMBER_AT_END = re.compile(rf"(?<=[^\W_]){_SIGNS}+[a-oq-z]?\d{{1,2}}$", re.IGNORECASE)
FEWEST_STEMS = 10
"""Stems with several names that are needed: fewer may be hospitals or years."""
FEWEST_SIDES = 3
"""Stems with several sides or views that are needed for a warning: it joins nothing, and fewer may be chance."""
_TIMES_MORE_STEMS = 3
"""So many times more stems than numbers behind one: a person has few images, a hospital has many patients."""
WORDS, DATES, PARTS, LETTERS, NUMBERS = "words", "dates", "parts", "letters", "numbers"
"""What stands beside a stem, from the surest sign of images to the weakest."""
_REMEMBERED = 2**17
"""Names of one cohort or table, each of which is looked at for every kind and again for what is left."""
_MIDDLES = {DATES: _DATE_AT_END, LETTERS: _LETTER_AT_END, NUMBERS: _NUMBER_AT_END}


@dataclass(frozen=True)
class Stems:
    """The names of a column by their stems. kind: what is beside a stem: words, dates, parts, letters or numbers.

    tail: with which all names of the column end.
    """

    kind: str
    of: dict[str, str]
    tail: str = ""

    def stem(self, name: str) -> str:
        """Return the stem of a name, also of one that the column lacks."""
        return stem_of(_without(name, self.tail), self.kind)

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
        slash = r"/\\" if any("\\" in name for name in self.of) else "/"
        tried = [rf"([^{slash}]+)" + rf"[{slash}][^{slash}]+" * deep + rf"[{slash}][^{slash}]*$" for deep in range(3)]
        tried = [one.replace("[/]", "/") for one in tried]
        tried += [f"([^/{sign}]+){bare[sign]}[^/]*$" for sign in signs]
        tried += [r"([^/]+)\.\d+(?:\.[a-z]\w*)*$"] if "." in signs else []
        tried += [f"([^/]+){bare[sign]}[^/{sign}]*$" for sign in signs]
        tried += [rf"([^/]+){bare[sign]}[^/{sign}]*{bare[sign]}[^/{sign}]*$" for sign in signs]
        tried += [rf"{bare[sign]}([^/.{sign}]+)(?:\.\w+)*$" for sign in signs]
        tried += [f"([^/{sign}]+){bare[sign]}[^{sign}]*$" for sign in signs]
        tried += [r"([^/]*\d)[A-Za-z](?:\.\w+)*$", r"(TCGA-\w\w-\w{4})-", r"([^/ .]+)[^/]*$"]
        return next((one for one in tried if self._is_told_by(one)), None)

    def _is_told_by(self, pattern: str) -> bool:
        groups = {name: match[1] for name in self.of if (match := re.search(pattern, name))}
        pairs = {(groups.get(name), stem) for name, stem in self.of.items()}
        persons = len(set(self.of.values()))
        return len(groups) == len(self.of) and len(pairs) == len(set(groups.values())) == persons


def stem_of(name: str, kind: str) -> str:
    """Return a name without the words beside it, and without the date, part, letter or number of this kind among them.

    >>> stem_of("P001_L-CC", WORDS), stem_of("P001a", LETTERS), stem_of("P001-slice-12.png", WORDS)
    ('P001', 'P001', 'P001')
    >>> stem_of("LIDC-IDRI-0001", NUMBERS), stem_of("S3-P001", NUMBERS), stem_of("A-12", NUMBERS)
    ('LIDC-IDRI-0001', 'S3-P001', 'A-12')
    >>> stem_of("P001_2021-03-14", DATES), stem_of("TCGA-02-0001-01Z-00-DX1", PARTS), stem_of("CC_L_000", WORDS)
    ('P001', 'TCGA-02-0001', '000')
    """
    stem = _without_words(name)
    if kind == PARTS:
        behind = _BEHIND_A_PATIENT.search(_bare(name))
        stem = stem if behind is None else _bare(name)[: max(behind.start(group) for group in "abc")]
    elif kind != WORDS:
        stem = _cut(_cut(stem, _MIDDLES[kind]), _WORD_AT_END, many=True)
    return stem


@lru_cache(maxsize=_REMEMBERED)
def _without_words(name: str) -> str:
    stem = _cut(_bare(name), _WORD_AT_END, many=True)
    while match := _WORD_AT_START.match(stem):
        stem = stem[match.end() :]
    return stem


@lru_cache(maxsize=_REMEMBERED)
def _bare(name: str) -> str:
    """Return a name without what nobody sees, the suffix of a file, and a bracket at its end."""
    return _SUFFIX.sub("", skeleton(name)).rstrip(_EDGES)


def _without(name: str, tail: str) -> str:
    bare = _bare(name)
    return bare[: len(bare) - len(tail)].rstrip(_EDGES) if tail and bare.endswith(tail) else bare


def _tail(names: Sequence[str]) -> str:
    """Return with which parts, apart by signs, all names end; "" where nothing would be left of one."""
    ends = [_bare(name)[::-1] for name in names]
    pairs = zip(min(ends, default=""), max(ends, default=""), strict=False)
    same = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    while same and any(len(one) <= len(same) or one[len(same)] not in _EDGES for one in ends):
        same = same[:-1]
    tail = same[::-1]
    return tail if all(any(map(str.isdigit, _without(name, tail))) for name in names) else ""


def _cut(name: str, ending: re.Pattern[str], *, many: bool = False) -> str:
    """Return a name without an ending, where a number is left of it: a person's id has one."""
    while match := ending.search(name):
        stem = name[: match.start()].rstrip(_EDGES)
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
    # First with it: what all have behind the number of an image hides it (001_1_0000), and may be a year.
    for tail in dict.fromkeys(("", _tail(column))):
        for kind in (WORDS, DATES, PARTS, LETTERS, NUMBERS):
            stems = Stems(kind, {name: stem_of(_without(name, tail), kind) for name in column}, tail)
            if _is_regular(stems):
                return stems
    return None


def deepest_stems(names: Iterable[str]) -> Stems | None:
    """Return the stems of a column as `regular_stems`, and of these stems again, until they look like persons.

    kind is that of the first. Only `of` and what is made of it is meant for use: `stem` tells the first stems.

    >>> deepest_stems(f"{p:03d}/{study}/{image}" for p in range(20) for study in "12" for image in "12").of["007/2/1"]
    '007'
    """
    stems = regular_stems(names)
    while stems is not None and (deeper := regular_stems(stems.of.values())) is not None:
        stems = replace(stems, of={name: deeper.of[stem] for name, stem in stems.of.items()})
    return stems


def _is_regular(stems: Stems) -> bool:
    several, groups = stems.several, len(set(stems.of.values()))
    if len(several) < FEWEST_STEMS or 2 * len(several) < groups:
        return False
    if stems.kind == WORDS:
        return True
    if stems.kind in (DATES, PARTS):
        # The running numbers of days (2-20210314) are few, and each has many dates.
        return groups >= median(map(len, several.values()))
    endings = Counter(
        frozenset(_without(name, stems.tail).replace(stem, "", 1).casefold() for name in names)
        for stem, names in several.items()
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
        stem = _cut(_bare(name), _SIDE_AT_END, many=True)
        end = _bare(name)[len(stem) :]
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
