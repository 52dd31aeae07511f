"""Take the names of cases, patients and files out of the sentences that outputs show.

Sentences about a cohort are written where its files are read, with the names that stand there: notes, remarks, reasons
of exclusions, warnings. All of them pass here before an output holds them. Names that the cohort knows get their
pseudonyms. Whatever else a sentence quotes came out of a file (a header's text, a label, the name of a structure), and
is taken out unless it is known to name nobody.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from equipoise.cohorts.cohort import Cohort

HIDDEN = "…"
"""Stands in quotes for what a file says."""
A_FILE, A_FOLDER = "a file", "a folder"
_FEWEST_LETTERS, _FEWEST_DIGITS = 3, 5
"""Length from which a name in a sentence is taken for one also without quotes; "12" would stand in any sentence."""
# An apostrophe between two letters ends no quote: Python quotes "O'Brien" with the other sign, our sentences do not.
_QUOTED = re.compile(r"""(?<![\w'])'((?:[^'\\]|\\.|(?<=\w)'(?=\w))*)'(?!\w)|(?<!["\w])"((?:[^"\\]|\\.)*)"(?!\w)""")
_WORD = re.compile(r"[a-z_ -]*")
_SETTING = re.compile(r"=\s?$")
_PATH = re.compile(r"(?<![\w./\\-])(?:/|[A-Za-z]:[\\/]|\\\\)[^\s,;:'\"()/\\]+(?:[/\\][^\s,;:'\"()]*)*")
_LONG_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+){3,}(?![\w])|(?<![\w.,-])\d{6,}(?![\w])")
"""A DICOM UID, or a number too long to count anything in a sentence on a cohort."""


@dataclass(frozen=True)
class NameSieve:
    """What outputs put in the place of names.

    names: name → its pseudonym, or words such as "a file". harmless: quoted words that name nobody, such as classes.
    """

    names: Mapping[str, str]
    harmless: Collection[str] = ()

    @classmethod
    def of(cls, cohort: Cohort, names: Mapping[str, str], elsewhere: Mapping[str, str]) -> "NameSieve":
        """Return the sieve of a cohort.

        names: pseudonyms of its cases and patients; elsewhere: of names that it holds beside them, such as those of
        excluded cases, and spellings of patients that were joined.
        """
        words: dict[str, str] = {}
        for case in cohort.cases:
            words |= dict.fromkeys(case.owners.values(), HIDDEN)
        files = {name for case in cohort.cases for name in case.sha256}
        files |= {one.file for one in cohort.problems} | {one.file for one in cohort.excluded}
        files |= {one.first for one in cohort.remarks}
        for file in files - {""}:
            words |= _pieces(file)
        attributes = {name for case in cohort.cases for name in case.attributes}
        harmless = {*cohort.classes, *cohort.channels, *cohort.regions, *attributes}
        return cls(words | dict(elsewhere) | dict(names), harmless)

    def text(self, sentence: str) -> str:
        """Return the sentence without names.

        >>> NameSieve({"p 1": "x-1"}, ["ill"]).text("'p 1' is 'ill', is called 'Ann Doe' and lies in /data/Doe/1.png")
        "'x-1' is 'ill', is called '…' and lies in a file"
        """
        out = _PATH.sub(A_FILE, without_names(sentence, self.names))
        shown = {*self.harmless, *self.names.values()}

        def unquoted(match: re.Match[str]) -> str:
            """Return a quote as it may be shown: emptied unless it is known to name nobody."""
            inner = match[1] if match[1] is not None else match[2]
            # A remedy quotes the value of a setting behind its sign of equality: on_problem="exclude".
            if inner in shown or _SETTING.search(out[: match.start()]):
                return match[0]
            return f"{match[0][0]}{HIDDEN}{match[0][0]}"

        return _LONG_NUMBER.sub(HIDDEN, _QUOTED.sub(unquoted, out))

    def of_name(self, name: str) -> str:
        """Return what stands for a whole name; words for a file where it is unknown, so that none passes."""
        return self.names.get(name, A_FILE)


def _pieces(file: str) -> dict[str, str]:
    """Return the path, its folder, the file's name, and what of the name may be a person's."""
    folder, name = os.path.split(file.rstrip("/\\"))  # path objects for 100,000 files take a second
    words = {file: A_FILE, name: A_FILE}
    if os.path.isabs(file):  # noqa: PTH117 - as above
        words[folder] = A_FOLDER
    # "image" and "scan" are words of sentences; names that people give to patients' files hold digits or capitals.
    for part in {os.path.splitext(name)[0], name.partition(".")[0]}:  # noqa: PTH122 - as above
        if _is_telling(part) and not _WORD.fullmatch(part):
            words[part] = A_FILE
    return words


def without_names(text: str, names: Mapping[str, str]) -> str:
    """Return a sentence with names replaced.

    Short names, and numbers, are replaced where they stand in quotes alone.

    >>> without_names("Patients 'p 1' and 'P1' of 1 site; first MUELLER.nii", {"P1": "a", "p 1": "b", "MUELLER": "c"})
    "Patients 'b' and 'a' of 1 site; first c.nii"
    """
    spelt = {}
    for name in names:
        # A sentence quotes a name as Python does, which writes signs that nobody sees as their codes.
        for form in _spelt(name):
            if form and form in text:
                spelt[form] = names[name]
    if not spelt:
        return text
    present = sorted(spelt, key=len, reverse=True)
    parts = [rf"(?<!\w){re.escape(one)}(?!\w)" if _is_telling(one) else rf"(?<=['\"]){re.escape(one)}(?=['\"])"
             for one in present]  # fmt: skip
    return re.sub("|".join(parts), lambda match: spelt[match[0]], text)


def _spelt(name: str) -> Collection[str]:
    if name.isascii() and name.isprintable() and not {"'", '"', "\\"} & set(name):
        return (name,)
    return {name, repr(name)[1:-1], ascii(name)[1:-1]}


def _is_telling(name: str) -> bool:
    return len(name) >= (_FEWEST_DIGITS if name.isdigit() else _FEWEST_LETTERS)
