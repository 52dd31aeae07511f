"""Files that were once read to their last voxel: what is known of them is kept, so that a second look is a glance.

A trial that was checked need not decode its images again before it trains. The cache never decides: without it, or
where it is damaged, files are read in full.
"""

import json
import os
import threading
from dataclasses import replace
from os import fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import sha256
from equipoise.cohorts.formats.nifti import probe_nifti, read_nifti
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.reading import read_any, suffix_of
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.channels import is_grey_in_colour
from equipoise.cohorts.store import code_of_readers, content_key, load, save

SCHEMA = 2
_DIGEST_BYTES = 32
_MOST_HELD = 2**28
"""Bytes of pixels that wait for their first reader, so that small files are decoded once and not twice."""


# nibabel reads a corrupt .nii.gz without an error, because it never reaches the checksum at the end: one flipped bit
# changed 24 voxels. So every file is inflated to its end once, and remembered by its hash, since names and times of
# files do not say that the bytes are the same.
class SoundFiles:
    """The sound files of one source by their SHA-256, as far as they are known; root: the source's folder.

    Of NIfTI files the hash alone is kept, for their headers are read at once; of pictures also what a cohort asks of
    them. Several threads may ask.
    """

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self._folder = folder
        # The code of the readers is part of the key: a newer reader may refuse what an older one let through.
        self._key = content_key(schema=SCHEMA, kind="sound files", root=str(root.resolve()), code=code_of_readers())
        entry = load(self._key, folder) or {}
        digests = entry.get("digests", np.zeros((0, _DIGEST_BYTES), np.uint8))
        self._digests = {row.tobytes() for row in digests}
        # One picture is as the next: few different facts, to which the digests of all pictures point.
        self._facts: list[str] = json.loads(entry.get("facts", np.zeros(0, np.uint8)).tobytes() or b"[]")
        self._glances = list(map(_glance, self._facts))
        pictures, places = entry.get("pictures", np.zeros((0, _DIGEST_BYTES), np.uint8)), entry.get("places", ())
        self._pictures = {row.tobytes(): int(place) for row, place in zip(pictures, places, strict=True)}
        self._new = False
        self._changing = threading.Lock()

    def look(self, path: Path, nonfinite: Nonfinite) -> Scan:
        """Scan a NIfTI file: its grid and remarks alone where it is known to be sound, else all of it."""
        glance = probe_nifti(path)
        digest = bytes.fromhex(next(iter(glance.sha256.values())))
        if digest in self._digests:
            return glance
        scan = read_nifti(path, nonfinite=nonfinite)
        if scan.remarks == glance.remarks and scan.sha256 == glance.sha256:  # nothing in the voxels to speak of
            with self._changing:
                self._digests.add(digest)
                self._new = True
        return scan

    def look_at_picture(self, path: Path, nonfinite: Nonfinite) -> Scan:
        """Scan a picture: where it is known to be sound, with blank pixels, of which only the shape and dtype count."""
        digest = sha256(path)
        place = self._pictures.get(bytes.fromhex(digest))
        if place is not None:
            return replace(self._glances[place], sha256={fspath(path): digest})
        scan = read_any(path, nonfinite=nonfinite)
        facts = _facts(scan)
        if facts is not None and nonfinite == "refuse":
            with self._changing:
                if facts not in self._facts:
                    self._facts.append(facts)
                    self._glances.append(_glance(facts))
                self._pictures[bytes.fromhex(next(iter(scan.sha256.values())))] = self._facts.index(facts)
                self._new = True
        return scan

    def knows_most_of(self, pictures: int) -> bool:
        """Return whether most of so many pictures may be known, so that little but their hashes is left to make."""
        return 2 * len(self._pictures) >= pictures

    def keep(self) -> None:
        """Write what was learnt; a cache that cannot be written costs a second reading and no more."""
        if self._new:
            arrays: dict[str, NDArray[Any]] = {
                "digests": _rows(sorted(self._digests)),
                "pictures": _rows(self._pictures),
                "places": np.fromiter(self._pictures.values(), np.int32, len(self._pictures)),
                "facts": np.frombuffer(json.dumps(self._facts).encode(), np.uint8),
            }
            save(self._key, arrays, self._folder)


def is_picture(path: Path) -> bool:
    """Return whether a path is a picture's, by its name."""
    return suffix_of(path) in PICTURES and not os.path.isdir(path)  # noqa: PTH112 - twice as fast as the path's own


def _rows(digests: Any) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES)


def _facts(scan: Scan) -> str | None:
    """Return what a cohort asks of a picture as JSON; None of one that has more to say, which is read again."""
    header = {key: scan.header[key] for key in sorted(scan.header)}
    if scan.affine is not None or not all(isinstance(value, str | bool | int) for value in header.values()):
        return None
    return json.dumps([
        list(scan.array.shape), scan.array.dtype.str, list(scan.spacing_mm), header, list(scan.remarks),
        is_grey_in_colour(scan),
    ])  # fmt: skip


def _glance(facts: str) -> Scan:
    """Return a scan of these facts, of no file yet."""
    shape, dtype, spacing, header, remarks, grey = json.loads(facts)
    # Equal channels where they are equal, else different ones: that alone is asked of the values.
    values = np.arange(shape[0]) * (not grey)
    array = np.broadcast_to(values.astype(dtype).reshape(-1, *[1] * (len(shape) - 1)), shape)
    return Scan(array, tuple(spacing), None, {}, header=header, remarks=tuple(remarks))


class Held:
    """Pixels of small files between the look at them and their first reader, by path; each is given out once."""

    def __init__(self, most: int = _MOST_HELD) -> None:
        self._room = most
        self._scans: dict[Path, tuple[tuple[int, int], Scan]] = {}
        self._changing = threading.Lock()

    def __reduce__(self) -> tuple[type["Held"], tuple[int]]:
        """Travel to another process empty: it reads the files itself, and a lock cannot travel."""
        return Held, (0,)

    def hold(self, path: Path, scan: Scan) -> None:
        """Keep a scan that was read in full, while there is room."""
        if scan.array.strides and 0 in scan.array.strides:  # a glance, without pixels
            return
        state = _state(path)
        with self._changing:
            if state is not None and self._room >= scan.array.nbytes:
                self._room -= scan.array.nbytes
                self._scans[path] = (state, replace(scan, array=scan.array))

    def take(self, path: Path) -> Scan | None:
        """Return the scan where one is held and the file has not been written since; it is not held any longer."""
        with self._changing:
            state, scan = self._scans.pop(path, (None, None))
            if scan is not None:
                self._room += scan.array.nbytes
        return scan if scan is not None and state == _state(path) else None


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
