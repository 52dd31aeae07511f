"""Files that were once read to their last voxel: their hashes are kept, so that a second look reads the header alone.

A trial that was checked need not inflate its images again before it trains. The cache never decides: without it, or
where it is damaged, files are read in full.
"""

from pathlib import Path

import numpy as np

from equipoise.cohorts.formats.nifti import probe_nifti, read_nifti
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.store import code_of_readers, content_key, load, save

SCHEMA = 1
_DIGEST_BYTES = 32


# nibabel reads a corrupt .nii.gz without an error, because it never reaches the checksum at the end: one flipped bit
# changed 24 voxels. So every file is inflated to its end once, and remembered by its hash, since names and times of
# files do not say that the bytes are the same.
class SoundFiles:
    """The SHA-256 of the sound files of one source, as far as they are known; root: the source's folder."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self._folder = folder
        # The code of the readers is part of the key: a newer reader may refuse what an older one let through.
        self._key = content_key(schema=SCHEMA, kind="sound files", root=str(root.resolve()), code=code_of_readers())
        entry = load(self._key, folder) or {}
        digests = entry.get("digests", np.zeros((0, _DIGEST_BYTES), np.uint8))
        self._digests = {row.tobytes() for row in digests}
        self._new = False

    def look(self, path: Path, nonfinite: Nonfinite) -> Scan:
        """Scan a NIfTI file: its grid and remarks alone where it is known to be sound, else all of it."""
        glance = probe_nifti(path)
        digest = bytes.fromhex(next(iter(glance.sha256.values())))
        if digest in self._digests:
            return glance
        scan = read_nifti(path, nonfinite=nonfinite)
        if scan.remarks == glance.remarks and scan.sha256 == glance.sha256:  # nothing in the voxels to speak of
            self._digests.add(digest)
            self._new = True
        return scan

    def keep(self) -> None:
        """Write what was learnt; a cache that cannot be written costs a second reading and no more."""
        if self._new:
            rows = np.frombuffer(b"".join(sorted(self._digests)), np.uint8).reshape(-1, _DIGEST_BYTES)
            save(self._key, {"digests": rows}, self._folder)
