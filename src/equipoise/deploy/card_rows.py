"""The rows of a bundle's card that its author completes: the record holds for all others."""

import re

OPEN, AUTHOR, COMPLETED = "…", "author must complete", "by the author"
_ROW = re.compile(rf"\| (?P<item>[^|]+?) +\|(?P<value>.*)\| *(?:{AUTHOR}|{COMPLETED}) *\|")


def as_exported(card: bytes) -> bytes:
    """Return a card as it was before its author completed rows, so that it has the hash in the record.

    A completed row has any value, and "author must complete" or "by the author" behind it. Spaces and carriage returns
    at the ends of lines, which editors change, do not count. Bytes that are no text come back as they are.
    """
    try:
        text = card.decode("utf-8")
    except UnicodeDecodeError:
        return card
    return "\n".join(_blank(line.rstrip(" \t\r")) for line in text.split("\n")).encode()


def _blank(line: str) -> str:
    row = _ROW.fullmatch(line)
    return line if row is None else f"| {row['item']} | {OPEN} | {AUTHOR} |"
