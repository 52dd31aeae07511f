"""Patterns of paths with named fields, such as `{patient}/{patient}_T1.nii.gz`: how files of a data set are told apart.

A field stands for anything but a slash, the same wherever its name recurs; a star stands for anything but a slash.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from equipoise.errors import ProtocolError

_FIELD = re.compile(r"\{(\w+)\}")
MEANT = ("patient", "structure", "part")
"""Fields with a meaning of their own; any other name is the user's."""


class Template:
    """One pattern of paths relative to a root, with forward slashes."""

    def __init__(self, text: str, key: str = "cohort.images") -> None:
        self.text = text
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(_FIELD.findall(text)))
        leftover = _FIELD.sub("", text)
        if not text or text.startswith("/") or ".." in text.split("/") or "{" in leftover or "}" in leftover:
            raise ProtocolError(
                f'{key} is {text!r}; write a path below cohort.path with fields, such as "{{patient}}/image.nii.gz"'
            )
        for name in self.fields:
            # Any other name would be taken for an attribute, and the patients be guessed without a word.
            # "part" is too short for a ratio: "pat" is near it.
            close = difflib.get_close_matches(name.casefold(), MEANT, n=1, cutoff=0.8 if len(name) > 5 else 0.88)
            if close and name not in MEANT:
                raise ProtocolError(
                    f"{key} is {text!r}; did you mean {{{close[0]}}}? If {{{name}}} is no {close[0]}, give it another "
                    "name"
                )

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        pieces, seen = [], set()
        for index, piece in enumerate(_FIELD.split(self.text)):
            if index % 2 == 0:
                pieces.append(re.escape(piece).replace(r"\*", "[^/]*"))
            elif piece in seen:
                pieces.append(f"(?P={piece})")
            else:
                seen.add(piece)
                pieces.append(f"(?P<{piece}>[^/]+)")
        return re.compile("".join(pieces))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the fields of a path, None where it does not fit.

        >>> Template("{patient}/{patient}_{case}.nii").match("p1/p1_a.nii")
        {'patient': 'p1', 'case': 'a'}
        """
        match = self._regex.fullmatch(path)
        return match.groupdict() if match else None

    def fill(self, fields: Mapping[str, str], paths: Sequence[str] = ()) -> str:
        """Return the path with these fields; a star is looked for among `paths`, and stays where not one path fits."""
        # Where not one file fits, the pattern itself is returned: it is no file, so the problem shows what was looked
        # for.
        filled = _FIELD.sub(lambda match: fields.get(match[1], "*"), self.text)
        if "*" not in filled:
            return filled
        pattern = re.compile(re.escape(filled).replace(r"\*", "[^/]*"))
        fitting = [path for path in paths if pattern.fullmatch(path)]
        return fitting[0] if len(fitting) == 1 else filled
