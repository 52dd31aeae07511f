"""Folders of images that a table names by their paths: cases are called by their files alone, and folders name persons.

Where the caller states that every case is a patient, the folder stays in the patient's name (P001/image_17), so that
names are judged as they were written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from equipoise.cohorts.splits.person_stems import FEWEST_STEMS
from equipoise.evaluation.external.reading import Columns, stem
from equipoise.evaluation.predictions import Predictions

Folders = Mapping[str, tuple[str, ...]]
"""Case → its folders, the innermost first."""


def folders_of(raw: Columns, used: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the folders of the cases of a table as it was read; used: role → column. Empty without paths.

    Of a case with several paths, as arms' folders make them, what these have in common at their ends.

    >>> paths = np.array(["/a/P1/x.png", "/b/P1/x.png", "/a/P2/y.png"])
    >>> folders_of({"file": paths}, {"case": "file"})
    {'x': ('P1',), 'y': ('P2', 'a')}
    """
    folders: dict[str, tuple[str, ...]] = {}
    for cell in dict.fromkeys(map(str, raw[used["case"]].tolist())) if used.get("case") in raw else ():
        path = PurePosixPath(cell.strip().replace("\\", "/"))
        own = tuple(one for one in path.parts[-2::-1] if one != "/")
        case = stem(path.name)
        folders[case] = _shared(folders.get(case, own), own)
    return folders if any(folders.values()) else {}


def with_folders(table: Predictions, folders: Sequence[Folders]) -> Predictions:
    """Put the folder of every case before its patient's name, where many folders hold several cases each.

    folders: of every file of predictions. A table in which some case has no folder stays as it is.
    """
    known: dict[str, tuple[str, ...]] = {}
    for one in folders:
        for case, own in one.items():
            known[case] = _shared(known.get(case, own), own)
    cases = sorted(set(table.case.tolist()))
    if not all(known.get(case) for case in cases):
        return table
    root = known[cases[0]][::-1]
    for case in cases:
        root = _shared(root, known[case][::-1])
    names = {case: "/".join(known[case][::-1][len(root) :]) for case in cases}
    if sum(number > 1 for name, number in Counter(names.values()).items() if name) < FEWEST_STEMS:
        return table
    patients = [f"{names[case]}/{case}" if names[case] else case for case in table.case.tolist()]
    return replace(table, patient=np.array(patients))


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return with what both begin."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]
