"""What leaves for a spreadsheet or a terminal: names from data are text there, never a formula or an escape sequence.

Pages and drawings escape for themselves; this is every other place where a name of a case, a patient or a file is
written.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

# Spreadsheets take a cell for a formula that begins with one of these, also as full-width signs, or behind a tab or a
# line end, which they strip. The quotes before them are those that `cell` itself has put there.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")
_MARKUP = re.compile(r"[\\|\[\]]")
"""What begins a link or a picture, or ends a cell, in Markdown."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that turn the direction of writing: with them a name can look like another."""


def cell(value: Any) -> Any:
    """Return a value of a CSV table so that no spreadsheet computes it; `original` gives it back.

    >>> cell("=cmd()"), cell("-1.5"), cell("case-1"), cell(3)
    ("'=cmd()", '-1.5', 'case-1', 3)
    """
    # numpy's strings are strings too.
    if not isinstance(value, str) or _FORMULA.match(value) is None or _is_number(value):
        return value
    return f"'{value}"


def encodable(text: str) -> str:
    r"""Return a text that any file and terminal takes: bytes of file names that are no UTF-8 become their codes.

    >>> encodable("m\udcfcller"), encodable("müller")
    ('m\\udcfcller', 'müller')
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cells(values: Iterable[Any]) -> list[Any]:
    """Return a row of a CSV table, each value as by `cell`."""
    return [cell(value) for value in values]


def original(text: str) -> str:
    """Return what `cell` was given.

    >>> original(cell("=cmd()")), original(cell("'=x")), original("case-1")
    ('=cmd()', "'=x", 'case-1')
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def escaped(text: str) -> str:
    """Return text for a document in Markdown: no HTML, link, picture or end of a table's cell, whatever a name holds.

    >>> escaped("<b>a</b> | ![x](http://y)")
    '&lt;b&gt;a&lt;/b&gt; \\\\| !\\\\[x\\\\](http://y)'
    """
    return _MARKUP.sub(r"\\\g<0>", html.escape(printable(text), quote=False))


def printable(text: str) -> str:
    """Return text for a terminal or a log: control characters and turned directions become visible.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(_visible(one) for one in text)


def _visible(character: str) -> str:
    if character in "\n\t" or (unicodedata.category(character) not in ("Cc", "Cs") and character not in _DIRECTIONS):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
