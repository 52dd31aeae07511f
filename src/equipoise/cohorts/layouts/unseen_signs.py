"""Text as a reader sees it: one é, however it is stored (macOS stores two signs), and no signs of no width."""

import unicodedata


def as_seen(text: str) -> str:
    """Return a text in composed signs, in small letters, without signs that are not seen.

    >>> as_seen("Ne\\u0301") == as_seen("n\\u00c9"), as_seen("\\u200ba") == "a"
    (True, True)
    """
    shown = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", shown).casefold())
