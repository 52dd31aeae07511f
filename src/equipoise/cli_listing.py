"""The commands that tell what there is to type: lists of names for protocols, and completion for shells."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from equipoise.progress import Watch

Outcome = tuple[Any, str, bool]
Act = Callable[[argparse.Namespace, Watch], Outcome]
# Written out, because naming them by their registry would import numpy and pydantic for `--help`; a test compares.
LISTS = ("models", "optimizers", "losses", "augmentations", "endpoints", "sources", "data", "keys")
SHELLS = ("bash", "zsh", "fish")


def list_names(arguments: argparse.Namespace, _: Watch) -> Outcome:
    """List what a protocol may name."""
    from equipoise.catalogue import listing, text
    from equipoise.catalogue.foreign import listed as networks_of

    adapter, colon, word = arguments.name.rpartition(":")
    if arguments.kind == "models" and colon and adapter != "equipoise.zoo":
        names = networks_of(adapter.removeprefix("equipoise.zoo:"), word)
        return {"kind": "models", "adapter": adapter, "networks": names}, "\n".join(names), False
    listed = listing(arguments.kind)
    shown = text(listed, only=arguments.name)  # first, for it refuses a name that there is not
    value = listed.as_json()
    value["entries"] = [one for one in value["entries"] if arguments.name.lower() in one["name"].lower()]
    return value, shown, False


def complete(root: argparse.ArgumentParser, arguments: argparse.Namespace, _: Watch) -> Outcome:
    """Write the completion of a shell."""
    from equipoise.cli_completion import script

    written = script(root, arguments.shell)
    return {"shell": arguments.shell, "script": written}, written.rstrip(), False


def add_listing_commands(
    add: Callable[[str, Act, str], argparse.ArgumentParser], root: argparse.ArgumentParser
) -> None:
    """Add the commands that list names and write completions; root: the parser of all commands."""
    names = add("list", list_names, "what a protocol may name, with settings, defaults and meanings")
    names.add_argument("kind", choices=LISTS, metavar="KIND", help=", ".join(LISTS))
    names.add_argument("name", nargs="?", default="", metavar="NAME", help="only entries whose name contains this")

    completion = add("completion", partial(complete, root), "print the completion of commands and options for a shell")
    completion.add_argument("shell", choices=SHELLS, help="the shell")
