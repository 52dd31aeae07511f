"""The parser of the command line: numbers as they are typed, and wrong usage in one line."""

import argparse
import re
from typing import NoReturn

_COMMA = re.compile(r"[+-]?\d*,\d+")


def decimal(text: str) -> float:
    """Return a number of the command line; a decimal comma is refused with the number to write.

    >>> decimal("0.05")
    0.05
    """
    try:
        return float(text)
    except ValueError as error:
        remedy = f"write {text.strip().replace(',', '.')}" if _COMMA.fullmatch(text.strip()) else "write one, as 0.05"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; {remedy}") from error


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line: the list of all options, above it, hides the sentence."""

    def error(self, message: str) -> NoReturn:
        """End with the exit code 2 and the message."""
        blanks = "; put a name with blanks in quotes" if message.startswith("unrecognized arguments") else ""
        self.exit(2, f"{self.prog}: {message}{blanks} (all options: {self.prog} --help)\n")


def top_parser(version: str) -> Parser:
    """Return the parser of `equipoise` itself, without commands."""
    parser = Parser(
        prog="equipoise",
        description="Clinical trials between deep-learning models on medical images. A research tool, not a device.",
    )
    parser.add_argument("--version", action="version", version=f"equipoise {version}")
    return parser
