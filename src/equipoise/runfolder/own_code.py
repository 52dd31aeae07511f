"""Code that a run folder names: compared with its locked hash before it runs, and run only where somebody asked for it.

Run folders are what colleagues send. Opening a result must not execute what came with it.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from equipoise.errors import LedgerError, PredictionError, ProtocolError
from equipoise.lookup import is_imported, source_of
from equipoise.own_modules import changed_module, file_of, hashes_of, modules_behind
from equipoise.plain_files import bytes_of
from equipoise.protocol import Protocol
from equipoise.protocol.toml import read_text, tables
from equipoise.runfolder.paths import PROTOCOL

CHANGED = (
    "is not the one that was locked: its source has changed; restore the file, or run the trial again in a new folder"
)

MODULES = "modules"
"""The key of lock.json with the SHA-256 of every module of the user's own that the trial's code loads, by its name."""


def code_folder(lock: Mapping[str, Any], run: Path) -> Path:
    """Return the folder of the user's own modules, which the lock states relative to the run folder."""
    return (run / str(lock.get("code_folder", "."))).resolve()


def check_code(
    name: str, what: str, sha256: str | None, folder: Path, trusted: bool, modules: Mapping[str, str] | None = None
) -> None:
    """Raise PredictionError unless the module of a `module:attribute` name may be run; nothing of it has run by then.

    what: the thing that is named, for the message. sha256: of the module's source, as locked; modules: of all modules
    of the author's own that the lock names, with which those that this one imports are compared.
    Code that this process has run already, as the process of the trial itself, needs no further permission.
    """
    if is_imported(name):
        return
    file = source_of(name, folder)
    if file is not None and _sha256(file) != sha256:
        raise PredictionError(f"the {what} {name!r} {CHANGED}")
    for module, digest in hashes_of(modules_behind([name], folder)).items() if modules else ():
        if digest != (modules or {}).get(module):
            raise PredictionError(f"the module {module!r}, which the {what} {name!r} imports, {CHANGED}")
    if not trusted:
        place = "whose source file cannot be found" if file is None else f"in {file}"
        raise PredictionError(
            f"the {what} {name!r} is custom code that this run folder names ({place}), which runs only with your "
            "permission; read it, then add --trust-code"
        )


def refuse_other_modules(locked: Mapping[str, Any], plan: Mapping[str, Any], code: Path, where: Path) -> None:
    """Raise LedgerError, naming its file, for a module of the user's own that is not as in the lock.

    Locks of earlier versions name none, and nothing is compared. code: the folder of the user's modules.
    """
    if MODULES not in locked:
        return
    before, now = locked[MODULES], plan.get(MODULES) or {}
    for name in (*before, *(name for name in now if name not in before)):
        file = file_of(name, code)
        # A module that this start has not loaded, though the first one has, is looked up.
        digest = now.get(name) or hashes_of({} if file is None else {name: file}).get(name)
        if name in before and digest != before[name]:
            raise LedgerError(changed_module(name, file, f"{where} was locked"))
        # A file that was executed without a module is compared job by job (`late_modules`).
        if name not in before and "/" not in name:
            raise LedgerError(
                f"your own code imports {file} (module {name!r}), which it did not when {where} was locked; nothing "
                "was overwritten, name a new folder with --out"
            )


def own_code_of_arm(run: Path, plans: Iterable[Mapping[str, Any]], arm: str) -> Iterator[tuple[str, str]]:
    """Yield what code of the author's own an arm needs, by kind and name: of its cohort, its network, its optimizer.

    plans: of the arms, as the lock has them. A protocol that is missing or damaged names none.
    """
    try:
        source = tables(read_text(run / PROTOCOL), PROTOCOL).get("cohort", {}).get("source", "")
    except (ProtocolError, AttributeError):
        source = ""
    if ":" in str(source):
        yield "cohort source", str(source)
    named = {str(plan["name"]): plan for plan in plans}
    chosen: Mapping[str, Any] = named.get(arm, {})
    for plan in (chosen, *(named.get(str(name), {}) for name in chosen.get("ensemble") or ())):
        yield from _own_code_of(plan)


def _own_code_of(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model, optimizer = plan.get("model"), plan.get("optimizer")
    trainer = model.get("trainer") if isinstance(model, dict) else None
    for what, value in (("model", model), ("optimizer", optimizer), ("trainer", trainer)):
        name = value.get("name", "") if isinstance(value, dict) else str(value or "")
        if ":" in name:
            yield what, name


@contextmanager
def from_source() -> Iterator[None]:
    """Within it, modules are imported from their source, whatever bytecode lies beside it."""
    # The hash is that of the source: a folder that somebody prepared may hold other bytecode with the source's date.
    before = sys.pycache_prefix
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        sys.pycache_prefix = folder
        try:
            yield
        finally:
            sys.pycache_prefix = before


def _sha256(file: Path) -> str | None:
    try:
        return hashlib.sha256(bytes_of(file)).hexdigest()
    except OSError:
        return None


def read_protocol(run: Path, lock: Mapping[str, Any], trusted: bool) -> Protocol | None:
    """Read the protocol of a run folder; None where it is missing, damaged, or names code that may not be run."""
    path = run / PROTOCOL
    try:
        text = read_text(path)
        cohort = tables(text, str(path)).get("cohort")
        task = cohort.get("task") if isinstance(cohort, Mapping) else None
        if isinstance(task, str) and ":" in task:
            check_code(
                task, "task", (lock.get("code") or {}).get(task), code_folder(lock, run), trusted, lock.get(MODULES)
            )
        with from_source():
            return Protocol.parse(text, str(path), code_folder(lock, run))
    except (ProtocolError, PredictionError):
        return None
