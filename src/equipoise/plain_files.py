"""Files in folders that may come from others: read only where they are files, and never written through a link.

A folder from elsewhere may hold a named pipe where a table is expected, at which a reader waits for ever, and a link
where we write, behind which lies a file of the user's own.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from equipoise.errors import EquipoiseError

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_ROOTS: list[Path] = []
"""The folders of `inside`; a list and not a variable of the context, so that threads within the block are held too."""


def opened(path: Path) -> BufferedReader:
    """Open a file for reading bytes; a link to a file is followed.

    Raises OSError where it cannot be opened, and for what is no file: a folder, a named pipe, a device.
    """
    # Not blocking: the opening of a named pipe itself waits for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")


def bytes_of(path: Path) -> bytes:
    """Return the bytes of a file; raises OSError as `opened`."""
    with opened(path) as file:
        return file.read()


def text_of(path: Path) -> str:
    """Return the UTF-8 text of a file, its line ends as "\\n"; raises OSError as `opened`, and UnicodeDecodeError."""
    with io.TextIOWrapper(opened(path), encoding="utf-8") as file:
        return file.read()


def create(path: Path) -> None:
    """Make an empty file; raises FileExistsError where anything lies there, a link too, whether or not it leads on."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666))


def appending(path: Path, mode: str = "ab") -> BinaryIO:
    """Open a file to append bytes ("ab"), or to read and change it ("r+b"); raises OSError where it is a link."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT if mode == "ab" else os.O_RDWR
    handle = os.open(path, flags | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(handle, mode)  # type: ignore[return-value]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Within it, `atomic_write` refuses to write into a folder that lies in `folder` by a link.

    The folder itself may be a link: the user named it.
    """
    root = folder.absolute()
    _ROOTS.append(root)
    try:
        yield
    finally:
        _ROOTS.remove(root)


def refuse_linked_folder(folder: Path) -> None:
    """Raise EquipoiseError where `folder`, or one above it, is a link that lies in a folder of `inside`."""
    place = folder.absolute()
    for root in _ROOTS:
        if place != root and place.is_relative_to(root):
            for above in (place, *place.parents):
                if above == root:
                    break
                if above.is_symlink():
                    raise EquipoiseError(_LINK.format(above=above, what="a link to another folder"))


_LINK = "{above} is {what}, and nothing is written through a link; put the folder or file itself in its place"


def refuse_links(folder: Path) -> None:
    """Raise EquipoiseError for the first link, named pipe or device anywhere in a folder.

    Before a folder is read and written in many places, by several processes and other programs.
    """
    for above, folders, files in os.walk(folder):
        for place in (Path(above, name) for name in sorted((*folders, *files))):
            if place.is_symlink():
                raise EquipoiseError(_LINK.format(above=place, what="a link"))
            if place.exists() and not place.is_file() and not place.is_dir():
                raise EquipoiseError(f"{place} is neither a file nor a folder; remove it")
