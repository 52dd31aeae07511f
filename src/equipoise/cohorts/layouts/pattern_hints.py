"""What a pattern of paths may have been meant to be, where no file fits it; names that are nearly those of files."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from equipoise.cohorts.layouts.image_names import stem_and_ending
from equipoise.cohorts.layouts.templates import Template
from equipoise.errors import CohortError

_FOLDERS, _ALIKE_FOLDERS = 4, 0.5
_ALIKE = 0.85
"""Likeness (difflib) of two names from which one may be the other, misspelt: two letters exchanged in a short name."""


def no_file_fits(root: Path, template: Template, key: str, paths: Sequence[str]) -> CohortError:
    """Return the error that no file below `root` fits a pattern, with the pattern that may be meant.

    paths: of the files below the folder, relative to it, with forward slashes.
    """
    meant = nearest_pattern(template.text, paths)
    example = f"correct the pattern; the folder holds files such as {paths[0]!r}" if paths else "the folder is empty"
    hint = f"did you mean {meant!r}?" if meant else f"{example}."
    return CohortError(f"{root} holds no file that fits {key} = {template.text!r}; {hint}")


def nearest_pattern(text: str, paths: Sequence[str]) -> str | None:
    """Return the pattern that some file fits and that differs from `text` least, in its folder or its ending.

    >>> nearest_pattern("image/{patient}_{case}.png", ["images/a_1.jpg", "masks/a_1.png"])
    'images/{patient}_{case}.jpg'
    """
    folder, _, name = text.rpartition("/")
    stem, ending = stem_and_ending(name)
    there = {path.rpartition("/")[0] for path in paths}
    # The nearest alone: of a folder for each of 100,000 cases, all would be tried with all files.
    folders = {folder, *difflib.get_close_matches(folder, there, n=_FOLDERS, cutoff=_ALIKE_FOLDERS)}
    endings = {ending, *(stem_and_ending(path)[1] for path in paths)}
    candidates = [f"{one}/{stem}{end}".lstrip("/") for one in folders for end in endings]
    fitting = [one for one in candidates if any(Template(one).match(path) is not None for path in paths)]
    # A folder that is spelt nearly alike comes before one that holds files with the ending.
    likeness = {one: (_alike(folder, one.rpartition("/")[0]), _alike(text, one)) for one in sorted(fitting)}
    return max(likeness, key=likeness.__getitem__, default=None)


def nearest_name(path: str, others: Iterable[str]) -> str | None:
    """Return the path among others that is nearly spelt as `path`; None where none is.

    Names with other digits are those of other images.

    >>> nearest_name("images/MNR46_6.png", ["images/MRN46_7.png", "images/MRN46_06.png"])
    'images/MRN46_06.png'
    """
    digits = _digits(path)
    close = difflib.get_close_matches(path, [one for one in others if _digits(one) == digits], n=1, cutoff=_ALIKE)
    return close[0] if close else None


def _digits(path: str) -> list[str]:
    """Return the digits of a name without zeros, in no order: two of them may have been exchanged."""
    return sorted(re.findall("[1-9]", path))


def _alike(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()
