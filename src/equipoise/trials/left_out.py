"""What `check` says of cases that are left out: every different reason, and the command that resolves pseudonyms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from equipoise.cohorts import Cohort
from equipoise.report.text.words import plural

_MOST_SHOWN = 8
_OF_A_FILE = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,e+-]*")
"""What differs between two files with the same fault: quoted words and numbers."""


@dataclass(frozen=True)
class LeftOut:
    """A reason for which cases are left out: in the words of the first of them, which has the name `case`."""

    reason: str
    cases: int
    case: str
    file: str = ""


def left_out(cohort: Cohort) -> list[LeftOut]:
    """Return each different reason once, the most frequent first; reasons that differ in numbers or names are one."""
    by_reason: dict[str, list[LeftOut]] = {}
    for one in cohort.excluded:
        kind = _OF_A_FILE.sub("#", one.reason)
        by_reason.setdefault(kind, []).append(LeftOut(one.reason, 1, one.case, one.file))
    rows = [LeftOut(alike[0].reason, len(alike), alike[0].case, alike[0].file) for alike in by_reason.values()]
    return sorted(rows, key=lambda row: -row.cases)


def left_out_lines(cohort: Cohort) -> list[str]:
    """Return a line for each of the most frequent reasons, with the number of its cases and the first of them."""
    rows = left_out(cohort)
    lines = [_line(row) for row in rows[:_MOST_SHOWN]]
    further = rows[_MOST_SHOWN:]
    if further:
        cases = sum(row.cases for row in further)
        lines.append(f"left out: {plural(cases, 'case')} for {plural(len(further), 'further reason')}")
    return lines


def _line(row: LeftOut) -> str:
    reason = f"{row.file}: {row.reason}" if row.file else row.reason
    return f"left out: {plural(row.cases, 'case')}, first {row.case}: {reason}"


def resolving(protocol: str, names: Sequence[str]) -> str:
    """Return the sentence with the command that says which cases of the data pseudonyms stand for.

    protocol: the protocol's file, empty where it is not known.

    >>> resolving("a b.toml", ["c1-0a", "c2-0b"])
    "`equipoise ids 'a b.toml' c1-0a c2-0b` says which cases of the data these are"
    """
    shown = list(dict.fromkeys(names))[:_MOST_SHOWN]
    command = " ".join(["equipoise ids", quote(protocol) if protocol else "PROTOCOL", *map(quote, shown)])
    which = "case of the data this is" if len(shown) == 1 else "cases of the data these are"
    return f"`{command}` says which {which}"
