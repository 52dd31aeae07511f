"""Two tables beside the verdict: the difference as probabilities, and case by case with failures first."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import interval, number, p_value

PROBABILITIES = ("first better by more than the margin", "within the margin", "second better by more than the margin")

_INTERVAL = "95 % credible interval of the difference, shrunk towards 0"
# By the prior, whose standard deviation is four margins: the posterior of a difference of 19 margins, of which the data
# are less sure than by two, lies below it. A reader who takes the interval for one around the estimate sees an error.


def readings(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the rows of both tables for all primary comparisons; a table without rows is left out of the page."""
    pairs = [*results["comparisons"], *results["baseline_comparisons"]]
    higher = results["endpoints"]["higher_is_better"]
    return {
        "probability_heads": [*PROBABILITIES, "first better by any amount", "observed difference", _INTERVAL],
        "probabilities": [
            (f"{names[pair['a']]} − {names[pair['b']]}", _probabilities(pair, higher))
            for pair in pairs
            if pair.get("posterior")
        ],
        "win_heads": ["wins", "losses", "ties", "decided by failures", "net benefit, 95 %", "p", "win ratio, 95 %"],
        "wins": [
            (f"{names[pair['a']]} against {names[pair['b']]}", _wins(pair["wins"]))
            for pair in pairs
            if pair.get("wins")
        ],
    }


def _probabilities(pair: Mapping[str, Any], higher: bool) -> list[str]:
    """Return the cells of one pair; better means above where higher is better."""
    reading = pair["posterior"]
    better, worse = (reading["above"], reading["below"]) if higher else (reading["below"], reading["above"])
    positive = reading["positive"] if higher else 1 - reading["positive"]
    shares = [_share(value) for value in (better, reading["within"], worse, positive)]
    return [*shares, number(pair["difference"], 4, signed=True), interval(reading["low"], reading["high"], 4)]


def _wins(reading: Mapping[str, Any]) -> list[str]:
    failures: Sequence[float] = reading["by_failure"]
    ratio = "–"
    if reading["ratio"] is not None:
        ratio = f"{number(reading['ratio'], 2)} ({interval(reading['ratio_low'], reading['ratio_high'], 2)})"
    return [
        *(_share(reading[name]) for name in ("wins", "losses", "ties")),
        f"{_share(failures[0])} won, {_share(failures[1])} lost",
        f"{number(reading['net'], 3, signed=True)} ({interval(reading['low'], reading['high'], 3)})",
        p_value(reading["p"]),
        ratio,
    ]


def _share(value: float) -> str:
    """Format a probability in percent; what is not certain is never called so."""
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"
