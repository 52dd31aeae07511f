"""From the paths of a data set's files to patterns with fields: what recurs stays, what differs becomes a field."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equipoise.cohorts.layouts.image_names import PARTS, says_mask, stem_and_ending

_SEPARATORS = "-_. ("
_TOKEN = re.compile(r"[^-_. ]+")
# A few cases may lack their image, and are then named as problems; a pattern that had to hold for all would make the
# whole data set unknown because of them.
_NEARLY_ALL = 0.9
_SMALL_SET = 5
_MOSTLY = 0.5
_MOST_KINDS, _FEWEST_OF_A_KIND = 4, 3
_FOLDER_FIELDS = ("patient", "session", "series", "folder")


@dataclass(frozen=True)
class MaskPattern:
    """A pattern and the paths that it stands for, with their fields."""

    text: str
    paths: tuple[str, ...]
    fields: tuple[Mapping[str, str], ...]


def mask_patterns(masks: Sequence[str], images: Sequence[str]) -> list[MaskPattern]:
    """Return the patterns that masks fit, one for each depth and each thing that the names say after the case.

    What recurs in every folder (frame01, tumor, liver) is a case where each has its own image, a structure in a folder
    of masks, and else a pattern of its own.
    """
    by_depth: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    kinds = _kinds(masks)
    for path in masks:
        folder = path.rpartition("/")[0].rpartition("/")[2]
        by_depth[path.count("/"), folder if folder in kinds else ""].append(path)
    return [pattern for _, together in sorted(by_depth.items()) for pattern in _of_one_depth(sorted(together), images)]


def _kinds(masks: Sequence[str]) -> set[str]:
    """Return the few names of folders that say mask and hold many each: they are kinds of masks, and no cases."""
    folders = Counter(path.rpartition("/")[0].rpartition("/")[2] for path in masks)
    saying = {name: count for name, count in folders.items() if says_mask(name)}
    return set(saying) if len(saying) <= _MOST_KINDS and min(saying.values(), default=0) >= _FEWEST_OF_A_KIND else set()


@dataclass(frozen=True)
class _Name:
    """One mask: what its folders are bound to, and its file's name taken apart."""

    path: str
    bound: Mapping[str, str]
    before: str
    case: str
    after: str


def _of_one_depth(paths: Sequence[str], images: Sequence[str]) -> list[MaskPattern]:
    texts: list[str] = []
    bound: list[dict[str, str]] = [{} for _ in paths]
    for column in zip(*[path.split("/")[:-1] for path in paths], strict=True):
        text, values = _folder(column, {name for fields in bound for name in fields})
        texts.append(text)
        for fields, value in zip(bound, values, strict=True):
            fields.update(value)
    groups: defaultdict[tuple[str, str], list[_Name]] = defaultdict(list)
    for path, fields in zip(paths, bound, strict=True):
        stem, ending = stem_and_ending(path.rpartition("/")[2])
        before, case, after = _around_case(substituted(stem, fields))
        groups[before, after + ending].append(_Name(path, fields, before, case, after + ending))
    folder = "".join(f"{text}/" for text in texts)
    return [
        pattern
        for (before, after), names in sorted(_numbered_together(groups).items())
        for pattern in _resolved(folder, before, after, names, images)
    ]


def _resolved(folder: str, before: str, after: str, names: Sequence[_Name], images: Sequence[str]) -> list[MaskPattern]:
    """Return the pattern of masks that are named alike, or one for each thing that recurs in every folder."""
    by_folder: defaultdict[tuple[tuple[str, str], ...], set[str]] = defaultdict(set)
    for name in names:
        by_folder[tuple(name.bound.items())].add(name.case)
    cases = {name.case for name in names}
    if len(cases) == 1 and (len(names) > 1 or not next(iter(cases))):
        return [_pattern(f"{folder}{before}{next(iter(cases))}{after}", names)]
    by_case = _pattern(f"{folder}{before}{{case}}{after}", names, "case")
    # in most folders most of them: a file of one structure may be lacking
    recurs = len(by_folder) > 1 and sum(map(len, by_folder.values())) >= _MOSTLY * len(by_folder) * len(cases)
    if not recurs or image_patterns(by_case, images)[0]:
        return [by_case]
    if says_mask(folder) and not says_mask(before + after):
        return [_pattern(f"{folder}{before}{{structure}}{after}", names, "structure")]
    return [
        _pattern(f"{folder}{before}{case}{after}", [name for name in names if name.case == case])
        for case in sorted(cases)
    ]


def _pattern(text: str, names: Sequence[_Name], field: str | None = None) -> MaskPattern:
    fields = tuple({**name.bound, **({field: name.case} if field else {})} for name in names)
    return MaskPattern(text, tuple(name.path for name in names), fields)


def _folder(column: Sequence[str], taken: set[str]) -> tuple[str, list[dict[str, str]]]:
    """What stands for one level of folders, and the field of each path."""
    if len(set(column)) == 1:
        return column[0], [{} for _ in column]
    if all(name.lower() in PARTS for name in column):
        return "{part}", [{"part": name} for name in column]
    # A number in every name means a patient (sub-01, s0000, case_00000); without one the folders are groups, such as
    # classes.
    has_ids = all(any(character.isdigit() for character in name) for name in column)
    names = _FOLDER_FIELDS if has_ids else ("group", "group2", "group3")
    field = next(name for name in names if name not in taken)
    # UCSF-PDGM calls its folders UCSF-PDGM-0004_nifti, and its files UCSF-PDGM-0004_T1.nii.gz: only without the shared
    # end is the patient's name the same in both.
    suffix = _common_suffix(sorted(set(column)))
    return f"{{{field}}}{suffix}", [{field: name.removesuffix(suffix)} for name in column]


def _common_suffix(names: Sequence[str]) -> str:
    """Return the end that all names share, from a separator on."""
    first, *others = (name[::-1] for name in names)
    length = next(
        (k for k in range(len(first)) if any(other[: k + 1] != first[: k + 1] for other in others)), len(first)
    )
    shared = first[:length][::-1]
    start = next((k for k, character in enumerate(shared) if character in _SEPARATORS), None)
    return "" if start is None or len(names) < 2 else shared[start:]


def _around_case(stem: str) -> tuple[str, str, str]:
    """Divide a stem into what says mask before the case, the case, and what says mask after it.

    >>> _around_case("segmentation-12"), _around_case("benign (1)_mask_1"), _around_case("{patient}_frame01_gt")
    (('segmentation-', '12', ''), ('', 'benign (1)', '_mask_1'), ('{patient}_', 'frame01', '_gt'))
    """
    field = re.match(r"(?:\{\w+\}[-_. ]*)+", stem)
    start = field.end() if field else 0
    tokens = [piece for match in _TOKEN.finditer(stem, start) for piece in _without_glue(match.start(), match[0])]
    while tokens and says_mask(tokens[0][2]) and len(tokens) > 1 and not _start_is_case(tokens):
        start, tokens = tokens[1][0], tokens[1:]
    end = next((index for index, token in enumerate(tokens) if says_mask(token[2])), len(tokens))
    case_end = tokens[end - 1][1] if end else start
    return stem[:start], stem[start:case_end].rstrip(_SEPARATORS.replace("(", "")), stem[case_end:]


def _without_glue(start: int, token: str) -> list[tuple[int, int, str]]:
    """Return a token with its place; a mask word that is glued to a number is a token by itself.

    >>> _without_glue(0, "label0001"), _without_glue(0, "T1w")
    ([(0, 5, 'label'), (5, 9, '0001')], [(0, 3, 'T1w')])
    """
    match = re.fullmatch(r"([A-Za-z]+)(\d+)|(\d+)([A-Za-z]+)", token)
    word = match and (match[1] or match[4])
    if not match or not word or not says_mask(word):
        return [(start, start + len(token), token)]
    middle = start + len(match[1] or match[3])
    return [(start, middle, token[: middle - start]), (middle, start + len(token), token[middle - start :])]


def _start_is_case(tokens: Sequence[tuple[int, int, str]]) -> bool:
    """Return whether a name begins with its mask word and ends with another, so that the first belongs to the case."""
    return len(tokens) > 2 and says_mask(tokens[-1][2])


def substituted(text: str, fields: Mapping[str, str], *, glued: bool = False) -> str:
    """Replace the values of fields in a text by the fields, where they are whole words, longest values first.

    glued: a number may follow or precede letters, as in img0001.

    >>> substituted("sub-01_T1w", {"patient": "sub-01"}), substituted("volume-10", {"case": "1"})
    ('{patient}_T1w', 'volume-10')
    """
    # A short value may be part of a longer one ("1" of "sub-1"), so the longest is replaced first.
    for name, value in sorted(fields.items(), key=lambda item: -len(item[1])):
        same_kind = r"\d" if glued and value.isdigit() else "[A-Za-z0-9]"
        pattern = rf"(?<!{same_kind}){re.escape(value)}(?!{same_kind})"
        # Fields that were already put in are left alone, for a value may be the word "case" or "patient" itself.
        pieces = re.split(r"(\{\w+\})", text)
        text = "".join(piece if piece.startswith("{") else re.sub(pattern, f"{{{name}}}", piece) for piece in pieces)
    return text


def _numbered_together(groups: Mapping[tuple[str, str], list[_Name]]) -> dict[tuple[str, str], list[_Name]]:
    """Names that differ in a number at the end alone (x_mask, x_mask_1) as one with a star, if the first is there."""
    together: defaultdict[tuple[str, str], list[_Name]] = defaultdict(list)
    for (before, after), names in groups.items():
        stem, ending = stem_and_ending(after)
        plain = (before, re.sub(r"[-_ ]?\d+$", "", stem) + ending)
        together[plain if plain in groups else (before, after)] += names
    merged = {}
    for (before, after), names in together.items():
        stem, ending = stem_and_ending(after)
        starred = f"{stem}*{ending}" if len(names) > len(groups[before, after]) else after
        merged[before, starred] = names
    return merged


def image_patterns(mask: MaskPattern, images: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Return patterns of images that every case of the mask's pattern has, and those that some have, with their number.

    An image pattern uses every field of the mask but `structure`, so that each case has images of its own; images that
    are not divided into parts where the masks are need no `part`.
    """
    used = {name for fields in mask.fields for name in fields} - {"structure"}
    for needed in dict.fromkeys((frozenset(used), frozenset(used - {"part"}))):
        complete, some = _patterns_with(needed, mask, images)
        if complete:
            break
    return complete, some


def _patterns_with(
    needed: frozenset[str], mask: MaskPattern, images: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    candidates: set[str] = set()
    # Patterns come from about five cases and are counted over all of them: each case as a source of patterns would
    # compare all images with all cases.
    for fields in mask.fields[:: max(1, len(mask.fields) // 5)]:
        for path in images:
            for text in (substituted(path, fields), substituted(path, fields, glued=True)):
                if needed <= set(re.findall(r"\{(\w+)\}", text)):
                    candidates.add(text)
    complete, some = _counted(candidates, mask, set(images))
    if not complete:  # x.jpg here and x.png there
        starred = {f"{stem_and_ending(text)[0]}.*" for text in candidates}
        complete, some = _counted(starred, mask, {f"{stem_and_ending(path)[0]}.*" for path in images})
    return complete, some


def _counted(texts: set[str], mask: MaskPattern, present: set[str]) -> tuple[list[str], dict[str, int]]:
    """The patterns that all cases have, or all but a tenth or one where none is so common; the others with a count."""
    total = len(mask.fields)
    counts = {text: sum(_filled(text, fields) in present for fields in mask.fields) for text in texts}
    most = max(counts.values(), default=0)
    # One stray mask is more than a tenth of a small set, and hid all the others.
    enough = min(_NEARLY_ALL * total, total - 1) if total >= _SMALL_SET else _NEARLY_ALL * total
    complete = sorted(text for text, count in counts.items() if count == most and most >= enough)
    return complete, {text: count for text, count in counts.items() if text not in complete and count}


def _filled(text: str, fields: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: fields[match[1]], text)
