"""The command that names the cases of a run folder again: `equipoise ids`."""

import argparse
import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

from equipoise.errors import EquipoiseError
from equipoise.progress import Watch
from equipoise.sinks import cells

Outcome = tuple[object, str, bool]
Add = Callable[[str, Callable[[argparse.Namespace, Watch], Outcome], str], argparse.ArgumentParser]


def add_names_command(add: Add) -> None:
    """Add the command `ids`. add: adds a command from its name, what it does and its description."""
    ids = add("ids", _ids, "show which case of the data a pseudonym in an output stands for")
    ids.add_argument("protocol", help="the protocol file, which says where the data are")
    ids.add_argument("name", nargs="*", help="pseudonym or original name of a case or patient (default: all)")
    ids.add_argument(
        "--run",
        metavar="DIR",
        help="the run folder that uses the pseudonyms (default: those of check and of a new run)",
    )
    ids.add_argument("--out", metavar="FILE", help="write the table to this file, readable only by you")


def _ids(arguments: argparse.Namespace, _watch: Watch) -> Outcome:
    """Return, or write, what the cases of a run folder are called in the data."""
    from equipoise.trials.names import names_of

    run = Path(arguments.run) if arguments.run else None
    named = names_of(arguments.protocol, run, arguments.name)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["shown_case", "shown_patient", "case", "patient", "file"])
    writer.writerows(cells(vars(one).values()) for one in named)
    if arguments.out:
        _write_private(Path(arguments.out), text.getvalue())
        words = f"{arguments.out}: the names of {len(named)} cases; do not share it"
        return {"file": arguments.out, "cases": len(named)}, words, False
    return [vars(one) for one in named], text.getvalue().rstrip("\n"), False


def _write_private(file: Path, text: str) -> None:
    """Write a new file that its owner alone can read."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise EquipoiseError(f"{file} exists already; name another file with --out") from error
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another file with --out") from error
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
