"""Know results and pages again that this user's program wrote, so that nobody reads them out who edited them since.

The ledger records what results are made from, and not the results: `equipoise report` makes them anew. Where they are
read in place of being made, a seal beside them shows that they are as they were written: their keyed hash, with a key
that lies in the user's cache and in no run folder. Another user's folder has no seal of this one, and is judged anew.
"""

import hashlib
import hmac
import json
from pathlib import Path
from shlex import quote

from equipoise.atomic_write import write_json
from equipoise.cohorts.identities import user_key
from equipoise.plain_files import text_of
from equipoise.runfolder.paths import REPORT, RESULTS, SEAL


def seal(folder: Path) -> None:
    """Write the seal of results.json and report.html of a folder. Raises OSError where it cannot be written."""
    write_json(folder / SEAL, _hashes(folder, user_key()))


def is_sealed(folder: Path) -> bool:
    """Return whether results.json and report.html are as this user's program wrote them last."""
    try:
        kept = json.loads(text_of(folder / SEAL))
        return bool(kept == _hashes(folder, user_key()))
    except (OSError, ValueError, RecursionError):
        return False


def unsealed(folder: Path) -> list[str]:
    """Return a sentence where results and page are not as this user's program wrote them last."""
    if is_sealed(folder) or not (folder / RESULTS).is_file():
        return []
    again = f"`equipoise report {quote(str(folder))}` makes them from it"
    why = "results.json and report.html are not as this user's program wrote them last, nor part of the record"
    return [f"{why}; {again}"]


def _hashes(folder: Path, key: bytes) -> dict[str, str]:
    def keyed(name: str) -> str:
        """Return the keyed hash of one file, in hexadecimal digits."""
        return hmac.new(key, f"seal of {name}\0".encode() + (folder / name).read_bytes(), hashlib.sha256).hexdigest()

    return {name: keyed(name) for name in (RESULTS, REPORT)}
