"""Which files below a folder are data: one rule for every reader.

Operating systems, editors and archives leave files behind that carry the names of data: AppleDouble copies
(`._scan.nii.gz`), `__MACOSX`, `Thumbs.db`, checkpoints of notebooks. Read as cases they would be damaged copies of real
ones.
"""

import difflib
import os
from collections.abc import Iterator
from os import PathLike
from pathlib import Path, PurePath

# An AppleDouble file in the folder of a series refused the whole series (it has no preamble), and in BraTS folders
# six such files became six cases. DICOMDIR is an index of files and holds no image.
_LEFT_BEHIND = frozenset({
    "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin",
    "system volume information", "@eadir", "lost+found", "dicomdir",
})  # fmt: skip
_DOWNLOADS = (".part", ".crdownload", ".tmp")
# What the discs and archives of hospitals, and public sets, put beside the slices; no slice has such a name.
_DOCUMENTS = (".txt", ".md", ".pdf", ".htm", ".html", ".xml", ".json", ".csv", ".tsv", ".inf", ".ini", ".exe", ".log")
_UNFINISHED = ("~", ".swp", *_DOWNLOADS)


def is_left_behind(name: str) -> bool:
    """Tell whether a file or folder of that name is no data, whatever its suffix.

    >>> [is_left_behind(name) for name in ("._a.nii.gz", ".DS_Store", "__MACOSX", "Thumbs.db", "a.nii.gz")]
    [True, True, True, True, False]
    """
    lowered = name.lower()
    return name.startswith(".") or lowered in _LEFT_BEHIND or lowered.endswith(_UNFINISHED)


def is_download(name: str) -> bool:
    """Tell whether a file of that name is a copy that has not ended: no data yet, but something that will be missed."""
    return not name.startswith(".") and name.lower().endswith(_DOWNLOADS)


def is_document(name: str) -> bool:
    """Tell whether a file of that name is a text, a table or a viewer, as they lie beside images."""
    return name.lower().endswith(_DOCUMENTS)


def is_data(path: PurePath, root: PurePath) -> bool:
    """Tell whether no part of the path below `root` was left behind; how `root` itself is named does not matter."""
    # Only the part below the root counts: data may honestly lie in a hidden folder such as ~/.cache.
    return not any(map(is_left_behind, path.relative_to(root).parts))


def data_files(root: str | PathLike[str], *, downloads: bool = False) -> Iterator[Path]:
    """The data files below a folder in the order of their names, folder by folder; links are followed, once each.

    downloads: unfinished copies (`.part`) too.
    """
    visited = set()
    for folder, below, files in os.walk(root, followlinks=True):
        # Links are followed because large sets are often linked into the layout that a tool expects; the real path
        # stops a link that points at its own parent.
        place = os.path.realpath(folder)
        if place in visited:  # a link that leads back
            below.clear()
            continue
        visited.add(place)
        below[:] = sorted(name for name in below if not is_left_behind(name))
        kept = (name for name in sorted(files) if not is_left_behind(name) or (downloads and is_download(name)))
        yield from (Path(folder, name) for name in kept)


def data_folders(folder: Path) -> list[Path]:
    """Return the folders directly below one, without what was left behind, in the order of their names."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and not is_left_behind(child.name))


def missing_path(path: Path) -> str:
    """Return what is to be said of a path that does not exist, with the name beside it that it resembles most."""
    there = next(parent for parent in path.absolute().parents if parent.is_dir())
    lacking = path.absolute().relative_to(there).parts[0]
    try:
        names = {child.name.casefold(): child.name for child in there.iterdir() if not is_left_behind(child.name)}
    except OSError:  # a folder that may not be listed
        names = {}
    alike = [names[name] for name in difflib.get_close_matches(lacking.casefold(), names, n=1)]
    meant = f"did you mean {alike[0]!r}? " if alike else ""
    return f"{path} does not exist: {there} holds no {lacking!r}; {meant}give the folder or file that holds the data"
