"""Read docstrings in the house's form: a first sentence, then `name, other: meaning.`, or an `Args:` part."""

import inspect
import re
from collections.abc import Collection

_NAMES = r"[a-z_][\w-]*(?:, [a-z_][\w-]*)*"
_KIND = r"(?: \([^()]*(?:\([^()]*\)[^()]*)*\))?"  # of the form that torch uses: `lr (float, optional): …`
_MEANING = re.compile(rf"({_NAMES}){_KIND}\s*:\s")
_SECTIONS = re.compile(r"^(Args|Attributes|Raises|Errors|Returns):", re.MULTILINE)
_NEW_LINE = re.compile(rf"(?<!,)\n\s*(?={_NAMES}{_KIND}\s*:\s)")


def first_sentence(doc: str) -> str:
    """Return the first sentence of a docstring as one line.

    >>> first_sentence("Adam (Kingma 2015).\\n\\nMore.")
    'Adam (Kingma 2015).'
    """
    paragraph = inspect.cleandoc(doc).partition("\n\n")[0]
    return " ".join(paragraph.split())


def meanings(doc: str, names: Collection[str]) -> dict[str, str]:
    """Return the meaning of each of these names that a docstring explains.

    >>> meanings("Do.\\n\\nsize, side: in voxels. seed: of the draws; other: no name.", ["size", "side", "seed"])
    {'size': 'in voxels.', 'side': 'in voxels.', 'seed': 'of the draws; other: no name.'}
    """
    text = _SECTIONS.sub("", inspect.cleandoc(doc))
    explained: dict[str, str] = {}
    # An item may begin on a line of its own or behind another on the same line.
    for block in _NEW_LINE.sub("\x00", text).split("\x00"):
        for item in _items(" ".join(block.partition("\n\n")[0].split()), names):
            match = _MEANING.match(item)
            for name in match[1].split(", ") if match else ():
                if match and name in names:
                    explained.setdefault(name, item[match.end() :].strip())
    return explained


def items(paragraph: str, names: Collection[str]) -> list[tuple[str, str]]:
    """Cut a paragraph into (names, text): an item for each setting it explains, and "" before plain sentences.

    >>> items("Do it. size: in voxels; side: the same.", ["size", "side"])
    [('', 'Do it.'), ('size', 'in voxels'), ('side', 'the same.')]
    """
    parted = []
    for block in _NEW_LINE.sub("\x00", paragraph).split("\x00"):
        for item in _items(" ".join(block.split()), names):
            match = _MEANING.match(item)
            known = match is not None and set(match[1].split(", ")) <= set(names)
            parted.append((match[1], item[match.end() :].strip()) if match and known else ("", item))
    return parted


def _items(block: str, names: Collection[str]) -> list[str]:
    """Cut a block behind the end of a sentence, or behind a semicolon where the name of a setting follows."""
    inner = [
        match.end()
        for match in re.finditer(rf"(?<=[.;]) (?=({_NAMES}): )", block)
        if block[match.start() - 1] == "." or set(match[1].split(", ")) <= set(names)
    ]
    starts = [0, *inner]
    return [block[start:end].rstrip(" ;") for start, end in zip(starts, [*starts[1:], None], strict=True)]
