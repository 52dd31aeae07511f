"""Hash the files on which a verdict rests, for the ledger: how jobs ended, what was predicted, the trivial rules."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from equipoise.plain_files import opened
from equipoise.runfolder.paths import (
    ATTRIBUTION_MAPS,
    ATTRIBUTIONS,
    BASELINES,
    CANDIDATES,
    CHECKPOINT,
    DONE,
    HISTORY,
    PICTURES,
    PREDICTIONS,
    RATES,
    THUMBNAILS,
    TRUTHS,
    WEIGHTS,
)

RECORD = 4
"""Version of what the ledger records; version 1 (equipoise 0.1) held hashes of the lock and of predictions alone."""
RECORD_OF_FILES, RECORD_OF_MAPS, RECORD_OF_BINDING = 2, 3, 4
"""Versions from which on it holds the hash of every file that a verdict rests on, and those of attribution maps; from
the last on checkpoints and done.json name the run that they belong to."""
WEIGHTS_FILE = f"{CHECKPOINT}/{WEIGHTS}"
_OF_THE_END = (DONE, HISTORY, RATES, WEIGHTS_FILE)
MAPS = (ATTRIBUTIONS, ATTRIBUTION_MAPS)
_APART = (DONE, HISTORY, RATES, PREDICTIONS, CANDIDATES)


def sha256_of(file: Path) -> str | None:
    """Return the SHA-256 of a file; None where it is missing or cannot be read."""
    try:
        with opened(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the hash of every file that exists, by its name relative to the folder."""
    pairs = ((name, sha256_of(folder / name)) for name in names)
    return {name: digest for name, digest in pairs if digest is not None}


def end_of_job(folder: Path) -> dict[str, str]:
    """Return the hashes of what a job leaves when it ends: its outcome, its history and its weights."""
    return hashes(folder, _OF_THE_END)


def maps_of(run: Path) -> dict[str, str]:
    """Return the hashes of the attribution maps of example cases and of their checks, which are made last."""
    return hashes(run, MAPS)


def beside_predictions(run: Path, jobs: Iterable[Path]) -> dict[str, str]:
    """Return the hashes, by path in the run folder, of all that a report reads beside the predictions of `jobs`.

    The trivial rules, predictions with a blank channel, and pictures of test cases.
    """
    files = [run / THUMBNAILS, run / TRUTHS, run / PICTURES, *sorted((run / BASELINES).glob("*/*/*"))]
    for job in jobs:
        files += sorted(file for file in job.iterdir() if file.name not in _APART)
    kept = (file for file in files if file.is_file() and not file.name.startswith("."))
    return hashes(run, (file.relative_to(run).as_posix() for file in kept))
