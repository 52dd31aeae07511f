"""What a heading of a table says without the unit or coding behind it: `AI score [%]`, `Finding (0/1)`.

Brackets with other words are part of the name: `score (benign)` is about another class than `score (0-1)` may be.
"""

import re

from equipoise.cohorts.layouts.columns import bare

_NO, _YES = r"(?:no|n|neg|negative|false)", r"(?:yes|y|pos|positive|true)"
_BETWEEN = r"\s*(?:[/,;|–-]|\.\.\.?|…|to|or|and)\s*"
# 0=yes is left alone: read as 0 and 1 it would turn the classes.
_CODING = re.compile(
    rf"%|percent|per cent|pct|binary|\d+(?:\.\d+)?\s*%?{_BETWEEN}\d+(?:\.\d+)?\s*%?"
    rf"|{_NO}\s*[/,;|]\s*{_YES}|{_YES}\s*[/,;|]\s*{_NO}"
    rf"|0\s*[=:]\s*{_NO}{_BETWEEN}1\s*[=:]\s*{_YES}|1\s*[=:]\s*{_YES}{_BETWEEN}0\s*[=:]\s*{_NO}",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s*(?:\(([^()\[\]]*)\)|\[([^()\[\]]*)\])\s*$")


def bare_heading(name: str) -> str:
    """Return a column's name in small letters and digits alone, without a unit or coding in brackets at its end.

    >>> bare_heading("AI score [%]"), bare_heading("Finding (0/1)"), bare_heading("Truth (0=no, 1=yes)")
    ('aiscore', 'finding', 'truth')
    >>> bare_heading("score (benign)"), bare_heading("truth (0=yes, 1=no)"), bare_heading("[%]")
    ('scorebenign', 'truth0yes1no', '')
    """
    match = _BRACKETS.search(name)
    if match is not None and _CODING.fullmatch((match[1] or match[2] or "").strip()):
        name = name[: match.start()]
    return bare(name)
