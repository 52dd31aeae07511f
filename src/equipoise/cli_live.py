"""The command line of what happens while a trial runs: its display, its trackers, `equipoise watch`."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli_parser import decimal

if TYPE_CHECKING:
    from equipoise.live.display import TrialDisplay
    from equipoise.protocol import Protocol


def add_track_option(command: argparse.ArgumentParser) -> None:
    """Add the option of copying curves elsewhere."""
    command.add_argument(
        "--track", action="append", default=[], metavar="KIND[=PLACE]",
        help="also copy losses and validation values to tensorboard or mlflow (repeatable)",
    )  # fmt: skip


def watch_options(watch: argparse.ArgumentParser) -> None:
    """Add what `equipoise watch` takes."""
    watch.add_argument("folder", metavar="DIR", help="the run folder; nothing in it is changed")
    watch.add_argument("--once", action="store_true", help="show the current state, and exit")
    watch.add_argument("--page", metavar="FILE", help="also write a page that reloads itself in a browser")
    watch.add_argument("--every", type=decimal, default=2.0, metavar="S", help="seconds between updates (default: 2)")
    add_track_option(watch)


def display(arguments: argparse.Namespace) -> "TrialDisplay":
    """Return what shows the progress of `equipoise run`, to be used as a context."""
    from equipoise.live.display import TrialDisplay

    # Under torchrun every process runs this command; only the first one shows and copies anything.
    leads = os.environ.get("RANK", "0") == "0"
    track = arguments.track if leads else ()
    return TrialDisplay(Path(arguments.out), quiet=arguments.quiet or not leads, track=track)


def finished(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return the results of a trial that has ended in this folder and needs nothing more; else None."""
    from equipoise.trials.finished import finished_results

    return finished_results(Path(arguments.protocol), Path(arguments.out))


def follow(arguments: argparse.Namespace) -> dict[str, Any]:
    """Follow a trial until it ends; return its last state as public JSON."""
    from equipoise.live.follow import watch

    page = Path(arguments.page) if arguments.page else None
    how: dict[str, Any] = {"once": arguments.once, "every": arguments.every, "track": arguments.track}
    return watch(Path(arguments.folder), page=page, quiet=arguments.quiet, **how).as_json()


def spelt(file: str) -> "Protocol":
    """Read a protocol, and refuse a name that nothing has, before what takes long is loaded."""
    from equipoise.protocol import Protocol
    from equipoise.trials.spelling import refuse_misspelt

    protocol = Protocol.load(file)
    refuse_misspelt(protocol)
    return protocol
