"""Names that look alike on a page and are other characters: one name, to whoever reads the report."""

import unicodedata

_LATIN = {
    # Of Unicode's table of confusable characters (UTS 39), those of Cyrillic and Greek that fonts draw as Latin ones.
    "АВЕЅІЈКМНОРСТХҮԚԜЗ": "ABESIJKMHOPCTXYQW3",
    "аеѕіјорсухһԁԛԝӏ": "aesijopcyxhdqwl",
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX",
    "ονυιαρ": "ovuiap",
}  # fmt: skip
_TABLE = str.maketrans("".join(_LATIN), "".join(_LATIN.values()))
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


def skeleton(name: str) -> str:
    """Return a name without differences that nobody sees: compatible forms, look-alike letters, invisible characters.

    >>> skeleton("\\u0410rm\\u200b\\uff11") == skeleton("Arm1"), skeleton("A") == skeleton("a")
    (True, False)
    """
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return seen.translate(_TABLE).translate(_DASHES)
