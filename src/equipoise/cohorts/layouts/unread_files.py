"""Which kinds of files lie below a folder and are not read, for a sentence that says why nothing was recognised."""

import itertools
from collections import Counter
from pathlib import Path

from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.layouts.image_names import is_image_name

_READ = frozenset({"", ".npz", ".csv", ".tsv", ".json", ".txt", ".md", ".xml", ".html", ".pdf", ".py", ".yaml", ".yml"})
"""Endings of files that are read, or that nobody takes for images."""
# Each with what makes it readable; other kinds are named alone.
_REMEDIES = {
    ".webp": "save them as .png", ".jp2": "save them as .png", ".svs": "cut them into .png or .tif",
    ".xlsx": "save the table as .csv", ".xls": "save the table as .csv", ".h5": "save the arrays as one .npz",
    ".hdf5": "save the arrays as one .npz", ".npy": "save images and labels together as one .npz",
    ".mat": "save the arrays as one .npz", ".pkl": "save the arrays as one .npz", ".pt": "save the arrays as one .npz",
    ".zip": "unpack it", ".tar": "unpack it", ".gz": "unpack it", ".tgz": "unpack it", ".7z": "unpack it",
    ".rar": "unpack it",
}  # fmt: skip
_LOOKED_AT = 5_000
_SHOWN = 3


def unread_files(path: Path) -> str:
    """Return "; it holds …" with the kinds of files that are not read, commonest first; "" without any.

    path: a folder, or one file.
    """
    files = [path] if path.is_file() else list(itertools.islice(data_files(path), _LOOKED_AT))
    kinds = Counter(file.suffix.lower() for file in files if not is_image_name(file.name))
    unread = [(ending, count) for ending, count in kinds.most_common() if ending not in _READ][:_SHOWN]
    if not unread:
        return ""
    shown = ", ".join(
        f"{count} *{ending}" + (f" ({_REMEDIES[ending]})" if ending in _REMEDIES else "") for ending, count in unread
    )
    return f"; it holds {shown}, which is not read"
