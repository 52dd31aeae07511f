"""Options of the command line that add to those typed before."""

import argparse
from collections.abc import Sequence
from typing import Any


class Joined(argparse.Action):
    """An option whose repetitions are joined by commas: a refusal proposes one to add, beside those already typed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add a value to those before."""
        del parser, option_string
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, str(values) if before is None else f"{before},{values}")
