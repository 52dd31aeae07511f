"""Long lists of options of the command line."""

import argparse

from equipoise.cli_joined import Joined
from equipoise.cli_parser import decimal


def samplesize_options(size: argparse.ArgumentParser) -> None:
    """Add the options of a sample size: the pilot, and what the planned trial shall find."""

    def counts(text: str) -> list[int]:
        """Split a list of numbers at its commas."""
        return [int(one) for one in text.split(",") if one]

    size.add_argument(
        "pilot", nargs="+", metavar="DIR or [ARM=]PATH", help="a run folder, or tables as audit takes them"
    )
    size.add_argument(
        "--out", metavar="FILE", help="also write the result to FILE: HTML for .html, otherwise plain text"
    )
    size.add_argument(
        "--difference",
        type=decimal,
        metavar="X",
        help="the smallest difference that matters (default: the run's margin)",
    )
    size.add_argument(
        "--primary", metavar="ENDPOINT", help="default: the run's primary; for tables AUC, for masks Dice"
    )
    size.add_argument("--power", type=decimal, default=0.8, metavar="P", help="default: %(default)s")
    size.add_argument(
        "--alpha", type=decimal, default=0.05, metavar="A", help="familywise error rate (default: %(default)s)"
    )
    size.add_argument(
        "--seeds", type=counts, default=[3, 5, 10], metavar="N,…", help="runs of each arm (default: 3,5,10)"
    )
    size.add_argument("--control", metavar="ARM", help="compare every arm only with this one (default: all pairs)")
    size.add_argument("--positive", metavar="CLASS", help="for tables: the positive class")
    size.add_argument("--columns", action=Joined, metavar="ROLE=NAME,…", help="for tables: the role of each column")
    size.add_argument("--truth", metavar="PATH", help="for tables of scores, or masks: the truth, as audit takes it")
    size.add_argument("--regions", metavar="NAMES", help="for tables and masks: the structures, as audit takes them")
    size.add_argument("--patients", metavar="FILE", help="for tables: CSV of case and patient")
    size.add_argument("--cases-are-patients", action="store_true", help="for tables: every case is a different patient")
    size.add_argument(
        "--scores",
        action=Joined,
        metavar="SCALE",
        help="for tables: what scores are (probabilities, percent, logits; V1=percent)",
    )
    size.add_argument(
        "--common-cases", action="store_true", help="for tables: leave out cases without a prediction of every arm"
    )
    size.add_argument(
        "--below-chance",
        action="store_true",
        help="for tables: confirm scores or labels that look exchanged",
    )
    size.add_argument("--trust-code", action="store_true", help="run code that the folder names; read it first")
