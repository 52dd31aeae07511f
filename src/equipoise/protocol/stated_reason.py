"""Reasons that a person states, which reports and cards print: a placeholder is none."""

import re

_PLACEHOLDERS = frozenset(
    (
        *("reason", "reasons", "your reason", "my reason", "the reason", "a reason", "no reason", "insert reason"),
        *("reason here", "your reason here", "write your reason", "placeholder", "text", "why", "because"),
        *("none", "na", "n a", "tbd", "todo", "fixme", "xxx"),
    )
)


def is_placeholder(text: str) -> bool:
    """Return whether a reason has no word of its own: it is empty, or the word that stands for one in a command.

    >>> [is_placeholder(text) for text in ("REASON", "<reason>", "...", " ", "n/a", "[your reason here]")]
    [True, True, True, True, True, True]
    >>> is_placeholder("a trial of the export"), is_placeholder("研究")
    (False, False)
    """
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return not words or words in _PLACEHOLDERS
