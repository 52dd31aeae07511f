"""Which rows of a table are of training or validation: told by the words in a column, whatever its heading is.

A column of train and test is that of the parts under any name (`phase`, `Usage`, `dataset`), and so are flags
(`is_test`). Words that look like parts and are no certain ones (derivation, unseen) are asked about: a row of training
that counts as a test row flatters the arm that was trained on it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.columns import bare
from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import Caution, Columns
from equipoise.evaluation.external.table_file import MISSING

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_WORDS: Mapping[str, Collection[str]] = {
    TRAIN: ("train", "training", "trained", "trn", "tr"),
    VALIDATION: ("validation", "valid", "validate", "validating", "val", "vld", "dev", "tune", "tuning"),
    TEST: ("test", "testing", "tested", "tst", "ts", "te", "holdout", "heldout"),
}
_PART = {word: part for part, words in _WORDS.items() for word in words}
_QUALIFIERS = {
    "set", "split", "part", "partition", "fold", "subset", "data", "dataset", "cohort", "group", "phase", "case",
    "cases", "image", "images", "sample", "samples", "row", "rows", "internal", "external", "public", "private",
    "official", "hidden", "in", "is",
}  # fmt: skip
_DOUBTFUL = {
    "development", "derivation", "discovery", "fit", "fitting", "learn", "learning", "eval", "evaluation", "seen",
    "unseen", "calibration", "unused",
}  # fmt: skip
_SHORT = 3
"""Letters up to which a word beside others may abbreviate anything (Val d'Hebron); a shorter one does so alone (TR)."""
_MANY = 0.1
"""Share of rows whose cells look like parts from which a column is asked about."""
_OF_SPLITS = {
    "split",
    "subset",
    "partition",
    "datasplit",
    "datapartition",
    "trainvaltest",
    "traintest",
    "traintestsplit",
}
_TRUE, _FALSE = {"true", "1", "1.0", "yes", "y", "t"}, {"false", "0", "0.0", "no", "n", "f"}
# Not valid: whether an image can be used. Not test: a laboratory's. Both need a word more to be flags of parts.
_BARE_FLAGS = {"train", "training", "holdout", "heldout"}
_FLAG = re.compile(
    r"(?:is|in|from|used(?:for|in)?)(?P<a>[a-z]+?)(?:set|split|part|data|cohort|flag)?|(?P<b>[a-z]+?)(?:set|split|flag)"
)
_UNSURE_FLAGS = {"valid"}


@dataclass(frozen=True)
class Parts:
    """A column of parts. columns: those it was read from. values: of every row, train, validation or test."""

    columns: tuple[str, ...]
    values: NDArray[Any]


def part_of(cell: object) -> str | None:
    """Return the part that a word certainly names; None for any other word.

    >>> part_of("TRAIN"), part_of("Hold-out set"), part_of("PublicTest"), part_of("external validation")
    ('train', 'test', 'test', None)
    >>> part_of("dev"), part_of("test_2"), part_of("Guy's"), part_of("stress test")
    ('validation', 'test', None, None)
    """
    words = _words(cell)
    own = [word for word in words if word not in _QUALIFIERS]
    part = _PART.get(own[0]) if len(own) == 1 else None
    # An external validation tests what an internal one chose.
    return None if part == VALIDATION and {"internal", "external"} & set(words) else part


def are_parts(values: NDArray[Any]) -> bool:
    """Return whether every cell of a column certainly names a part."""
    return all(part_of(cell) is not None for cell in set(map(str, values.tolist())))


def with_parts(
    columns: Columns, roles: dict[str, str], source: str, taken: Collection[str], subgroups: Sequence[str]
) -> tuple[Columns, list[str]]:
    """Add the column of parts that other headings hide, and give it its role; return the columns and notes.

    roles: column → role, which gets a new entry. taken: columns that are arms or structures. subgroups: columns to
    which the caller gives that meaning. Raises PredictionError where a column looks like parts and is no certain one,
    or two disagree.
    """
    chosen = next((name for name, role in roles.items() if role == "split"), None)
    if chosen is not None and _flag_of(chosen) and _are_flags(columns[chosen]):
        columns = {**columns, chosen: _flagged(columns, {chosen: str(_flag_of(chosen))}, source)}
    free = [name for name in columns if name not in roles and name not in taken and name not in subgroups]
    kept = [
        Caution(
            f"The column {name!r} of {source} names parts of the data; as the caller made it a subgroup, its rows of "
            "training and validation count as test rows."
        )
        for name in subgroups
        if chosen is None
        and name in columns
        and any(part_of(one) not in (None, TEST) for one in set(columns[name].tolist()))
    ]
    parts = [one for one in _certain(columns, free, source) if (one.values != TEST).any()]
    if chosen is not None and are_parts(columns[chosen]):
        parts.insert(0, Parts((chosen,), np.array([part_of(cell) for cell in columns[chosen].tolist()], dtype=object)))
    for other in parts[1:]:
        if not np.array_equal(parts[0].values, other.values):
            raise PredictionError(_two(source, parts[0], other))
    read = {name for one in parts for name in one.columns}
    for name in free if chosen is None else ():
        if name not in read:
            _refuse_doubtful(name, columns[name], source)
    if chosen is None and not parts:
        case = next((name for name, role in roles.items() if role == "case"), None)
        _refuse_mixed_folders(() if case is None else columns[case].tolist(), source)
    if chosen is not None or not parts:
        return columns, [*kept]
    return _as_split(columns, roles, source, parts[0], kept)


def listed_parts(columns: Columns, key: str, used: Collection[str], source: str) -> tuple[str, dict[str, str]]:
    """Return the column of a list that certainly names parts, and key → part for what is of no test part.

    ("", {}) without one. used: columns that the list is read for, which have another meaning.
    """
    free = [name for name in columns if name not in (*used, key)]
    for one in _certain(columns, free, source):
        rows = zip(columns[key].tolist(), one.values.tolist(), strict=True)
        other = {str(name): str(part) for name, part in rows if part != TEST}
        if other:
            return ", ".join(one.columns), other
    return "", {}


def refuse_other_part(name: str, column: str, other: Mapping[str, str], tested: Iterable[str]) -> None:
    """Raise PredictionError where a list says that cases without a part in the predictions are of no test part.

    name: of the list, in words. column: of it. other: case → training or validation. tested: the cases.
    """
    both = sorted(set(other) & set(tested))
    if both:
        raise PredictionError(
            f"{len(both)} test cases of the predictions are of other parts in the column {column!r} of {name}, first "
            f"{both[0]!r} ({other[both[0]]}); give the predictions a column split, leave these cases out of them, or "
            "remove the column from the list if it is not that of these predictions"
        )


def _as_split(
    columns: Columns, roles: dict[str, str], source: str, parts: Parts, notes: Sequence[str]
) -> tuple[Columns, list[str]]:
    """Return the columns with that of the parts in place of what it was read from; one of words keeps its name."""
    first = parts.columns[0]
    roles[first] = "split"
    columns = {name: values for name, values in columns.items() if name not in parts.columns[1:]}
    columns[first] = parts.values
    if len(parts.columns) == 1:
        return columns, [*notes]
    return columns, [*notes, f"The columns {', '.join(parts.columns)} of {source} were read as one split."]


def _certain(columns: Columns, free: Sequence[str], source: str) -> list[Parts]:
    """Return the free columns that certainly name parts, flags together."""
    words = [name for name in free if _holds_words(columns[name]) and are_parts(columns[name])]
    made = [
        Parts((name,), np.array([part_of(cell) for cell in columns[name].tolist()], dtype=object)) for name in words
    ]
    flags = {name: part for name in free if (part := _flag_of(name)) and _are_flags(columns[name])}
    return [*made, Parts(tuple(flags), _flagged(columns, flags, source))] if flags else made


def _flagged(columns: Columns, flags: Mapping[str, str], source: str) -> NDArray[Any]:
    """Return the part of every row by columns of yes and no; flags: column → part that it sets."""
    rows = {
        part: np.any([_flags(columns[name]) for name, own in flags.items() if own == part], axis=0)
        for part in dict.fromkeys(flags.values())
    }
    if (np.sum(list(rows.values()), axis=0) > 1).any():
        raise PredictionError(
            f"{source} has rows that several of its columns {', '.join(flags)} set; a row is of one part: correct them"
        )
    # What no column sets is a test row, unless a column is there to set these.
    values = np.full(len(columns[next(iter(flags))]), TRAIN if TEST in rows else TEST, dtype=object)
    for part, own in rows.items():
        values[own] = part
    return values


def _flag_of(name: str) -> str | None:
    """Return the part that a column of yes and no flags, by its heading.

    >>> [_flag_of(one) for one in ("is_test", "Training set", "holdout", "test", "is_valid")]
    ['test', 'train', 'test', None, None]
    """
    heading = bare(name)
    if heading in _BARE_FLAGS:
        return _PART[heading]
    match = _FLAG.fullmatch(heading)
    word = (match["a"] or match["b"]) if match else ""
    return None if word in _UNSURE_FLAGS else _PART.get(word)


def _are_flags(values: NDArray[Any]) -> bool:
    return {str(cell).strip().lower() for cell in values.tolist()} <= _TRUE | _FALSE


def _flags(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the truth values of a column of yes and no."""
    return np.array([str(cell).strip().lower() in _TRUE for cell in values.tolist()], dtype=bool)


def _holds_words(values: NDArray[Any]) -> bool:
    return any(isinstance(cell, str) for cell in values.tolist())


def _words(cell: object) -> list[str]:
    """Return the words of a cell, without capitals, numbers and a `set` behind them."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(cell))
    text = re.sub(r"\b(hold|held) (out)\b", r"\1\2", " ".join(re.findall(r"[a-z]+", apart.lower())))
    return [re.sub(r"^(\w{3,}?)(?:set|split|data)$", r"\1", word) for word in text.split()]


def _looks_like_part(cell: str) -> bool:
    words = _words(cell)
    alone = part_of(cell) is not None and max(map(len, words)) >= _SHORT
    return alone or any(word in _DOUBTFUL or (word in _PART and len(word) > _SHORT) for word in words)


def _refuse_doubtful(name: str, values: NDArray[Any], source: str) -> None:
    """Raise PredictionError, which asks, for a column whose cells look like parts and are no certain ones."""
    counts = Counter(cell for cell in map(str, values.tolist()) if cell.strip().lower() not in MISSING)
    total = sum(counts.values())
    looks = [cell for cell in counts if _looks_like_part(cell)]
    # A single word of them says nothing: a remark that an image was used for training is none on the others.
    parts = {part_of(cell) for cell in looks} - {None}
    doubtful = bool(parts - {TEST}) or (len(looks) > 1 and len(looks) == len(counts))
    many = sum(counts[cell] for cell in looks) >= _MANY * total
    unsaid = (
        bare(name) in _OF_SPLITS
        and 1 < len(counts) <= len(_WORDS)
        and all(cell.strip("0123.") == "" for cell in counts)
    )
    flag = _FLAG.fullmatch(bare(name))
    unsaid = unsaid or bool(
        flag and (flag["a"] or flag["b"]) in _UNSURE_FLAGS and _are_flags(values) and len(counts) > 1
    )
    if not total or not (unsaid or (looks and doubtful and many)):
        return
    shown = ", ".join(repr(cell) for cell in sorted(looks or counts)[:4])
    raise PredictionError(
        f"{source} has a column {name!r} that looks like the part of each row ({shown}), and rows of training must not "
        f"count as test rows; write train, validation or test in it and say so (--columns split={quote(name)}), or, if "
        f"it means something else, remove it or name it as a subgroup of an audit (--subgroup {quote(name)})"
    )


def _refuse_mixed_folders(paths: Iterable[object], source: str) -> None:
    """Raise PredictionError where some cases lie in folders of training or validation, and others in one of testing."""
    held: dict[str, str] = {}
    for path in dict.fromkeys(map(str, paths)):
        for folder in path.replace("\\", "/").split("/")[:-1]:
            if part := part_of(folder):
                held.setdefault(part, path)
    other = next((held[part] for part in (TRAIN, VALIDATION) if part in held), None)
    if TEST in held and other is not None:
        raise PredictionError(
            f"{source} has cases in folders of parts, as {other!r} and {held[TEST]!r}, and rows of training must "
            "not count as test rows; add a column split with train, validation or test in every row, as the networks "
            "had them"
        )


def _two(source: str, one: Parts, other: Parts) -> str:
    row = int(np.flatnonzero(one.values != other.values)[0])
    first, second = ", ".join(one.columns), ", ".join(other.columns)
    return (
        f"{source} has two columns of parts that disagree ({first}, {second}): {one.values[row]} and "
        f"{other.values[row]} in one row; say which one counts (--columns split={quote(one.columns[0])})"
    )
