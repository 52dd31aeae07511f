"""The options of the commands that write or read a protocol, and of downloads."""

import argparse
import re
import shlex

from equipoise.cli_parser import decimal

_HINT = re.compile(r"`equipoise init ([^`]+)`")


def add_no_code(command: argparse.ArgumentParser) -> None:
    """Add the option that refuses code of somebody's own, for protocols that come from elsewhere."""
    command.add_argument(
        "--no-code", action="store_true", help="refuse to run your own modules, named as module:attribute"
    )


def add_init_options(init: argparse.ArgumentParser) -> None:
    """Add what a protocol is fitted to: the user's answers, the time, the device."""
    keys = "a key of [cohort], such as coding=2023 (repeatable)"
    init.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=keys)
    time = "fit the whole trial into this time on this machine (default: 60; 0 measures nothing)"
    init.add_argument("--minutes", type=decimal, metavar="M", help=time)
    init.add_argument(
        "--device",
        default="",
        choices=["cpu", "cuda"],
        help="plan for this device (default: the one that jobs use here)",
    )


def with_own_options(text: str, arguments: argparse.Namespace, usual_file: str) -> str:
    """Return what `init` says, with the options of this call in the calls that it proposes.

    The part that refuses data knows neither the file that the user named nor the answers that were given already.

    >>> call = argparse.Namespace(out="a.toml", minutes=5.0, device="", set=["axes=zyx", "mask=old"])
    >>> with_own_options("try `equipoise init data --set mask=new`", call, "protocol.toml")
    'try `equipoise init data --set mask=new --set axes=zyx --out a.toml --minutes 5`'
    """

    def completed(hint: re.Match[str]) -> str:
        """Return one proposed call with the options that it lacks."""
        words = hint[1]
        answers = [one for one in arguments.set if f"--set {one.partition('=')[0]}=" not in words]
        own = [word for one in answers for word in ("--set", one)]
        own += ["--out", arguments.out] * (arguments.out != usual_file)
        own += ["--minutes", f"{arguments.minutes or 0:g}"] * (arguments.minutes is not None)
        own += ["--device", arguments.device] * bool(arguments.device)
        return f"`equipoise init {' '.join([words, *map(shlex.quote, own)])}`"

    return _HINT.sub(completed, text)


def add_fetch_options(fetch: argparse.ArgumentParser) -> None:
    """Add the options of a download: what, whereto, from where, and what the user vouches for."""
    fetch.add_argument("name", metavar="NAME", help="pneumoniamnist, pathmnist-64, msd-hippocampus, lidc-idri, …")
    fetch.add_argument("--to", metavar="DIR", help="the parent folder of the data (default: the user's cache)")
    fetch.add_argument("--from", dest="mirror", default="", metavar="URL", help="a mirror with the same paths")
    fetch.add_argument("--offline", action="store_true", help="verify the files that are there, without a connection")
    fetch.add_argument("--pin", metavar="SHA256", help="confirm a file whose publisher states no checksum")
    fetch.add_argument("--patients", default="", metavar="NAMES", help="only these patients, for lidc-idri")
